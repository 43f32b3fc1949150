#include "harness/peer/corruption.h"

#include <optional>
#include <utility>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/reading.h"
#include "harness/wire/framing.h"

namespace counterpart::peer {
namespace {

template <typename Envelope>
bool Is(const std::string& payload) {
  Envelope envelope;
  return envelope.ParseFromString(payload) && !KindOf(envelope).empty();
}

// r[wire.envelope]
bool IsOfPhase(const std::string& payload, Phase phase) {
  switch (phase) {
    case Phase::kPrologue:
      return Is<wire::v1::Prologue>(payload);
    case Phase::kHandshake:
      return Is<wire::v1::Handshake>(payload);
    case Phase::kMessages:
      return Is<wire::v1::Message>(payload);
  }
  return false;
}

}  // namespace

Corruption ReadCorrupted(std::string_view framed, Phase phase, uint32_t limit) {
  wire::FrameDecoder decoder(limit);
  Corruption corruption;
  while (true) {
    std::optional<std::string> payload = decoder.Next(framed);
    if (!payload) break;
    // What comes after a payload that was read may be read in another phase, or never.
    if (!IsOfPhase(*payload, phase)) {
      if (!corruption.payloads.empty()) break;
      return corruption;
    }
    corruption.payloads.push_back(std::move(*payload));
    if (phase != Phase::kMessages) break;
  }
  if (!corruption.payloads.empty()) {
    corruption.reads = Reads::kAsOther;
  } else if (decoder.refused_length()) {
    corruption.oversize = true;
  } else {
    corruption.reads = Reads::kAwaited;
  }
  return corruption;
}

std::string FlipBit(std::string framed, uint32_t bit) {
  const size_t byte = (bit - 1) / 8;
  if (byte < framed.size()) framed[byte] = static_cast<char>(framed[byte] ^ (1 << ((bit - 1) % 8)));
  return framed;
}

const char* Name(Reads reads) {
  switch (reads) {
    case Reads::kRefused:
      return "is no payload of its phase";
    case Reads::kAwaited:
      return "has not ended yet";
    case Reads::kAsOther:
      return "reads as another payload";
  }
  return "?";
}

}  // namespace counterpart::peer
