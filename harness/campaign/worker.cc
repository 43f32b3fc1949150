#include "harness/campaign/worker.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "counterpart/report/v1/report.pb.h"
#include "harness/effects/pair_world.h"

namespace counterpart::campaign {

using effects::Arrival;
using effects::Calm;
using effects::Certainty;
using effects::Effect;
using effects::Ingress;
using effects::IngressKind;
using effects::Lane;
using effects::LiveWorld;
using machine::Level;
using machine::Step;
using scenarios::Run;

namespace {

// What one run may bring from the subject: far more than any scenario needs. Beyond it the subject
// floods: it would never be calm, and all of it is kept for the trace.
constexpr size_t kMostArrivals = 50'000;
constexpr size_t kMostArrivedBytes = 64u << 20;
constexpr std::chrono::microseconds kLongestPause = std::chrono::milliseconds(50);
// A subject at work mostly answers within this. To ask whether it is calm costs as much as half a
// run, and takes the time from its work; nothing is judged by this span.
constexpr std::chrono::microseconds kAnswersSoon(300);
// Runs that are driven again at once: what they cost is mostly to find the subject calm.
constexpr size_t kMostHeld = 16;

Level LevelOf(const report::v1::Exec& exec) { return static_cast<Level>(exec.verdict()); }

}  // namespace

struct Worker::Active {
  RunKey key;
  Lane lane = 0;
  uint64_t started_us = 0;
  std::unique_ptr<Run> run;
  Step step = Step::kContinue;
  bool done = false;
  size_t arrivals = 0, arrived_bytes = 0;

