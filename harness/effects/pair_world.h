// Two live worlds as one: for runs in which two subjects speak to each other through the harness.
// Effects and ingress say by `subject` which of the two is meant. Owned and used by one thread.
#ifndef COUNTERPART_EFFECTS_PAIR_WORLD_H_
#define COUNTERPART_EFFECTS_PAIR_WORLD_H_

#include <memory>

#include "harness/effects/live_world.h"

namespace counterpart::effects {

// Neither world is owned: each may serve runs of its own before and after.
std::unique_ptr<LiveWorld> MakePairWorld(LiveWorld* first, LiveWorld* second);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_PAIR_WORLD_H_
