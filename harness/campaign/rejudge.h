// A kept trace judged again, without a subject: the scenario and the monitors over the recorded
// answers. Everything that comes of it must be what was recorded, to the bit: every request, every
// note, how each entry reads, verdict, findings, rules judged, hash.
#ifndef COUNTERPART_CAMPAIGN_REJUDGE_H_
#define COUNTERPART_CAMPAIGN_REJUDGE_H_

#include <optional>
#include <string>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/trace_diff.h"
#include "harness/report/trace_fields.h"
#include "harness/result.h"

namespace counterpart::campaign {

struct Rejudgement {
  std::string cell;
  report::v1::TraceFooter recorded, now;
  // The first entry that is another now; `a` is the recording.
  std::optional<report::TraceDifference> difference;
  // The first thing that the run came to and that is another now; "verdict", "findings[0].text".
  std::optional<report::FieldDifference> outcome;
  bool other_spec = false;  // recorded with another spec/

  bool same() const { return !difference && !outcome; }
};

// Errors (kUsage): no whole trace, an entry that was changed, a cell this program does not have.
Result<Rejudgement> Rejudge(const std::vector<report::v1::TraceLine>& lines);

// One line for each trace, the same wherever and by whatever compiler it was made: "same" or
// "DIFFERENT", a tab, the footer as it would be written now.
std::string Canonical(const Rejudgement& rejudgement);

// Why it is not the same, in lines for people; "" if it is.
std::string Explain(const Rejudgement& rejudgement);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_REJUDGE_H_
