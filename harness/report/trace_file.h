// Trace files: one TraceLine per text line; header, entries in order, footer.
#ifndef COUNTERPART_REPORT_TRACE_FILE_H_
#define COUNTERPART_REPORT_TRACE_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "harness/result.h"

namespace counterpart::report {

namespace v1 {
class TraceLine;
}

// Where the trace of an exec is kept, relative to the run.jsonl: "traces/<exec id>.jsonl", with
// characters that file systems or shells trip over replaced by '_'.
std::string TracePath(std::string_view exec_id);

std::string TraceText(const std::vector<v1::TraceLine>& lines);

// Errors (kUsage) name the line: no JSON, no header in front, entries out of order. A trace
// without a footer is read: it was cut when the harness died, and can still be judged up to there.
Result<std::vector<v1::TraceLine>> ParseTrace(std::string_view bytes, const std::string& name);

Status WriteTrace(const std::string& path, const std::vector<v1::TraceLine>& lines);
Result<std::vector<v1::TraceLine>> ReadTrace(const std::string& path);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TRACE_FILE_H_
