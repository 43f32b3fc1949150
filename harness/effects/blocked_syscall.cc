#include "harness/effects/blocked_syscall.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace counterpart::effects {
namespace {

// How a system call says how long it may wait, and in which argument (from 0).
enum class Timeout {
  kNone,
  kSocketReceive,  // none of its own, but perhaps the socket's; the argument is the descriptor
  kSocketSend,
  kMilliseconds,
  kTimespec,
  kTimeval,
  kFutex,          // by its operation
  kFutexAbsolute,  // its clock is the argument after the time
  kClockNanosleep,
  kFileLock,     // none; who holds the lock decides
  kFileControl,  // a lock, by its command
  kUnreadable,   // only the kernel knows
};

struct Row {
  long number;
  const char* name;
  Timeout timeout;
  int argument;
};

constexpr Row kRows[] = {
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait", Timeout::kMilliseconds, 3},
    {SYS_poll, "poll", Timeout::kMilliseconds, 2},
    {SYS_select, "select", Timeout::kTimeval, 4},
    {SYS_pause, "pause", Timeout::kNone, 0},
#endif
    {SYS_epoll_pwait, "epoll_pwait", Timeout::kMilliseconds, 3},
    {SYS_epoll_pwait2, "epoll_pwait2", Timeout::kTimespec, 3},
    {SYS_ppoll, "ppoll", Timeout::kTimespec, 2},
    {SYS_pselect6, "pselect6", Timeout::kTimespec, 4},
    {SYS_futex, "futex", Timeout::kFutex, 3},
    {449, "futex_waitv", Timeout::kFutexAbsolute, 3},
    {455, "futex_wait", Timeout::kFutexAbsolute, 4},
    {SYS_nanosleep, "nanosleep", Timeout::kTimespec, 0},
    {SYS_clock_nanosleep, "clock_nanosleep", Timeout::kClockNanosleep, 2},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", Timeout::kTimespec, 2},
    {SYS_rt_sigsuspend, "rt_sigsuspend", Timeout::kNone, 0},
    {SYS_wait4, "wait4", Timeout::kNone, 0},
    {SYS_waitid, "waitid", Timeout::kNone, 0},
    {SYS_flock, "flock", Timeout::kFileLock, 0},
    {SYS_fcntl, "fcntl", Timeout::kFileControl, 1},
    {SYS_read, "read", Timeout::kSocketReceive, 0},
    {SYS_readv, "readv", Timeout::kSocketReceive, 0},
    {SYS_accept, "accept", Timeout::kSocketReceive, 0},
    {SYS_accept4, "accept4", Timeout::kSocketReceive, 0},
    {SYS_recvfrom, "recvfrom", Timeout::kSocketReceive, 0},
    {SYS_recvmsg, "recvmsg", Timeout::kSocketReceive, 0},
    {SYS_write, "write", Timeout::kSocketSend, 0},
    {SYS_writev, "writev", Timeout::kSocketSend, 0},
    {SYS_sendto, "sendto", Timeout::kSocketSend, 0},
    {SYS_sendmsg, "sendmsg", Timeout::kSocketSend, 0},
    // A wait that was interrupted and goes on: what is left of it is in the kernel only.
    {SYS_restart_syscall, "restart_syscall", Timeout::kUnreadable, 0},
    // The kernel's own timers of a handshake.
    {SYS_connect, "connect", Timeout::kUnreadable, 0},
    {SYS_io_uring_enter, "io_uring_enter", Timeout::kUnreadable, 0},
};

constexpr uint64_t kSecond = 1000000000;
// More is as good as for ever, and would overflow.
constexpr uint64_t kLongestSeconds = uint64_t{100} * 365 * 24 * 3600;

void SetTimed(BlockedSyscall* out, uint64_t ns, bool absolute) {
  out->kind = BlockedSyscall::Kind::kTimed;
  (absolute ? out->deadline_ns : out->timeout_ns) = ns;
}

void ReadTimespec(uint64_t address, const ReadMemory& read, bool absolute, BlockedSyscall* out) {
  if (address == 0) {
    out->kind = BlockedSyscall::Kind::kNoTimeout;
    return;
  }
  timespec time{};
  if (!read(address, &time, sizeof time)) return;  // unknown
  if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= static_cast<long>(kSecond)) return;
  const uint64_t seconds = std::min(static_cast<uint64_t>(time.tv_sec), kLongestSeconds);
  SetTimed(out, seconds * kSecond + static_cast<uint64_t>(time.tv_nsec), absolute);
}

