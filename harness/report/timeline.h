// What was said on the wire, both sides, as plain text.
#ifndef COUNTERPART_REPORT_TIMELINE_H_
#define COUNTERPART_REPORT_TIMELINE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace counterpart::report {

namespace v1 {
class Exec;
class TraceLine;
}  // namespace v1

struct TimelineLimits {
  size_t entries = 60;  // the last ones: a failure shows at the end
  size_t columns = 160;
};

// One line per entry: "   12.345 ms  ->  s1.g1.link1.out  Request #1 Echo". Milliseconds from the
// start of the run, -> from the harness to the subject, <- from the subject, -- said by scenario,
// monitors or faults. Says how many entries it left out. Empty if there is no timeline.
std::string RenderTimeline(const v1::Exec& exec, const TimelineLimits& limits = {});
std::string RenderTimeline(const std::vector<v1::TraceLine>& trace,
                           const TimelineLimits& limits = {});

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TIMELINE_H_
