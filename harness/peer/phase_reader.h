// Reads the payloads of one relayed link, or the items of a stable conduit, both ways: each is what
// its phase allows, or it is nothing.  r[wire.envelope]
#ifndef COUNTERPART_PEER_PHASE_READER_H_
#define COUNTERPART_PEER_PHASE_READER_H_

#include <optional>
#include <string>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/reading.h"
#include "harness/peer/seat.h"

namespace counterpart::peer {

// One payload as it was read. Exactly one of the five is set, none if `malformed` says why.
struct ReadPayload {
  std::optional<wire::v1::Prologue> prologue;
  std::optional<wire::v1::Handshake> handshake;
  std::optional<wire::v1::Message> message;
  std::optional<wire::v1::StableHandshake> stable_handshake;
  std::optional<wire::v1::StableFrame> stable_frame;
  std::string malformed;
  std::string kind;   // as in Fault: "transport_hello", "hello", "channel_item", "data"
  std::string label;  // for people
};

class PhaseReader {
 public:
  enum class Of : uint8_t {
    kBareLink,     // prologue, handshake, messages
    kStableLink,   // prologue, hellos of the conduit, frames
    kStableItems,  // handshake, messages
  };
  explicit PhaseReader(Of of = Of::kBareLink)
      : of_(of), prologue_read_(of == Of::kStableItems, of == Of::kStableItems) {}

  // In the order in which the payloads came, of both sides. `names` outlives this call only.
  ReadPayload Read(Seat from, const std::string& bytes, Names& names);

  // Who has to speak next for the handshake to go on; nobody once it is over.
  std::optional<Seat> next_speaker() const { return next_speaker_; }
  // LetsGo has been read, or ServerHello: messages go both ways, or frames.
  bool established() const { return established_; }

 private:
  const Of of_;
  BySeat<bool> prologue_read_;
  std::optional<Seat> next_speaker_ = Seat::kClient;
  bool established_ = false;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_PHASE_READER_H_
