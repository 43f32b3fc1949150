// Random legal traffic, judged like any other scenario (random_walk.cc).
#ifndef COUNTERPART_SCENARIOS_RANDOM_WALK_H_
#define COUNTERPART_SCENARIOS_RANDOM_WALK_H_

#include <vector>

#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

std::vector<Scenario> WalkScenarios();

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_RANDOM_WALK_H_
