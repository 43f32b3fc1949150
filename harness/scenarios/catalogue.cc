#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <utility>

#include "harness/scenarios/malformed.h"
#include "harness/scenarios/random_walk.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

namespace {

// The lists below name scenarios of the families; a name that is none would leave one out silently.
Scenario& Find(std::vector<Scenario>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [name](const Scenario& s) { return s.name == name; });
  if (found != all.end()) return *found;
  std::cerr << "counterpart: the catalogue names '" << name << "', which is no scenario\n";
  std::abort();
}

void AddBetween(std::vector<Scenario>& all) {
  for (auto* family : {&CallsBetween, &ChannelsBetween, &CutsBetween}) {
    for (Between& between : family()) {
      Scenario& scenario = Find(all, between.scenario);
      scenario.directions.push_back(Direction::kBidirectional);
      scenario.rules_bidirectional = std::move(between.rules);
      scenario.between = between.body;
    }
  }
}

// Families that know nothing of conduits, and what of them is played over stable ones as well: what
// a change of link could touch. None of it cuts a link; `explore` does.
constexpr std::string_view kOverBoth[] = {"rpc_echo_roundtrip",
                                          "rpc_every_kind_of_call_at_once",
                                          "rpc_blocked_call_delays_nobody",
                                          "rpc_cancel_ends_no_channel",
                                          "rpc_cancel_late_response_is_ignored",
                                          "rpc_request_limit_is_kept",
                                          "rpc_user_error_roundtrip",
                                          "channeling_generate_server_to_client",
                                          "channeling_sum_client_to_server",
                                          "channeling_transform",
                                          "channel_credit_exhaustion_blocks_sender",
                                          "channel_items_before_binding_are_kept",
                                          "channel_outlives_its_call",
                                          "channel_reset_stops_sender",
                                          "connection_calls_follow_its_parity",
                                          "connection_close_ends_what_is_in_flight",
                                          "connection_closes_that_cross_are_each_an_echo",
                                          "schema_compatible_types_are_translated",
                                          "keepalive_answers_while_calls_block"};

// What the aftermath of a planned fault does not know of.
constexpr std::pair<std::string_view, std::string_view> kWithoutPlans[] = {
    {"connection_lost_session_takes_it_along", "its subject opens a session in place of another"},
    {"persist_lost_session_is_named", "its subject opens a session in place of another"},
    {"persist_outlives_its_session", "it asks in one session for what another has run"},
    {"persist_origin_must_fit", "its calls claim to be of sessions that they are not of"},
    {"persist_with_channels_is_forbidden", "its calls are of a kind that every subject refuses"},
    {"control_scopes_are_apart", "it counts all that its subject holds"},
};

// What fills the window of a connection and more: that of loopback may grow to tens of MiB.
constexpr std::string_view kBulky[] = {"link_closed_window_loses_nothing",
                                       "link_goodbye_behind_a_backlog_loses_nothing"};

void AddBulk(std::vector<Scenario>& all) {
  for (const std::string_view name : kBulky) Find(all, name).bulky = true;
}

void AddPlans(std::vector<Scenario>& all) {
  for (const auto& [name, why] : kWithoutPlans) Find(all, name).without_plans = why;
}

void AddConduits(std::vector<Scenario>& all) {
  for (const std::string_view name : kOverBoth) Find(all, name).conduits = Conduits::kBoth;
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
    AddPlans(*all);
    AddBulk(*all);
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
