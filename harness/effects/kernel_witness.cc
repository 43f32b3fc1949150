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
// How long a state that fails something must have lasted.
constexpr uint64_t kSustainedNs = 5'000'000;
// Checks while busy: soon at first, then every few milliseconds.
constexpr microseconds kBackOff[] = {microseconds(200), microseconds(500), microseconds(1000),
                                     microseconds(2000), microseconds(5000)};
// Longest pause between looks at a subject that waits for a timer.
constexpr microseconds kLongestPause = milliseconds(20);
// What lies between two looks at a busy subject counts up to this, more than anybody pauses. Beyond
// it we ourselves were kept from looking, and it has had no more chance to be seen at rest.
constexpr uint64_t kMostBetweenLooksNs = 100'000'000;

microseconds InMicroseconds(uint64_t ns) { return microseconds(static_cast<int64_t>(ns / 1000)); }

std::string Seconds(uint64_t ns) { return std::to_string(ns / 1'000'000'000) + " s"; }

KernelView SilenceView(uint64_t silent_ns, uint64_t span_ns, const std::string& why) {
  KernelView view;
  view.needs_settle = true;
  if (silent_ns < span_ns) {
    view.evidence = "not silent for long enough";
    view.retry_after = InMicroseconds(span_ns - silent_ns) + microseconds(1);
    return view;
  }
  view.state = KernelView::State::kQuiescent;
  view.tier = 3;
  view.evidence = "silent for " + std::to_string(span_ns / 1'000'000) +
                  " ms; the kernel cannot be relied on here: " + why;
  return view;
}

// r[control.settle]; a verdict rests on an instant at which no thread of the subject ran or could
// run, no byte was under way, and no timer was due within the horizon.
class SnapshotWitness final : public KernelWitness {
 public:
  SnapshotWitness(std::unique_ptr<KernelReader> reader, CheckSteps steps, Watchdog watchdog)
      : reader_(std::move(reader)),
        steps_(steps),
        watchdog_(watchdog),
        snapshotter_(reader_.get(), steps) {
    OnActivity();
  }

  void OnStarted() override { snapshotter_.MarkHousekeeping(); }

  void OnActivity() override {
    last_activity_ns_ = last_look_ns_ = reader_->NowNs();
    busy_ns_ = 0;
    cpu_at_rest_ns_ = snapshotter_.cpu_ns();
    queued_at_rest_ns_ = snapshotter_.queued_ns();
    rested_ns_ = 0;
    last_.reset();
    sustained_since_ns_ = 0;
    checks_ = 0;
  }

  KernelView Look(OurEnds* ours, microseconds horizon, Certainty certainty) override {
    horizon = std::max(horizon, kShortestHorizon);
    const Snapshot snapshot = snapshotter_.Take(ours);
    KernelView view = snapshot.busy.empty() ? AtRest(snapshot, horizon, certainty)
                      : snapshot.unrest == Unrest::kUnreadable ? Silent(snapshot, horizon)
                                                               : Busy(snapshot);
    const uint64_t waited_ns = reader_->NowNs() - last_activity_ns_;
    if (view.state == KernelView::State::kBusy && waited_ns > InNs(watchdog_.ceiling())) {
      GiveUp("stalled", "neither at rest for good nor done for " + Seconds(waited_ns), snapshot,
             &view);
    }
    return view;
  }

 private:
  KernelView Busy(const Snapshot& snapshot) {
    KernelView view;
    view.evidence = snapshot.busy;
    last_.reset();
    sustained_since_ns_ = 0;
    const uint64_t now = reader_->NowNs();
    busy_ns_ += std::min(now - std::exchange(last_look_ns_, now), kMostBetweenLooksNs);
    // Whoever holds the lock gets on, and so will the subject.
    if (snapshot.unrest == Unrest::kLockedOut && lock_progress_ != snapshot.lock_progress) {
      lock_progress_ = snapshot.lock_progress;
      last_activity_ns_ = now;
      busy_ns_ = 0;
    }
    const uint64_t cpu_ns = snapshotter_.cpu_ns() - cpu_at_rest_ns_;
    // It gets on, slowly: what it waits for a CPU is the machine's time, not its own.
    const uint64_t queued_ns = snapshotter_.queued_ns() - queued_at_rest_ns_;
    const std::string span = "never at rest while it used " + std::to_string(cpu_ns / 1'000'000) +
                             " ms of CPU time in " + std::to_string(busy_ns_ / 1'000'000) + " ms";
    if (cpu_ns > InNs(watchdog_.cpu())) {
      GiveUp("runaway", span, snapshot, &view);
    } else if (busy_ns_ > InNs(watchdog_.span) + queued_ns) {
      switch (snapshot.unrest) {
        case Unrest::kGone:
          GiveUp("dead", "gone for " + Seconds(busy_ns_), snapshot, &view);
          break;
        case Unrest::kStopped:
          GiveUp("stalled", "stopped, " + span, snapshot, &view);
          break;
        case Unrest::kLockedOut:
          GiveUp("stalled", "locked out for " + Seconds(busy_ns_), snapshot, &view);
          break;
        default:
          GiveUp("starved", span, snapshot, &view);
          break;
      }
    }
    view.retry_after = kBackOff[std::min(checks_++, std::size(kBackOff) - 1)];
    return view;
  }

  // Nothing is seen of its threads: only that it says nothing.
  KernelView Silent(const Snapshot& snapshot, microseconds horizon) {
    last_.reset();
    sustained_since_ns_ = 0;
    const uint64_t span_ns = InNs(horizon) + InNs(kShortestHorizon);
    const uint64_t silent_ns = reader_->NowNs() - last_activity_ns_;
    return SilenceView(silent_ns, span_ns, snapshot.busy);
  }

  void GiveUp(const char* what, const std::string& why, const Snapshot& snapshot,
              KernelView* view) {
    view->state = KernelView::State::kUnjudgeable;
    view->evidence = std::string(what) + ": " + why + "; last: " + view->evidence;
    Fixpoint& dump = view->fixpoint.emplace();
    dump.given_up = what;
    dump.threads = snapshotter_.Dump();
    dump.links = snapshot.links;
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
    last_look_ns_ = now;
    busy_ns_ = 0;
    cpu_at_rest_ns_ = snapshotter_.cpu_ns();
    queued_at_rest_ns_ = snapshotter_.queued_ns();
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
    if (certainty == Certainty::kSustained) view.fixpoint = Dump(snapshot, view.tier, horizon, now);
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

  // The snapshot itself, of the one instant, and not what a look now would give.
  Fixpoint Dump(const Snapshot& snapshot, int tier, microseconds horizon, uint64_t now) const {
    Fixpoint dump;
    dump.tier = tier;
    dump.horizon_us = static_cast<uint64_t>(horizon.count());
    for (const ThreadSeen& seen : snapshot.threads) {
      Fixpoint::Thread& thread = dump.threads.emplace_back();
      thread.pid = seen.id.pid;
      thread.tid = seen.id.tid;
      thread.name = reader_->Name(seen.id);
      thread.state = 'S';
      thread.blocked_in = seen.waits.name;
      thread.until = UntilText(seen.waits);
      thread.housekeeping = seen.housekeeping;
    }
    for (const Snapshot::Timer& timer : snapshot.timers) {
      dump.timers.push_back({timer.what, timer.due_ns > now ? (timer.due_ns - now) / 1000 : 0});
    }
    dump.links = snapshot.links;
    return dump;
  }

  static uint64_t InNs(microseconds span) { return static_cast<uint64_t>(span.count()) * 1000; }

  struct LastRest {
    std::string signature;
    uint64_t at_ns;
    uint64_t rest_ns;  // it may have rested that long since, if it has run
  };

  const std::unique_ptr<KernelReader> reader_;
  const CheckSteps steps_;
  const Watchdog watchdog_;
  Snapshotter snapshotter_;
  size_t checks_ = 0;
  uint64_t last_activity_ns_ = 0, last_look_ns_ = 0, cpu_at_rest_ns_ = 0;
  uint64_t busy_ns_ = 0;  // looked at without a break and never at rest
  uint64_t queued_at_rest_ns_ = 0;
  uint64_t rested_ns_ = 0;  // since the last activity
  std::optional<LastRest> last_;
  std::string lock_progress_;
  std::string sustained_;
  uint64_t sustained_since_ns_ = 0;
};

class SilenceWitness final : public KernelWitness {
 public:
  explicit SilenceWitness(std::string why) : why_(std::move(why)) {}
  void OnStarted() override {}
  void OnActivity() override { last_activity_ = Clock::now(); }
  KernelView Look(OurEnds*, microseconds horizon, Certainty) override {
    const microseconds span = std::max(horizon, kShortestHorizon) + kShortestHorizon;
    const auto silent = std::chrono::nanoseconds(Clock::now() - last_activity_);
    return SilenceView(static_cast<uint64_t>(silent.count()),
                       static_cast<uint64_t>(span.count()) * 1000, why_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  const std::string why_;
  Clock::time_point last_activity_ = Clock::now();
};

}  // namespace

std::unique_ptr<KernelWitness> MakeSnapshotWitness(std::unique_ptr<KernelReader> reader,
                                                   CheckSteps steps, Watchdog watchdog) {
  return std::make_unique<SnapshotWitness>(std::move(reader), steps, watchdog);
}

std::unique_ptr<KernelWitness> MakeSilenceWitness(std::string why) {
  return std::make_unique<SilenceWitness>(std::move(why));
}

std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token,
                                                 Watchdog watchdog) {
  const SelfTestResult& waits = WaitSelfTest();
  if (!waits.trusted) return MakeSilenceWitness(waits.reason);
  return MakeSnapshotWitness(MakeLinuxReader(root, "COUNTERPART_TOKEN=" + token), {}, watchdog);
}

}  // namespace counterpart::effects
