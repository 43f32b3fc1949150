#include "harness/effects/cpu_time.h"

#include <sys/resource.h>

namespace counterpart::effects {
namespace {

uint64_t InMicroseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

uint64_t UsedBy(int who) {
  rusage used = {};
  getrusage(who, &used);
  return InMicroseconds(used.ru_utime) + InMicroseconds(used.ru_stime);
}

}  // namespace

CpuTime ReadCpuTime() {
  return {.own_us = UsedBy(RUSAGE_SELF), .children_us = UsedBy(RUSAGE_CHILDREN)};
}

}  // namespace counterpart::effects
