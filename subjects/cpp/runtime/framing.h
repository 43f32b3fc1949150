// Payloads in a byte stream: u32 little-endian length, then that many bytes.  r[link.message]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace subject {

std::string Framed(std::string_view payload);

// Cuts payloads out of a stream. The length is judged before its body is awaited: a payload
// above the limit in force sticks, as `oversize`.  r[link.limit]
class Decoder {
 public:
  explicit Decoder(uint32_t limit) : limit_(limit) {}

  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  void set_limit(uint32_t limit) { limit_ = limit; }

  // The next whole payload.
  std::optional<std::string> Next();

  bool oversize() const { return oversize_; }
  // Part of a payload has been fed, and the rest not yet.
  bool midway() const { return buffer_.size() > at_; }
  // That part, and how many bytes are still to come of it; 0 while its length is not known.
  std::string_view fragment() const { return std::string_view(buffer_).substr(at_); }
  size_t missing() const;

 private:
  uint32_t limit_;
  bool oversize_ = false;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace subject
