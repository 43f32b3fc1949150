#include "harness/effects/kernel_witness.h"

#include <time.h>

#include <algorithm>
#include <map>
#include <utility>

#include "harness/effects/tcp_account.h"
#include "harness/effects/thread_probe.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

// A protocol reaction may hide behind a short timer of the runtime: one due within this is awaited
// even where the scenario allows no protocol delay at all. Costs nothing where there is none.
constexpr microseconds kShortestHorizon = std::chrono::seconds(1);
// Never blocked for this long, and nothing to show for it.
constexpr auto kWatchdog = std::chrono::seconds(60);
// Checks while busy: soon at first, then every few milliseconds.
constexpr microseconds kBackOff[] = {microseconds(200), microseconds(500), microseconds(1000),
                                     microseconds(2000), microseconds(5000)};

uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

// r[control.settle]; a verdict rests on an instant at which no thread of the subject ran or could
// run, no byte was under way, and no timer was due within the horizon.
class SnapshotWitness final : public KernelWitness {
 public:
  SnapshotWitness(pid_t root, std::string token)
      : probe_(root, "COUNTERPART_TOKEN=" + std::move(token)) {}

  void OnStarted() override { probe_.MarkHousekeeping(); }

  void OnActivity() override {
    last_activity_ = busy_since_ = Clock::now();
    checks_ = 0;
  }

  KernelView Look(const std::vector<LinkAccount>& links, microseconds horizon) override {
    horizon = std::max(horizon, kShortestHorizon);
    uint64_t unread = 0;
    const ThreadsLook look = probe_.Look([&]() -> std::string {
      for (const LinkAccount& link : links) {
        const TcpAccount account = accountant_.Look(link.fd, link.read, link.written, link.reading);
        if (!account.in_flight.empty()) return account.in_flight;
        unread += account.unread;
      }
      return {};
    });
    if (!look.busy.empty()) return Busy(look.busy);
    if (look.threads.empty()) return Busy("no thread of the subject was found");
    return AtRest(look, horizon, unread);
  }

 private:
  KernelView Busy(const std::string& why) {
    KernelView view;
    view.evidence = why;
    const auto busy_for = Clock::now() - busy_since_;
    if (busy_for > kWatchdog) {
      view.state = KernelView::State::kUnjudgeable;
      view.evidence = "runaway or starved: never at rest for 60 s; last: " + why;
    }
    view.retry_after = kBackOff[std::min(checks_++, std::size(kBackOff) - 1)];
    return view;
  }

  KernelView AtRest(const ThreadsLook& look, microseconds horizon, uint64_t unread) {
    const uint64_t now = MonotonicNs();
    const uint64_t horizon_ns = static_cast<uint64_t>(horizon.count()) * 1000;
    uint64_t next_due = UINT64_MAX;
    std::string timer, unknown;
    std::map<std::string, int> blocked_in;
    std::map<std::string, uint64_t> seen;
    for (const ThreadLook& thread : look.threads) {
      ++blocked_in[thread.waits.name];
      if (thread.housekeeping) continue;
      if (thread.waits.kind == BlockedSyscall::Kind::kUnknown) {
        unknown = thread.name + " in " + thread.waits.name;
      } else if (thread.waits.kind == BlockedSyscall::Kind::kTimed) {
        const uint64_t due =
            thread.waits.deadline_ns != 0 ? thread.waits.deadline_ns : Since(thread, now, &seen);
        if (due < next_due) {
          next_due = due;
          timer = thread.name + " in " + thread.waits.name;
        }
      }
    }
    relative_since_ = std::move(seen);
    KernelView view;
    busy_since_ = Clock::now();
    if (next_due != UINT64_MAX && next_due <= now + horizon_ns) {
      // Tier 2: wait for that timer. Once due, its thread shows as runnable until it is served.
      const uint64_t wait_ns = next_due > now ? next_due - now : 0;
      view.evidence = "a timer is due: " + timer;
      view.retry_after =
          std::min<microseconds>(microseconds(wait_ns / 1000 + 200), std::chrono::milliseconds(50));
      // A periodic timer would postpone the verdict for ever: after the horizon without a wire
      // event this snapshot, begun after it, decides (tier 3).
      if (Clock::now() - last_activity_ < horizon) return view;
      view.tier = 3;
    } else if (!unknown.empty()) {
      const auto quiet_at = last_activity_ + horizon;
      if (Clock::now() < quiet_at) {
        view.evidence = "a wait whose timeout is unknown: " + unknown;
        view.retry_after = std::chrono::duration_cast<microseconds>(quiet_at - Clock::now());
        return view;
      }
      view.tier = 3;
    } else {
      view.tier = 1;
    }
    view.state = KernelView::State::kQuiescent;
    view.evidence = std::to_string(look.threads.size()) + " threads asleep at one instant (";
    bool first = true;
    for (const auto& [name, count] : blocked_in) {
      view.evidence += (first ? "" : ", ") + std::to_string(count) + " in " + name;
      first = false;
    }
    view.evidence += "), every byte accounted for";
    if (unread > 0) {
      view.evidence += ", " + std::to_string(unread) + " bytes that the subject has not read";
    }
    if (view.tier == 3) {
      view.evidence += ", " + std::to_string(horizon.count() / 1000) +
                       " ms after the last event (" + (unknown.empty() ? timer : unknown) + ")";
    } else {
      view.evidence += ", no timer due within " + std::to_string(horizon.count() / 1000) + " ms";
    }
    return view;
  }

  // When a relative timeout is due at the latest: it began before it was first seen.
  uint64_t Since(const ThreadLook& thread, uint64_t now, std::map<std::string, uint64_t>* seen) {
    const std::string key =
        thread.name + "/" + thread.waits.name + "/" + std::to_string(thread.waits.timeout_ns);
    const auto known = relative_since_.find(key);
    const uint64_t since = known == relative_since_.end() ? now : known->second;
    (*seen)[key] = since;
    return since + thread.waits.timeout_ns;
  }

  ThreadProbe probe_;
  TcpAccountant accountant_;
  std::map<std::string, uint64_t> relative_since_;
  size_t checks_ = 0;
  Clock::time_point last_activity_ = Clock::now(), busy_since_ = Clock::now();
};

}  // namespace

std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token) {
  return std::make_unique<SnapshotWitness>(root, token);
}

}  // namespace counterpart::effects
