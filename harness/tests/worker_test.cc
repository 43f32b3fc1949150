// A worker whose subject cannot be started, or dies: what it says of the runs, and whether it tries
// again.
#include "harness/campaign/worker.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/schedule.h"
#include "harness/tests/one_cell.h"

namespace counterpart::campaign {
namespace {

machine::Task<> Steady(peer::Peer& peer) {
  peer.Judged("control.scope");
  co_return;
}

machine::Task<> Do(peer::Peer& peer, std::string what) {
  peer.Judged("control.scope");
  control::v1::ExecuteRequest probe;
  probe.set_command_id(peer.NextCommandId());
  probe.set_send(1);
  probe.mutable_probe()->set_capability(what);
  co_await peer.Execute(std::move(probe), "to do it");
}

// Dies where two visit at once.
machine::Task<> Unsociable(peer::Peer& peer) { return Do(peer, "visit"); }

// The same, and Ctrl-C comes with the first that is run again.
std::atomic<bool> interrupted;
int visits = 0;
machine::Task<> UnsociableUntilInterrupted(peer::Peer& peer) {
  if (++visits == 4) interrupted = true;
  return Unsociable(peer);
}

constexpr uint64_t kDeadlySeed = 1;
machine::Task<> Moribund(peer::Peer& peer) {
  if (peer.machine().seed() == kDeadlySeed) return Do(peer, "abort");
  return Steady(peer);
}

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    std::string folder = testing::TempDir() + "counterpart-worker-XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~WorkerTest() override { std::filesystem::remove_all(folder_); }

  // One batch after the other; what is said of each run. The subject is started by this script,
  // which notes that it was.
  std::vector<report::v1::Exec> TwoBatches(const std::string& script) {
    effects::SubjectSpec subject{
        .id = "fake", .command = {"/bin/sh", "-c", "echo >> " + folder_ + "/starts; " + script}};
    subject.watchdog.span = std::chrono::seconds(1);
    const OneCell one(&Steady, std::move(subject));
    std::vector<report::v1::Exec> execs;
    Worker::Options options;
    options.campaign_now_us = [] { return uint64_t{0}; };
    Worker worker(std::move(options),
                  [&execs](FinishedRun finished) { execs.push_back(*finished.exec); });
    for (uint32_t i = 0; i < 2; ++i) {
      RunKey key;
      key.cell = &one.cell;
      key.ordinal = i;
      worker.RunBatch({key});
    }
    return execs;
  }

  // Three runs that share a process, with the seeds 0 to 2; by their ordinals.
  std::vector<report::v1::Exec> ThreeTogether(machine::Task<> (*body)(peer::Peer&)) {
    const OneCell one(body, {.id = "fake", .command = {FAKE_SUBJECT, "stdio"}});
    std::vector<report::v1::Exec> execs(3);
    interrupted = false;
    visits = 0;
    told_.assign(3, 0);
    Worker::Options options;
    options.campaign_now_us = [] { return uint64_t{0}; };
    options.interrupted = &interrupted;
    Worker worker(std::move(options), [&](FinishedRun finished) {
      const uint32_t ordinal = finished.exec->ordinal();
      execs.at(ordinal) = *finished.exec;
      ++told_.at(ordinal);
    });
    Batch batch(3);
    for (uint32_t i = 0; i < 3; ++i) {
      batch[i].cell = &one.cell;
      batch[i].ordinal = i;
      batch[i].seed = i;
    }
    worker.RunBatch(batch);
    worker.DriveHeld();
    return execs;
  }

  size_t Starts() const {
    std::ifstream in(folder_ + "/starts");
    size_t lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
  }

  std::string folder_;
  std::vector<int> told_;  // how often of each run
};

TEST_F(WorkerTest, StartsASubjectAgainThatGotNoTime) {
  const std::string second = "[ $(wc -l < " + folder_ + "/starts) = 2 ] && exec " FAKE_SUBJECT;
  const auto execs = TwoBatches(second + " stdio; exec " FAKE_SUBJECT " dives");
  ASSERT_EQ(execs.size(), 2u);
  EXPECT_EQ(execs[0].verdict(), report::v1::VERDICT_INCONCLUSIVE) << execs[0].reason();
  EXPECT_EQ(execs[0].unjudged(), "starved");
  EXPECT_EQ(execs[1].verdict(), report::v1::VERDICT_PASS) << execs[1].reason();
}

TEST_F(WorkerTest, StartsASubjectOnceThatCannotBeStarted) {
  const auto execs = TwoBatches("exit 3");
  ASSERT_EQ(execs.size(), 2u);
  for (const report::v1::Exec& exec : execs) {
    EXPECT_EQ(exec.verdict(), report::v1::VERDICT_ERROR);
    EXPECT_EQ(exec.ending(), report::v1::ENDING_NO_START);
  }
  EXPECT_EQ(Starts(), 1u);
}

TEST_F(WorkerTest, BlamesTheRunThatTheSubjectDiesOfAndNoneBesideIt) {
  const auto execs = ThreeTogether(&Moribund);
  EXPECT_EQ(told_, std::vector<int>(3, 1));
  for (const report::v1::Exec& exec : execs) {
    const bool deadly = exec.seed() == kDeadlySeed;
    EXPECT_EQ(exec.verdict(), deadly ? report::v1::VERDICT_FAIL : report::v1::VERDICT_PASS);
    EXPECT_EQ(exec.reason(), deadly ? "the subject died: signal 6" : "");
  }
}

TEST_F(WorkerTest, ForgetsNoDeathThatTakesMoreThanOneRun) {
  const auto execs = ThreeTogether(&Unsociable);
  EXPECT_EQ(told_, std::vector<int>(3, 1));
  EXPECT_EQ(execs[0].verdict(), report::v1::VERDICT_FAIL);
  EXPECT_EQ(execs[0].ending(), report::v1::ENDING_CRASH);
  EXPECT_EQ(execs[0].reason(),
            "the subject died: signal 6; 3 runs shared the process when it ended, and it outlives "
            "each of the 3 that were run again alone");
  EXPECT_EQ(execs[1].verdict(), report::v1::VERDICT_PASS) << execs[1].reason();
  EXPECT_EQ(execs[2].verdict(), report::v1::VERDICT_PASS) << execs[2].reason();
}

TEST_F(WorkerTest, ForgetsNoDeathForAnInterruption) {
  const auto execs = ThreeTogether(&UnsociableUntilInterrupted);
  EXPECT_EQ(told_, (std::vector<int>{1, 0, 0}));
  EXPECT_EQ(execs[0].ending(), report::v1::ENDING_CRASH);
}

}  // namespace
}  // namespace counterpart::campaign
