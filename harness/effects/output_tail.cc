#include "harness/effects/output_tail.h"

#include <algorithm>

namespace counterpart::effects {
namespace {

bool FromSanitizer(std::string_view line) {
  return line.find("ERROR: AddressSanitizer") != line.npos ||
         line.find("ERROR: LeakSanitizer") != line.npos ||
         line.find("ERROR: MemorySanitizer") != line.npos ||
         line.find("WARNING: ThreadSanitizer") != line.npos ||
         line.find("WARNING: DATA RACE") != line.npos ||  // of Go
         line.find("runtime error:") != line.npos;
}

// Whether a report may be over with this line of it, the first one included.
bool EndsReport(std::string_view line) {
  // UndefinedBehaviorSanitizer may say no more than "file.cc:12:34: runtime error: what".
  const size_t error = line.find(": runtime error: ");
  if (error != line.npos && error > 0 && line[error - 1] >= '0' && line[error - 1] <= '9') {
    return true;
  }
  const bool summary = line.find("SUMMARY: ") != line.npos && line.find("Sanitizer: ") != line.npos;
  return summary || line == "==================";  // Go has no summary
}

}  // namespace

void OutputTail::Append(std::string_view bytes) {
  appended_ += bytes.size();
  const std::string_view newest = bytes.substr(bytes.size() - std::min(bytes.size(), kKept));
  kept_.append(newest);
  if (kept_.size() > 2 * kKept) kept_.erase(0, kept_.size() - kKept);

  while (!bytes.empty() && !sanitizer_done_) {
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    line_.append(part.substr(0, kLongestLine - std::min(kLongestLine, line_.size())));
    if (end == bytes.npos) break;
    if (sanitizer_line_.empty() && FromSanitizer(line_)) sanitizer_line_ = line_;
    sanitizer_done_ = !sanitizer_line_.empty() && EndsReport(line_);
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

std::string OutputTail::tail() const {
  return kept_.substr(kept_.size() - std::min(kept_.size(), kKept));
}

}  // namespace counterpart::effects
