#include "harness/effects/kernel_witness.h"

#include <algorithm>
#include <map>
#include <utility>

#include "harness/effects/linux_reader.h"
#include "harness/effects/wait_self_test.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A protocol reaction may hide behind a short timer of the runtime: one due within this is awaited
// even where the scenario allows no protocol delay at all. Costs nothing where there is none.
constexpr microseconds kShortestHorizon = seconds(1);
// Never at rest while it used this much CPU time, or while this much time passed, and nothing to
// show for it: given up. The first bound is the subject's own time, which load does not touch.
constexpr uint64_t kRunawayCpuNs = 10'000'000'000;
constexpr uint64_t kWatchdogNs = 60'000'000'000;
// Neither at work for that long nor at rest for good.
constexpr uint64_t kCeilingNs = 10 * kWatchdogNs;
// How long a state that fails something must have lasted.
constexpr uint64_t kSustainedNs = 5'000'000;
// Checks while busy: soon at first, then every few milliseconds.
constexpr microseconds kBackOff[] = {microseconds(200), microseconds(500), microseconds(1000),
                                     microseconds(2000), microseconds(5000)};
// Longest pause between looks at a subject that waits for a timer.
constexpr microseconds kLongestPause = milliseconds(20);

microseconds InMicroseconds(uint64_t ns) { return microseconds(static_cast<int64_t>(ns / 1000)); }

// r[control.settle]; a verdict rests on an instant at which no thread of the subject ran or could
// run, no byte was under way, and no timer was due within the horizon.
class SnapshotWitness final : public KernelWitness {
 public:
  SnapshotWitness(std::unique_ptr<KernelReader> reader, CheckSteps steps)
      : reader_(std::move(reader)), steps_(steps), snapshotter_(reader_.get(), steps) {
    OnActivity();
  }

  void OnStarted() override { snapshotter_.MarkHousekeeping(); }

  void OnActivity() override {
    last_activity_ns_ = busy_since_ns_ = reader_->NowNs();
    cpu_at_rest_ns_ = snapshotter_.cpu_ns();
    rested_ns_ = 0;
    last_.reset();
    sustained_since_ns_ = 0;
    checks_ = 0;
  }

  KernelView Look(OurEnds* ours, microseconds horizon, Certainty certainty) override {
    horizon = std::max(horizon, kShortestHorizon);
    const Snapshot snapshot = snapshotter_.Take(ours);
    KernelView view = snapshot.busy.empty() ? AtRest(snapshot, horizon, certainty) : Busy(snapshot);
    if (view.state == KernelView::State::kBusy &&
        reader_->NowNs() - last_activity_ns_ > kCeilingNs) {
      view.state = KernelView::State::kUnjudgeable;
      view.evidence = "neither at rest nor done for 10 minutes; last: " + view.evidence;
    }
    return view;
  }

 private:
  KernelView Busy(const Snapshot& snapshot) {
    KernelView view;
    view.evidence = snapshot.busy;
    last_.reset();
    sustained_since_ns_ = 0;
    const uint64_t cpu_ns = snapshotter_.cpu_ns() - cpu_at_rest_ns_;
    const uint64_t busy_ns = reader_->NowNs() - busy_since_ns_;
    const std::string span = "never at rest while it used " + std::to_string(cpu_ns / 1'000'000) +
                             " ms of CPU time in " + std::to_string(busy_ns / 1'000'000) + " ms";
    if (cpu_ns > kRunawayCpuNs) {
      view.state = KernelView::State::kUnjudgeable;
      view.evidence = "runaway: " + span + "; last: " + snapshot.busy;
    } else if (busy_ns > kWatchdogNs) {
      view.state = KernelView::State::kUnjudgeable;
      view.evidence = "starved or stopped: " + span + "; last: " + snapshot.busy;
    }
    view.retry_after = kBackOff[std::min(checks_++, std::size(kBackOff) - 1)];
    return view;
  }

  // Adds up how long the subject has rested since the last activity: time in which its timers could
  // come due. Time in which it ran or waited for a CPU does not count, so load cannot shorten what
  // a chain of timers is given.
  void AddRest(const Snapshot& snapshot, uint64_t now) {
    if (last_) {
      const uint64_t gap = now - last_->at_ns;
      // It ran in between: then the first of its timers had come due, or something unknown.
      const uint64_t at_most = last_->signature == snapshot.signature ? gap : last_->rest_ns;
      rested_ns_ += std::min(gap, at_most);
    }
    uint64_t rest_ns = InNs(kLongestPause);
    for (const Snapshot::Timer& timer : snapshot.timers) {
      rest_ns = std::min(rest_ns, timer.due_ns > now ? timer.due_ns - now : 0);
    }
    last_ = LastRest{snapshot.signature, now, rest_ns};
  }

