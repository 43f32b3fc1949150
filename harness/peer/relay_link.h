// One link of a relay, for its own files.
#ifndef COUNTERPART_PEER_RELAY_LINK_H_
#define COUNTERPART_PEER_RELAY_LINK_H_

#include <cstdint>
#include <string>

#include "harness/peer/phase_reader.h"
#include "harness/peer/relay.h"

namespace counterpart::peer {

// Two connections that are one link to the subjects.
struct Relay::Link {
  explicit Link(PhaseReader::Of of) : reader(of) {}

  uint32_t number = 0;   // from 1; also the id of the server's connection
  uint32_t conduit = 0;  // the face of the one that it carries, as far as it is known
  uint32_t client_id = 0;
  PhaseReader reader;
  BySeat<bool> gone = {false, false};  // nothing is read from or written to that side any more
  bool reason_given = false;           // Goodbye, ProtocolError, a refusal has been passed on
  std::string presented;               // resume key
  bool asks_for_session = false;       // a Hello without one was passed on, and not answered yet

  uint32_t id(Seat seat) const { return seat == Seat::kServer ? number : client_id; }
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_RELAY_LINK_H_
