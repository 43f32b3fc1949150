// What a scenario is: a sentence, the rules it sets out to judge, and a coroutine that plays the
// peer. A new one is one function and one row in its family's list; no subject changes.
#ifndef COUNTERPART_SCENARIOS_SCENARIO_H_
#define COUNTERPART_SCENARIOS_SCENARIO_H_

#include <string>
#include <string_view>
#include <vector>

#include "harness/peer/peer.h"
#include "harness/peer/relay.h"

namespace counterpart::scenarios {

using machine::Task;
using peer::Direction;
using peer::Peer;
using peer::Relay;

// Over which conduits a scenario is played: each is a cell of its own.
enum class Conduits : uint8_t { kBare, kStable, kBoth };

// A need of this and a binding, "grpc" (of either kind), "grpc-stream" or "stdio": a subject that
// serves its control plane so.
inline const std::string kOver = "over ";

struct Scenario {
  std::string name;
  std::string group;
  std::string summary;  // one sentence: what a correct subject does
  std::vector<Direction> directions;
  // Judged in every run of this scenario, or the run is not green. The two lists are by direction.
  std::vector<std::string> rules_harness_to_subject;
  std::vector<std::string> rules_subject_to_harness;
  std::vector<std::string> needs;  // capabilities, or kOver and a binding
  Task<> (*body)(Peer& peer) = nullptr;
  // Kills or restarts the subject's process, or counts its commands: it must have that process to
  // itself.
  bool exclusive = false;
  // With kBidirectional among the directions: the same between two subjects, both of which call.
  // The rules are judged of each of the two.
  std::vector<std::string> rules_bidirectional = {};
  Task<> (*between)(Relay& relay) = nullptr;
  Conduits conduits = Conduits::kBare;
  // It ends links of stable conduits by itself, and brings the next ones.
  bool changes_links = false;
  // Why no fault can be planned in it of which it knows nothing; "" if one can.
  std::string_view without_plans = "";
  // Over a stable conduit, where it has other rules to judge than over a bare one.
  std::vector<std::string> rules_over_stable = {};
  // Moves tens of MiB: few of it run at once.
  bool bulky = false;

  const std::vector<std::string>& Rules(Direction direction) const {
    return direction == Direction::kHarnessToSubject   ? rules_harness_to_subject
           : direction == Direction::kSubjectToHarness ? rules_subject_to_harness
                                                       : rules_bidirectional;
  }
  const std::vector<std::string>& Rules(Direction direction, bool stable) const {
    return stable && !rules_over_stable.empty() ? rules_over_stable : Rules(direction);
  }
};

// What makes a scenario bidirectional, by the scenario's name.
struct Between {
  const char* scenario;
  std::vector<std::string> rules;
  Task<> (*body)(Relay& relay);
};

// "harness_to_subject", "subject_to_harness", "bidirectional".
const char* Name(Direction direction);

// Every scenario, by family.
const std::vector<Scenario>& Catalogue();
const Scenario* FindScenario(std::string_view name);

// The families, one file each.
std::vector<Scenario> RpcScenarios();
std::vector<Scenario> EveryKindScenarios();
std::vector<Scenario> ChannelScenarios();
std::vector<Scenario> RetryScenarios();
std::vector<Scenario> SessionScenarios();
std::vector<Scenario> ConnectScenarios();
std::vector<Scenario> LinkScenarios();
std::vector<Scenario> SchemaScenarios();
std::vector<Scenario> FaultScenarios();
std::vector<Scenario> ControlScenarios();
std::vector<Scenario> OperationScenarios();
std::vector<Scenario> RefusalScenarios();
std::vector<Scenario> ConnectionScenarios();
std::vector<Scenario> SettingsScenarios();
std::vector<Scenario> ResumedCallScenarios();
std::vector<Scenario> CallErrorScenarios();
std::vector<Scenario> MetadataScenarios();
std::vector<Scenario> StableScenarios();
std::vector<Scenario> PersistScenarios();

// The bidirectional halves of the above, one file each.
std::vector<Between> CallsBetween();
std::vector<Between> ChannelsBetween();
std::vector<Between> CutsBetween();

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_SCENARIO_H_
