// One look at a subject's process tree: a double collect, sound under any load. r[control.settle]
//
// Per thread the scheduler's counters (A), then what it waits for and until when; then everything
// else that could be under way or could wake it; then the list of threads again; then per thread
// its state and the same counters (B). A counter that did not move says that the thread did not run
// between its own A and B, and all these intervals hold the middle: so there was one instant at
// which nothing of the subject ran or could run and no byte was under way. Every datum that a
// verdict uses is read before the B that validates it.
#ifndef COUNTERPART_EFFECTS_SNAPSHOT_H_
#define COUNTERPART_EFFECTS_SNAPSHOT_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/effects/blocked_syscall.h"
#include "harness/effects/fixpoint.h"
#include "harness/effects/kernel_reader.h"
#include "harness/effects/tcp_account.h"

namespace counterpart::effects {

// All our ends of what the subject may talk to.
struct OurEnds {
  std::vector<LinkAccount> links;
  std::vector<int> inputs;  // listeners, and what its output is read from
  // Connections that we have closed; a look takes out those of which the subject has been told.
  std::vector<TcpPath> departed;
  // Connections that a library of ours has with the subject: their bytes are accounted for between
  // the kernels of both ends.
  std::vector<TcpPath> control;
};

// The steps of the check. Tests take one out each, to see that a wrong verdict follows.
struct CheckSteps {
  bool counters_before_syscall = true;  // A, in this order
  bool timeouts = true;                 // are looked at
  bool timeouts_in_first_pass = true;   // and before B
  bool outside_syscall_is_unknown = true;
  bool socket_timeouts = true;
  bool file_locks = true;  // held by somebody else
  bool bytes = true;       // are accounted for
  bool departed = true;    // so are our own ends of connections
  bool wake_sources = true;
  bool timer_fd_memory = true;
  bool list_again = true;
  bool state = true;                  // B
  bool state_before_counters = true;  // B, in this order
  bool counters_again = true;         // B
  bool input_after = true;
  bool housekeeping_only_early = true;
  bool housekeeping_runs_too = true;  // that it runs counts
  bool sustained = true;              // of the witness: the same once more before a failure
};

struct ThreadSeen {
  ThreadId id;
  std::string name;      // of those that wait with a timeout
  std::string counters;  // as the kernel prints them
  BlockedSyscall waits;
  // A runtime's own maintenance: its timeout means nothing for the protocol. That it runs does.
  bool housekeeping = false;
};

// Why a subject is not at rest.
enum class Unrest : uint8_t {
  kNone,
  kAtWork,      // something of it runs, can run, changed or is under way
  kStopped,     // by a signal or a tracer
  kGone,        // no thread of it is left
  kLockedOut,   // waits for a file lock that somebody else holds
  kUnreadable,  // the kernel does not let us see what it does; no byte is under way
};

struct Snapshot {
  Unrest unrest = Unrest::kNone;
  std::string busy;           // its reason; empty: it is at rest, and what follows is complete
  std::string lock_progress;  // with kLockedOut: differs once whoever holds the lock has run
  std::vector<ThreadSeen> threads;
  struct Timer {
    std::string what;     // "worker in epoll_wait"
    uint64_t due_ns = 0;  // CLOCK_MONOTONIC, at the latest
  };
  std::vector<Timer> timers;  // all that count, in no order
  std::string unknown;        // something that may wake it at a time that cannot be read
  uint64_t unread = 0;        // bytes at the subject that it has not taken
  std::vector<Fixpoint::Link> links;
  // Equal in two snapshots: nothing ran and no byte moved between them.
  std::string signature;
};

// Until when a thread waits, in words: "for ever", "1200 ms".
std::string UntilText(const BlockedSyscall& waits);

class Snapshotter {
 public:
  // `reader` outlives this.
  explicit Snapshotter(KernelReader* reader, CheckSteps steps = {})
      : reader_(*reader), steps_(steps) {}

  // Threads that exist by now, and none later, may be housekeeping. A thread inherits the name of
  // the one that starts it: what an application starts later may only look like maintenance.
  void MarkHousekeeping();

  Snapshot Take(OurEnds* ours);
  // Every thread there is, as far as it can be read: of no single instant, for people.
  std::vector<Fixpoint::Thread> Dump();

  // CPU time that threads were seen to have used, in all looks so far.
  uint64_t cpu_ns() const { return cpu_ns_; }
  // Time that threads were seen to have waited for a CPU until they got one; of several at once,
  // the sum.
  uint64_t queued_ns() const { return queued_ns_; }

 private:
  // What earlier looks have seen of a thread.
  struct Memory {
    std::string counters;
    uint64_t first_seen_ns = 0;  // with these counters, so in this wait
    uint64_t run_ns = 0, queued_ns = 0;
  };
  struct HeldTimerFd {
    pid_t pid;
    int fd;
    uint64_t due_ns;
  };

  bool FirstPass(const std::vector<ThreadId>& ids, Snapshot* snapshot);
  void ReadTimeouts(Snapshot* snapshot);
  bool LockedOut(const std::vector<ThreadId>& ids, Snapshot* snapshot);
  bool Bytes(OurEnds* ours, Snapshot* snapshot);
  bool WakeSourcesOf(const std::vector<ThreadId>& ids, const std::string& threads,
                     Snapshot* snapshot);
  bool SecondPass(Snapshot* snapshot);
  bool InputWaits(const OurEnds& ours);
  void Sum(Snapshot* snapshot);
  void Remember(const ThreadId& id, const std::string& counters);

  KernelReader& reader_;
  const CheckSteps steps_;
  std::map<std::pair<pid_t, pid_t>, Memory> memory_;
  std::vector<std::string> lines_;  // of the first pass
  uint64_t baseline_ = 0;           // incarnations up to this may be housekeeping
  uint64_t cpu_ns_ = 0, queued_ns_ = 0;
  // A timerfd that is due and has not fired reads as disarmed. So what was read at rest holds for
  // as long as no thread has run: while the threads' signature is this one.
  std::vector<HeldTimerFd> timer_fds_;
  std::string unknown_sources_;
  std::string sources_of_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_SNAPSHOT_H_
