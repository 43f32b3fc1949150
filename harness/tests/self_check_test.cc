// The determinism self-check: a run that is driven again with its seed and makes another trace is
// found out, and one that makes the same is not. Against a subject of nothing.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/worker.h"
#include "harness/tests/one_cell.h"

namespace counterpart::campaign {
namespace {

int plays = 0;

machine::Task<> Steady(peer::Peer& peer) {
  ++plays;
  peer.machine().Note("test", "always the same");
  peer.Judged("control.scope");
  co_return;
}

// What the seed does not decide: here, how often it was played before.
machine::Task<> Moody(peer::Peer& peer) {
  peer.machine().Note("test", "so it begins");
  peer.machine().Note("test", "play " + std::to_string(++plays));
  peer.Judged("control.scope");
  co_return;
}

// Fails whenever it is played again.
machine::Task<> OnlyOnce(peer::Peer& peer) {
  peer.Judged("control.scope");
  std::string wanted = "to be played once";
  co_await peer.Require(++plays == 1, "control.scope", std::move(wanted));
}

std::vector<report::v1::Exec> PlayTwice(machine::Task<> (*body)(peer::Peer&), bool again) {
  plays = 0;
  const OneCell one(body, {.id = "fake", .command = {FAKE_SUBJECT, "stdio"}});
  std::vector<report::v1::Exec> execs;
  Worker::Options options;
  options.campaign_now_us = [] { return uint64_t{0}; };
  Worker worker(std::move(options),
                [&execs](FinishedRun finished) { execs.push_back(*finished.exec); });
  RunKey key;
  key.cell = &one.cell;
  key.seed = 7;
  key.again = again;
  worker.RunBatch({key});
  worker.DriveHeld();
  return execs;
}

// Two cells of one subject, and one of another.
class HeldRuns : public testing::Test {
 protected:
  HeldRuns() {
    scenario_.name = "of_this_test";
    scenario_.directions = {peer::Direction::kHarnessToSubject};
    scenario_.body = &Steady;
    alone_ = scenario_;
    alone_.name = "alone";
    alone_.exclusive = true;
    Worker::Options options;
    options.campaign_now_us = [] { return uint64_t{0}; };
    worker_ = std::make_unique<Worker>(std::move(options), [this](FinishedRun finished) {
      told_.push_back(finished.exec->cell() + (finished.exec->has_again() ? " twice" : " once"));
    });
  }
  Cell CellOf(const effects::SubjectSpec& subject, const scenarios::Scenario& scenario) {
    Cell cell;
    cell.subject = &subject;
    cell.scenario = &scenario;
    return cell;
  }
  void Run(const Cell& cell) {
    RunKey key;
    key.cell = &cell;
    key.ordinal = ordinal_++;
    key.again = true;
    worker_->RunBatch({key});
  }

  scenarios::Scenario scenario_, alone_;
  const effects::SubjectSpec one_{.id = "one", .command = {FAKE_SUBJECT, "stdio"}};
  const effects::SubjectSpec other_{.id = "other", .command = {FAKE_SUBJECT, "stdio"}};
  std::vector<std::string> told_;
  std::unique_ptr<Worker> worker_;
  uint32_t ordinal_ = 0;
};

TEST(SelfCheck, TheSameTraceIsNoFinding) {
  const auto execs = PlayTwice(&Steady, true);
  ASSERT_EQ(execs.size(), 1u);  // told of once
  EXPECT_EQ(execs[0].verdict(), report::v1::VERDICT_PASS) << execs[0].reason();
  EXPECT_EQ(plays, 2);
  EXPECT_EQ(execs[0].again().trace_hash(), execs[0].trace_hash());
  EXPECT_EQ(execs[0].again().divergence(), "");
}

TEST(SelfCheck, AnotherTraceIsAFindingAndNotARed) {
  const auto execs = PlayTwice(&Moody, true);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].verdict(), report::v1::VERDICT_PASS) << execs[0].reason();
  EXPECT_NE(execs[0].again().trace_hash(), execs[0].trace_hash());
  EXPECT_EQ(execs[0].again().divergence(), "entry 2 of test: first \"play 1\", then \"play 2\"");
}

TEST(SelfCheck, WhatFailsTheSecondTimeHasFailed) {
  const auto execs = PlayTwice(&OnlyOnce, true);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].verdict(), report::v1::VERDICT_FAIL);
  EXPECT_EQ(execs[0].reason(), "wanted: to be played once");
  EXPECT_EQ(execs[0].again().divergence().find("not passed the second time: "), 0u)
      << execs[0].again().divergence();
}

TEST_F(HeldRuns, AreDrivenTogetherOnceAnotherSubjectComes) {
  const Cell here = CellOf(one_, scenario_), there = CellOf(other_, scenario_);
  Run(here);
  Run(here);
  EXPECT_TRUE(told_.empty());
  Run(there);
  EXPECT_EQ(told_, std::vector<std::string>(2, here.Id() + " twice"));
  worker_->DriveHeld();
  EXPECT_EQ(told_.size(), 3u);
  EXPECT_EQ(told_.back(), there.Id() + " twice");
}

TEST_F(HeldRuns, AreDrivenOnceThereAreEnough) {
  const Cell here = CellOf(one_, scenario_);
  for (int i = 0; i < 16; ++i) Run(here);
  EXPECT_EQ(told_.size(), 16u);
}

TEST_F(HeldRuns, OfAScenarioThatIsAloneAreDrivenAlone) {
  const Cell here = CellOf(one_, scenario_), alone = CellOf(one_, alone_);
  Run(here);
  Run(alone);
  EXPECT_EQ(told_, (std::vector<std::string>{here.Id() + " twice", alone.Id() + " twice"}));
}

TEST(SelfCheck, OnlyTheChosenAreDrivenAgain) {
  EXPECT_FALSE(PlayTwice(&Moody, false).at(0).has_again());
  EXPECT_EQ(plays, 1);
  int chosen = 0;
  for (uint32_t i = 0; i < 10'000; ++i) chosen += IsDrivenAgain(RunSeed(3, "cell", i), i);
  EXPECT_GT(chosen, 400);
  EXPECT_LT(chosen, 600);
}

}  // namespace
}  // namespace counterpart::campaign
