#include "harness/scenarios/moments.h"

#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include "harness/scenarios/walk_model.h"

namespace counterpart::scenarios {
namespace {

// A choice of the machine, by what it says it is of, and what each of its values means.
struct Choice {
  std::string_view what;
  std::vector<std::string> values;
};

struct Row {
  std::string_view scenario;
  std::vector<std::string_view> choices;     // of kChoices
  std::vector<std::string> happenings = {};  // what the peer says it saw
  enum class Of : uint8_t { kBoth, kHarnessCalls, kSubjectCalls } of = Of::kBoth;
};

const std::vector<Choice>& Choices() {
  static const auto* choices = new std::vector<Choice>{
      {"cut by", {"a cut by RST", "a cut by FIN"}},
      {"frame of", {"a cut behind a frame of the harness", "a cut behind a frame of the subject"}},
      {"frame",
       {"a cut before the first of the calls' frames", "a cut behind 1 of the calls' frames",
        "a cut behind 2 of the calls' frames", "a cut behind 3 of the calls' frames",
        "a cut behind 4 of the calls' frames", "a cut behind the last of the calls' frames"}},
      {"connects refused",
       {"1 connect refused", "2 connects refused", "3 connects refused", "4 connects refused"}},
      {"dials", {"1 dial allowed", "2 dials allowed", "3 dials allowed", "4 dials allowed"}},
      {"first cut",
       {"the 1st cut of the handshake first", "the 2nd cut of the handshake first",
        "the 3rd cut of the handshake first", "the 4th cut of the handshake first"}},
      {"what comes first", {"LetsGo out of order", "a Message before the handshake"}},
      {"reset first, close first, crossing",
       {"the reset read before the close", "the close read before the reset",
        "reset and close crossing"}},
      {"default limit", {"a smaller limit announced", "the default limit"}},
      {"length", {"the greatest length there is", "a length of one over the limit"}},
      {"user error", {"a sealed value", "a sealed user error"}},
      {"proven to run", {"killed with the Request on its way", "killed while the handler ran"}},
  };
  return *choices;
}

const std::vector<Row>& Rows() {
  using Of = Row::Of;
  static const auto* rows = new std::vector<Row>{
      {"session_connect_waits_for_a_refusing_listener", {"connects refused"}},
      {"session_resume_waits_for_a_refusing_listener", {"connects refused", "cut by"}},
      {"session_resume_gives_up_at_the_limit", {"dials"}},
      {"session_resume_keeps_the_session", {"cut by"}},
      {"session_resume_survives_a_cut_handshake",
       {"first cut", "cut by"},
       {std::string(peer::kCutInsideAFrame)}},
      {"session_handshake_order", {"what comes first"}, {}, Of::kHarnessCalls},
      {"channel_close_race_settles_alike", {"reset first, close first, crossing"}},
      {"link_oversized_length_is_refused", {"default limit", "length"}},
      {"link_eof_inside_a_payload", {}, {std::string(peer::kCutInsideAFrame)}},
      {"retry_sealed_outcome_is_replayed", {"user error"}},
      {"retry_cut_after_any_frame_resolves_every_call", {"cut by", "frame of", "frame"}},
      {"retry_cut_after_any_frame_resolves_every_call",
       {},
       {std::string(peer::kResumedUnanswered)},
       Of::kHarnessCalls},
      {"retry_killed_callee_has_lost_its_sessions", {"proven to run"}},
  };
  return *rows;
}

bool Applies(const Row& row, const Scenario& scenario, Direction direction) {
  if (row.scenario != scenario.name || direction == Direction::kBidirectional) return false;
  return row.of == Row::Of::kBoth ||
         (row.of == Row::Of::kHarnessCalls) == (direction == Direction::kHarnessToSubject);
}

const Choice* FindChoice(std::string_view what) {
  for (const Choice& choice : Choices()) {
    if (choice.what == what) return &choice;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> MomentsToSee(const Scenario& scenario, Direction direction) {
  std::vector<std::string> moments;
  if (scenario.name == kRandomWalk && direction != Direction::kBidirectional) {
    return walk::AllMoments(direction == Direction::kHarnessToSubject);
  }
  for (const Row& row : Rows()) {
    if (!Applies(row, scenario, direction)) continue;
    for (const std::string_view what : row.choices) {
      const Choice* choice = FindChoice(what);
      moments.insert(moments.end(), choice->values.begin(), choice->values.end());
    }
    moments.insert(moments.end(), row.happenings.begin(), row.happenings.end());
  }
  return moments;
}

std::vector<std::string> MomentsSeen(const Scenario& scenario, Direction direction, Run& run) {
  const std::vector<std::string> wanted = MomentsToSee(scenario, direction);
  if (wanted.empty()) return {};
  std::set<std::string> met(run.peer().happenings().begin(), run.peer().happenings().end());
  for (const machine::Entry& entry : run.machine().trace().entries()) {
    if (entry.kind == machine::EntryKind::kNote && entry.reading.edge == kMomentEdge) {
      met.insert(entry.reading.label);
    }
    if (entry.kind != machine::EntryKind::kChoice) continue;
    // "cut by: 0 of 2"
    const std::string_view label = entry.reading.label;
    const Choice* choice = FindChoice(label.substr(0, label.rfind(": ")));
    if (choice != nullptr && entry.choice < choice->values.size()) {
      met.insert(choice->values[entry.choice]);
    }
  }
  std::vector<std::string> seen;
  for (const std::string& moment : wanted) {
    if (met.contains(moment)) seen.push_back(moment);
  }
  return seen;
}

}  // namespace counterpart::scenarios
