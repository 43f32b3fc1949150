// What is kept of a subject's output stream: the newest bytes, and the first line in which a
// sanitizer speaks, however long ago it did.
#ifndef COUNTERPART_EFFECTS_OUTPUT_TAIL_H_
#define COUNTERPART_EFFECTS_OUTPUT_TAIL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace counterpart::effects {

class OutputTail {
 public:
  static constexpr size_t kKept = 64u << 10;
  static constexpr size_t kLongestLine = 4u << 10;  // the rest of a longer line is not looked at

  void Append(std::string_view bytes);

  // Bytes so far.
  uint64_t appended() const { return appended_; }
  // At most kKept bytes, raw.
  std::string tail() const;
  // Empty if none spoke.
  const std::string& sanitizer_line() const { return sanitizer_line_; }
  // One has, and has said all of it.
  bool sanitizer_done() const { return sanitizer_done_; }

 private:
  uint64_t appended_ = 0;
  std::string kept_;  // up to twice kKept, trimmed now and then
  std::string line_;
  std::string sanitizer_line_;
  bool in_report_ = false, sanitizer_done_ = false;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_OUTPUT_TAIL_H_
