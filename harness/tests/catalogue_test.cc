// Every row of the catalogue can mean something.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "harness/judge/spec_text.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {
namespace {

TEST(Catalogue, NamesRulesAndNeedsAreWellFormed) {
  const judge::Rule* capabilities = judge::FindRule("control.capabilities");
  ASSERT_NE(capabilities, nullptr);
  std::set<std::string> names;
  ASSERT_FALSE(Catalogue().empty());
  for (const Scenario& scenario : Catalogue()) {
    SCOPED_TRACE(scenario.name);
    EXPECT_TRUE(names.insert(scenario.name).second);
    EXPECT_TRUE(std::regex_match(scenario.name, std::regex("[a-z0-9_]+")));
    EXPECT_NE(scenario.body, nullptr);
    EXPECT_FALSE(scenario.directions.empty());
    for (const auto direction : scenario.directions) {
      for (const auto& rule : scenario.Rules(direction))
        EXPECT_NE(judge::FindRule(rule), nullptr) << rule;
    }
    for (const auto& rule : scenario.rules_over_stable)
      EXPECT_NE(judge::FindRule(rule), nullptr) << rule;
    if (scenario.conduits == Conduits::kStable) {
      EXPECT_EQ(std::count(scenario.needs.begin(), scenario.needs.end(), "stable"), 1);
    }
    const bool between = std::count(scenario.directions.begin(), scenario.directions.end(),
                                    Direction::kBidirectional) == 1;
    EXPECT_EQ(between, scenario.between != nullptr);
    EXPECT_EQ(between, !scenario.rules_bidirectional.empty());
    for (const auto& need : scenario.needs) {
      if (need == kOver + "grpc" || need == kOver + "grpc-stream" || need == kOver + "stdio")
        continue;
      EXPECT_NE(capabilities->text.find("`" + need + "`"), std::string::npos) << need;
    }
  }
}

TEST(Rules, SayHowTheyAreObservedAndWhyNot) {
  size_t excluded = 0;
  for (const judge::Rule& rule : judge::Rules()) {
    SCOPED_TRACE(rule.id);
    EXPECT_TRUE(std::regex_match(rule.observed, std::regex("[WCJ]( [WCJ])*"))) << rule.observed;
    EXPECT_EQ(rule.text.find("_Excluded:_"), std::string::npos);
    if (rule.excluded.empty()) continue;
    ++excluded;
    EXPECT_TRUE(rule.excluded.ends_with(".")) << rule.excluded;
  }
  EXPECT_GT(excluded, 0u);
  ASSERT_NE(judge::FindRule("control.lifecycle.no-preflight"), nullptr);
  EXPECT_TRUE(judge::FindRule("control.lifecycle.no-preflight")
                  ->excluded.starts_with("it binds the harness, not a subject"));
  EXPECT_EQ(judge::FindRule("link.message")->excluded, "");
}

}  // namespace
}  // namespace counterpart::scenarios
