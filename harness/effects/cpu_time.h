// CPU time, user and system, of this program and of what it has started.
#ifndef COUNTERPART_EFFECTS_CPU_TIME_H_
#define COUNTERPART_EFFECTS_CPU_TIME_H_

#include <cstdint>

namespace counterpart::effects {

struct CpuTime {
  uint64_t own_us = 0;       // of this process, all threads
  uint64_t children_us = 0;  // of processes that have ended and were reaped, so far
};

CpuTime ReadCpuTime();

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CPU_TIME_H_
