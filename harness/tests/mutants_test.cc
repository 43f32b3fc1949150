// Every scenario has been seen red: some mutant is to be caught in it.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "harness/campaign/cell.h"
#include "harness/campaign/pattern.h"
#include "harness/judge/spec_text.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {
namespace {

struct Mutant {
  std::string subject, id;
  std::vector<std::string> rules, cells, except, pairs;
  bool explored = false;  // its cells are green until something is cut
  bool wreck = false;
};

std::vector<Mutant> ReadMutants() {
  std::vector<Mutant> mutants;
  using Words = std::vector<std::string>;
  const YAML::Node document = YAML::LoadFile(SOURCE_ROOT "/subjects/mutants/catalog.yaml");
  for (const YAML::Node& row : document["mutants"]) {
    mutants.push_back({row["subject"].as<std::string>("cpp"), row["id"].as<std::string>(),
                       row["rules"].as<Words>(Words()), row["cells"].as<Words>(Words{"**"}),
                       row["except"].as<Words>(Words()), row["pairs"].as<Words>(Words()),
                       row["explore"].IsDefined(), row["wreck"].as<bool>(false)});
  }
  return mutants;
}

bool RunsIn(const Mutant& mutant, const Scenario& scenario) {
  return std::any_of(
      scenario.directions.begin(), scenario.directions.end(), [&](Direction direction) {
        if (direction == Direction::kBidirectional) return false;
        const auto over = [&](const char* conduit) {
          const std::string cell = std::string("lang_cpp_transport_tcp") + conduit +
                                   "::direction_" + Name(direction) + "::" + scenario.name;
          return std::any_of(mutant.cells.begin(), mutant.cells.end(),
                             [&](const auto& pattern) { return campaign::Matches(pattern, cell); });
        };
        return (scenario.conduits != Conduits::kStable && over("")) ||
               (scenario.conduits != Conduits::kBare && over("_conduit_stable"));
      });
}

TEST(Mutants, EveryScenarioHasOne) {
  const std::vector<Mutant> mutants = ReadMutants();
  ASSERT_FALSE(mutants.empty());
  for (const Scenario& scenario : Catalogue()) {
    EXPECT_TRUE(std::any_of(mutants.begin(), mutants.end(), [&](const Mutant& mutant) {
      return !mutant.rules.empty() && !mutant.explored && RunsIn(mutant, scenario);
    })) << scenario.name;
  }
}

TEST(Mutants, EachIsNamedOnceAndRunsSomewhereByARuleThatExists) {
  std::set<std::pair<std::string, std::string>> ids;
  for (const Mutant& mutant : ReadMutants()) {
    SCOPED_TRACE(mutant.id);
    EXPECT_TRUE(ids.emplace(mutant.subject, mutant.id).second);
    for (const std::string& rule : mutant.rules) {
      if (rule == "crash") continue;  // a process that died is caught under this name
      EXPECT_NE(judge::FindRule(rule), nullptr) << rule;
    }
    EXPECT_TRUE(std::any_of(Catalogue().begin(), Catalogue().end(),
                            [&](const Scenario& scenario) { return RunsIn(mutant, scenario); }));
  }
}

// Nothing else is left out of them: what a wreck passes is mended, not listed.
TEST(Mutants, WrecksAreRunInEveryCellOfTheWire) {
  size_t wrecks = 0;
  for (const Mutant& mutant : ReadMutants()) {
    if (!mutant.wreck) continue;
    SCOPED_TRACE(mutant.id);
    ++wrecks;
    EXPECT_EQ(mutant.cells, std::vector<std::string>{"**"});
    EXPECT_EQ(mutant.except, std::vector<std::string>{"**::control_*"});
  }
  EXPECT_GE(wrecks, 8u);
}

// What kills its subject on its own plays its own faults, and is not explored.
TEST(Mutants, EnoughAreForTheExplorationAloneAndInWhatCanBeExplored) {
  size_t explored = 0;
  for (const Mutant& mutant : ReadMutants()) {
    if (!mutant.explored) continue;
    SCOPED_TRACE(mutant.id);
    ++explored;
    EXPECT_FALSE(mutant.rules.empty());
    for (const Scenario& scenario : Catalogue()) {
      EXPECT_FALSE(scenario.exclusive && RunsIn(mutant, scenario)) << scenario.name;
    }
  }
  EXPECT_GE(explored, 12u);
}

// Beside a sound subject: the mutant is one of the two, and the scenario is one between two.
TEST(Mutants, PairsAreCellsThatTheMutantIsIn) {
  size_t pairs = 0;
  const std::vector<effects::SubjectSpec> subjects = {
      {"cpp", {"x"}, 0}, {"python", {"x"}, 0}, {"rust", {"x"}, 0}};
  const std::vector<campaign::Cell> cells = campaign::AllCells(subjects);
  for (const Mutant& mutant : ReadMutants()) {
    SCOPED_TRACE(mutant.id);
    for (const std::string& pattern : mutant.pairs) {
      ++pairs;
      const bool any = std::any_of(cells.begin(), cells.end(), [&](const campaign::Cell& cell) {
        return cell.client != nullptr &&
               (cell.subject->id == mutant.subject || cell.client->id == mutant.subject) &&
               campaign::Matches(pattern, cell.Id());
      });
      EXPECT_TRUE(any) << pattern;
    }
  }
  EXPECT_GT(pairs, 4u);
}

}  // namespace
}  // namespace counterpart::scenarios
