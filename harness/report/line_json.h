// One message as one text line of protobuf JSON: snake_case names, 64-bit integers as strings.
#ifndef COUNTERPART_REPORT_LINE_JSON_H_
#define COUNTERPART_REPORT_LINE_JSON_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "harness/result.h"

namespace google::protobuf {
class Message;
}

namespace counterpart::report {

// No string of a line is longer than this; a longer one is cut and says so. Bytes fields are
// whole: a replay needs them.
inline constexpr size_t kStringLimit = 256u << 10;

// One line, newline included and no other one in it. Every string of the message is made valid
// UTF-8 first, so that nothing a subject said can spoil the line.
std::string ToJsonLine(const google::protobuf::Message& message, size_t limit = kStringLimit);

// Reads one line (without its newline) into `message`; unknown fields are skipped. `place` names
// the file and line for the error ("run.jsonl:17"), which says what is wrong, at which column if
// it is no JSON, and what to do.
Status FromJsonLine(std::string_view line, const std::string& place,
                    google::protobuf::Message* message);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_LINE_JSON_H_
