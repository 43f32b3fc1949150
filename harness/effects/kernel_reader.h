// The seam between the check for calm and the kernel: all that the check reads, one question each.
// The order of the questions is the check's; an answer is of the moment it is given.
#ifndef COUNTERPART_EFFECTS_KERNEL_READER_H_
#define COUNTERPART_EFFECTS_KERNEL_READER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/effects/tcp_account.h"

namespace counterpart::effects {

// A thread of the subject. `incarnation` tells it from a later one with the same ids; it grows with
// each thread first seen.
struct ThreadId {
  pid_t pid = 0, tid = 0;
  uint64_t incarnation = 0;
  bool operator==(const ThreadId&) const = default;
};

struct TimerFd {
  pid_t pid = 0;
  int fd = -1;
  uint64_t remaining_ns = 0;  // 0: disarmed, or due and not fired yet
  uint64_t expirations = 0;   // fired and not read
};

// What may wake a process other than the waits of its threads.
struct WakeSources {
  std::vector<TimerFd> timer_fds;
  std::string unknown;  // one that cannot be read: "a POSIX timer of process 4711"; empty: none
};

// A process outside the subject that holds a file lock which the subject waits for.
struct LockHolder {
  pid_t pid = 0;
  std::string name;
  std::string progress;  // differs from an earlier one if it, or what it started, ran in between
};

class KernelReader {
 public:
  virtual ~KernelReader() = default;
  // CLOCK_MONOTONIC.
  virtual uint64_t NowNs() = 0;
  // All threads of the subject, ascending by ids. False if they changed while being listed.
  virtual bool ListThreads(std::vector<ThreadId>* threads) = 0;
  // The line of /proc/<pid>/task/<tid>/schedstat: ns on a CPU, ns runnable and waiting for one, and
  // how often it got one. A thread that ran in between shows in one of them. Empty: it is gone.
  virtual std::string Counters(const ThreadId& thread) = 0;
  // The line of .../syscall. Empty: it is gone, or must not be read.
  virtual std::string Syscall(const ThreadId& thread) = 0;
  // R, S, D, T, t, Z, X; '?': it is gone.
  virtual char State(const ThreadId& thread) = 0;
  virtual std::string Name(const ThreadId& thread) = 0;
  virtual bool ReadMemory(pid_t pid, uint64_t address, void* to, size_t size) = 0;
  // The timeout of one of its descriptors if that is a socket; 0 if it has none or is no socket.
  // Nothing: cannot tell.
  virtual std::optional<uint64_t> DescriptorTimeoutNs(pid_t pid, int fd, bool sends) = 0;
  // Who outside of `threads` holds a file lock that `pid` waits for, if any; pid 0: cannot tell.
  virtual std::optional<LockHolder> LockHeldOutside(pid_t pid,
                                                    const std::vector<ThreadId>& threads) = 0;
  // Of every process among `threads`. False if one went meanwhile.
  virtual bool ReadWakeSources(const std::vector<ThreadId>& threads, WakeSources* sources) = 0;
  // Our end of a connection, and the subject's end of it. Nothing: there is no such socket.
  virtual std::optional<TcpEnd> OwnEnd(int fd) = 0;
  virtual std::optional<TcpEnd> SubjectEnd(const TcpPath& path) = 0;
  // Whether anything can be read from, or accepted at, one of these descriptors of ours.
  virtual bool InputWaits(const std::vector<int>& fds) = 0;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_KERNEL_READER_H_