  KernelView AtRest(const Snapshot& snapshot, microseconds horizon, Certainty certainty) {
    const uint64_t now = reader_->NowNs();
    const uint64_t horizon_ns = InNs(horizon);
    AddRest(snapshot, now);
    busy_since_ns_ = now;
    cpu_at_rest_ns_ = snapshotter_.cpu_ns();
    checks_ = 0;

    const Snapshot::Timer* next = nullptr;
    for (const Snapshot::Timer& timer : snapshot.timers) {
      if (timer.due_ns > now + horizon_ns) continue;
      if (next == nullptr || timer.due_ns < next->due_ns) next = &timer;
    }
    KernelView view;
    std::string awaited = snapshot.unknown;
    if (next != nullptr) {
      const uint64_t left_ns = next->due_ns > now ? next->due_ns - now : 0;
      awaited = "a timer is due in " + std::to_string(left_ns / 1'000'000) + " ms: " + next->what;
    }
    if (!awaited.empty() && rested_ns_ < horizon_ns) {
      view.evidence = awaited;
      const uint64_t left_ns = next != nullptr && next->due_ns > now ? next->due_ns - now : 0;
      const microseconds until = next != nullptr ? InMicroseconds(left_ns) + microseconds(200)
                                                 : InMicroseconds(horizon_ns - rested_ns_);
      view.retry_after = std::min(until, kLongestPause);
      return view;
    }
    if (certainty == Certainty::kSustained && steps_.sustained) {
      if (sustained_since_ns_ == 0 || sustained_ != snapshot.signature) {
        sustained_ = snapshot.signature;
        sustained_since_ns_ = now;
      }
      // Of timers that never end the state is never the same twice for long: tier 3 does without.
      const uint64_t lasted_ns = now - sustained_since_ns_;
      if (lasted_ns < kSustainedNs && awaited.empty()) {
        view.evidence = "at rest for " + std::to_string(lasted_ns / 1000) + " us only";
        view.retry_after = InMicroseconds(kSustainedNs - lasted_ns) + microseconds(1);
        return view;
      }
    }
    view.state = KernelView::State::kQuiescent;
    view.tier = awaited.empty() ? 1 : 3;
    view.evidence = Evidence(snapshot, awaited, horizon, now);
    return view;
  }

  std::string Evidence(const Snapshot& snapshot, const std::string& awaited, microseconds horizon,
                       uint64_t now) const {
    std::map<std::string, int> blocked_in;
    for (const ThreadSeen& thread : snapshot.threads) ++blocked_in[thread.waits.name];
    std::string text = std::to_string(snapshot.threads.size()) + " threads asleep at one instant (";
    const char* separator = "";
    for (const auto& [name, count] : blocked_in) {
      text += std::exchange(separator, ", ") + std::to_string(count) + " in " + name;
    }
    text += "), every byte accounted for";
    if (snapshot.unread > 0) {
      text += ", " + std::to_string(snapshot.unread) + " bytes that the subject has not read";
    }
    const std::string span = std::to_string(horizon.count() / 1000) + " ms";
    if (!awaited.empty()) {
      return text + ", after " + span + " of rest since the last event (" + awaited + ")";
    }
    text += ", no timer due within " + span;
    const auto later = std::min_element(
        snapshot.timers.begin(), snapshot.timers.end(),
        [](const Snapshot::Timer& a, const Snapshot::Timer& b) { return a.due_ns < b.due_ns; });
    if (later == snapshot.timers.end()) return text;
    return text + " (the next, in " + std::to_string((later->due_ns - now) / 1'000'000) +
           " ms: " + later->what + ")";
  }

  static uint64_t InNs(microseconds span) { return static_cast<uint64_t>(span.count()) * 1000; }

  struct LastRest {
    std::string signature;
    uint64_t at_ns;
    uint64_t rest_ns;  // it may have rested that long since, if it has run
  };

  const std::unique_ptr<KernelReader> reader_;
  const CheckSteps steps_;
  Snapshotter snapshotter_;
  size_t checks_ = 0;
  uint64_t last_activity_ns_ = 0, busy_since_ns_ = 0, cpu_at_rest_ns_ = 0;
  uint64_t rested_ns_ = 0;  // since the last activity
  std::optional<LastRest> last_;
  std::string sustained_;
  uint64_t sustained_since_ns_ = 0;
};

class SilenceWitness final : public KernelWitness {
 public:
  void OnStarted() override {}
  void OnActivity() override { last_activity_ = Clock::now(); }
  KernelView Look(OurEnds*, microseconds horizon, Certainty) override {
    const microseconds span = std::max(horizon, kShortestHorizon) + kShortestHorizon;
    const auto silent = std::chrono::floor<microseconds>(Clock::now() - last_activity_);
    KernelView view;
    if (silent < span) {
      view.evidence = "not silent for long enough";
      view.retry_after = span - silent;
      return view;
    }
    view.state = KernelView::State::kQuiescent;
    view.tier = 3;
    view.evidence = "silent for " + std::to_string(span.count() / 1000) +
                    " ms; the kernel of this machine cannot be relied on: " + WaitSelfTest().reason;
    return view;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_activity_ = Clock::now();
};

}  // namespace

std::unique_ptr<KernelWitness> MakeSnapshotWitness(std::unique_ptr<KernelReader> reader,
                                                   CheckSteps steps) {
  return std::make_unique<SnapshotWitness>(std::move(reader), steps);
}

std::unique_ptr<KernelWitness> MakeSilenceWitness() { return std::make_unique<SilenceWitness>(); }

std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token) {
  if (!WaitSelfTest().trusted) return MakeSilenceWitness();
  return MakeSnapshotWitness(MakeLinuxReader(root, "COUNTERPART_TOKEN=" + token));
}

}  // namespace counterpart::effects
