// How many runs a batch has.
#include "harness/campaign/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace counterpart::campaign {
namespace {

class ScheduleTest : public testing::Test {
 protected:
  ScheduleTest() {
    light_.name = "light";
    bulky_.name = "bulky";
    bulky_.bulky = true;
    exclusive_.name = "exclusive";
    exclusive_.exclusive = true;
  }

  // The sizes of all batches of so many runs of each scenario, in the order they come.
  std::vector<size_t> Sizes(const std::vector<const scenarios::Scenario*>& scenarios,
                            uint32_t runs) {
    options_.cells.clear();
    for (const scenarios::Scenario* scenario : scenarios) {
      Cell& cell = options_.cells.emplace_back();
      cell.subject = &subject_;
      cell.scenario = scenario;
    }
    options_.runs = runs;
    Schedule schedule(options_, [] { return uint64_t{0}; });
    std::vector<size_t> sizes;
    while (const auto batch = schedule.Next()) sizes.push_back(batch->size());
    return sizes;
  }

  const effects::SubjectSpec subject_{.id = "none", .command = {}};
  scenarios::Scenario light_, bulky_, exclusive_;
  CampaignOptions options_;
};

using Batches = std::vector<size_t>;

TEST_F(ScheduleTest, OneWorkerTakesAsManyAsThereAreLanes) {
  EXPECT_EQ(Sizes({&light_}, 150), (Batches{64, 64, 22}));
}

TEST_F(ScheduleTest, AMoreBulkyRunTakesSixteenLanes) {
  EXPECT_EQ(Sizes({&bulky_}, 9), (Batches{4, 4, 1}));
  options_.lanes = 8;
  EXPECT_EQ(Sizes({&bulky_}, 2), (Batches{1, 1}));
}

TEST_F(ScheduleTest, AnExclusiveRunIsAlone) { EXPECT_EQ(Sizes({&exclusive_}, 2), (Batches{1, 1})); }

TEST_F(ScheduleTest, WhatIsLeftAtTheEndIsShared) {
  options_.jobs = 2;
  EXPECT_EQ(Sizes({&light_}, 100), (Batches{50, 25, 16, 9}));
  // The other cell is as good for the other worker.
  EXPECT_EQ(Sizes({&light_, &light_}, 50), (Batches{50, 25, 16, 9}));
}

}  // namespace
}  // namespace counterpart::campaign
