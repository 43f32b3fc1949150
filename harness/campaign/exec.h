// A finished run, as the report has it.
#ifndef COUNTERPART_CAMPAIGN_EXEC_H_
#define COUNTERPART_CAMPAIGN_EXEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/campaign/cell.h"
#include "harness/explore/plan.h"
#include "harness/scenarios/run.h"

namespace counterpart::report::v1 {
class Exec;
class TraceEntry;
class TraceFooter;
class TraceLine;
}  // namespace counterpart::report::v1

namespace counterpart::campaign {

// One run to do: the `ordinal`-th of a cell.
struct RunKey {
  const Cell* cell = nullptr;
  uint32_t ordinal = 0;
  uint64_t seed = 0;
  explore::Plan plan = {};
  bool survey = false;  // of an exploration: its frames are reported
  // To be driven once more if it passes: the same seed must make the same trace.
  bool again = false;

  std::string Id() const { return cell->Id() + "#" + std::to_string(ordinal); }
};

// How the subject stood when the run ended.
struct SubjectState {
  uint32_t slot = 0;
  uint32_t incarnation = 0;
  std::string stderr_tail;
  bool alive = true;
};

// Everything the report says of a run, timeline included where the verdict is not a pass. Paths
// and commands are left to whoever writes the trace.
report::v1::Exec ToExec(const RunKey& key, scenarios::Run& run, uint64_t started_us,
                        uint64_t duration_us, const SubjectState& subject);

// The frames that an exec of a survey tells of.
std::vector<peer::Moment> MomentsOf(const report::v1::Exec& exec);

// The whole trace, header and footer included.
std::vector<report::v1::TraceLine> ToTrace(const RunKey& key, scenarios::Run& run);

// What a run that is over has come to, as the footer of its trace says it.
report::v1::TraceFooter ToFooter(scenarios::Run& run);

report::v1::TraceEntry ToTraceEntry(const machine::Entry& entry, uint64_t index);

// What a trace file holds, ready to be judged again.
struct RecordedRun {
  std::string cell;
  uint64_t seed = 0;
  std::string spec_digest;
  explore::Plan plan;
  std::vector<machine::Entry> entries;
  int verdict = 0;  // report.v1.Verdict
  std::string reason, trace_hash;
};
Result<RecordedRun> FromTrace(const std::vector<report::v1::TraceLine>& lines);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_EXEC_H_
