// Wire messages: constants of the protocol, and decoding that is strict about the phase.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "counterpart/wire/v1/wire.pb.h"

namespace subject {

namespace wire = counterpart::wire::v1;

inline constexpr uint32_t kMagic = 0x54525043;
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kDefaultMaxPayload = 16 << 20;
inline constexpr uint32_t kLeastMaxPayload = 64 << 10;
inline constexpr uint32_t kHandshakeMaxPayload = 64 << 10;  // r[link.limit.announce]

// The counterpart broke a rule.  r[session.protocol-error]
struct Violation {
  wire::ProtocolErrorCode code;
  std::string rule, text;
};
using MaybeViolation = std::optional<Violation>;

// One envelope of the phase's kind; nothing if the payload is not one.  r[wire.envelope]
template <typename Envelope>
std::optional<Envelope> DecodeEnvelope(const std::string& payload) {
  Envelope envelope;
  if (!envelope.ParseFromString(payload)) return std::nullopt;
  if constexpr (std::is_same_v<Envelope, wire::Message>) {
    if (envelope.payload_case() == 0) return std::nullopt;
  } else {
    if (envelope.kind_case() == 0) return std::nullopt;
  }
  return envelope;
}

// What an announced max_payload means in bytes; nothing if it is out of range.
inline std::optional<uint32_t> AcceptedMaximum(uint32_t announced) {
  if (announced == 0) return kDefaultMaxPayload;
  if (announced < kLeastMaxPayload) return std::nullopt;
  return announced;
}

}  // namespace subject
