#include "harness/effects/output_tail.h"

#include <algorithm>
#include <regex>

namespace counterpart::effects {
namespace {

bool BeginsReport(std::string_view line) {
  return line.find("ERROR: AddressSanitizer") != line.npos ||
         line.find("ERROR: LeakSanitizer") != line.npos ||
         line.find("ERROR: MemorySanitizer") != line.npos ||
         line.find("WARNING: ThreadSanitizer") != line.npos ||
         line.find("WARNING: DATA RACE") != line.npos;  // of Go
}

bool EndsReport(std::string_view line) {
  const bool summary = line.find("SUMMARY: ") != line.npos && line.find("Sanitizer: ") != line.npos;
  return summary || line == "==================";  // Go has no summary
}

// UndefinedBehaviorSanitizer may say no more than "file.cc:12:34: runtime error: what". A subject
// that logs a runtime error of the protocol says something else.
bool IsReport(std::string_view line) {
  const size_t end = line.find(": runtime error: ");
  if (end == line.npos) return false;
  static const std::regex place("[^ ]+:[0-9]+:[0-9]+");
  return std::regex_match(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(end), place);
}

// What may say why it ended, and if it did not, says nothing: a panic of Go, or any log.
bool MayExplain(std::string_view line) { return line.find("runtime error:") != line.npos; }

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
    const bool begins = !in_report_ && (BeginsReport(line_) || IsReport(line_));
    in_report_ |= begins;
    if (begins || (sanitizer_line_.empty() && MayExplain(line_))) sanitizer_line_ = line_;
    sanitizer_done_ = IsReport(line_) || (in_report_ && EndsReport(line_));
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

std::string OutputTail::tail() const {
  return kept_.substr(kept_.size() - std::min(kept_.size(), kKept));
}

}  // namespace counterpart::effects
