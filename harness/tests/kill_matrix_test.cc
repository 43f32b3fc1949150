#include "harness/campaign/kill_matrix.h"

#include <gtest/gtest.h>

namespace counterpart::campaign {
namespace {

TEST(KillMatrix, OfNothingHasNothingToSay) { EXPECT_EQ(KillMatrix().Summary(), ""); }

TEST(KillMatrix, CountsWhatTheFirstRedRunNamed) {
  KillMatrix kills;
  kills.Add({"one", {"a", "b"}, "b", 1, {{"b", 4}}});
  kills.Add({"two", {"a"}, "c", 7, {{"a", 3}, {"c", 1}}});  // its own, but not first
  kills.Add({"three", {"a"}, "a", 2, {{"a", 4}}});
  EXPECT_EQ(kills.killed(), 3u);
  EXPECT_EQ(kills.attributed(), 2u);
  EXPECT_EQ(
      kills.Summary(),
      "the first red run named a rule of its own for 2 of 3 (66 %); runs to the first red one: "
      "median 2, most 7\ncaught no mutant by itself: c");
}

TEST(KillMatrix, TellsWhatOneRuleAloneCaught) {
  KillMatrix kills;
  kills.Add({"one", {"a"}, "a", 1, {{"a", 4}}});
  kills.Add({"two", {"a"}, "a", 1, {{"a", 3}, {"", 1}}});
  kills.Add({"three", {"a"}, "a", 1, {{"a", 4}}});
  const std::string text = kills.Markdown();
  EXPECT_NE(text.find("| a | one, three | two |"), std::string::npos) << text;
  EXPECT_NE(text.find("| (none) |  | two |"), std::string::npos) << text;
  EXPECT_EQ(kills.NeverAlone(), std::vector<std::string>({""}));
}

}  // namespace
}  // namespace counterpart::campaign
