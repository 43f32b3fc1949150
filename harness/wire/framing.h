// Payloads and the bytes of a link: u32 little-endian length, then that many bytes.
// r[link.message] r[link.message.empty] r[link.limit]
#ifndef COUNTERPART_WIRE_FRAMING_H_
#define COUNTERPART_WIRE_FRAMING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace counterpart::wire {

inline constexpr uint32_t kDefaultMaxPayload = 16u << 20;
inline constexpr uint32_t kHandshakeMaxPayload = 64u << 10;
inline constexpr size_t kLengthBytes = 4;

// The bytes that carry `payload`.
std::string Frame(std::string_view payload);
// Just the length field, for peers that announce what they do not send.
std::string LengthField(uint32_t length);

// Incremental: takes bytes in any split, gives whole payloads back in order. Holds at most one
// announced payload of at most the limit, and allocates as bytes arrive, never as announced.
class FrameDecoder {
 public:
  explicit FrameDecoder(uint32_t max_payload = kDefaultMaxPayload) : max_payload_(max_payload) {}

  // Applies to lengths read from now on.
  void set_max_payload(uint32_t bytes) { max_payload_ = bytes; }

  // Takes as many of `bytes` as belong to the next payload; the rest stays in `bytes`. Returns the
  // payload once it is whole, nothing if more bytes are needed or the decoder is stuck.
  std::optional<std::string> Next(std::string_view& bytes);

  // The length over the limit that stopped this decoder for good, if one did.
  std::optional<uint32_t> refused_length() const { return refused_length_; }

  // Bytes of the payload begun and not finished, its length field included.
  size_t pending_bytes() const { return header_size_ + body_.size(); }

 private:
  uint32_t max_payload_;
  std::optional<uint32_t> refused_length_;
  unsigned char header_[kLengthBytes] = {};
  size_t header_size_ = 0;
  uint32_t length_ = 0;
  std::string body_;
};

}  // namespace counterpart::wire

#endif  // COUNTERPART_WIRE_FRAMING_H_
