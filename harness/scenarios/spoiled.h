// A frame with a wrong bit, and what its reader makes of it.
#ifndef COUNTERPART_SCENARIOS_SPOILED_H_
#define COUNTERPART_SCENARIOS_SPOILED_H_

#include "harness/peer/peer.h"

namespace counterpart::scenarios {

// co_await: what the bytes leave open is settled, what they decide is judged, and the link is
// closed. Rules: r[wire.envelope], r[link.limit], r[link.rx.eof], r[session.protocol-error].
machine::Task<> JudgeSpoiled(peer::Peer& peer, peer::Link& link);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_SPOILED_H_
