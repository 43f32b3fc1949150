// What any bytes on a link must not be able to break. libFuzzer's entry; replay_main.cc drives the
// same without it.
//
// Input: one byte that picks the limit, one that seeds the split, then the bytes of the link.
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/reading.h"
#include "harness/wire/framing.h"
#include "harness/wire/schema_id.h"

namespace {

using counterpart::wire::Frame;
using counterpart::wire::FrameDecoder;
using counterpart::wire::kLengthBytes;
using counterpart::wire::LengthField;

#define PROPERTY(holds)                                                        \
  do {                                                                         \
    if (!(holds)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #holds); \
      std::abort();                                                            \
    }                                                                          \
  } while (false)

constexpr uint32_t kLimits[] = {0, 1, 15, 256, 64u << 10, counterpart::wire::kDefaultMaxPayload};

struct Decoded {
  std::vector<std::string> payloads;
  std::optional<uint32_t> refused;
  size_t pending = 0;
  bool operator==(const Decoded&) const = default;
};

// `seed` 0: all at once; else pieces of 1 to `seed` bytes, by a fixed sequence.
Decoded Decode(std::string_view bytes, uint32_t limit, uint8_t seed) {
  Decoded decoded;
  FrameDecoder decoder(limit);
  size_t fed = 0;
  uint32_t state = seed;
  while (!bytes.empty()) {
    size_t size = bytes.size();
    if (seed != 0) {
      state = state * 1664525 + 1013904223;
      size = 1 + (state >> 16) % seed;
    }
    std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(piece.size());
    fed += piece.size();
    while (auto payload = decoder.Next(piece)) {
      PROPERTY(payload->size() <= limit);
      decoded.payloads.push_back(*std::move(payload));
    }
    // r[link.limit]: what is held never exceeds one payload, nor what has arrived.
    PROPERTY(decoder.pending_bytes() <= kLengthBytes + size_t{limit});
    PROPERTY(decoder.pending_bytes() <= fed);
    if (decoder.refused_length()) break;
    PROPERTY(piece.empty());
  }
  decoded.refused = decoder.refused_length();
  decoded.pending = decoder.pending_bytes();
  return decoded;
}

// Bytes that decode at all decode to themselves when written and read again.
template <class Envelope>
void ReadBack(const std::string& payload) {
  Envelope first, second;
  if (!first.ParseFromString(payload)) return;
  const std::string written = first.SerializeAsString();
  PROPERTY(second.ParseFromString(written));
  PROPERTY(second.SerializeAsString() == written);
  PROPERTY(counterpart::peer::KindOf(first) == counterpart::peer::KindOf(second));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Text that is not UTF-8 is refused, and not worth a line each.
  static google::protobuf::LogHandler* const silent = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(silent);
  if (size < 2) return 0;
  const uint32_t limit = kLimits[data[0] % std::size(kLimits)];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

  // r[link.message]: payloads do not depend on how the bytes were split.
  const Decoded whole = Decode(bytes, limit, 0);
  PROPERTY(Decode(bytes, limit, 1) == whole);
  PROPERTY(Decode(bytes, limit, data[1]) == whole);

  std::string again;
  for (const std::string& payload : whole.payloads) again += Frame(payload);
  PROPERTY(bytes.starts_with(again));
  const std::string_view rest = bytes.substr(again.size());
  if (whole.refused) {
    PROPERTY(*whole.refused > limit);
    PROPERTY(rest.starts_with(LengthField(*whole.refused)));
  } else {
    PROPERTY(whole.pending == rest.size());
  }

  counterpart::peer::Names names;
  for (const std::string& payload : whole.payloads) {
    ReadBack<counterpart::wire::v1::Prologue>(payload);
    ReadBack<counterpart::wire::v1::Handshake>(payload);
    ReadBack<counterpart::wire::v1::Message>(payload);
    counterpart::wire::v1::Prologue prologue;
    if (prologue.ParseFromString(payload)) PROPERTY(!counterpart::peer::Read(prologue).empty());
    counterpart::wire::v1::Handshake handshake;
    if (handshake.ParseFromString(payload)) {
      PROPERTY(!counterpart::peer::Read(handshake, names).empty());
    }
    counterpart::wire::v1::Message message;
    if (!message.ParseFromString(payload)) continue;
    PROPERTY(!counterpart::peer::Read(message).empty());
    for (const auto& type : message.schema().types()) counterpart::wire::SchemaId(type);
  }
  return 0;
}
