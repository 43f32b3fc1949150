#include "harness/campaign/exec.h"

#include <algorithm>

#include "counterpart/report/v1/report.pb.h"
#include "harness/judge/spec_text.h"
#include "harness/scenarios/moments.h"
#include "harness/version.h"

namespace counterpart::campaign {
namespace {

using machine::Entry;
using machine::EntryKind;
using machine::Level;

// What a red run carries inline; the whole is in its trace file.
constexpr size_t kTimelineEntries = 400;
constexpr size_t kTimelineText = 400;

report::v1::Verdict ToVerdict(Level level) { return static_cast<report::v1::Verdict>(level); }

std::string Cut(std::string text, size_t limit) {
  if (text.size() > limit) {
    text.resize(limit);
    text += "…";
  }
  return text;
}

// Equal signatures are one way to fail: the rule, the place it was broken at, and by which of two.
std::string SignatureOf(const machine::Finding& reason) {
  if (reason.level <= Level::kPass) return "";
  return (reason.blame.empty() ? "" : reason.blame + ": ") +
         (reason.rule.empty() ? "-" : reason.rule) + " @ " + reason.place;
}

report::v1::Ending EndingOf(const machine::Finding& reason) {
  if (reason.level < Level::kInconclusive) return report::v1::ENDING_NORMAL;
  if (reason.place == "crash") return report::v1::ENDING_CRASH;
  if (reason.rule == "control.reset") return report::v1::ENDING_LEAK;
  return reason.stall ? report::v1::ENDING_STALL : report::v1::ENDING_NORMAL;
}

// Those above a pass.
void AddFindings(const judge::Findings& judge,
                 google::protobuf::RepeatedPtrField<report::v1::Finding>* findings) {
  for (const machine::Finding& finding : judge.all()) {
    if (finding.level <= Level::kPass) continue;
    report::v1::Finding& out = *findings->Add();
    out.set_level(ToVerdict(finding.level));
    out.set_rule(finding.rule);
    out.set_text(finding.text);
    out.set_entry(finding.entry);
    out.set_blame(finding.level == Level::kError ? "harness"
                  : finding.blame.empty()        ? "subject"
                                                 : finding.blame);
  }
}

// The class that the text of what cannot be judged begins with; "" for any other text.
std::string UnjudgedClass(const std::string& text) {
  static constexpr const char* kClasses[] = {"runaway", "starved", "stalled", "dead", "flooded"};
  for (const char* name : kClasses) {
    if (text.starts_with(std::string(name) + ": ")) return name;
  }
  return "";
}

// What was seen of the subject when the verdict was made, as far as it rests on that: the last
// fixpoint at or before its entry, and the weakest tier among all of them.
void AddFixpoint(const machine::Trace& trace, const machine::Finding& reason,
                 report::v1::Exec* exec) {
  uint64_t weakest = 0;
  for (size_t i = 0; i < trace.size() && i <= reason.entry; ++i) {
    const effects::Ingress& ingress = trace.entries()[i].ingress;
    if (trace.entries()[i].kind != EntryKind::kIngress) continue;
    switch (ingress.kind) {
      case effects::IngressKind::kQuiescent:
        weakest = std::max(weakest, ingress.number);
        break;
      case effects::IngressKind::kUnjudgeable:
        exec->set_unjudged(UnjudgedClass(ingress.text));
        break;
      case effects::IngressKind::kContradicted:
        break;
      default:
        continue;
    }
    exec->set_evidence(ingress.text);
    report::v1::Exec seen;
    exec->clear_fixpoints();
    if (seen.ParseFromString(ingress.bytes))
      exec->mutable_fixpoints()->Swap(seen.mutable_fixpoints());
  }
  if (weakest > 0) exec->set_wait_tier("T" + std::to_string(weakest));
}

}  // namespace

report::v1::TraceEntry ToTraceEntry(const Entry& entry, uint64_t index) {
  report::v1::TraceEntry out;
  out.set_index(index);
  out.set_round(entry.round);
  out.set_time_us(entry.time_us);
  out.set_edge(entry.reading.edge);
  out.set_label(entry.reading.label);
  out.set_text(entry.reading.text);
  switch (entry.kind) {
    case EntryKind::kEffect:
      out.set_side(report::v1::TRACE_SIDE_HARNESS);
      out.set_kind(effects::Name(entry.effect.kind));
      break;
    case EntryKind::kIngress:
      out.set_side(report::v1::TRACE_SIDE_SUBJECT);
      out.set_kind(effects::Name(entry.ingress.kind));
      break;
    case EntryKind::kNote:
      out.set_side(report::v1::TRACE_SIDE_NOTE);
      out.set_kind("note");
      break;
    case EntryKind::kChoice:
      out.set_side(report::v1::TRACE_SIDE_NOTE);
      out.set_kind("choice");
      break;
  }
  return out;
}

report::v1::Exec ToExec(const RunKey& key, scenarios::Run& run, uint64_t started_us,
                        uint64_t duration_us, const SubjectState& subject) {
  report::v1::Exec exec;
  const judge::Findings& judge = run.judge();
  const machine::Finding& reason = judge.verdict().reason();
  const machine::Trace& trace = run.machine().trace();
  exec.set_id(key.Id());
  exec.set_cell(key.cell->Id());
  exec.set_seed(key.seed);
  exec.set_ordinal(key.ordinal);
  exec.set_verdict(ToVerdict(judge.verdict().level()));
  exec.set_ending(EndingOf(reason));
  exec.set_duration_us(duration_us);
  exec.set_started_us(started_us);
  exec.set_trace_hash(machine::HashText(trace.NormalisedHash()));
  exec.set_slot(subject.slot);
  exec.set_incarnation(subject.incarnation);
  for (const auto& [rule, times] : judge.judged()) exec.add_rules_judged(rule);
  if (run.pair() == nullptr) {
    for (std::string& moment :
         scenarios::MomentsSeen(*key.cell->scenario, key.cell->direction, run)) {
      exec.add_moments_seen(std::move(moment));
    }
  }
  for (const peer::Fault& fault : key.plan) exec.add_plan(explore::ToText(fault));
  for (const Entry& entry : trace.entries()) {
    if (entry.kind == EntryKind::kNote && entry.reading.edge == "cut") {
      exec.add_cut_cases(entry.reading.label);
    }
  }
  for (const std::string& transition : judge.reached()) exec.add_transitions(transition);
  const std::vector<peer::Moment> none;
  for (const peer::Moment& moment : key.survey ? run.moments() : none) {
    report::v1::Moment& out = *exec.add_moments();
    out.set_from_harness(moment.from == peer::Side::kHarness);
    out.set_link(moment.generation);
    out.set_ordinal(moment.ordinal);
    out.set_kind(moment.kind);
    out.set_bytes(moment.bytes);
    if (moment.seat) out.set_seat(peer::Name(*moment.seat));
  }
  if (const judge::PairJudge* pair = run.pair()) {
    for (const peer::Seat seat : peer::kSeats) {
      report::v1::JudgedOf& judged = *exec.add_judged_of();
      judged.set_subject(pair->id(seat));
      for (const auto& [rule, times] : pair->of(seat).judged()) judged.add_rules(rule);
    }
  }
  for (const peer::FaultReport& reported : run.faults()) {
    report::v1::Fault& fault = *exec.add_faults();
    fault.set_at(reported.at);
    fault.set_how(reported.how);
    fault.set_ordinal(reported.ordinal);
    fault.set_fired(reported.fired);
    fault.set_where(reported.where);
    fault.set_proof(reported.proof);
  }
  if (judge.verdict().level() <= Level::kPass) return exec;

  exec.set_reason(reason.text);
  exec.set_rule(reason.rule);
  exec.set_signature(SignatureOf(reason));
  if (exec.ending() == report::v1::ENDING_CRASH) exec.set_exit_status(run.exit_text());
  exec.set_subject_stderr(subject.stderr_tail);
  AddFindings(judge, exec.mutable_findings());
  AddFixpoint(trace, reason, &exec);
  const size_t first =
      trace.size() > kTimelineEntries ? trace.size() - kTimelineEntries : size_t{0};
  exec.set_timeline_cut(first > 0);
  for (size_t i = first; i < trace.size(); ++i) {
    const Entry& entry = trace.entries()[i];
    report::v1::TraceEntry& line = *exec.add_timeline();
    line = ToTraceEntry(entry, i);
    line.set_text(Cut(line.text(), kTimelineText));
    line.set_label(Cut(line.label(), kTimelineText));
  }
  return exec;
}

std::vector<peer::Moment> MomentsOf(const report::v1::Exec& exec) {
  std::vector<peer::Moment> moments;
  for (const report::v1::Moment& in : exec.moments()) {
    peer::Moment& moment = moments.emplace_back();
    moment.from = in.from_harness() ? peer::Side::kHarness : peer::Side::kSubject;
    moment.generation = in.link();
    moment.ordinal = in.ordinal();
    moment.kind = in.kind();
    moment.bytes = in.bytes();
    for (const peer::Seat seat : peer::kSeats) {
      if (in.seat() == peer::Name(seat)) moment.seat = seat;
    }
  }
  return moments;
}

std::vector<report::v1::TraceLine> ToTrace(const RunKey& key, scenarios::Run& run) {
  std::vector<report::v1::TraceLine> lines;
  const machine::Trace& trace = run.machine().trace();
  report::v1::TraceHeader& header = *lines.emplace_back().mutable_header();
  header.set_format(1);
  header.set_cell(key.cell->Id());
  header.set_seed(key.seed);
  header.set_counterpart_version(kProgramVersion);
  header.set_spec_digest(judge::SpecDigest());
  for (const peer::Fault& fault : key.plan) header.add_plan(explore::ToText(fault));
  for (size_t i = 0; i < trace.size(); ++i) {
    const Entry& entry = trace.entries()[i];
    report::v1::TraceEntry& line = *lines.emplace_back().mutable_entry();
    line = ToTraceEntry(entry, i);
    line.set_data(machine::Canonical(entry));
    line.set_digest(machine::HashText(machine::Digest(entry)));
  }
  *lines.emplace_back().mutable_footer() = ToFooter(run);
  return lines;
}

report::v1::TraceFooter ToFooter(scenarios::Run& run) {
  const machine::Trace& trace = run.machine().trace();
  const machine::Finding& reason = run.judge().verdict().reason();
  report::v1::TraceFooter footer;
  footer.set_verdict(ToVerdict(run.judge().verdict().level()));
  footer.set_reason(reason.text);
  footer.set_rule(reason.rule);
  footer.set_signature(SignatureOf(reason));
  footer.set_trace_hash(machine::HashText(trace.ExactHash()));
  footer.set_entries(trace.size());
  AddFindings(run.judge(), footer.mutable_findings());
  for (const auto& [rule, times] : run.judge().judged()) footer.add_rules_judged(rule);
  return footer;
}

Result<RecordedRun> FromTrace(const std::vector<report::v1::TraceLine>& lines) {
  RecordedRun recorded;
  bool footer = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    const report::v1::TraceLine& line = lines[i];
    const std::string at = "line " + std::to_string(i + 1) + ": ";
    if (line.has_header()) {
      recorded.cell = line.header().cell();
      recorded.seed = line.header().seed();
      recorded.spec_digest = line.header().spec_digest();
      for (const std::string& text : line.header().plan()) {
        Result<peer::Fault> fault = explore::ParseFault(text);
        if (!fault.ok()) return Error{Error::Kind::kUsage, at + fault.error().message};
        recorded.plan.push_back(*fault);
      }
    } else if (line.has_entry()) {
      Entry entry{.kind = EntryKind::kNote};
      if (!machine::DecodeCanonical(line.entry().data(), &entry)) {
        return Error{Error::Kind::kUsage, at + "entry " + std::to_string(line.entry().index()) +
                                              " is not an entry of this trace format"};
      }
      // Over the bytes as they stand: decoding them forgives what no field has room for.
      if (machine::HashText(machine::HashBytes(line.entry().data())) != line.entry().digest()) {
        return Error{Error::Kind::kUsage, at + "entry " + std::to_string(line.entry().index()) +
                                              " was changed: its digest does not match"};
      }
      const report::v1::TraceEntry shown = ToTraceEntry(entry, line.entry().index());
      if (shown.kind() != line.entry().kind() || shown.side() != line.entry().side()) {
        return Error{Error::Kind::kUsage,
                     at + "entry " + std::to_string(line.entry().index()) +
                         " was changed: it is a " + shown.kind() + " of the " +
                         (shown.side() == report::v1::TRACE_SIDE_SUBJECT ? "subject" : "harness")};
      }
      entry.round = line.entry().round();
      entry.reading = {
          .edge = line.entry().edge(), .label = line.entry().label(), .text = line.entry().text()};
      recorded.entries.push_back(std::move(entry));
    } else if (line.has_footer()) {
      recorded.verdict = line.footer().verdict();
      recorded.reason = line.footer().reason();
      recorded.trace_hash = line.footer().trace_hash();
      footer = true;
    }
  }
  if (recorded.cell.empty()) return Error{Error::Kind::kUsage, "the trace has no header"};
  if (!footer) return Error{Error::Kind::kUsage, "cut short: the trace has no footer"};
  return recorded;
}

}  // namespace counterpart::campaign
