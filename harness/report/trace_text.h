// A trace as a page of text: who said what, when, and what the harness did to the links.
#ifndef COUNTERPART_REPORT_TRACE_TEXT_H_
#define COUNTERPART_REPORT_TRACE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace counterpart::report {

namespace v1 {
class TraceEntry;
class TraceFooter;
class TraceHeader;
}  // namespace v1

// Which entries are shown; what is empty filters nothing.
struct TraceFilter {
  std::set<std::string> sides;  // "harness", "subject", "note"
  std::set<std::string> kinds;  // as in TraceEntry
  std::string edge;             // * stands for anything
  std::string text;             // in edge, label or text
  uint64_t first = 0, last = UINT64_MAX;
  bool faults = false;  // only what IsFault holds of

  bool Takes(const v1::TraceEntry& entry) const;
};

// Armed and fired faults, and what the harness or the subject did to a link or the process instead
// of speaking: cuts, ends, exits.
bool IsFault(const v1::TraceEntry& entry);

// One entry after the other, as a table of fixed columns: a trace can be shown while it is read.
class TracePage {
 public:
  struct Options {
    size_t columns = 160;
    bool decode = false;  // the fields of each entry below it
  };
  explicit TracePage(Options options) : options_(options) {}

  std::string Header(const v1::TraceHeader& header);
  // `!` marks a fault, `*` a finding; times are milliseconds since the start and since the entry
  // shown before; -> is said by the harness, <- by the subject, -- noted.
  std::string Entry(const v1::TraceEntry& entry);
  std::string Footer(const v1::TraceFooter& footer) const;

 private:
  Options options_;
  uint64_t last_us_ = 0;
  bool first_ = true;
};

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TRACE_TEXT_H_
