// What a sleeping thread waits for, from its line in /proc/<pid>/task/<tid>/syscall. Pure but for
// the reader of the thread's memory that is passed in.
#ifndef COUNTERPART_EFFECTS_BLOCKED_SYSCALL_H_
#define COUNTERPART_EFFECTS_BLOCKED_SYSCALL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace counterpart::effects {

struct BlockedSyscall {
  enum class Kind {
    kRunning,    // on a CPU or runnable
    kNoTimeout,  // waits for somebody else, for ever
    kTimed,      // at the latest until `timeout_ns` from when it began, or until `deadline_ns`
    kUnknown,    // cannot tell: not in a system call, or one with a timeout we cannot read
  } kind = Kind::kUnknown;
  std::string name;          // "epoll_wait"
  uint64_t timeout_ns = 0;   // kTimed, relative
  uint64_t deadline_ns = 0;  // kTimed, absolute on CLOCK_MONOTONIC; 0: relative
  // kNoTimeout, unless this descriptor is a socket with a timeout of its own (SO_RCVTIMEO, or
  // SO_SNDTIMEO where it sends). -1: no such question.
  int descriptor = -1;
  bool sends = false;
  // kNoTimeout, and it waits for a lock on a file: perhaps for somebody outside its process tree.
  bool file_lock = false;
};

// Reads `size` bytes at `address` of the thread's memory; false if it cannot.
using ReadMemory = std::function<bool(uint64_t address, void* to, size_t size)>;

BlockedSyscall DecodeSyscall(std::string_view line, const ReadMemory& read);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_BLOCKED_SYSCALL_H_
