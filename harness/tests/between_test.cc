// Scenarios between two peers in memory: green when both are right; red when one is wrong, and
// blamed on that one, wherever it sits; the same every time, and the same again from the recording.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "harness/scenarios/run.h"
#include "harness/tests/memory_world.h"

namespace counterpart::tests {
namespace {

using machine::Entry;
using machine::Level;
using peer::Seat;
using scenarios::Cast;
using scenarios::FindScenario;
using scenarios::Run;
using scenarios::Scenario;

constexpr uint64_t kSeeds[] = {1, 2, 3, 4, 5, 6, 7, 8};

std::string Why(const Run& run) {
  const auto& reason = run.judge().verdict().reason();
  return reason.blame + ": r[" + reason.rule + "] " + reason.text;
}

// As a trace file holds it: without readings and times.
std::vector<Entry> FromFile(Run& run) {
  std::vector<Entry> entries;
  for (const Entry& entry : run.machine().trace().entries()) {
    Entry& back = entries.emplace_back();
    EXPECT_TRUE(machine::DecodeCanonical(machine::Canonical(entry), &back));
    back.round = entry.round;
  }
  return entries;
}

std::vector<const char*> AllBetween() {
  std::vector<const char*> names;
  for (const Scenario& scenario : scenarios::Catalogue()) {
    if (scenario.between != nullptr) names.push_back(scenario.name.c_str());
  }
  return names;
}

class Between : public testing::TestWithParam<const char*> {};

TEST_P(Between, IsGreenAndTheSameInReplay) {
  const Scenario& scenario = *FindScenario(GetParam());
  for (const uint64_t seed : kSeeds) {
    const auto run = PlayBetween(scenario, seed);
    ASSERT_EQ(run->judge().verdict().level(), Level::kPass) << "seed " << seed << ": " << Why(*run);
    const auto again = scenarios::Rejudge(scenario, Cast("alpha", "beta"), seed, FromFile(*run));
    EXPECT_FALSE(again.divergence)
        << again.divergence->recorded << " | " << again.divergence->replayed;
    EXPECT_EQ(again.hash, run->machine().trace().ExactHash());
    EXPECT_EQ(again.level, Level::kPass) << again.reason.text;
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Between, testing::ValuesIn(AllBetween()),
                         [](const auto& row) { return std::string(row.param); });

// What was written to one side is byte for byte what came from the other, framing included.
TEST(Relay, PassesEveryByteOnBothWays) {
  const auto run = PlayBetween(*FindScenario("channeling_transform"), 3);
  ASSERT_EQ(run->judge().verdict().level(), Level::kPass) << Why(*run);
  std::string came[2], went[2];
  for (const Entry& entry : run->machine().trace().entries()) {
    if (entry.kind == machine::EntryKind::kIngress &&
        entry.ingress.kind == effects::IngressKind::kPayload) {
      came[entry.ingress.subject] += wire::Frame(entry.ingress.bytes);
    }
    if (entry.kind == machine::EntryKind::kEffect &&
        entry.effect.kind == effects::EffectKind::kWrite) {
      went[entry.effect.subject] += entry.effect.bytes;
    }
  }
  EXPECT_GT(came[0].size(), 1000u);
  EXPECT_EQ(came[0], went[1]);
  EXPECT_EQ(came[1], went[0]);
}

TEST(Relay, ACutIsReportedWhereItFired) {
  const auto run = PlayBetween(*FindScenario("channel_retry_idem_reruns_with_fresh_channels"), 2);
  ASSERT_EQ(run->judge().verdict().level(), Level::kPass) << Why(*run);
  const auto faults = run->faults();
  ASSERT_EQ(faults.size(), 2u);  // one for each of the two callers
  EXPECT_EQ(faults[1].at, "after channel_item 20 of the server in generation 2");
  EXPECT_TRUE(faults[0].fired && faults[1].fired);
  EXPECT_NE(faults[1].where.find("link 2, ChannelItem"), std::string::npos) << faults[1].where;
}

// ---------------------------------------------------------------- red

struct Wrong {
  const char* what;
  Flaw flaw;
  const char* scenario;
  std::set<std::string> rules;  // any of them
};

const Wrong kWrongs[] = {
    {"wrong_parity",
     Flaw::kWrongParity,
     "rpc_echo_roundtrip",
     {"rpc.request.id-allocation", "session.parity"}},
    {"double_response",
     Flaw::kDoubleResponse,
     "rpc_echo_roundtrip",
     {"rpc.response.one-per-request"}},
    {"over_credit",
     Flaw::kOverCredit,
     "channel_credit_exhaustion_blocks_sender",
     {"rpc.flow-control.credit"}},
    {"item_after_close",
     Flaw::kItemAfterClose,
     "channeling_generate_server_to_client",
     {"rpc.channel.close"}},
    {"drops_item",
     Flaw::kDropsItem,
     "channeling_generate_server_to_client",
     {"rpc.channel.no-silent-drop"}},
    {"mute", Flaw::kMute, "rpc_echo_roundtrip", {"rpc.response.one-per-request"}},
    {"runs_twice", Flaw::kRunsTwice, "rpc_echo_roundtrip", {"retry.layers.no-silent-retry"}},
    {"never_reattempts",
     Flaw::kNeverReattempts,
     "channel_retry_idem_reruns_with_fresh_channels",
     {"retry.channel.volatile.rebinding.fresh", "retry.channel.disconnect.closes"}},
    {"journal_omits", Flaw::kJournalOmits, "rpc_echo_roundtrip", {"control.journal.cross-check"}},
    {"leaks", Flaw::kLeaks, "channeling_generate_server_to_client", {"control.reset"}},
    {"crashes", Flaw::kCrashes, "rpc_echo_roundtrip", {""}},
};

class BetweenWrong : public testing::TestWithParam<Wrong> {};

TEST_P(BetweenWrong, IsRedAndBlamesWhoeverItIs) {
  const Wrong& wrong = GetParam();
  for (const Seat seat : peer::kSeats) {
    SCOPED_TRACE(peer::Name(seat));
    const Flaw server = seat == Seat::kServer ? wrong.flaw : Flaw::kNone;
    const Flaw client = seat == Seat::kClient ? wrong.flaw : Flaw::kNone;
    for (const uint64_t seed : kSeeds) {
      const auto run = PlayBetween(*FindScenario(wrong.scenario), seed, server, client);
      const auto& reason = run->judge().verdict().reason();
      EXPECT_EQ(run->judge().verdict().level(), Level::kFail) << Why(*run);
      EXPECT_TRUE(wrong.rules.contains(reason.rule)) << Why(*run);
      EXPECT_EQ(reason.blame, seat == Seat::kServer ? "alpha" : "beta") << Why(*run);
      const auto again = scenarios::Rejudge(*FindScenario(wrong.scenario), Cast("alpha", "beta"),
                                            seed, FromFile(*run));
      EXPECT_FALSE(again.divergence);
      EXPECT_EQ(again.reason.text, reason.text);
      EXPECT_EQ(again.reason.blame, reason.blame);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Flaws, BetweenWrong, testing::ValuesIn(kWrongs),
                         [](const auto& row) { return std::string(row.param.what); });

// ---------------------------------------------------------------- the entries

TEST(Entries, SayWhichSubjectOnlyWhereItIsNotTheFirst) {
  Entry first{.kind = machine::EntryKind::kEffect};
  first.effect = {.kind = effects::EffectKind::kWrite, .id = 3, .bytes = "abc"};
  Entry second = first;
  second.effect.subject = 1;
  EXPECT_EQ(machine::Canonical(second), machine::Canonical(first) + '\x01');
  Entry back{.kind = machine::EntryKind::kNote};
  ASSERT_TRUE(machine::DecodeCanonical(machine::Canonical(second), &back));
  EXPECT_EQ(back.effect, second.effect);
  EXPECT_FALSE(machine::DecodeCanonical(machine::Canonical(first) + '\0', &back));
}

}  // namespace
}  // namespace counterpart::tests
