// What follows a cut that no scenario planned.
//
// A planned fault may end a scenario anywhere. Its body is then given up, and the aftermath asks
// of the subject what the rules ask of any runtime after any cut: a session that can be resumed is,
// every call comes to an end that its state at the cut allows (judge/cut_outcomes.h), nothing runs
// more often than it may, no handle dangles, and the next call works.
#ifndef COUNTERPART_SCENARIOS_AFTERMATH_H_
#define COUNTERPART_SCENARIOS_AFTERMATH_H_

#include "harness/peer/peer.h"

namespace counterpart::scenarios {

// co_await: all of it, the end of the run included. A further fault may end it anywhere, and then
// it is begun again: it keeps nothing of its own.
peer::Task<> Aftermath(peer::Peer& peer);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_AFTERMATH_H_
