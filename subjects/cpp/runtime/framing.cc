#include "runtime/framing.h"

#include <algorithm>

#include "runtime/mutation.h"

namespace subject {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr uint32_t kTornMark = 1u << 31;

uint32_t LengthIn(std::string_view bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  }
  return length;
}

}  // namespace

std::string Framed(std::string_view payload) {
  std::string framed;
  framed.reserve(kLengthBytes + payload.size());
  for (size_t i = 0; i < kLengthBytes; ++i) {
    framed.push_back(static_cast<char>(payload.size() >> (8 * i)));
  }
  return framed.append(payload);
}

size_t Decoder::missing() const {
  const std::string_view part = fragment();
  return part.size() < kLengthBytes ? 0 : kLengthBytes + LengthIn(part) - part.size();
}

std::optional<std::string> Decoder::Next() {
  if (oversize_ || buffer_.size() - at_ < kLengthBytes) {
    if (Mutated("forgets_half_a_length")) at_ = buffer_.size();
    return std::nullopt;
  }
  uint32_t length = LengthIn(fragment());
  // The mutant marks a payload whose rest is still to come, in the length field.
  const bool torn = Mutated("drops_a_payload_in_pieces") && length >= kTornMark;
  if (torn) length &= kTornMark - 1;
  if (length > limit_ && !Mutated("waits_for_oversized_body")) {
    oversize_ = true;
    return std::nullopt;
  }
  if (Mutated("takes_what_is_there_for_a_payload") && buffer_.size() - at_ > kLengthBytes) {
    length = std::min(length, static_cast<uint32_t>(buffer_.size() - at_ - kLengthBytes));
  }
  if (buffer_.size() - at_ - kLengthBytes < length) {
    if (Mutated("drops_a_payload_in_pieces")) buffer_[at_ + kLengthBytes - 1] |= '\x80';
    buffer_.erase(0, at_);
    at_ = 0;
    return std::nullopt;
  }
  std::string payload = buffer_.substr(at_ + kLengthBytes, length);
  at_ += kLengthBytes + length;
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  }
  if (torn) return Next();
  return payload;
}

}  // namespace subject
