#include "harness/report/statistics.h"

#include <gtest/gtest.h>

namespace counterpart::report {
namespace {

TEST(Statistics, BoundOfACleanSeries) {
  EXPECT_NEAR(ZeroFailuresBound95(20), 0.139, 5e-4);
  EXPECT_NEAR(ZeroFailuresBound95(50), 0.058, 5e-4);
  EXPECT_NEAR(ZeroFailuresBound95(100), 0.0295, 5e-5);
  EXPECT_NEAR(ZeroFailuresBound95(200), 0.0149, 5e-5);
  EXPECT_NEAR(ZeroFailuresBound95(500), 0.0060, 5e-5);
  EXPECT_NEAR(ZeroFailuresBound95(1000), 0.0030, 5e-5);
  EXPECT_NEAR(ZeroFailuresBound95(3000), 0.0010, 5e-5);
  EXPECT_EQ(ZeroFailuresBound95(0), 1);
}

TEST(Statistics, Wilson) {
  const auto near = [](uint64_t k, uint64_t n, double low, double high, double by) {
    const Interval rate = Wilson95(k, n);
    EXPECT_NEAR(rate.low, low, by) << k << "/" << n;
    EXPECT_NEAR(rate.high, high, by) << k << "/" << n;
  };
  near(1, 50, 0.0035, 0.105, 5e-4);
  near(3, 200, 0.0051, 0.0432, 5e-5);
  near(5, 1000, 0.0021, 0.0117, 5e-5);
  near(0, 200, 0, 0.018845, 5e-6);  // z²/(n + z²)
  EXPECT_EQ(Wilson95(0, 10).low, 0);
  EXPECT_EQ(Wilson95(10, 10).high, 1);
  EXPECT_EQ(Wilson95(0, 0).high, 1);
}

TEST(Statistics, RunsForABound) {
  EXPECT_EQ(RunsForBound95(0.1), 29u);
  EXPECT_EQ(RunsForBound95(0.05), 59u);
  EXPECT_EQ(RunsForBound95(0.01), 299u);
  EXPECT_EQ(RunsForBound95(0.005), 598u);
  EXPECT_EQ(RunsForBound95(0.001), 2995u);
  for (const double p : {0.3, 0.01, 0.0007}) {
    EXPECT_LE(ZeroFailuresBound95(RunsForBound95(p)), p);
    EXPECT_GT(ZeroFailuresBound95(RunsForBound95(p) - 1), p);
  }
  EXPECT_EQ(RunsForBound95(0), 0u);
  EXPECT_EQ(RunsForBound95(1), 0u);
  EXPECT_EQ(RunsForBound95(-1), 0u);
}

TEST(Statistics, Statements) {
  EXPECT_EQ(Statement({1000, 0, 0, 0}), "1000/1000, failure rate < 0.30 % (95 %)");
  EXPECT_EQ(Statement({197, 0, 3, 0}), "3/200 failed, 0.5–4.3 % (95 %)");
  EXPECT_EQ(Statement({1, 0, 0, 0}), "1/1, failure rate < 95.0 % (95 %)");
  EXPECT_EQ(Statement({0, 0, 20, 0}).substr(0, 12), "20/20 failed");
  EXPECT_EQ(Statement({5, 2, 0, 0}), "5/7 passed, 2 not judged");
  EXPECT_EQ(Statement({0, 0, 0, 2}), "no counted run, 2 harness errors");
  EXPECT_EQ(Statement({99999, 0, 1, 0}).find("0.0–"), std::string::npos);
}

TEST(Statistics, PercentilesByNearestRank) {
  EXPECT_EQ(Percentile({}, 50), 0u);
  EXPECT_EQ(Percentile({7}, 99), 7u);
  EXPECT_EQ(Percentile({4, 1, 3, 2}, 50), 2u);
  EXPECT_EQ(Percentile({4, 1, 3, 2}, 100), 4u);
  EXPECT_EQ(Percentile({4, 1, 3, 2}, 0), 1u);
}

TEST(Statistics, Text) {
  EXPECT_EQ(Milliseconds(1234567), "1234.567");
  EXPECT_EQ(Milliseconds(5), "0.005");
  EXPECT_EQ(Seconds(1500), "0.002");
  EXPECT_EQ(Decimal(0.0034, 4), "0.0034");
}

}  // namespace
}  // namespace counterpart::report
