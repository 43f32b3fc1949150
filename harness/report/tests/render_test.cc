// The renderers whose whole test is short: Markdown, CTRF, badge, timeline, matrix, Perfetto.
#include <gtest/gtest.h>

#include "harness/report/badge.h"
#include "harness/report/ctrf.h"
#include "harness/report/json_text.h"
#include "harness/report/junit.h"
#include "harness/report/markdown.h"
#include "harness/report/matrix_text.h"
#include "harness/report/perfetto.h"
#include "harness/report/run.h"
#include "harness/report/summarize.h"
#include "harness/report/tests/sample_run.h"
#include "harness/report/timeline.h"

namespace counterpart::report {
namespace {

bool Has(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

TEST(Markdown, FailuresFirst) {
  const std::string text = RenderMarkdown(SampleRun());
  EXPECT_TRUE(Has(text, "17 passed, 2 failed, 1 unsupported"));
  EXPECT_LT(text.find("## Failures"), text.find("## Matrix"));
  EXPECT_TRUE(Has(text, "counterpart replay 'traces/x.jsonl'"));
  EXPECT_TRUE(Has(text, "⚠️ 3/20"));
}

TEST(Markdown, SubjectsCannotWriteMarkup) {
  const std::string text = RenderMarkdown(SampleRun(HostileText()));
  EXPECT_FALSE(Has(text.substr(0, text.find("<details>")), "<script>"));
  EXPECT_FALSE(Has(text, "\x1b"));
}

TEST(Markdown, IsCapped) {
  report::Run run = SampleRun();
  const v1::Cell red = run.cells[16];
  ASSERT_EQ(red.status(), v1::CELL_STATUS_FLAKY);
  for (int i = 0; i < 5000; ++i) {
    run.cells.push_back(red);
    run.cells.back().set_id(red.id() + std::to_string(i));
    run.cells.back().set_scenario("s" + std::to_string(i));
  }
  for (const size_t cap : {size_t{4096}, size_t{50000}, kMarkdownCap}) {
    const std::string text = RenderMarkdown(run, cap);
    EXPECT_LE(text.size(), cap);
    EXPECT_TRUE(Has(text, " more** failing cells"));
  }
}

TEST(Ctrf, IsJsonWithItsCounts) {
  const std::string json = RenderCtrf(SampleRun(HostileText()));
  EXPECT_TRUE(IsJsonObject(json));
  EXPECT_TRUE(Has(json, "\"tests\":20,\"passed\":17,\"failed\":2,\"skipped\":1,\"pending\":0"));
  EXPECT_TRUE(Has(json, "\"start\":1772600767000,\"stop\":1772600772000"));
}

TEST(Badge, SaysCellsAndIncompleteness) {
  report::Run run = SampleRun();
  EXPECT_EQ(RenderBadge(run),
            "{\"schemaVersion\":1,\"label\":\"conformance\",\"message\":\"17/19 cells\","
            "\"color\":\"red\"}\n");
  run.footer.reset();
  EXPECT_TRUE(Has(RenderBadge(run), "incomplete"));
}

TEST(Timeline, AlignsAndBounds) {
  v1::Exec exec;
  for (int i = 0; i < 100; ++i) {
    auto& entry = *exec.add_timeline();
    entry.set_index(static_cast<uint64_t>(i));
    entry.set_time_us(static_cast<uint64_t>(i) * 1000);
    entry.set_side(i % 2 ? v1::TRACE_SIDE_SUBJECT : v1::TRACE_SIDE_HARNESS);
    entry.set_edge(i % 2 ? "s1.in" : "s1.output");
    entry.set_label("Ping");
  }
  EXPECT_EQ(RenderTimeline(exec, {2, 100}),
            "  … 98 earlier entries\n"
            "  98.000 ms  ->  s1.output  Ping\n"
            "  99.000 ms  <-  s1.in      Ping\n");
  EXPECT_EQ(RenderTimeline(v1::Exec()), "");
}

TEST(MatrixText, EndsInTheTotals) {
  const std::string text = RenderMatrix(SampleRun(HostileText()));
  const std::string last = "\n17 passed, 2 failed, 1 skipped\n";
  EXPECT_EQ(text.substr(text.size() - last.size()), last);
  EXPECT_FALSE(Has(text, "\x1b"));
  EXPECT_TRUE(Has(text, "~3/20"));
  EXPECT_TRUE(Has(text, "rule     channel.close.once: A channel closes once."));
  EXPECT_TRUE(Has(text, "17 clean cells, each:  20/20, failure rate < 14.0 % (95 %)"));
  EXPECT_TRUE(Has(RenderMatrix(SampleRun(), {.color = true}), "\x1b[32m✓"));
}

// Pairs have a table of their own, so that the one of single subjects stays as wide as it was.
TEST(MatrixText, PairsStandApart) {
  counterpart::report::Run run;
  for (const char* id : {"lang_a_transport_tcp::direction_harness_to_subject::s",
                         "lang_a_server_b_client_tcp::direction_bidirectional::s",
                         "lang_b_server_a_client_tcp::direction_bidirectional::s"}) {
    v1::Cell& cell = run.cells.emplace_back(IdentityOf(id));
    cell.set_group("g");
    cell.set_status(v1::CELL_STATUS_PASS);
  }
  const std::string text = RenderMatrix(run, {});
  EXPECT_NE(text.find("     a\n     →\ng\n  s  ✓\n"), std::string::npos) << text;
  EXPECT_NE(text.find("     a  b\n     b  a\ng\n  s  ✓  ✓\n"), std::string::npos) << text;
  const std::string markdown = RenderMarkdown(run);
  EXPECT_NE(markdown.find("| a / b | b / a |"), std::string::npos) << markdown;
  EXPECT_NE(RenderJunit(run).find("classname=\"b_server_a_client.tcp.bidirectional.g\""),
            std::string::npos);
}

TEST(Matrix, SaysWhatTheSelfCheckFoundAndWhatWasNeverMet) {
  Summary summary;
  const std::string id = "lang_a_transport_tcp::direction_harness_to_subject::s";
  summary.Plan(IdentityOf(id), 60);
  summary.LookOutFor(id, {"a cut by RST", "a cut by FIN"});
  report::Run run;
  for (uint32_t i = 0; i < 60; ++i) {
    v1::Exec exec;
    exec.set_id(id + "#" + std::to_string(i));
    exec.set_cell(id);
    exec.set_ordinal(i);
    exec.set_seed(7);
    exec.set_verdict(v1::VERDICT_PASS);
    exec.add_moments_seen("a cut by FIN");
    if (i < 2) exec.mutable_again()->set_trace_hash("1");
    if (i == 1) exec.mutable_again()->set_divergence("entry 1 of a: first \"x\", then \"y\"");
    summary.Add(exec);
    run.execs.push_back(exec);
  }
  run.cells = summary.Cells();
  run.footer = std::make_unique<v1::Footer>(summary.MakeFooter(1, false));
  EXPECT_EQ(run.footer->exit_code(), 0u);  // nobody's fault
  const std::string text = RenderMatrix(run);
  EXPECT_TRUE(Has(text, "2 runs driven again with their seed: 1 differed\n  " + id +
                            "#1, seed 7: entry 1 of a: first \"x\", then \"y\"\n"))
      << text;
  EXPECT_TRUE(
      Has(text, "1 moments of chance were never met, in 1 cell:\n  " + id + ": a cut by RST\n"))
      << text;
}

TEST(Perfetto, SpansOfCallsAndChannels) {
  std::vector<v1::TraceLine> trace;
  const auto add = [&](v1::TraceSide side, const std::string& label) {
    auto& entry = *trace.emplace_back().mutable_entry();
    entry.set_index(trace.size() - 1);
    entry.set_time_us(trace.size() * 10);
    entry.set_side(side);
    entry.set_kind("payload");
    entry.set_edge(side == v1::TRACE_SIDE_SUBJECT ? "s1.g1.in" : "s1.g1.out");
    entry.set_label(label);
  };
  add(v1::TRACE_SIDE_HARNESS, "Request #1 Sum op 3 (4 B) field 2 = channel 5");
  add(v1::TRACE_SIDE_HARNESS, "CloseChannel 5");
  add(v1::TRACE_SIDE_HARNESS, "Request #3 Echo op 4 (4 B)");
  add(v1::TRACE_SIDE_SUBJECT, "Response #1 ok");
  const std::string json = RenderPerfetto(trace);
  EXPECT_TRUE(IsJsonObject(json)) << json;
  const auto count = [&](const std::string& what) {
    size_t n = 0;
    for (size_t at = json.find(what); at != json.npos; at = json.find(what, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("\"ph\":\"b\""), 3u);
  EXPECT_EQ(count("\"ph\":\"e\""), 3u);
  EXPECT_EQ(count("\"unfinished\":true"), 1u);
  EXPECT_EQ(count("\"ph\":\"i\""), 4u);
}

}  // namespace
}  // namespace counterpart::report
