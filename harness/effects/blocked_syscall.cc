#include "harness/effects/blocked_syscall.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace counterpart::effects {
namespace {

// How a system call says how long it may wait, and in which argument (from 0).
enum class Timeout { kNone, kMilliseconds, kTimespec, kTimeval, kFutex, kClockNanosleep };

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
    {SYS_accept, "accept", Timeout::kNone, 0},
    {SYS_pause, "pause", Timeout::kNone, 0},
#endif
    {SYS_epoll_pwait, "epoll_pwait", Timeout::kMilliseconds, 3},
    {SYS_epoll_pwait2, "epoll_pwait2", Timeout::kTimespec, 3},
    {SYS_ppoll, "ppoll", Timeout::kTimespec, 2},
    {SYS_pselect6, "pselect6", Timeout::kTimespec, 4},
    {SYS_futex, "futex", Timeout::kFutex, 3},
    {SYS_nanosleep, "nanosleep", Timeout::kTimespec, 0},
    {SYS_clock_nanosleep, "clock_nanosleep", Timeout::kClockNanosleep, 2},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", Timeout::kTimespec, 2},
    {SYS_read, "read", Timeout::kNone, 0},
    {SYS_write, "write", Timeout::kNone, 0},
    {SYS_readv, "readv", Timeout::kNone, 0},
    {SYS_writev, "writev", Timeout::kNone, 0},
    {SYS_wait4, "wait4", Timeout::kNone, 0},
    {SYS_waitid, "waitid", Timeout::kNone, 0},
    {SYS_accept4, "accept4", Timeout::kNone, 0},
    {SYS_recvfrom, "recvfrom", Timeout::kNone, 0},
    {SYS_recvmsg, "recvmsg", Timeout::kNone, 0},
    {SYS_sendto, "sendto", Timeout::kNone, 0},
    {SYS_sendmsg, "sendmsg", Timeout::kNone, 0},
};

constexpr uint64_t kSecond = 1000000000;

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
  if (!read(address, &time, sizeof time) || time.tv_sec < 0) return;  // unknown
  SetTimed(out, static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec),
           absolute);
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
      if (!read(argument, &time, sizeof time)) break;
      SetTimed(
          &out,
          static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_usec) * 1000,
          false);
      break;
    }
    case Timeout::kFutex: {
      // FUTEX_WAIT takes a relative time, FUTEX_WAIT_BITSET an absolute one, of CLOCK_MONOTONIC
      // unless FUTEX_CLOCK_REALTIME is set; the latter counts as due in its full distance.
      const int operation = static_cast<int>(arguments[1]) & FUTEX_CMD_MASK;
      if (operation == FUTEX_WAIT) {
        ReadTimespec(argument, read, false, &out);
      } else if (operation == FUTEX_WAIT_BITSET) {
        ReadTimespec(argument, read, true, &out);
        const bool realtime = (arguments[1] & FUTEX_CLOCK_REALTIME) != 0;
        if (realtime && out.kind == BlockedSyscall::Kind::kTimed) {
          timespec wall{}, monotonic{};
          clock_gettime(CLOCK_REALTIME, &wall);
          clock_gettime(CLOCK_MONOTONIC, &monotonic);
          const int64_t offset = (monotonic.tv_sec - wall.tv_sec) * int64_t{kSecond} +
                                 (monotonic.tv_nsec - wall.tv_nsec);
          out.deadline_ns = static_cast<uint64_t>(static_cast<int64_t>(out.deadline_ns) + offset);
        }
      }
      break;
    }
    case Timeout::kClockNanosleep:
      ReadTimespec(argument, read, (arguments[1] & TIMER_ABSTIME) != 0, &out);
      break;
  }
  return out;
}

}  // namespace counterpart::effects
