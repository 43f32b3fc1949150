// What an exploration has covered, from the execs of its report.
#include "harness/campaign/coverage.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "counterpart/report/v1/report.pb.h"

namespace counterpart::campaign {
namespace {

using report::v1::Exec;

// A survey of two frames, and one run of each plan.
class CoverageOfARun : public testing::Test {
 protected:
  CoverageOfARun() {
    Exec survey = Named("cell");
    survey.set_verdict(report::v1::VERDICT_PASS);
    for (const bool from_harness : {true, false}) {
      auto& moment = *survey.add_moments();
      moment.set_from_harness(from_harness);
      moment.set_link(1);
      moment.set_ordinal(1);
      moment.set_kind(from_harness ? "transport_hello" : "transport_accept");
    }
    execs_.push_back(survey);
  }

  static Exec Named(const std::string& cell) {
    Exec exec;
    exec.set_cell(cell);
    return exec;
  }

  Exec& Cut(const std::string& fault, report::v1::Verdict verdict) {
    Exec exec = Named("cell");
    exec.add_plan(fault);
    exec.set_verdict(verdict);
    execs_.push_back(exec);
    return execs_.back();
  }

  Coverage Covered() const {
    CoverageCount count;
    for (const Exec& exec : execs_) count.Add(exec);
    return std::move(count).Done();
  }

  std::vector<Exec> execs_;
};

TEST_F(CoverageOfARun, CountsByFrameAndFaultWhereverInTheFrame) {
  Cut("rst after frame 1 of the harness on link 1", report::v1::VERDICT_PASS);
  Cut("rst 3 bytes into frame 1 of the harness on link 1", report::v1::VERDICT_FAIL);
  Cut("fin after frame 1 of the subject on link 1", report::v1::VERDICT_NONE)
      .set_ending(report::v1::ENDING_UNREACHED);
  const Coverage coverage = Covered();
  const CellCoverage& cell = coverage.cells.at("cell");
  EXPECT_EQ(cell.moments, 2u);
  ASSERT_EQ(cell.frames.size(), 2u);
  EXPECT_EQ(cell.frames[0].kind, "transport_hello");
  EXPECT_EQ(cell.frames[0].faults.at("rst").green, 1u);
  EXPECT_EQ(cell.frames[0].faults.at("rst").red, 1u);
  EXPECT_FALSE(cell.frames[0].faults.contains("fin"));
  EXPECT_EQ(cell.frames[1].faults.at("fin").unreached, 1u);
  EXPECT_EQ(cell.All().red, 1u);
}

TEST_F(CoverageOfARun, HoldsWhicheverLineWasWrittenFirst) {
  Cut("rst after frame 1 of the harness on link 1", report::v1::VERDICT_PASS);
  std::swap(execs_[0], execs_[1]);
  const Coverage coverage = Covered();
  const CellCoverage& cell = coverage.cells.at("cell");
  ASSERT_EQ(cell.frames.size(), 2u);
  EXPECT_EQ(cell.frames[0].faults.at("rst").green, 1u);
}

TEST_F(CoverageOfARun, NamesFramesThatOnlyACutBrings) {
  Cut("rst after frame 2 of the subject on link 3", report::v1::VERDICT_PASS);
  const Coverage coverage = Covered();
  const CellCoverage& cell = coverage.cells.at("cell");
  ASSERT_EQ(cell.frames.size(), 3u);
  EXPECT_EQ(cell.frames[2].link, 3u);
  EXPECT_EQ(cell.frames[2].kind, "");
}

TEST_F(CoverageOfARun, SaysWhyACellWasNotExplored) {
  execs_[0].set_verdict(report::v1::VERDICT_FAIL);
  execs_[0].set_reason("it is wrong anyway");
  const Coverage coverage = Covered();
  EXPECT_EQ(coverage.cells.at("cell").not_explored, "it is wrong anyway");
  EXPECT_NE(ToText(coverage, true).find("not explored: it is wrong anyway"), std::string::npos);
}

TEST_F(CoverageOfARun, TellsWhatWasReachedFromWhatNeverWas) {
  const std::string seal = "subject operation: Live --seal--> Sealed";
  Cut("rst after frame 1 of the harness on link 1", report::v1::VERDICT_PASS).add_transitions(seal);
  const Coverage coverage = Covered();
  EXPECT_EQ(coverage.transitions, std::set<std::string>{seal});
  EXPECT_FALSE(coverage.transitions_never.contains(seal));
  EXPECT_TRUE(coverage.transitions_never.contains("subject operation: Absent --admit--> Live"));
  EXPECT_TRUE(coverage.transitions_never.contains("harness operation: Live --seal--> Sealed"));
  EXPECT_EQ(coverage.states,
            (std::set<std::string>{"subject operation: Live", "subject operation: Sealed"}));
  EXPECT_TRUE(coverage.states_never.contains("subject operation: Released"));
  EXPECT_FALSE(coverage.states_never.contains("subject operation: Live"));
  // It gives commands, and answers none.
  for (const std::string& never : coverage.transitions_never) {
    EXPECT_FALSE(never.starts_with("harness command")) << never;
  }
}

TEST_F(CoverageOfARun, GroupsFailuresBySignatureAndKeepsTheFirst) {
  Cut("rst after frame 1 of the harness on link 1", report::v1::VERDICT_FAIL).set_signature("a");
  Cut("fin after frame 1 of the harness on link 1", report::v1::VERDICT_FAIL).set_signature("a");
  Cut("fin after frame 1 of the subject on link 1", report::v1::VERDICT_FAIL).set_signature("b");
  const Coverage coverage = Covered();
  ASSERT_EQ(coverage.failures.size(), 2u);
  EXPECT_EQ(coverage.failures[0].count, 2u);
  EXPECT_EQ(coverage.failures[0].plan[0], "rst after frame 1 of the harness on link 1");
}

TEST_F(CoverageOfARun, IsTheSameAsJson) {
  Cut("rst after frame 1 of the harness on link 1", report::v1::VERDICT_FAIL).set_signature("a");
  const auto json = nlohmann::json::parse(ToJson(Covered()));
  EXPECT_EQ(json["cells"][0]["cell"], "cell");
  EXPECT_EQ(json["cells"][0]["frames"][0]["faults"]["rst"]["red"], 1);
  EXPECT_EQ(json["cells"][0]["frames"][1]["faults"].size(), 0u);
  EXPECT_EQ(json["cut_cases"]["never"].size(), 48u);
  EXPECT_EQ(json["failures"][0]["signature"], "a");
}

}  // namespace
}  // namespace counterpart::campaign
