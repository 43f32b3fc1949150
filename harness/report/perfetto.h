// Chrome trace JSON of one run, for ui.perfetto.dev.
#ifndef COUNTERPART_REPORT_PERFETTO_H_
#define COUNTERPART_REPORT_PERFETTO_H_

#include <string>
#include <vector>

namespace counterpart::report {

namespace v1 {
class TraceLine;
}

// Process 1 is the harness, 2 the subject; every edge is a thread. Entries are instants; calls and
// channels are async spans from the request that opens them to the response, close or reset that
// ends them; one that never ends lasts to the end and is marked `unfinished`.
std::string RenderPerfetto(const std::vector<v1::TraceLine>& trace);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_PERFETTO_H_
