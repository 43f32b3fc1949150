#include <gtest/gtest.h>

#include "testbed/program.h"

namespace subject {
namespace {

TEST(GatesTest, WakesWhoeverWaitsOnceAndStaysOpen) {
  Gates gates;
  int woken = 0;
  const auto wake = [&woken] { ++woken; };
  EXPECT_FALSE(gates.Pass("a", wake));
  EXPECT_FALSE(gates.Pass("a", wake));
  gates.Open("b");
  EXPECT_EQ(woken, 0);
  gates.Open("a");
  EXPECT_EQ(woken, 2);
  gates.Open("a");
  EXPECT_EQ(woken, 2);
  EXPECT_TRUE(gates.Pass("a", wake));
  EXPECT_TRUE(gates.Pass("b", wake));
  EXPECT_EQ(woken, 2);
}

TEST(GatesTest, AWakeMayPassItsOwnGate) {
  Gates gates;
  bool passed = false;
  gates.Pass("a", [&] { passed = gates.Pass("a", [] {}); });
  gates.Open("a");
  EXPECT_TRUE(passed);
}

}  // namespace
}  // namespace subject
