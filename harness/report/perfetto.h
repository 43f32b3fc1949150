// Chrome trace JSON of one run, for ui.perfetto.dev.
#ifndef COUNTERPART_REPORT_PERFETTO_H_
#define COUNTERPART_REPORT_PERFETTO_H_

#include <string>
#include <vector>

namespace counterpart::report {

namespace v1 {
class TraceLine;
}

// Three processes: the harness (what the scenario did, its control plane, faults), the wire (one
// track per link and way) and the subject (its journal, its process). Entries are instants;
// commands, calls and channels are async spans from what opens them to the answer, response, close
// or reset that ends them; one that never ends lasts to the end and is marked `unfinished`. The
// events of a journal have no time of their own: they stand where the harness has read them.
std::string RenderPerfetto(const std::vector<v1::TraceLine>& trace);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_PERFETTO_H_
