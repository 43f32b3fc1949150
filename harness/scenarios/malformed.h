// Malformed and ill-timed messages, generated from the descriptors and from the state tables
// (malformed.cc), and payloads that a phase before the messages does not allow
// (illegal_handshake.cc).
#ifndef COUNTERPART_SCENARIOS_MALFORMED_H_
#define COUNTERPART_SCENARIOS_MALFORMED_H_

#include <vector>

#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

std::vector<Scenario> MalformedScenarios();
std::vector<Scenario> IllegalHandshakeScenarios();

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_MALFORMED_H_