  void Ingest(std::vector<Ingress> batch) {
    arrivals += batch.size();
    for (const Ingress& ingress : batch) arrived_bytes += ingress.bytes.size();
    if (arrivals > kMostArrivals || arrived_bytes > kMostArrivedBytes) {
      batch.clear();
      batch.push_back({.kind = IngressKind::kUnjudgeable,
                       .text = "flooded: the subject has sent " + std::to_string(arrivals) +
                               " payloads and answers, " + std::to_string(arrived_bytes >> 20) +
                               " MiB, in one run"});
    }
    run->machine().Ingest(std::move(batch));
  }
};

Worker::Worker(Options options, Sink sink) : options_(std::move(options)), sink_(std::move(sink)) {}

Worker::~Worker() = default;

Result<LiveWorld*> Worker::WorldFor(const effects::SubjectSpec& subject) {
  if (const auto dead = dead_.find(subject.id); dead != dead_.end()) return dead->second;
  std::unique_ptr<LiveWorld>& world = worlds_[subject.id];
  if (world != nullptr && !world->alive()) {
    if (Status status = world->Respawn(); !status.ok()) {
      world.reset();
      return status.error();
    }
  }
  if (world == nullptr && options_.stand_in) world = options_.stand_in(subject.id);
  if (world == nullptr) {
    Result<std::unique_ptr<LiveWorld>> started = LiveWorld::Start(subject);
    if (!started.ok()) {
      // One that got no time may get some later.
      if (started.error().kind != Error::Kind::kStarved) {
        dead_.emplace(subject.id, started.error());
      }
      return started.error();
    }
    world = std::move(started).value();
  }
  return world.get();
}

Result<LiveWorld*> Worker::WorldFor(const Cell& cell) {
  if (cell.client == nullptr) return WorldFor(*cell.subject);
  std::vector<LiveWorld*> two;
  for (const effects::SubjectSpec* subject : cell.Subjects()) {
    Result<LiveWorld*> world = WorldFor(*subject);
    if (!world.ok()) return Error{world.error().kind, subject->id + ": " + world.error().message};
    two.push_back(*world);
  }
  pair_ = effects::MakePairWorld(two[0], two[1]);
  return pair_.get();
}

void Worker::RunBatch(const std::vector<RunKey>& batch) {
  const Cell& cell = *batch.front().cell;
  const bool alone = cell.scenario->exclusive || options_.isolate;
  if (!held_.empty() && (alone || held_.front().key.cell->Subjects() != cell.Subjects())) {
    DriveHeld();
  }
  const Tell tell = [this](Driven driven) {
    if (driven.key.again && LevelOf(*driven.finished.exec) <= Level::kPass) {
      held_.push_back(std::move(driven));
    } else {
      sink_(std::move(driven.finished));
    }
  };
  if (const Result<LiveWorld*> world = WorldFor(cell); !world.ok()) {
    return CannotStart(batch, world.error(), tell);
  }
  if (Unsupported(batch)) return;
  Drive(batch, tell);
  if (alone || held_.size() >= kMostHeld || Interrupted()) DriveHeld();
}

// The same seed must make the same trace, whatever else ran beside it. A difference is nobody's
// fault as such, and says that a red run of this cell may not be reproduced. But what is wrong is
// wrong the second time as well.
void Worker::DriveHeld() {
  std::vector<RunKey> batch;
  for (const Driven& held : held_) batch.push_back(held.key);
  if (!batch.empty() && !Interrupted()) {
    Drive(batch, [this](Driven second) {
      if (second.run == nullptr) return;  // the subject could not be started once more
      const auto same = [&second](const Driven& held) { return held.key.Id() == second.key.Id(); };
      Driven& first = *std::find_if(held_.begin(), held_.end(), same);
      report::v1::DrivenAgain again;
      again.set_trace_hash(second.finished.exec->trace_hash());
      const machine::Trace& trace = second.run->machine().trace();
      const auto difference = machine::FirstDifference(first.run->machine().trace(), trace);
      if (difference) again.set_divergence(*difference);
      const Level level = LevelOf(*second.finished.exec);
      if (level > Level::kPass) {
        again.set_divergence("not passed the second time: " + second.finished.exec->reason() +
                             (difference ? "; " + *difference : ""));
      }
      if (level > Level::kInconclusive) first = std::move(second);
      *first.finished.exec->mutable_again() = std::move(again);
    });
  }
  for (Driven& held : std::exchange(held_, {})) sink_(std::move(held.finished));
}

void Worker::Drive(const std::vector<RunKey>& batch, const Tell& tell) {
  std::vector<Driven> crashed;
  Result<LiveWorld*> world = WorldFor(*batch.front().cell);
  if (!world.ok()) return CannotStart(batch, world.error(), tell);
  RunTogether(**world, batch, tell, &crashed);
  if (crashed.empty()) return;
  // A crash ended all the runs that shared the process, and judged none of them. Each is run again
  // by itself: the one that crashes alone is the one to blame.
  const auto crashes = [](const Driven& driven) {
    return driven.finished.exec->ending() == report::v1::ENDING_CRASH;
  };
  const auto witness = std::find_if(crashed.begin(), crashed.end(), crashes);
  bool explained = witness == crashed.end();
  std::optional<Driven> witness_alone;
  size_t alone = 0;
  for (auto one = crashed.begin(); one != crashed.end() && !Interrupted(); ++one) {
    const Tell hear = [&](Driven again) {
      ++alone;
      explained |= crashes(again);
      if (one == witness) {
        witness_alone = std::move(again);
      } else {
        tell(std::move(again));
      }
    };
    world = WorldFor(*one->key.cell);
    if (world.ok()) {
      RunTogether(**world, {one->key}, hear, nullptr);
    } else {
      CannotStart({one->key}, world.error(), hear);
    }
  }
  if (explained) {
    if (witness_alone) tell(*std::move(witness_alone));
    return;
  }
  // None does: it takes several, or chance. That all of them pass alone is no reason to forget it.
  report::v1::Exec& exec = *witness->finished.exec;
  exec.set_reason(exec.reason() + "; " + std::to_string(crashed.size()) +
                  " runs shared the process when it ended, and it outlives each of the " +
                  std::to_string(alone) + " that were run again alone");
  tell(std::move(*witness));
}

bool Worker::Unsupported(const std::vector<RunKey>& batch) {
  const Cell& cell = *batch.front().cell;
  for (const effects::SubjectSpec* subject : cell.Subjects()) {
    const effects::SubjectInfo& info = worlds_.at(subject->id)->subject();
    const auto& has = info.capabilities;
    for (const std::string& need : cell.Needs()) {
      // A stream of gRPC's is served over gRPC.
      if ((scenarios::kOver + info.binding).starts_with(need)) continue;
      if (std::find(has.begin(), has.end(), need) != has.end()) continue;
      for (const RunKey& key : batch) {
        report::v1::Exec exec;
        exec.set_ending(report::v1::ENDING_UNSUPPORTED);
        const std::string who = cell.client == nullptr ? "the subject" : subject->id;
        exec.set_reason(need.starts_with(scenarios::kOver)
                            ? who + " does not serve its control plane " + need
                            : who + " does not declare the capability '" + need + "'");
        sink_(NotDriven(key, std::move(exec)).finished);
      }
      return true;
    }
  }
  return false;
}

void Worker::CannotStart(const std::vector<RunKey>& batch, const Error& error, const Tell& tell) {
  const bool starved = error.kind == Error::Kind::kStarved;
  for (const RunKey& key : batch) {
    report::v1::Exec exec;
    exec.set_verdict(starved ? report::v1::VERDICT_INCONCLUSIVE : report::v1::VERDICT_ERROR);
    if (starved) exec.set_unjudged("starved");
    exec.set_ending(report::v1::ENDING_NO_START);
    exec.set_reason(error.message);
    exec.set_signature("- @ subject start");
    tell(NotDriven(key, std::move(exec)));
  }
}

Worker::Driven Worker::NotDriven(const RunKey& key, report::v1::Exec exec) const {
  exec.set_id(key.Id());
  exec.set_cell(key.cell->Id());
  exec.set_seed(key.seed);
  exec.set_ordinal(key.ordinal);
  exec.set_slot(options_.slot);
  exec.set_started_us(options_.campaign_now_us());
  Driven driven{.key = key};
  driven.finished.exec = std::make_unique<report::v1::Exec>(std::move(exec));
  return driven;
}

Worker::Driven Worker::Finish(LiveWorld& world, Active& active) {
  active.done = true;
  SubjectState subject;
  subject.slot = options_.slot;
  subject.incarnation = world.incarnation();
  subject.alive = world.alive();
  active.run->Conclude();
  const bool red = active.run->judge().verdict().level() > Level::kPass;
  if (red) subject.stderr_tail = world.stderr_tail();
  Driven driven{.key = active.key};
  driven.finished.exec = std::make_unique<report::v1::Exec>(
      ToExec(active.key, *active.run, active.started_us,
             options_.campaign_now_us() - active.started_us, subject));
  if (red || options_.keep_all_traces) driven.finished.trace = ToTrace(active.key, *active.run);
  driven.run = std::move(active.run);
  world.CloseLane(active.lane);
  return driven;
}

void Worker::RunTogether(LiveWorld& world, const std::vector<RunKey>& batch, const Tell& tell,
                         std::vector<Driven>* crashed) {
  std::vector<Active> all;
  std::map<Lane, Active*> by_lane;
  all.reserve(batch.size());
  for (const RunKey& key : batch) {
    Active& active = all.emplace_back();
    active.key = key;
    active.lane = world.OpenLane();
    active.started_us = options_.campaign_now_us();
    const uint64_t start = active.started_us;
    active.run = std::make_unique<Run>(
        *key.cell->scenario, key.cell->Cast(), key.seed,
        [now = options_.campaign_now_us, start] { return now() - start; }, key.plan);
    by_lane[active.lane] = &active;
  }
  bool replace = false;
  const auto running = [&all] {
    return std::any_of(all.begin(), all.end(), [](const Active& a) { return !a.done; });
  };
  const auto ingest = [&](std::vector<Arrival> arrivals) {
    std::map<Lane, std::vector<Ingress>> batches;
    for (Arrival& arrival : arrivals) batches[arrival.lane].push_back(std::move(arrival.ingress));
    for (auto& [lane, ingress] : batches) {
      Active* active = by_lane[lane];
      if (active != nullptr && !active->done) active->Ingest(std::move(ingress));
    }
  };
  while (running() && !Interrupted()) {
    std::chrono::microseconds horizon{0};
    Certainty certainty = Certainty::kOneLook;
    for (Active& active : all) {
      if (active.done) continue;
      active.step = active.run->machine().Run();
      for (const Effect& effect : active.run->machine().TakeEffects()) {
        world.Execute(active.lane, effect);
      }
      horizon = std::max(horizon, active.run->machine().horizon());
      if (active.run->machine().CalmFails()) certainty = Certainty::kSustained;
      if (active.step == Step::kStuck) active.run->ConcludeStuck();
      if (active.step == Step::kAllDone || active.step == Step::kStuck) {
        replace |= active.run->judge().verdict().level() > Level::kPass;
        const bool by_crash = !world.alive() && crashed != nullptr && batch.size() > 1;
        Driven driven = Finish(world, active);
        if (by_crash) {
          crashed->push_back(std::move(driven));
        } else {
          tell(std::move(driven));
        }
      }
    }
    if (!running()) break;
    std::vector<Arrival> arrivals = world.Poll(kAnswersSoon);
    if (arrivals.empty()) {
      const Calm calm = world.CheckCalm(horizon, certainty);
      switch (calm.state) {
        case Calm::State::kNo:
          // Never for long: somebody may wait for an interruption to be seen.
          arrivals = world.Poll(std::min(calm.retry_after, kLongestPause));
          break;
        case Calm::State::kQuiescent:
        case Calm::State::kUnjudgeable:
        case Calm::State::kContradicted:
          for (const Active& active : all) {
            if (active.done) continue;
            Ingress ingress;
            ingress.kind = calm.state == Calm::State::kQuiescent     ? IngressKind::kQuiescent
                           : calm.state == Calm::State::kUnjudgeable ? IngressKind::kUnjudgeable
                                                                     : IngressKind::kContradicted;
            ingress.number = static_cast<uint64_t>(calm.tier);
            ingress.text = calm.evidence;
            ingress.bytes = calm.fixpoint;
            ingress.subject = calm.subject;
            arrivals.push_back({active.lane, std::move(ingress)});
          }
          break;
      }
    }
    ingest(std::move(arrivals));
  }
  for (Active& active : all) {
    if (!active.done) world.CloseLane(active.lane);
  }
  // What a red run leaves in the process must not touch the next one.
  if (replace || options_.isolate || Interrupted()) {
    pair_.reset();
    for (const auto* subject : batch.front().cell->Subjects()) worlds_.erase(subject->id);
  }
}

}  // namespace counterpart::campaign
