#include "harness/report/summarize.h"

#include <gtest/gtest.h>

#include "harness/report/tests/sample_run.h"

namespace counterpart::report {
namespace {

TEST(Summary, CountsOneCell) {
  Summary summary;
  summary.Plan(IdentityOf(kCell), 7);
  const v1::Verdict verdicts[] = {v1::VERDICT_PASS, v1::VERDICT_FAIL, v1::VERDICT_PASS,
                                  v1::VERDICT_FAIL, v1::VERDICT_FAIL, v1::VERDICT_ERROR,
                                  v1::VERDICT_NONE};
  // Last first: what is reported must not depend on the order of finishing.
  for (uint32_t i = 7; i-- > 0;) {
    v1::Exec exec = MakeExec(kCell, i, verdicts[i]);
    if (verdicts[i] != v1::VERDICT_PASS) exec.set_signature(i == 1 ? "rare" : "common");
    if (verdicts[i] == v1::VERDICT_FAIL) exec.set_rule("channel.close.once");
    summary.Add(exec);
  }
  const v1::Cell cell = summary.CellOf(kCell);
  EXPECT_EQ(cell.subject(), "cpp");
  EXPECT_EQ(cell.runs(), 6u);
  EXPECT_EQ(cell.passed(), 2u);
  EXPECT_EQ(cell.failed(), 3u);
  EXPECT_EQ(cell.inconclusive(), 1u);
  EXPECT_EQ(cell.errors(), 1u);
  EXPECT_EQ(cell.status(), v1::CELL_STATUS_FLAKY);
  EXPECT_EQ(cell.first_failing_seed(), 1001u);
  EXPECT_EQ(cell.signatures(0).signature(), "common");
  EXPECT_EQ(cell.signatures(0).count(), 4u);
  EXPECT_EQ(cell.distinct_traces(), 1u);
  const v1::Footer footer = summary.MakeFooter(1, false);
  EXPECT_EQ(footer.accounted(), 7u);
  EXPECT_EQ(footer.exit_code(), 4u);
  ASSERT_EQ(footer.rules_size(), 1);
  EXPECT_EQ(footer.rules(0).judged(), 7u);
  EXPECT_EQ(footer.rules(0).violated(), 3u);
}

TEST(Summary, NothingUntestedIsGreen) {
  Summary summary;
  summary.Plan(IdentityOf(kCell), 2);
  EXPECT_EQ(summary.CellOf(kCell).status(), v1::CELL_STATUS_NOT_RUN);
  summary.Add(MakeExec(kCell, 0, v1::VERDICT_NONE));
  EXPECT_EQ(summary.CellOf(kCell).status(), v1::CELL_STATUS_INCONCLUSIVE);
  v1::Exec interrupted = MakeExec(kCell, 1, v1::VERDICT_PASS);
  interrupted.set_ending(v1::ENDING_INTERRUPTED);
  summary.Add(interrupted);
  EXPECT_EQ(summary.MakeFooter(1, false).accounted(), 1u);
  EXPECT_EQ(summary.MakeFooter(1, false).exit_code(), 4u);
}

TEST(Summary, ExitCodes) {
  const auto code = [](v1::Verdict verdict, v1::Ending ending) {
    Summary summary;
    summary.Plan(IdentityOf(kCell), 1);
    v1::Exec exec = MakeExec(kCell, 0, verdict);
    exec.set_ending(ending);
    summary.Add(exec);
    return summary.MakeFooter(1, false).exit_code();
  };
  EXPECT_EQ(code(v1::VERDICT_PASS, v1::ENDING_NORMAL), 0u);
  EXPECT_EQ(code(v1::VERDICT_NONE, v1::ENDING_UNSUPPORTED), 0u);
  EXPECT_EQ(code(v1::VERDICT_FAIL, v1::ENDING_CRASH), 1u);
  EXPECT_EQ(code(v1::VERDICT_INCONCLUSIVE, v1::ENDING_NORMAL), 1u);
  EXPECT_EQ(code(v1::VERDICT_INCONCLUSIVE, v1::ENDING_NO_START), 1u);  // starved
  EXPECT_EQ(code(v1::VERDICT_ERROR, v1::ENDING_NO_START), 3u);
  EXPECT_EQ(code(v1::VERDICT_ERROR, v1::ENDING_NORMAL), 4u);
}

// Of two subjects each is covered by what was judged of it, and the one that is blamed broke it.
TEST(Summary, OfTwoSubjectsEachIsCoveredByItself) {
  const std::string id = "lang_a_server_b_client_tcp::direction_bidirectional::s";
  Summary summary;
  summary.Plan(IdentityOf(id), 1);
  v1::Exec exec = MakeExec(id, 0, v1::VERDICT_FAIL);
  exec.clear_rules_judged();
  exec.set_rule("broken");
  v1::JudgedOf& of_a = *exec.add_judged_of();
  of_a.set_subject("a");
  of_a.add_rules("kept");
  of_a.add_rules("broken");
  v1::Finding& finding = *exec.add_findings();
  finding.set_level(v1::VERDICT_FAIL);
  finding.set_rule("broken");
  finding.set_blame("b");
  summary.Add(exec);
  const v1::Footer footer = summary.MakeFooter(1, false);
  std::string coverage;
  for (const v1::RuleCoverage& one : footer.rules()) {
    coverage += one.subject() + " " + one.rule() + " " + std::to_string(one.judged()) + " " +
                std::to_string(one.violated()) + "\n";
  }
  EXPECT_EQ(coverage, "a broken 1 0\nb broken 1 1\na kept 1 0\n");
}

TEST(Identity, OfTwoSubjects) {
  const v1::Cell cell =
      IdentityOf("lang_my_rust_server_swift_client_tcp::direction_bidirectional::s");
  EXPECT_EQ(cell.subject(), "my_rust");
  EXPECT_EQ(cell.client(), "swift");
  EXPECT_EQ(cell.transport(), "tcp");
  EXPECT_EQ(cell.direction(), "bidirectional");
  EXPECT_EQ(IdentityOf("lang_web_server_transport_tcp::direction_x::s").subject(), "web_server");
  EXPECT_EQ(IdentityOf("lang_web_server_transport_tcp::direction_x::s").client(), "");
}

TEST(Identity, OfCellIds) {
  const v1::Cell cell = IdentityOf(
      "lang_a_b_transport_tcp_conduit_stable::direction_subject_to_harness::stable_resume");
  EXPECT_EQ(cell.subject(), "a_b");
  EXPECT_EQ(cell.transport(), "tcp");
  EXPECT_EQ(cell.conduit(), "stable");
  EXPECT_EQ(cell.direction(), "subject_to_harness");
  EXPECT_EQ(IdentityOf("odd").scenario(), "odd");
}

}  // namespace
}  // namespace counterpart::report
