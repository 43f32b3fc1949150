// Reads the payloads of one relayed link, both ways: each is what its phase allows, or it is
// nothing.  r[wire.envelope]
#ifndef COUNTERPART_PEER_PHASE_READER_H_
#define COUNTERPART_PEER_PHASE_READER_H_

#include <optional>
#include <string>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/reading.h"
#include "harness/peer/seat.h"

namespace counterpart::peer {

// One payload as it was read. Exactly one of the three is set, none if `malformed` says why.
struct ReadPayload {
  std::optional<wire::v1::Prologue> prologue;
  std::optional<wire::v1::Handshake> handshake;
  std::optional<wire::v1::Message> message;
  std::string malformed;
  std::string kind;   // as in Fault: "transport_hello", "hello", "channel_item"
  std::string label;  // for people
};

class PhaseReader {
 public:
  // In the order in which the payloads came, of both sides. `names` outlives this call only.
  ReadPayload Read(Seat from, const std::string& bytes, Names& names);

  // Who has to speak next for the handshake to go on; nobody once it is over.
  std::optional<Seat> next_speaker() const { return next_speaker_; }
  // LetsGo has been read: messages go both ways.
  bool established() const { return established_; }

 private:
  BySeat<bool> prologue_read_ = {false, false};
  std::optional<Seat> next_speaker_ = Seat::kClient;
  bool established_ = false;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_PHASE_READER_H_