// A deadline on CLOCK_REALTIME, carried over to CLOCK_MONOTONIC.
void FromWallClock(BlockedSyscall* out) {
  if (out->kind != BlockedSyscall::Kind::kTimed) return;
  timespec wall{}, monotonic{};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  const int64_t offset = (monotonic.tv_sec - wall.tv_sec) * static_cast<int64_t>(kSecond) +
                         (monotonic.tv_nsec - wall.tv_nsec);
  const int64_t due = static_cast<int64_t>(out->deadline_ns) + offset;
  out->deadline_ns = static_cast<uint64_t>(std::max<int64_t>(due, 1));  // 0 says: relative
}

void OnClock(uint64_t clock, BlockedSyscall* out) {
  if (out->kind != BlockedSyscall::Kind::kTimed || clock == CLOCK_MONOTONIC) return;
  if (clock == CLOCK_REALTIME) return FromWallClock(out);
  out->kind = BlockedSyscall::Kind::kUnknown;
}

}  // namespace

BlockedSyscall DecodeSyscall(std::string_view line, const ReadMemory& read) {
  BlockedSyscall out;
  if (line.starts_with("running")) {
    out.kind = BlockedSyscall::Kind::kRunning;
    out.name = "running";
    return out;
  }
  const std::string text(line);
  char* rest = nullptr;
  const long number = std::strtol(text.c_str(), &rest, 10);
  std::array<uint64_t, 6> arguments{};
  for (uint64_t& argument : arguments) argument = std::strtoull(rest, &rest, 16);
  out.name = "system call " + std::to_string(number);
  // -1: blocked, and not in a system call. Never "for ever".
  if (number < 0) return out;
  const Row* row = nullptr;
  for (const Row& candidate : kRows) {
    if (candidate.number == number) row = &candidate;
  }
  if (row == nullptr) return out;
  out.name = row->name;
  const uint64_t argument = arguments[static_cast<size_t>(row->argument)];
  switch (row->timeout) {
    case Timeout::kNone:
      out.kind = BlockedSyscall::Kind::kNoTimeout;
      break;
    case Timeout::kSocketReceive:
    case Timeout::kSocketSend:
      out.kind = BlockedSyscall::Kind::kNoTimeout;
      out.descriptor = static_cast<int>(argument);
      out.sends = row->timeout == Timeout::kSocketSend;
      break;
    case Timeout::kMilliseconds: {
      const int32_t milliseconds = static_cast<int32_t>(argument);
      if (milliseconds < 0) {
        out.kind = BlockedSyscall::Kind::kNoTimeout;
      } else {
        SetTimed(&out, static_cast<uint64_t>(milliseconds) * 1000000, false);
      }
      break;
    }
    case Timeout::kTimespec:
      ReadTimespec(argument, read, false, &out);
      break;
    case Timeout::kTimeval: {
      if (argument == 0) {
        out.kind = BlockedSyscall::Kind::kNoTimeout;
        break;
      }
      timeval time{};
      if (!read(argument, &time, sizeof time) || time.tv_sec < 0 || time.tv_usec < 0) break;
      const uint64_t seconds = std::min(static_cast<uint64_t>(time.tv_sec), kLongestSeconds);
      SetTimed(&out, seconds * kSecond + static_cast<uint64_t>(time.tv_usec) * 1000, false);
      break;
    }
    case Timeout::kFutex:
      switch (static_cast<int>(arguments[1]) & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
          ReadTimespec(argument, read, false, &out);
          break;
        case FUTEX_LOCK_PI:
          ReadTimespec(argument, read, true, &out);
          FromWallClock(&out);
          break;
        case FUTEX_WAIT_BITSET:
        case FUTEX_WAIT_REQUEUE_PI:
        case FUTEX_LOCK_PI2:
          ReadTimespec(argument, read, true, &out);
          if ((arguments[1] & FUTEX_CLOCK_REALTIME) != 0) FromWallClock(&out);
          break;
        default:
          break;
      }
      break;
    case Timeout::kFutexAbsolute:
      ReadTimespec(argument, read, true, &out);
      OnClock(arguments[static_cast<size_t>(row->argument) + 1], &out);
      break;
    case Timeout::kClockNanosleep:
      // (clock, flags, time, …)
      if ((arguments[1] & TIMER_ABSTIME) == 0) {
        ReadTimespec(argument, read, false, &out);
      } else {
        ReadTimespec(argument, read, true, &out);
        OnClock(arguments[0], &out);
      }
      break;
    case Timeout::kFileControl:
      if (argument != F_SETLKW && argument != F_OFD_SETLKW) break;
      [[fallthrough]];
    case Timeout::kFileLock:
      out.kind = BlockedSyscall::Kind::kNoTimeout;
      out.file_lock = true;
      break;
    case Timeout::kUnreadable:
      break;
  }
  return out;
}

}  // namespace counterpart::effects
