#include "harness/report/rule_coverage.h"

#include <gtest/gtest.h>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/run.h"
#include "harness/report/tests/sample_run.h"

namespace counterpart::report {
namespace {

constexpr char kThere[] = "lang_cpp_transport_tcp::direction_harness_to_subject::one";
constexpr char kBack[] = "lang_cpp_transport_tcp::direction_subject_to_harness::one";
constexpr char kPair[] = "lang_cpp_server_rust_client_tcp::direction_bidirectional::one";
constexpr char kRule[] = "channel.close.once";  // that MakeExec judges

TEST(RulesTested, CountsRunsBySubjectAndDirection) {
  report::Run run;
  run.execs.push_back(MakeExec(kThere, 0, v1::VERDICT_PASS));
  run.execs.push_back(MakeExec(kThere, 1, v1::VERDICT_PASS));
  run.execs.push_back(MakeExec(kBack, 0, v1::VERDICT_FAIL));
  run.execs.back().set_rule(kRule);
  const auto tested = RulesTested(run);
  const RuleTally& tally = tested.at(kRule).at("cpp");
  EXPECT_EQ(tally.judged, 3u);
  EXPECT_EQ(tally.violated, 1u);
  EXPECT_TRUE(tally.harness_to_subject);
  EXPECT_TRUE(tally.subject_to_harness);
}

TEST(RulesTested, OneDirectionIsNotBoth) {
  report::Run run;
  run.execs.push_back(MakeExec(kBack, 0, v1::VERDICT_PASS));
  const auto tested = RulesTested(run);
  EXPECT_FALSE(tested.at(kRule).at("cpp").harness_to_subject);
  EXPECT_TRUE(tested.at(kRule).at("cpp").subject_to_harness);
}

TEST(RulesTested, BetweenTwoCountsForWhomItWasJudgedOf) {
  report::Run run;
  v1::Exec& exec = run.execs.emplace_back(MakeExec(kPair, 0, v1::VERDICT_FAIL));
  v1::JudgedOf& judged = *exec.add_judged_of();
  judged.set_subject("cpp");
  judged.add_rules(kRule);
  v1::Finding& finding = *exec.add_findings();
  finding.set_level(v1::VERDICT_FAIL);
  finding.set_rule("channel.open");
  finding.set_blame("rust");
  const auto tested = RulesTested(run);
  const RuleTally& held = tested.at(kRule).at("cpp");
  EXPECT_EQ(held.judged, 1u);
  EXPECT_EQ(held.violated, 0u);
  EXPECT_FALSE(held.harness_to_subject || held.subject_to_harness);
  EXPECT_EQ(tested.at("channel.open").at("rust").violated, 1u);
  EXPECT_FALSE(tested.at(kRule).contains("rust"));
}

TEST(RulesTested, WhatTheHarnessBrokeIsNobodys) {
  report::Run run;
  v1::Exec& exec = run.execs.emplace_back(MakeExec(kThere, 0, v1::VERDICT_ERROR));
  v1::Finding& finding = *exec.add_findings();
  finding.set_level(v1::VERDICT_FAIL);
  finding.set_rule("channel.open");
  finding.set_blame("harness");
  EXPECT_FALSE(RulesTested(run).contains("channel.open"));
}

}  // namespace
}  // namespace counterpart::report
