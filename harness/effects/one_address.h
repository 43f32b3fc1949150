// For tests with a fake subject: all lanes of a process listen at one address, which the fake is
// told by its environment. Another process, of another test, has another one.
#ifndef COUNTERPART_EFFECTS_ONE_ADDRESS_H_
#define COUNTERPART_EFFECTS_ONE_ADDRESS_H_

#include <cstdint>
#include <cstdlib>

#include "harness/effects/loopback_space.h"

namespace counterpart::effects {

inline LoopbackSpace& OneAddress() {
  static const uint32_t address = LoopbackSpace::Here().NextAddress();
  static LoopbackSpace space(address, /*count=*/1, /*begin=*/0, {10'000, 30'000});
  setenv("FAKE_SUBJECT_HOST", HostOf(address).c_str(), 1);
  return space;
}

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_ONE_ADDRESS_H_
