#include "harness/peer/phase_reader.h"

namespace counterpart::peer {

ReadPayload PhaseReader::Read(Seat from, const std::string& bytes, Names& names) {
  ReadPayload read;
  if (!prologue_read_[from]) {
    prologue_read_[from] = true;
    read.prologue.emplace();
    if (read.prologue->ParseFromString(bytes)) read.kind = KindOf(*read.prologue);
    if (!read.kind.empty()) read.kind = "transport_" + read.kind;
    read.label = peer::Read(*read.prologue);
  } else if (of_ == Of::kStableLink && !established_) {
    read.stable_handshake.emplace();
    if (read.stable_handshake->ParseFromString(bytes)) read.kind = KindOf(*read.stable_handshake);
    read.label = peer::Read(*read.stable_handshake, names);
    established_ = from == Seat::kServer && read.stable_handshake->has_server_hello();
  } else if (of_ == Of::kStableLink) {
    read.stable_frame.emplace();
    if (read.stable_frame->ParseFromString(bytes)) read.kind = KindOf(*read.stable_frame);
    read.label = peer::Read(*read.stable_frame);
  } else if (!established_) {
    read.handshake.emplace();
    if (read.handshake->ParseFromString(bytes)) read.kind = KindOf(*read.handshake);
    read.label = peer::Read(*read.handshake, names);
    established_ = from == Seat::kClient && read.handshake->has_lets_go();
  } else {
    read.message.emplace();
    if (read.message->ParseFromString(bytes)) read.kind = KindOf(*read.message);
    read.label = peer::Read(*read.message);
  }
  next_speaker_ = established_ ? std::nullopt : std::optional(Across(from));
  if (!read.kind.empty()) return read;
  read.prologue.reset();
  read.handshake.reset();
  read.message.reset();
  read.stable_handshake.reset();
  read.stable_frame.reset();
  read.malformed = "not a payload of this phase, " + std::to_string(bytes.size()) + " bytes";
  read.label = read.malformed;
  return read;
}

}  // namespace counterpart::peer
