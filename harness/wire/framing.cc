#include "harness/wire/framing.h"

#include <algorithm>
#include <utility>

namespace counterpart::wire {

std::string LengthField(uint32_t length) {
  std::string field(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) field[i] = static_cast<char>(length >> (8 * i));
  return field;
}

std::string Frame(std::string_view payload) {
  std::string bytes = LengthField(static_cast<uint32_t>(payload.size()));
  bytes.append(payload);
  return bytes;
}

std::optional<std::string> FrameDecoder::Next(std::string_view& bytes) {
  if (refused_length_) return std::nullopt;
  while (header_size_ < kLengthBytes) {
    if (bytes.empty()) return std::nullopt;
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_size_ < kLengthBytes) continue;
    length_ = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) length_ |= uint32_t{header_[i]} << (8 * i);
    if (length_ > max_payload_) {  // r[link.limit]: before a byte of the body is taken
      refused_length_ = length_;
      return std::nullopt;
    }
  }
  const size_t take = std::min<size_t>(length_ - body_.size(), bytes.size());
  body_.append(bytes.substr(0, take));
  bytes.remove_prefix(take);
  if (body_.size() < length_) return std::nullopt;
  header_size_ = 0;
  return std::exchange(body_, {});
}

}  // namespace counterpart::wire
