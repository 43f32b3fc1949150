// Trace files: one TraceLine per text line; header, entries in order, footer.
// The format is described in reports/traces.md.
#ifndef COUNTERPART_REPORT_TRACE_FILE_H_
#define COUNTERPART_REPORT_TRACE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/result.h"

namespace counterpart::report {

namespace v1 {
class TraceLine;
}

// What this program writes, and the newest it reads.
inline constexpr uint32_t kTraceFormat = 1;

// Where the trace of an exec is kept, relative to the run.jsonl: "traces/<exec id>.jsonl", with
// characters that file systems or shells trip over replaced by '_'.
std::string TracePath(std::string_view exec_id);

std::string TraceText(const std::vector<v1::TraceLine>& lines);

// Reads a trace line by line, holding nothing: for files of any length, and for pipes. Errors
// (kUsage) name the line: no JSON, no header in front, a newer format, entries out of order.
class TraceScanner {
 public:
  explicit TraceScanner(std::string name) : name_(std::move(name)) {}

  // The next text line, without its newline; `whole`: a newline followed it. Nothing for a blank
  // line, for a kind that this program does not know, and for a last line that was cut.
  Result<std::optional<v1::TraceLine>> Take(std::string_view text, bool whole = true);
  // At the end of the file: an error if nothing was there, or if the footer is missing and
  // `needs_footer`.
  Status End(bool needs_footer) const;

 private:
  std::string name_;
  size_t line_ = 0;
  bool begun_ = false, ended_ = false;
  uint64_t next_ = 0;
};

// A trace without a footer is read: it was cut when the harness died, and can still be looked at.
Result<std::vector<v1::TraceLine>> ParseTrace(std::string_view bytes, const std::string& name);

Status WriteTrace(const std::string& path, const std::vector<v1::TraceLine>& lines);
Result<std::vector<v1::TraceLine>> ReadTrace(const std::string& path);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TRACE_FILE_H_
