#include <algorithm>
#include <iterator>

#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

const char* Name(Direction direction) {
  return direction == Direction::kHarnessToSubject ? "harness_to_subject" : "subject_to_harness";
}

const std::vector<Scenario>& Catalogue() {
  static const auto* catalogue = [] {
    auto* all = new std::vector<Scenario>;
    for (auto* family : {&RpcScenarios, &ChannelScenarios, &RetryScenarios, &SessionScenarios,
                         &ConnectScenarios, &LinkScenarios, &SchemaScenarios, &ControlScenarios}) {
      std::vector<Scenario> scenarios = family();
      std::move(scenarios.begin(), scenarios.end(), std::back_inserter(*all));
    }
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
