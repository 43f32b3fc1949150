// What follows a cut, between two subjects, that no scenario planned.
//
// Its body is then given up. Both are left to themselves first: the client dials again and resumes
// through the harness, and what was open is attempted again. Then the aftermath asks of both what
// the rules ask of any two runtimes: every call comes to an end that what was read of it by then
// allows (judge/cut_outcomes.h), nothing runs more often than it may, a session that neither has
// ended goes on, and calls work both ways.
#ifndef COUNTERPART_SCENARIOS_AFTERMATH_BETWEEN_H_
#define COUNTERPART_SCENARIOS_AFTERMATH_BETWEEN_H_

#include "harness/peer/relay.h"

namespace counterpart::scenarios {

// co_await: all of it, the end of the run included. A further cut may end it anywhere, and then it
// is begun again: it keeps nothing of its own.
machine::Task<> AftermathBetween(peer::Relay& relay);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_AFTERMATH_BETWEEN_H_
