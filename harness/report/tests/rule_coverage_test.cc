#include "harness/report/rule_coverage.h"

#include <gtest/gtest.h>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/tests/sample_run.h"

namespace counterpart::report {
namespace {

constexpr char kThere[] = "lang_cpp_transport_tcp::direction_harness_to_subject::one";
constexpr char kBack[] = "lang_cpp_transport_tcp::direction_subject_to_harness::one";
constexpr char kPair[] = "lang_cpp_server_rust_client_tcp::direction_bidirectional::one";
constexpr char kRule[] = "channel.close.once";  // that MakeExec judges

TEST(RulesTested, CountsRunsBySubjectAndDirection) {
  RulesTested tested;
  Count(MakeExec(kThere, 0, v1::VERDICT_PASS), &tested);
  Count(MakeExec(kThere, 1, v1::VERDICT_PASS), &tested);
  v1::Exec red = MakeExec(kBack, 0, v1::VERDICT_FAIL);
  red.set_rule(kRule);
  Count(red, &tested);
  const RuleTally& tally = tested.at(kRule).at("cpp");
  EXPECT_EQ(tally.judged, 3u);
  EXPECT_EQ(tally.violated, 1u);
  EXPECT_TRUE(tally.harness_to_subject);
  EXPECT_TRUE(tally.subject_to_harness);
}

TEST(RulesTested, OneDirectionIsNotBoth) {
  RulesTested tested;
  Count(MakeExec(kBack, 0, v1::VERDICT_PASS), &tested);
  EXPECT_FALSE(tested.at(kRule).at("cpp").harness_to_subject);
  EXPECT_TRUE(tested.at(kRule).at("cpp").subject_to_harness);
}

TEST(RulesTested, BetweenTwoCountsForWhomItWasJudgedOf) {
  v1::Exec exec = MakeExec(kPair, 0, v1::VERDICT_FAIL);
  v1::JudgedOf& judged = *exec.add_judged_of();
  judged.set_subject("cpp");
  judged.add_rules(kRule);
  v1::Finding& finding = *exec.add_findings();
  finding.set_level(v1::VERDICT_FAIL);
  finding.set_rule("channel.open");
  finding.set_blame("rust");
  RulesTested tested;
  Count(exec, &tested);
  const RuleTally& held = tested.at(kRule).at("cpp");
  EXPECT_EQ(held.judged, 1u);
  EXPECT_EQ(held.violated, 0u);
  EXPECT_FALSE(held.harness_to_subject || held.subject_to_harness);
  EXPECT_EQ(tested.at("channel.open").at("rust").violated, 1u);
  EXPECT_FALSE(tested.at(kRule).contains("rust"));
}

TEST(RulesTested, WhatTheHarnessBrokeIsNobodys) {
  v1::Exec exec = MakeExec(kThere, 0, v1::VERDICT_ERROR);
  v1::Finding& finding = *exec.add_findings();
  finding.set_level(v1::VERDICT_FAIL);
  finding.set_rule("channel.open");
  finding.set_blame("harness");
  RulesTested tested;
  Count(exec, &tested);
  EXPECT_FALSE(tested.contains("channel.open"));
}

}  // namespace
}  // namespace counterpart::report
