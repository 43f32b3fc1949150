// Where two traces part: the first entry in which they differ, and the field of it.
#ifndef COUNTERPART_REPORT_TRACE_DIFF_H_
#define COUNTERPART_REPORT_TRACE_DIFF_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/machine/trace.h"

namespace counterpart::report {

struct TraceDifference {
  std::optional<uint64_t> a_entry, b_entry;  // none: that trace has nothing more there
  std::string edge;
  std::string a_label, b_label;  // how the two entries read
  std::string path;              // field, as FieldsOf names it; "round", "edge", "label", "text"
  std::string a, b;              // its values
  // Only how it reads is another, not what was asked or answered.
  bool wording = false;
};

// Entry by entry: everything but the time.
std::optional<TraceDifference> CompareExactly(const std::vector<machine::Entry>& a,
                                              const std::vector<machine::Entry>& b);

// In the normal form (machine/normal_form.h), and beyond it: what the harness asks for is compared
// whole, with values that are chosen anew in every run named by their first occurrence. Of several
// edges that part, the one that does so first in `a`.
std::optional<TraceDifference> CompareNormalised(const std::vector<machine::Entry>& a,
                                                 const std::vector<machine::Entry>& b);

// "entry 17 (link1.out): message.request.method is "A" and "B"", for people.
std::string Describe(const TraceDifference& difference, const std::string& a_name,
                     const std::string& b_name);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TRACE_DIFF_H_
