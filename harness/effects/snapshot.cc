#include "harness/effects/snapshot.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "harness/effects/housekeeping.h"

namespace counterpart::effects {
namespace {

// Waits longer than this are as good as for ever.
constexpr uint64_t kForEverNs = uint64_t{365} * 24 * 3600 * 1'000'000'000;

bool Ended(char state) { return state == 'Z' || state == 'X'; }

std::string Called(const ThreadId& id, const std::string& name) {
  return "thread " + std::to_string(id.tid) + (name.empty() ? "" : " (" + name + ")");
}

std::string SignatureOf(const std::vector<ThreadSeen>& threads) {
  std::string signature;
  for (const ThreadSeen& thread : threads) {
    signature += std::to_string(thread.id.incarnation) + ":" + thread.counters;
  }
  return signature;
}

}  // namespace

std::string UntilText(const BlockedSyscall& waits) {
  switch (waits.kind) {
    case BlockedSyscall::Kind::kRunning:
      return "";
    case BlockedSyscall::Kind::kNoTimeout:
      return "for ever";
    case BlockedSyscall::Kind::kTimed:
      return waits.deadline_ns != 0 ? "a time of the clock"
                                    : std::to_string(waits.timeout_ns / 1'000'000) + " ms";
    case BlockedSyscall::Kind::kUnknown:
      break;
  }
  return "unknown";
}

void Snapshotter::MarkHousekeeping() {
  // A list that changes while it is read is as good as any other: what is new in it is young.
  std::vector<ThreadId> ids;
  reader_.ListThreads(&ids);
  for (const ThreadId& id : ids) baseline_ = std::max(baseline_, id.incarnation);
}

Snapshot Snapshotter::Take(OurEnds* ours) {
  Snapshot snapshot;
  std::vector<ThreadId> before, after;
  snapshot.unrest = Unrest::kAtWork;
  if (!reader_.ListThreads(&before)) {
    snapshot.busy = "a thread came or went";
    return snapshot;
  }
  std::erase_if(memory_, [&before](const auto& entry) {
    return std::none_of(before.begin(), before.end(), [&entry](const ThreadId& id) {
      return std::pair(id.pid, id.tid) == entry.first;
    });
  });
  if (!FirstPass(before, &snapshot)) {
    // What is under way can be known all the same.
    if (snapshot.unrest == Unrest::kUnreadable) {
      const std::string unreadable = std::exchange(snapshot.busy, {});
      if (!Bytes(ours, &snapshot) || InputWaits(*ours)) snapshot.unrest = Unrest::kAtWork;
      if (snapshot.busy.empty()) snapshot.busy = unreadable;
    }
    return snapshot;
  }
  if (steps_.file_locks && !LockedOut(before, &snapshot)) return snapshot;
  if (steps_.bytes && !Bytes(ours, &snapshot)) return snapshot;
  const std::string threads = SignatureOf(snapshot.threads);
  if (steps_.wake_sources && !WakeSourcesOf(before, threads, &snapshot)) return snapshot;
  if (steps_.list_again && (!reader_.ListThreads(&after) || after != before)) {
    snapshot.busy = "the list of threads changed";
    return snapshot;
  }
  if (!SecondPass(&snapshot)) return snapshot;
  if (!steps_.timeouts_in_first_pass) ReadTimeouts(&snapshot);  // broken on purpose
  if (steps_.input_after && InputWaits(*ours)) {
    snapshot.busy = "something has arrived meanwhile";
    return snapshot;
  }
  snapshot.unrest = Unrest::kNone;
  Sum(&snapshot);
  sources_of_ = threads;
  snapshot.signature += threads;
  return snapshot;
}

bool Snapshotter::InputWaits(const OurEnds& ours) {
  std::vector<int> inputs = ours.inputs;
  for (const LinkAccount& link : ours.links) {
    if (link.reading && !link.end_seen) inputs.push_back(link.fd);
  }
  return !inputs.empty() && reader_.InputWaits(inputs);
}

// A wait for a lock ends when somebody else lets go of it. Within the subject that is a wait like
// any other; outside of it nothing that we see says when.
bool Snapshotter::LockedOut(const std::vector<ThreadId>& ids, Snapshot* snapshot) {
  for (ThreadSeen& thread : snapshot->threads) {
    if (!thread.waits.file_lock) continue;
    const std::optional<LockHolder> holder = reader_.LockHeldOutside(thread.id.pid, ids);
    if (!holder) continue;
    if (holder->pid == 0) {
      thread.waits.kind = BlockedSyscall::Kind::kUnknown;
      continue;
    }
    snapshot->unrest = Unrest::kLockedOut;
    snapshot->busy = Called(thread.id, reader_.Name(thread.id)) +
                     " waits for a file lock that process " + std::to_string(holder->pid) + " (" +
                     holder->name + ") holds, which is not of the subject";
    snapshot->lock_progress = holder->progress;
    return false;
  }
  return true;
}

std::vector<Fixpoint::Thread> Snapshotter::Dump() {
  std::vector<ThreadId> ids;
  reader_.ListThreads(&ids);
  std::vector<Fixpoint::Thread> threads;
  for (const ThreadId& id : ids) {
    Fixpoint::Thread& thread = threads.emplace_back();
    thread.pid = id.pid;
    thread.tid = id.tid;
    thread.name = reader_.Name(id);
    thread.state = reader_.State(id);
    thread.housekeeping = IsHousekeeping(thread.name, id.incarnation <= baseline_);
    const std::string line = reader_.Syscall(id);
    if (line.empty()) continue;
    const BlockedSyscall waits =
        DecodeSyscall(line, [this, &id](uint64_t at, void* to, size_t size) {
          return reader_.ReadMemory(id.pid, at, to, size);
        });
    thread.blocked_in = waits.name;
    thread.until = UntilText(waits);
  }
  return threads;
}

void Snapshotter::Remember(const ThreadId& id, const std::string& counters) {
  const auto [entry, fresh] = memory_.try_emplace({id.pid, id.tid});
  Memory& memory = entry->second;
  char* rest = nullptr;
  const uint64_t run_ns = std::strtoull(counters.c_str(), &rest, 10);
  const uint64_t queued_ns = std::strtoull(rest, nullptr, 10);
  if (!fresh && run_ns > memory.run_ns) cpu_ns_ += run_ns - memory.run_ns;
  if (!fresh && queued_ns > memory.queued_ns) queued_ns_ += queued_ns - memory.queued_ns;
  memory.run_ns = run_ns;
  memory.queued_ns = queued_ns;
  if (memory.counters == counters) return;
  memory.counters = counters;
  memory.first_seen_ns = reader_.NowNs();
}

bool Snapshotter::FirstPass(const std::vector<ThreadId>& ids, Snapshot* snapshot) {
  lines_.clear();
  for (const ThreadId& id : ids) {
    std::string line;
    if (!steps_.counters_before_syscall) line = reader_.Syscall(id);  // broken on purpose
    ThreadSeen thread{.id = id, .name = {}, .counters = reader_.Counters(id), .waits = {}};
    if (steps_.counters_before_syscall) line = reader_.Syscall(id);
    // A zombie reads as being outside a system call, or as gone; it will never run again.
    if ((thread.counters.empty() || line.empty() || line.starts_with("-1")) &&
        Ended(reader_.State(id))) {
      continue;
    }
    if (thread.counters.empty() || line.empty()) {
      snapshot->busy = "what thread " + std::to_string(id.tid) + " does cannot be read";
      if (reader_.State(id) == 'S') snapshot->unrest = Unrest::kUnreadable;
      return false;
    }
    Remember(id, thread.counters);
    if (line.starts_with("running")) {
      thread.name = reader_.Name(id);
      thread.housekeeping = IsHousekeeping(thread.name, id.incarnation <= baseline_);
      if (steps_.housekeeping_runs_too || !thread.housekeeping) {
        snapshot->busy = Called(id, thread.name) + " runs";
        return false;
      }
    }
    snapshot->threads.push_back(std::move(thread));
    lines_.push_back(std::move(line));
  }
  if (snapshot->threads.empty()) {
    snapshot->unrest = Unrest::kGone;
    snapshot->busy = "no thread of the subject was found";
    return false;
  }
  if (steps_.timeouts_in_first_pass) ReadTimeouts(snapshot);
  return true;
}

void Snapshotter::ReadTimeouts(Snapshot* snapshot) {
  using Kind = BlockedSyscall::Kind;
  for (size_t i = 0; i < snapshot->threads.size(); ++i) {
    ThreadSeen& thread = snapshot->threads[i];
    const pid_t pid = thread.id.pid;
    thread.waits = DecodeSyscall(lines_[i], [this, pid](uint64_t at, void* to, size_t size) {
      return reader_.ReadMemory(pid, at, to, size);
    });
    BlockedSyscall& waits = thread.waits;
    if (waits.kind == Kind::kNoTimeout && waits.descriptor >= 0 && steps_.socket_timeouts) {
      const auto timeout = reader_.DescriptorTimeoutNs(pid, waits.descriptor, waits.sends);
      if (!timeout) {
        waits.kind = Kind::kUnknown;
      } else if (*timeout > 0) {
        waits.kind = Kind::kTimed;
        waits.timeout_ns = *timeout;
      }
    }
    if (lines_[i].starts_with("-1") && !steps_.outside_syscall_is_unknown) {
      waits.kind = Kind::kNoTimeout;  // broken on purpose
    }
    if (waits.kind != Kind::kTimed && waits.kind != Kind::kUnknown) continue;
    // Read anew: it may have been named since it last ran.
    thread.name = reader_.Name(thread.id);
    const bool early = thread.id.incarnation <= baseline_ || !steps_.housekeeping_only_early;
    thread.housekeeping = IsHousekeeping(thread.name, early);
  }
}

bool Snapshotter::Bytes(OurEnds* ours, Snapshot* snapshot) {
  for (const LinkAccount& link : ours->links) {
    const std::optional<TcpEnd> subject = reader_.SubjectEnd(link.path);
    // The subject's end first: a byte of it that arrives in between makes for a second look.
    const std::optional<TcpEnd> own = reader_.OwnEnd(link.fd);
    snapshot->busy = InFlight(link, own.value_or(TcpEnd{}), subject);
    if (!snapshot->busy.empty()) return false;
    if (!subject) continue;
    snapshot->links.push_back({.sent = subject->sent,
                               .read = link.read,
                               .written = link.written,
                               .received = subject->received,
                               .unread = subject->unread});
    snapshot->unread += subject->unread;
    snapshot->signature += std::to_string(subject->sent) + "/" + std::to_string(subject->received) +
                           "/" + std::to_string(subject->unread) + " ";
  }
  for (const TcpPath& path : ours->control) {
    const std::optional<TcpEnd> subject = reader_.SubjectEnd(path);
    const std::optional<TcpEnd> own = reader_.SubjectEnd(Reversed(path));
    snapshot->busy = InFlightBetween(own, subject);
    if (!snapshot->busy.empty()) return false;
  }
  if (!steps_.departed) return true;  // broken on purpose
  std::erase_if(ours->departed,
                [this](const TcpPath& path) { return HasArrived(reader_.SubjectEnd(path)); });
  if (ours->departed.empty()) return true;
  snapshot->busy = "the end of a connection that we closed is under way";
  return false;
}

bool Snapshotter::WakeSourcesOf(const std::vector<ThreadId>& ids, const std::string& threads,
                                Snapshot* snapshot) {
  const bool known = threads == sources_of_ && steps_.timer_fd_memory;
  const uint64_t now = reader_.NowNs();
  const bool overdue = std::any_of(timer_fds_.begin(), timer_fds_.end(),
                                   [now](const HeldTimerFd& held) { return held.due_ns <= now; });
  if (known && !overdue) return true;
  WakeSources sources;
  if (!reader_.ReadWakeSources(ids, &sources)) {
    snapshot->busy = "a process went";
    return false;
  }
  std::vector<HeldTimerFd> held;
  for (const TimerFd& timer : sources.timer_fds) {
    if (timer.remaining_ns > 0) {
      held.push_back({timer.pid, timer.fd, reader_.NowNs() + timer.remaining_ns});
      continue;
    }
    // Fired, and no thread woke: nobody waits for it. Not fired and not armed: it is due.
    if (timer.expirations > 0 || !known) continue;
    for (const HeldTimerFd& before : timer_fds_) {
      if (before.pid == timer.pid && before.fd == timer.fd) held.push_back(before);
    }
  }
  timer_fds_ = std::move(held);
  unknown_sources_ = std::move(sources.unknown);
  sources_of_.clear();  // until B has validated it
  return true;
}

bool Snapshotter::SecondPass(Snapshot* snapshot) {
  for (const ThreadSeen& thread : snapshot->threads) {
    if (thread.housekeeping && !steps_.housekeeping_runs_too) continue;  // broken on purpose
    // The state first: a thread that was woken and has not run yet shows it; one that has run shows
    // in its counters.
    std::string counters = thread.counters;
    if (steps_.counters_again && !steps_.state_before_counters) {
      counters = reader_.Counters(thread.id);  // broken on purpose
    }
    const char state = steps_.state ? reader_.State(thread.id) : 'S';
    if (steps_.counters_again && steps_.state_before_counters) {
      counters = reader_.Counters(thread.id);
    }
    if (state != 'S') {
      if (state == 'T' || state == 't') snapshot->unrest = Unrest::kStopped;
      snapshot->busy = Called(thread.id, reader_.Name(thread.id)) + " is in state " + state;
      return false;
    }
    if (counters != thread.counters) {
      if (!counters.empty()) Remember(thread.id, counters);
      snapshot->busy = Called(thread.id, reader_.Name(thread.id)) + " ran meanwhile";
      return false;
    }
  }
  return true;
}

void Snapshotter::Sum(Snapshot* snapshot) {
  using Kind = BlockedSyscall::Kind;
  for (const ThreadSeen& thread : snapshot->threads) {
    if (thread.housekeeping || !steps_.timeouts) continue;
    const std::string what = thread.name + " in " + thread.waits.name;
    if (thread.waits.kind == Kind::kUnknown) {
      snapshot->unknown = "a wait whose timeout is unknown: " + what;
    } else if (thread.waits.kind == Kind::kTimed && thread.waits.timeout_ns < kForEverNs) {
      const uint64_t since = memory_.at({thread.id.pid, thread.id.tid}).first_seen_ns;
      const uint64_t due = thread.waits.deadline_ns;
      snapshot->timers.push_back({what, due != 0 ? due : since + thread.waits.timeout_ns});
    }
  }
  if (!steps_.wake_sources) return;
  for (const HeldTimerFd& held : timer_fds_) {
    snapshot->timers.push_back(
        {"timerfd " + std::to_string(held.fd) + " of process " + std::to_string(held.pid),
         held.due_ns});
  }
  if (snapshot->unknown.empty()) snapshot->unknown = unknown_sources_;
}

}  // namespace counterpart::effects
