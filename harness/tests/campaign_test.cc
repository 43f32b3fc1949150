// Choosing cells and reading subjects.
#include <gtest/gtest.h>

#include "harness/campaign/cell.h"
#include "harness/campaign/pattern.h"
#include "harness/campaign/subjects.h"

namespace counterpart::campaign {
namespace {

TEST(Pattern, OneStarStaysInItsComponent) {
  EXPECT_TRUE(Matches("a::*::c", "a::b::c"));
  EXPECT_FALSE(Matches("a::*", "a::b::c"));
  EXPECT_TRUE(Matches("a::**", "a::b::c"));
  EXPECT_TRUE(Matches("**::c", "a::b::c"));
  EXPECT_TRUE(Matches("**::c", "c"));
  EXPECT_FALSE(Matches("**::c", "a::bc"));
  EXPECT_FALSE(Matches("", "a"));
}

TEST(Cells, APatternOfNothingIsAnErrorThatNamesIt) {
  const std::vector<effects::SubjectSpec> subjects = {{"cpp", {"x"}, 0}};
  const auto all = AllCells(subjects);
  const auto one = SelectCells(all, {"**::rpc_echo_roundtrip"}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_FALSE(one.value().empty());
  const auto none = SelectCells(all, {"**::rpc_echo_roundtrop"}, {});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("rpc_echo_roundtrop"), std::string::npos);
  EXPECT_NE(none.error().message.find("rpc_echo_roundtrip"), std::string::npos);
}

TEST(Subjects, CommandsAreSplitAsAShellWould) {
  const auto subject = ParseSubject("my=run 'a b' \"\" c");
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(subject.value().command, (std::vector<std::string>{"run", "a b", "", "c"}));
  EXPECT_FALSE(ParseSubject("my=run 'a").ok());
  EXPECT_FALSE(ParseSubject("My=run").ok());
  EXPECT_FALSE(ParseSubject("my=").ok());
}

TEST(Seeds, DependOnEveryPart) {
  EXPECT_EQ(RunSeed(1, "a", 0), RunSeed(1, "a", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(2, "a", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(1, "b", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(1, "a", 1));
}

}  // namespace
}  // namespace counterpart::campaign
