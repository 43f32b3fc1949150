// What this program, and what it has started, have taken of the machine.
#ifndef COUNTERPART_EFFECTS_RESOURCE_USE_H_
#define COUNTERPART_EFFECTS_RESOURCE_USE_H_

#include <cstdint>

namespace counterpart::effects {

// CPU time, user and system.
struct CpuTime {
  uint64_t own_us = 0;       // of this process, all threads
  uint64_t children_us = 0;  // of processes that have ended and were reaped, so far
};

CpuTime ReadCpuTime();

// The most memory this process has had resident at once; 0 if the kernel does not say.
uint64_t PeakMemoryBytes();

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_RESOURCE_USE_H_
