#include "harness/campaign/rejudge.h"

#include "harness/campaign/exec.h"
#include "harness/judge/spec_text.h"
#include "harness/machine/replay.h"
#include "harness/report/line_json.h"
#include "harness/report/safe_text.h"

namespace counterpart::campaign {
namespace {

constexpr size_t kShownValue = 300;

// As reading the file would give it: strings made fit for JSON.
report::v1::TraceFooter AsWritten(const report::v1::TraceFooter& footer) {
  report::v1::TraceLine line, read;
  *line.mutable_footer() = footer;
  const Status parsed = report::FromJsonLine(report::ToJsonLine(line), "", &read);
  return parsed.ok() ? read.footer() : footer;
}

machine::Entry AsWritten(machine::Entry entry) {
  entry.reading.edge = report::SafeText(entry.reading.edge, report::kStringLimit);
  entry.reading.label = report::SafeText(entry.reading.label, report::kStringLimit);
  entry.reading.text = report::SafeText(entry.reading.text, report::kStringLimit);
  return entry;
}

}  // namespace

Result<Rejudgement> Rejudge(const std::vector<report::v1::TraceLine>& lines) {
  Result<RecordedRun> recorded = FromTrace(lines);
  if (!recorded.ok()) return recorded.error();
  Result<CellName> cell = ParseCellId(recorded->cell);
  if (!cell.ok()) {
    return Error{cell.error().kind,
                 "the trace of " + cell.error().message + "; it was recorded by another version"};
  }
  Rejudgement result;
  result.cell = recorded->cell;
  result.recorded = lines.back().footer();
  result.other_spec = recorded->spec_digest != judge::SpecDigest();

  scenarios::Run run(
      *cell->scenario, cell->cast, recorded->seed, [] { return uint64_t{0}; }, recorded->plan);
  machine::RunReplay(run.machine(), recorded->entries);
  // As the driver does once nothing is left to be done.
  if (run.machine().Run() == machine::Step::kStuck) {
    run.ConcludeStuck();
  } else {
    run.Conclude();
  }
  std::vector<machine::Entry> replayed;
  for (const machine::Entry& entry : run.machine().trace().entries()) {
    replayed.push_back(AsWritten(entry));
  }
  result.difference = report::CompareExactly(recorded->entries, replayed);
  result.now = AsWritten(ToFooter(run));
  report::v1::TraceFooter comparable = result.now;
  if (result.recorded.rules_judged().empty() && result.recorded.findings().empty()) {
    // Written before footers had findings and rules.
    comparable.clear_rules_judged();
    comparable.clear_findings();
  }
  result.outcome =
      report::FirstDifference(report::FieldsOf(result.recorded), report::FieldsOf(comparable));
  return result;
}

std::string Canonical(const Rejudgement& rejudgement) {
  return (rejudgement.same() ? "same\t" : "DIFFERENT\t") + report::ToJsonLine(rejudgement.now);
}

std::string Explain(const Rejudgement& rejudgement) {
  std::string text;
  if (rejudgement.difference) {
    text += "  first difference: " + report::Describe(*rejudgement.difference, "recorded", "now") +
            "\n";
    if (rejudgement.difference->a_label != rejudgement.difference->b_label) {
      text += "  recorded there: " + report::OneLine(rejudgement.difference->a_label, kShownValue) +
              "\n  now there: " + report::OneLine(rejudgement.difference->b_label, kShownValue) +
              "\n";
    }
    if (rejudgement.difference->wording) text += "  (it only reads differently)\n";
  }
  if (rejudgement.outcome) {
    text += "  " + rejudgement.outcome->path +
            ":\n    recorded: " + report::OneLine(rejudgement.outcome->a, kShownValue) +
            "\n    now: " + report::OneLine(rejudgement.outcome->b, kShownValue) + "\n";
  }
  if (!text.empty() && rejudgement.other_spec) {
    text += "  (the trace was judged by another version of spec/)\n";
  }
  return text;
}

}  // namespace counterpart::campaign
