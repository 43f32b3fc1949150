#include <algorithm>
#include <iterator>

#include "harness/scenarios/malformed.h"
#include "harness/scenarios/random_walk.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

namespace {

void AddBetween(std::vector<Scenario>& all) {
  for (auto* family : {&CallsBetween, &ChannelsBetween, &CutsBetween}) {
    for (Between& between : family()) {
      const auto scenario = std::find_if(all.begin(), all.end(), [&between](const Scenario& s) {
        return s.name == between.scenario;
      });
      scenario->directions.push_back(Direction::kBidirectional);
      scenario->rules_bidirectional = std::move(between.rules);
      scenario->between = between.body;
    }
  }
}

// Families that know nothing of conduits, and what of them is played over stable ones as well.
constexpr std::string_view kOverBoth[] = {"rpc_echo_roundtrip", "rpc_every_kind_of_call_at_once",
                                          "channeling_transform",
                                          "keepalive_answers_while_calls_block"};

void AddConduits(std::vector<Scenario>& all) {
  for (Scenario& scenario : all) {
    const bool both =
        std::find(std::begin(kOverBoth), std::end(kOverBoth), scenario.name) != std::end(kOverBoth);
    if (both) scenario.conduits = Conduits::kBoth;
  }
}

}  // namespace

const char* Name(Direction direction) {
  switch (direction) {
    case Direction::kHarnessToSubject:
      return "harness_to_subject";
    case Direction::kSubjectToHarness:
      return "subject_to_harness";
    case Direction::kBidirectional:
      return "bidirectional";
  }
  return "?";
}

const std::vector<Scenario>& Catalogue() {
  static const auto* catalogue = [] {
    auto* all = new std::vector<Scenario>;
    for (auto* family : {&RpcScenarios,        &EveryKindScenarios,        &ChannelScenarios,
                         &RetryScenarios,      &SessionScenarios,          &ConnectScenarios,
                         &LinkScenarios,       &SchemaScenarios,           &FaultScenarios,
                         &ControlScenarios,    &OperationScenarios,        &RefusalScenarios,
                         &ConnectionScenarios, &SettingsScenarios,         &ResumedCallScenarios,
                         &CallErrorScenarios,  &MetadataScenarios,         &WalkScenarios,
                         &MalformedScenarios,  &IllegalHandshakeScenarios, &StableScenarios,
                         &PersistScenarios}) {
      std::vector<Scenario> scenarios = family();
      std::move(scenarios.begin(), scenarios.end(), std::back_inserter(*all));
    }
    AddBetween(*all);
    AddConduits(*all);
    return all;
  }();
  return *catalogue;
}

const Scenario* FindScenario(std::string_view name) {
  const auto& all = Catalogue();
  const auto found =
      std::find_if(all.begin(), all.end(), [name](const auto& s) { return s.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace counterpart::scenarios
