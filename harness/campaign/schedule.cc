#include "harness/campaign/schedule.h"

#include <algorithm>

namespace counterpart::campaign {
namespace {

// Fewer runs than this are no batch to be divided among workers: to start, and to be found calm,
// costs a batch about as much as so many runs do.
constexpr uint64_t kWorthABatch = 16;
constexpr uint32_t kLanesOfABulkyRun = 16;

}  // namespace

Schedule::Schedule(const CampaignOptions& options, std::function<uint64_t()> now_us)
    : options_(options), now_us_(std::move(now_us)) {
  for (const Cell& cell : options_.cells) {
    Turn& turn = turns_.emplace_back();
    turn.cell = &cell;
    turn.end = options_.explore ? 1 : options_.duration ? UINT32_MAX : options_.runs;
  }
}

Schedule::Turn* Schedule::Find(const std::string& cell_id) {
  const auto found = std::find_if(turns_.begin(), turns_.end(), [&cell_id](const Turn& turn) {
    return turn.cell->Id() == cell_id;
  });
  return found == turns_.end() ? nullptr : &*found;
}

void Schedule::Skip(const std::string& cell_id, uint32_t ordinal) {
  std::lock_guard lock(mutex_);
  if (Turn* turn = Find(cell_id)) turn->done.insert(ordinal);
}

size_t Schedule::Surveyed(const std::string& cell_id, const std::vector<peer::Moment>& moments) {
  std::lock_guard lock(mutex_);
  Turn* turn = Find(cell_id);
  if (turn == nullptr) return 0;
  turn->surveying = false;
  explore::Options options = *options_.explore;
  options.seed = RunSeed(options.seed, cell_id, 0);
  // Who is dialled need not come back to a listener that is down.
  if (turn->cell->direction == scenarios::Direction::kHarnessToSubject) {
    std::erase(options.faults, peer::How::kListenerDown);
  }
  if (turn->cell->stable) {
    std::erase_if(options.faults, [](peer::How how) { return !peer::FitsConduits(how); });
  }
  turn->plans = explore::Enumerate(moments, options);
  turn->end = static_cast<uint32_t>(turn->plans.size()) + 1;
  changed_.notify_all();
  return turn->plans.size();
}

void Schedule::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

uint32_t Schedule::MostTogether(const Turn& turn) const {
  const scenarios::Scenario& scenario = *turn.cell->scenario;
  if (scenario.exclusive || options_.isolate) return 1;
  if (scenario.bulky) return std::max(1u, options_.lanes / kLanesOfABulkyRun);
  // Towards the end everybody gets his share, so that nobody works on alone.
  uint64_t left = 0;
  for (const Turn& other : turns_) left += other.end - other.next;
  const uint64_t share = std::max(kWorthABatch, left / std::max(options_.jobs, 1u));
  return static_cast<uint32_t>(std::min<uint64_t>(options_.lanes, share));
}

Batch Schedule::Take(Turn& turn) {
  uint32_t most = MostTogether(turn);
  Batch batch;
  for (; turn.next < turn.end && batch.size() < most; ++turn.next) {
    if (turn.done.contains(turn.next)) continue;
    const bool planned = options_.explore && turn.next > 0;
    const explore::Plan& plan = planned ? turn.plans[turn.next - 1] : options_.plan;
    // What is done to the process is done to every run that shares it.
    const bool to_process = std::any_of(plan.begin(), plan.end(), [](const peer::Fault& fault) {
      return peer::NeedsProcess(fault.how);
    });
    if (to_process && !batch.empty()) break;
    if (to_process) most = 1;
    RunKey& key = batch.emplace_back();
    key.cell = turn.cell;
    key.ordinal = turn.next;
    // Every run of an exploration is the same run, but for its plan.
    const uint32_t of = options_.explore ? 0 : turn.next;
    key.seed = options_.run_seed.value_or(RunSeed(options_.seed, turn.cell->Id(), of));
    key.plan = plan;
    key.again = options_.self_check && IsDrivenAgain(key.seed, key.ordinal);
    if (options_.explore && turn.next == 0) key.survey = turn.surveying = true;
  }
  return batch;
}

std::optional<Batch> Schedule::Next() {
  std::unique_lock lock(mutex_);
  while (true) {
    bool surveying = false;
    for (size_t tries = 0; tries < turns_.size(); ++tries) {
      if (Interrupted()) return {};
      Turn& turn = turns_[turn_];
      const bool first = turn_ == 0;
      turn_ = (turn_ + 1) % turns_.size();
      if (first && options_.duration && planned_ > 0 &&
          now_us_() >= static_cast<uint64_t>(options_.duration->count()) * 1000000) {
        stopped_ = true;
        changed_.notify_all();
        return {};
      }
      Batch batch = Take(turn);
      planned_ += batch.size();
      if (!batch.empty()) return batch;
      surveying |= turn.surveying;
    }
    if (!surveying) return {};
    // Somebody else runs it and will say. An interruption is not told here: he sees that as well.
    changed_.wait(lock);
  }
}

}  // namespace counterpart::campaign
