#include "harness/report/tests/sample_run.h"

#include "harness/report/line_json.h"
#include "harness/report/summarize.h"

namespace counterpart::report {

std::string HostileText() {
  return std::string("]]></failure><script>alert(1)</script> \x01\x1b[31m\x7f|`@all \"'&") +
         "\xff\xc0\x80\xed\xa0\x80 \xe2\x80\xae\xe2\x80\xa8 \n{{data}} /*{{js}}*/";
}

v1::Exec MakeExec(const std::string& cell, uint32_t ordinal, v1::Verdict verdict) {
  v1::Exec exec;
  exec.set_id(cell + "#" + std::to_string(ordinal));
  exec.set_cell(cell);
  exec.set_ordinal(ordinal);
  exec.set_seed(1000 + ordinal);
  exec.set_verdict(verdict);
  exec.set_duration_us(1000 * (ordinal + 1));
  exec.add_rules_judged("channel.close.once");
  if (verdict == v1::VERDICT_PASS) exec.set_trace_hash(ordinal % 2 == 0 ? "aa" : "bb");
  return exec;
}

std::string SampleRunText(const std::string& hostile) {
  v1::Line line;
  std::string text;
  const auto put = [&] {
    text += ToJsonLine(line);
    line.Clear();
  };
  auto& header = *line.mutable_header();
  header.set_format(1);
  header.set_counterpart_version("0.1.0");
  header.set_started_at("2026-03-04T05:06:07Z");
  header.set_seed(7);
  header.set_planned(400);
  auto& rule = *header.add_rules();
  rule.set_id("channel.close.once");
  rule.set_text("A channel closes once.");
  put();
  Summary summary;
  for (int n = 0; n < 5; ++n) {
    const std::string name = "scenario_" + std::to_string(n);
    line.mutable_scenario()->set_name(name);
    line.mutable_scenario()->set_group("channel");
    put();
  }
  for (const std::string subject : {"cpp", "go"}) {
    for (const std::string direction : {"harness_to_subject", "subject_to_harness"}) {
      for (int n = 0; n < 5; ++n) {
        v1::Cell cell = IdentityOf("lang_" + subject + "_transport_tcp::direction_" + direction +
                                   "::scenario_" + std::to_string(n));
        cell.set_group("channel");
        summary.Plan(cell, 20);
        for (uint32_t i = 0; i < 20; ++i) {
          const bool corner = subject == "go" && direction == "subject_to_harness";
          const bool flaky = corner && n == 1 && i % 7 == 2;
          const bool crash = corner && n == 2;
          const bool unsupported = corner && n == 3;
          v1::Exec exec =
              MakeExec(cell.id(), i, flaky || crash ? v1::VERDICT_FAIL : v1::VERDICT_PASS);
          if (flaky || crash) {
            exec.set_reason(hostile);
            exec.set_rule(crash ? "" : "channel.close.once");
            exec.set_signature("way " + hostile);
            exec.set_replay("counterpart replay 'traces/x.jsonl'");
            exec.set_redrive("counterpart run x --seed 1");
            exec.set_subject_stderr(hostile);
            auto& entry = *exec.add_timeline();
            entry.set_side(v1::TRACE_SIDE_SUBJECT);
            entry.set_kind("payload");
            entry.set_edge("s1.g1.link1.in");
            entry.set_label("ChannelItem 5: 1");
            entry.set_text(hostile);
            entry.set_time_us(1234);
          }
          if (crash) exec.set_ending(v1::ENDING_CRASH);
          if (unsupported) {
            exec.set_verdict(v1::VERDICT_NONE);
            exec.set_ending(v1::ENDING_UNSUPPORTED);
            exec.set_reason("the subject does not declare 'stable'");
          }
          summary.Add(exec);
          *line.mutable_exec() = exec;
          put();
        }
      }
    }
  }
  for (const v1::Cell& cell : summary.Cells()) {
    *line.mutable_cell() = cell;
    put();
  }
  *line.mutable_footer() = summary.MakeFooter(5000000, false);
  put();
  return text;
}

Run SampleRun(const std::string& hostile) {
  return std::move(ParseRun(SampleRunText(hostile), "run.jsonl")).value();
}

}  // namespace counterpart::report
