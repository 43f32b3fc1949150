// A worker that cannot start a subject: what it says of the runs, and whether it tries again.
#include "harness/campaign/worker.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "counterpart/report/v1/report.pb.h"

namespace counterpart::campaign {
namespace {

machine::Task<> Steady(peer::Peer& peer) {
  peer.Judged("control.scope");
  co_return;
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
    scenarios::Scenario scenario;
    scenario.name = "of_this_test";
    scenario.directions = {peer::Direction::kHarnessToSubject};
    scenario.body = &Steady;
    effects::SubjectSpec subject{
        .id = "fake", .command = {"/bin/sh", "-c", "echo >> " + folder_ + "/starts; " + script}};
    subject.watchdog.span = std::chrono::seconds(1);
    Cell cell;
    cell.subject = &subject;
    cell.scenario = &scenario;
    std::vector<report::v1::Exec> execs;
    Worker::Options options;
    options.campaign_now_us = [] { return uint64_t{0}; };
    Worker worker(std::move(options),
                  [&execs](FinishedRun finished) { execs.push_back(*finished.exec); });
    for (uint32_t i = 0; i < 2; ++i) {
      RunKey key;
      key.cell = &cell;
      key.ordinal = i;
      worker.RunBatch({key});
    }
    return execs;
  }

  size_t Starts() const {
    std::ifstream in(folder_ + "/starts");
    size_t lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
  }

  std::string folder_;
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

}  // namespace
}  // namespace counterpart::campaign
