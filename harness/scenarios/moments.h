// What chance decides in a scenario, by name: moments that a campaign must have met at least once
// before its green says anything about them.
#ifndef COUNTERPART_SCENARIOS_MOMENTS_H_
#define COUNTERPART_SCENARIOS_MOMENTS_H_

#include <string>
#include <vector>

#include "harness/scenarios/run.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

// A scenario notes a moment under this edge, in its own words, as it comes about.
inline constexpr char kMomentEdge[] = "moment";
inline constexpr char kRandomWalk[] = "model_random_walk";

// Of a scenario with one subject; none where nothing is left to chance.
std::vector<std::string> MomentsToSee(const Scenario& scenario, Direction direction);

// Those of them that a run has met.
std::vector<std::string> MomentsSeen(const Scenario& scenario, Direction direction, Run& run);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_MOMENTS_H_
