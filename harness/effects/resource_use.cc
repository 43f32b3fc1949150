#include "harness/effects/resource_use.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

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

// Not getrusage(): its greatest value is handed on through exec, so a small program that a large
// one started would show the large one's.
uint64_t PeakMemoryBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace counterpart::effects
