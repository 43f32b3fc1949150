// Whole scenarios over a world in memory: green against a correct peer, red by the right rule
// against each wrong one, the same every time, and the same again from the recording.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "harness/scenarios/moments.h"
#include "harness/scenarios/run.h"
#include "harness/tests/memory_world.h"

namespace counterpart::tests {
namespace {

using machine::Entry;
using machine::Level;
using scenarios::Direction;
using scenarios::FindScenario;
using scenarios::Run;
using scenarios::Scenario;

constexpr auto kCalls = Direction::kHarnessToSubject;   // the harness calls the subject
constexpr auto kServes = Direction::kSubjectToHarness;  // the subject calls the harness
constexpr uint64_t kSeeds[] = {1, 2, 3, 4, 5, 6, 7, 8};

const Scenario& Known(const std::string& name) {
  const Scenario* scenario = FindScenario(name);
  if (scenario == nullptr) ADD_FAILURE() << "no scenario " << name;
  return *scenario;
}

std::string Why(const Run& run) {
  const auto& reason = run.judge().verdict().reason();
  return "r[" + reason.rule + "] " + reason.text;
}

// ---------------------------------------------------------------- green

class Green : public testing::TestWithParam<const char*> {};

TEST_P(Green, AgainstACorrectPeerInAnyPieces) {
  const Scenario& scenario = Known(GetParam());
  for (const Direction direction : scenario.directions) {
    if (direction == Direction::kBidirectional) continue;  // between_test plays these
    for (const uint64_t seed : kSeeds) {
      for (const size_t piece : {size_t{0}, size_t{1}, size_t{7}}) {
        const auto run = Play(scenario, direction, seed, Flaw::kNone, piece);
        ASSERT_EQ(run->judge().verdict().level(), Level::kPass)
            << scenarios::Name(direction) << ", seed " << seed << ": " << Why(*run);
      }
    }
  }
}

// What a scenario leaves to chance, chance brings about: every moment that a campaign looks out
// for.
TEST_P(Green, MeetsEveryMomentOfChance) {
  const Scenario& scenario = Known(GetParam());
  for (const Direction direction : scenario.directions) {
    const auto wanted = scenarios::MomentsToSee(scenario, direction);
    std::set<std::string> missing(wanted.begin(), wanted.end());
    for (uint64_t seed = 1; seed <= 500 && !missing.empty(); ++seed) {
      const auto run = Play(scenario, direction, seed);
      for (const std::string& moment : scenarios::MomentsSeen(scenario, direction, *run)) {
        missing.erase(moment);
      }
    }
    EXPECT_EQ(missing, std::set<std::string>()) << scenarios::Name(direction);
  }
}

std::vector<const char*> Playable() {
  std::vector<const char*> names;
  for (const Scenario& scenario : scenarios::Catalogue()) {
    // What it covers, by capability. A scenario of a new one is not played here until it does.
    static const std::set<std::string> kCovered = {
        "bare", "root_calls", "channels", "resume", "operations", "keepalive", "cancel", "schemas"};
    // Played live only: what its peer does not do.
    static const std::set<std::string> kNotPlayed = {
        "retry_killed_callee_has_lost_its_sessions",  // die and start again
        "link_half_close_is_a_lost_link",             // tell a half-close from a close
        "link_too_large_fails_locally",               // mind the limit of the other side
        "control_probe_tells_what_is_unsupported",    // describe itself
        "session_loss_ends_every_kind_of_call",       // open a session after one that it lost
        "link_wrong_bit_in_a_length",
        "link_wrong_bit_in_a_body",
        "link_closed_window_loses_nothing",           // have a window
        "session_resume_stale_bytes_change_nothing",  // read late
        "session_resume_race_has_one_winner",
        "session_killed_initiator_starts_anew",
        "model_random_walk",  // answer a Status, ping by command
        "malformed_ping",     // have one session after another
        "malformed_cancel_request",
        "malformed_request",
        "malformed_response",
        "malformed_error_response",
        "malformed_channel_item",
        "malformed_close_channel",
        "malformed_reset_channel",
        "malformed_grant_credit",
        "illegal_for_a_receiving_end",
        "illegal_for_a_sending_end",
        "illegal_in_a_handshake",
        "session_parity_is_the_initiators_choice",  // call and be called in one session
        "control_time_comes_from_commands",         // say what it waits for
        "link_goodbye_behind_a_backlog_loses_nothing",
        "persist_record_survives_a_kill",  // keep anything beyond a session
        "persist_outcome_survives_a_kill",
        "persist_killed_at_any_moment",
        "persist_outlives_its_session",
        "persist_cancel_leaves_it_live",
        "persist_origin_must_fit",
        "persist_with_channels_is_forbidden",
        "persist_lost_session_is_named",
        "rpc_metadata_is_handed_on",  // look at metadata
        "rpc_sensitive_values_stay_unseen",
        "channel_close_race_settles_alike",  // journal more than frames
        "channel_reset_stops_sender",
        "channel_item_after_close_is_refused",
        "retry_given_up_execution_makes_no_outcome",
        "retry_resume_evaluates_every_operation",
        "rpc_cancel_late_response_is_ignored",
        "rpc_error_codes_keep_their_meaning",  // know the errors that no other scenario has
        "session_limit_of_zero_allows_no_call",
        "session_resume_refuses_old_names",
        "schema_recursive_types_are_whole",  // serve more than the methods of a program
        "schema_unbridgeable_types_fail_their_calls",
    };
    const auto covered = [](const std::string& need) { return kCovered.contains(need); };
    if (!kNotPlayed.contains(scenario.name) &&
        std::all_of(scenario.needs.begin(), scenario.needs.end(), covered)) {
      names.push_back(scenario.name.c_str());
    }
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Green, testing::ValuesIn(Playable()),
                         [](const auto& row) { return std::string(row.param); });

TEST(MemoryWorld, PlaysTheScenariosItWasMadeFor) {
  const auto names = Playable();
  for (const std::string wanted :
       {"rpc_echo_roundtrip", "channeling_transform", "link_oversized_length_is_refused",
        "session_resume_survives_a_cut_handshake", "retry_live_duplicate_attaches"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), wanted), names.end()) << wanted;
  }
}

// r[session.goodbye] The harness has said its last message and answers no Ping that crossed it.
TEST(MemoryWorld, APingMayCrossTheGoodbye) {
  for (const Direction direction : {kCalls, kServes}) {
    const auto run = Play(Known("rpc_echo_roundtrip"), direction, 1, Flaw::kPingsIntoGoodbye);
    EXPECT_EQ(run->judge().verdict().level(), Level::kPass) << Why(*run);
  }
}

// ---------------------------------------------------------------- red

struct Wrong {
  const char* what;
  Flaw flaw;
  const char* scenario;
  Direction direction;
  const char* rule;
  bool stall = false;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.what; }

constexpr char kEcho[] = "rpc_echo_roundtrip";
constexpr char kGenerate[] = "channeling_generate_server_to_client";
constexpr char kSum[] = "channeling_sum_client_to_server";
constexpr char kResume[] = "session_resume_keeps_the_session";
constexpr char kOversize[] = "link_oversized_length_is_refused";

const Wrong kWrongs[] = {
    {"WrongParity", Flaw::kWrongParity, kEcho, kServes, "rpc.request.id-allocation"},
    {"WrongParityOfChannels", Flaw::kWrongChannelParity, kSum, kServes, "rpc.channel.allocation"},
    {"RepeatsRequestId", Flaw::kRepeatsRequestId, "rpc_pipelining_10_concurrent", kServes,
     "rpc.id.monotone"},
    {"DoubleResponse", Flaw::kDoubleResponse, kEcho, kCalls, "rpc.response.one-per-request"},
    {"WrongPong", Flaw::kWrongPong, "keepalive_answers_while_calls_block", kCalls,
     "session.keepalive"},
    {"OverCreditAsCallee", Flaw::kOverCredit, kGenerate, kCalls, "rpc.flow-control.credit"},
    {"OverCreditAsCaller", Flaw::kOverCredit, kSum, kServes, "rpc.flow-control.credit"},
    {"ItemAfterClose", Flaw::kItemAfterClose, kGenerate, kCalls, "rpc.channel.close"},
    {"DropsItemAsCallee", Flaw::kDropsItem, kSum, kCalls, "rpc.channel.close"},
    {"DropsItemAsCaller", Flaw::kDropsItem, kGenerate, kServes, "rpc.channel.no-silent-drop"},
    {"Mute", Flaw::kMute, kEcho, kCalls, "rpc.response.one-per-request", true},
    {"NoAnnouncementAsCallee", Flaw::kNoAnnouncement, kEcho, kCalls, "schema.tracking.sender"},
    {"NoAnnouncementAsCaller", Flaw::kNoAnnouncement, kEcho, kServes, "schema.tracking.sender"},
    {"AnnouncesTwice", Flaw::kAnnouncesTwice, "rpc_pipelining_10_concurrent", kCalls,
     "schema.principles.once-per-type"},
    {"KeepsKey", Flaw::kKeepsKey, kResume, kCalls, "session.resume.key-rotation"},
    {"ShortKey", Flaw::kShortKey, kEcho, kCalls, "session.handshake.resume"},
    {"ForgetsSession", Flaw::kForgetsSession, kResume, kCalls, "session.handshake.resume"},
    {"HelloInsteadOfLetsGo", Flaw::kHelloInsteadOfGo, kEcho, kServes, "session.handshake"},
    {"BlindToLength", Flaw::kBlindToLength, kOversize, kCalls, "link.limit", true},
    {"ClosesSilently", Flaw::kClosesSilently, kOversize, kCalls, "session.protocol-error"},
    {"WrongErrorCode", Flaw::kWrongErrorCode, kOversize, kServes, "link.limit"},
    {"RunsTwice", Flaw::kRunsTwice, kEcho, kCalls, "retry.layers.no-silent-retry"},
    {"JournalOmits", Flaw::kJournalOmits, kEcho, kCalls, "control.journal.cross-check"},
    {"JournalInvents", Flaw::kJournalInvents, kEcho, kCalls, "control.journal.cross-check"},
    {"Leaks", Flaw::kLeaks, kEcho, kCalls, "control.reset"},
    {"CrashesAsCallee", Flaw::kCrashes, kEcho, kCalls, ""},
    {"CrashesAsCaller", Flaw::kCrashes, kEcho, kServes, ""},
    {"NeverReattempts", Flaw::kNeverReattempts, "link_eof_inside_a_payload", kServes, "link.rx.eof",
     true},
    {"NoGoodbye", Flaw::kNoGoodbye, kEcho, kCalls, "session.goodbye"},
    {"SpeaksAfterGoodbye", Flaw::kSpeaksAfterGoodbye, kEcho, kCalls, "session.goodbye"},
};

class Red : public testing::TestWithParam<Wrong> {};

TEST_P(Red, ByTheRuleItBreaks) {
  const Wrong& wrong = GetParam();
  for (const uint64_t seed : kSeeds) {
    const auto run = Play(Known(wrong.scenario), wrong.direction, seed, wrong.flaw);
    const auto& reason = run->judge().verdict().reason();
    EXPECT_EQ(run->judge().verdict().level(), Level::kFail) << Why(*run);
    EXPECT_EQ(reason.rule, wrong.rule) << Why(*run);
    EXPECT_EQ(reason.stall, wrong.stall) << Why(*run);
    EXPECT_LT(reason.entry, run->machine().trace().size());
    if (wrong.flaw == Flaw::kCrashes) {
      EXPECT_EQ(reason.place, "crash");
      EXPECT_EQ(run->peer().exit_text(), "signal 11");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Flaws, Red, testing::ValuesIn(kWrongs),
                         [](const auto& row) { return std::string(row.param.what); });

// ---------------------------------------------------------------- the same again

// As a trace file holds it: without readings and times.
std::vector<Entry> FromFile(const Run& run) {
  std::vector<Entry> entries;
  for (const Entry& entry : const_cast<Run&>(run).machine().trace().entries()) {
    Entry& back = entries.emplace_back();
    EXPECT_TRUE(machine::DecodeCanonical(machine::Canonical(entry), &back));
    back.round = entry.round;
  }
  return entries;
}

class Same : public testing::TestWithParam<const char*> {};

TEST_P(Same, TraceForTheSameSeedAndInReplay) {
  const Scenario& scenario = Known(GetParam());
  for (const Direction direction : scenario.directions) {
    if (direction == Direction::kBidirectional) continue;  // between_test plays these
    for (const uint64_t seed : kSeeds) {
      const auto first = Play(scenario, direction, seed);
      const auto second = Play(scenario, direction, seed);
      const uint64_t hash = first->machine().trace().ExactHash();
      EXPECT_EQ(hash, second->machine().trace().ExactHash());
      EXPECT_EQ(first->machine().trace().NormalisedHash(),
                second->machine().trace().NormalisedHash());
      const auto again = scenarios::Rejudge(scenario, direction, seed, FromFile(*first));
      EXPECT_FALSE(again.divergence)
          << again.divergence->recorded << " | " << again.divergence->replayed;
      EXPECT_EQ(again.hash, hash);
      EXPECT_EQ(again.level, Level::kPass) << again.reason.text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Same, testing::ValuesIn(Playable()),
                         [](const auto& row) { return std::string(row.param); });

TEST(Replay, OfARedRunIsRedForTheSameReason) {
  for (const Wrong& wrong : kWrongs) {
    SCOPED_TRACE(wrong.what);
    const Scenario& scenario = Known(wrong.scenario);
    const auto run = Play(scenario, wrong.direction, 5, wrong.flaw);
    const auto again = scenarios::Rejudge(scenario, wrong.direction, 5, FromFile(*run));
    EXPECT_FALSE(again.divergence);
    EXPECT_EQ(again.hash, run->machine().trace().ExactHash());
    EXPECT_EQ(again.reason.rule, wrong.rule);
    EXPECT_EQ(again.reason.text, run->judge().verdict().reason().text);
  }
}

TEST(Replay, NamesWhereAnotherSeedOrAnotherPeerDiffers) {
  const Scenario& scenario = Known(kEcho);
  const auto run = Play(scenario, kCalls, 1);
  EXPECT_TRUE(scenarios::Rejudge(scenario, kCalls, 2, FromFile(*run)).divergence);
  EXPECT_TRUE(scenarios::Rejudge(Known(kSum), kCalls, 1, FromFile(*run)).divergence);
  // One byte of one payload: the run itself goes on as it went, or ends elsewhere.
  auto changed = FromFile(*run);
  for (Entry& entry : changed) {
    if (entry.ingress.kind != effects::IngressKind::kPayload || entry.ingress.bytes.empty()) {
      continue;
    }
    entry.ingress.bytes.back() ^= 1;
    break;
  }
  EXPECT_NE(scenarios::Rejudge(scenario, kCalls, 1, changed).hash,
            run->machine().trace().ExactHash());
}

TEST(Seeds, LeadToDifferentRuns) {
  std::set<uint64_t> hashes;
  for (const uint64_t seed : kSeeds) {
    hashes.insert(Play(Known(kEcho), kCalls, seed)->machine().trace().ExactHash());
  }
  EXPECT_EQ(hashes.size(), std::size(kSeeds));
}

}  // namespace
}  // namespace counterpart::tests
