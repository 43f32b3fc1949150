// Malformed and ill-timed messages, generated from the descriptors and from the state tables
// (malformed.cc).
#ifndef COUNTERPART_SCENARIOS_MALFORMED_H_
#define COUNTERPART_SCENARIOS_MALFORMED_H_

#include <vector>

#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

std::vector<Scenario> MalformedScenarios();

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_MALFORMED_H_
