// The one line a subject says on stdout before it serves.
#ifndef COUNTERPART_EFFECTS_START_LINE_H_
#define COUNTERPART_EFFECTS_START_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/result.h"

namespace counterpart::effects {

inline constexpr size_t kLongestStartLine = 4u << 10;

struct StartLine {
  enum class Binding { kGrpc, kGrpcStream, kStdio } binding = Binding::kStdio;
  std::string address = {};  // over gRPC: "127.0.0.1:PORT"
  uint16_t port = 0;         // over gRPC

  bool operator==(const StartLine&) const = default;
};

// `line` without its line feed. Errors are kSubject: what was expected, and what was said.
Result<StartLine> ParseStartLine(std::string_view line);

// The errors of a subject that never finished the line. `said`: what it printed so far.
Error StartLineTooLong(std::string_view said);
Error StartLineMissing(std::string_view said, std::string_view ending);  // "ended with exit 1"
Error StartLineNotSaid(std::string_view said, std::string_view state);   // "is waiting"

// Printable, quoted, shortened: for showing what a subject said.
std::string Quoted(std::string_view bytes, size_t longest = 120);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_START_LINE_H_
