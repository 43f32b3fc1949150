// A stable conduit as the harness has it: what a session sees as one link for good (`face`), and
// the link that carries it at the moment. Owned by the peer.
#ifndef COUNTERPART_PEER_CONDUIT_H_
#define COUNTERPART_PEER_CONDUIT_H_

#include <cstdint>
#include <string>

#include "harness/peer/stable_end.h"

namespace counterpart::peer {

struct Link;

struct Conduit {
  uint32_t id = 0;          // of its face; no link of a run has that id
  Link* face = nullptr;     // written to and read by the session
  Link* carrier = nullptr;  // null between two links
  bool harness_is_client = true;
  uint32_t dials = 3;  // of the subject, for each link
  StableEnd end{0, 0};
  // The newest key: as read by the harness, or as handed out by it. And, while the subject need not
  // have read that one, the one before.
  std::string resume_key, older_key;

  // ---- what a scenario wants to have been lost with the link of now
  bool mute = false;     // what is sent is numbered and kept, and not written
  bool deaf = false;     // frames are read, and count as never received
  uint32_t unheard = 0;  // frames with an item that came meanwhile
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_CONDUIT_H_
