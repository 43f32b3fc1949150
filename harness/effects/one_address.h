// For tests with a fake subject, which is told no host: all lanes listen at 127.0.0.1.
#ifndef COUNTERPART_EFFECTS_ONE_ADDRESS_H_
#define COUNTERPART_EFFECTS_ONE_ADDRESS_H_

#include "harness/effects/loopback_space.h"

namespace counterpart::effects {

inline LoopbackSpace& OneAddress() {
  static LoopbackSpace space(/*first=*/0x7f000001, /*count=*/1, /*begin=*/0, {10'000, 30'000});
  return space;
}

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_ONE_ADDRESS_H_
