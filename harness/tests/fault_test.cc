// Faults as data: each one fires at its moment, and one that never does keeps a run from being
// green. Whole runs, on a world that answers from a script.
#include "harness/peer/fault.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/scenarios/run.h"
#include "harness/wire/framing.h"

namespace counterpart::scenarios {
namespace {

using effects::Effect;
using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;
using machine::Level;
using machine::Step;
using peer::ArmedFault;
using peer::Fault;
using peer::How;
using peer::Link;
using peer::SessionOptions;
using peer::Side;

// Judged in every run here, so that nothing but the fault keeps it from passing.
constexpr char kRule[] = "control.scope";

// A subject that does what it is told and holds nothing.
enum class Proof { kGiven, kOfNoEffect, kNone };
std::vector<Ingress> Answer(const Effect& effect, Proof proof) {
  switch (effect.kind) {
    case EffectKind::kListen:
      return {{.kind = IngressKind::kListening, .id = effect.id, .number = 4000}};
    case EffectKind::kDial:
      return {{.kind = IngressKind::kLinkUp, .id = effect.id}};
    case EffectKind::kReadExecutions:
      return {{.kind = IngressKind::kExecutions, .id = effect.id}};
    case EffectKind::kRst:
    case EffectKind::kFin:
    case EffectKind::kHalfClose:
    case EffectKind::kStopReading:
      if (effect.number == 0) return {};
      [[fallthrough]];
    case EffectKind::kSplit:
    case EffectKind::kMerge:
    case EffectKind::kStopProcess:
      if (proof == Proof::kNone) return {};
      return {{.kind = IngressKind::kProof,
               .id = effect.id,
               .number = proof == Proof::kGiven ? 1u : 0u,
               .bytes = effects::Name(effect.kind),
               .text = "scripted"}};
    case EffectKind::kKill:
      return {{.kind = IngressKind::kExited, .text = "signal 9"}};
    case EffectKind::kAsk: {
      control::v1::ControlRequest request;
      request.ParseFromString(effect.bytes);
      control::v1::ControlReply reply;
      if (request.has_execute()) {
        reply.mutable_execute()->mutable_outcome()->mutable_listening()->set_port(4000);
      } else if (request.has_journal()) {
        reply.mutable_journal();
      } else {
        reply.mutable_reset();
      }
      return {{.kind = IngressKind::kAnswer, .id = effect.id, .bytes = reply.SerializeAsString()}};
    }
    default:
      return {};
  }
}

struct Played {
  Level level = Level::kNone;
  machine::Finding reason;
  std::vector<ArmedFault> faults;
  std::vector<Effect> effects;
};

// Plays a scenario to its end. Whenever it waits for the outside and nothing is owed to it, the
// next of `connects` arrives; after the last of them, nothing can happen any more.
Played Play(Task<> (*body)(Peer&), Direction direction, uint32_t connects = 0,
            Proof proof = Proof::kGiven) {
  Scenario scenario;
  scenario.name = "scripted";
  scenario.rules_harness_to_subject = scenario.rules_subject_to_harness = {kRule};
  scenario.body = body;
  Run run(scenario, direction, 1, [] { return uint64_t{0}; });
  Played played;
  uint32_t next_link = 1001;
  for (int round = 0; round < 1000; ++round) {
    const Step step = run.machine().Run();
    std::vector<Ingress> batch;
    for (const Effect& effect : run.machine().TakeEffects()) {
      played.effects.push_back(effect);
      for (Ingress& ingress : Answer(effect, proof)) batch.push_back(std::move(ingress));
    }
    if (step == Step::kAllDone) break;
    if (batch.empty() && connects > 0) {
      --connects;
      batch.push_back({.kind = IngressKind::kLinkAccepted, .id = next_link++, .number = 1});
    } else if (batch.empty()) {
      batch.push_back({.kind = IngressKind::kQuiescent, .number = 1, .text = "scripted"});
    }
    run.machine().Ingest(std::move(batch));
  }
  run.Conclude();
  played.level = run.judge().verdict().level();
  played.reason = run.judge().verdict().reason();
  played.faults = run.peer().faults();
  return played;
}

Fault At(How how, Side from, const char* kind) {
  Fault fault;
  fault.how = how;
  fault.from = from;
  fault.kind = kind;
  return fault;
}

Task<> Nothing(Peer& peer) {
  peer.Judged(kRule);
  co_return;
}

TEST(Fault, WithoutOneTheScriptedRunPasses) {
  EXPECT_EQ(Play(&Nothing, Direction::kHarnessToSubject).level, Level::kPass);
}

template <How how>
Task<> ArmAndLeave(Peer& peer) {
  peer.Arm(At(how, Side::kSubject, "request"));
  peer.Judged(kRule);
  co_return;
}

TEST(Fault, OneThatNeverFiresIsNotGreen) {
  const std::pair<const char*, Played> all[] = {
      {"rst", Play(&ArmAndLeave<How::kRst>, Direction::kHarnessToSubject)},
      {"fin", Play(&ArmAndLeave<How::kFin>, Direction::kHarnessToSubject)},
      {"half_close", Play(&ArmAndLeave<How::kHalfClose>, Direction::kHarnessToSubject)},
      {"sigkill", Play(&ArmAndLeave<How::kKill>, Direction::kHarnessToSubject)},
  };
  for (const auto& [name, played] : all) {
    SCOPED_TRACE(name);
    EXPECT_EQ(played.level, Level::kInconclusive);
    EXPECT_EQ(played.reason.place, "unfired fault");
    EXPECT_NE(played.reason.text.find(name), std::string::npos) << played.reason.text;
    ASSERT_EQ(played.faults.size(), 1u);
    EXPECT_FALSE(played.faults[0].fired);
  }
}

Task<> TwoConnectsRefused(Peer& peer) {
  peer.RefuseConnects(2);
  peer.Judged(kRule);
  co_await peer.Settle();
}

TEST(Fault, AListenerIsDownForSoManyConnects) {
  const Played once = Play(&TwoConnectsRefused, Direction::kSubjectToHarness, 1);
  EXPECT_EQ(once.level, Level::kInconclusive);
  EXPECT_EQ(once.faults.at(0).refused, 1u);
  const Played twice = Play(&TwoConnectsRefused, Direction::kSubjectToHarness, 2);
  EXPECT_EQ(twice.level, Level::kPass);
  EXPECT_TRUE(twice.faults.at(0).fired);
  EXPECT_EQ(twice.faults.at(0).where, "2 connects reset");
  size_t resets = 0;
  for (const Effect& effect : twice.effects) resets += effect.kind == EffectKind::kRst;
  EXPECT_EQ(resets, 2u);
}

// co_await: a TransportHello on a fresh link, with a fault in its way.
Task<> HelloInto(Peer& peer, Fault fault) {
  Link* link = co_await peer.OpenLink(SessionOptions());
  link->end_expected = true;
  peer.Arm(std::move(fault));
  peer.Send(*link, peer.TransportHello());
  peer.Judged(kRule);
}

Task<> CutInside(Peer& peer) {
  Fault fault = At(How::kRst, Side::kHarness, "transport_hello");
  fault.offset = 5;
  co_await HelloInto(peer, std::move(fault));
}

TEST(Fault, ACutInsideAFrameWritesJustSoManyBytes) {
  const Played played = Play(&CutInside, Direction::kHarnessToSubject);
  EXPECT_EQ(played.level, Level::kPass);
  EXPECT_TRUE(played.faults.at(0).fired);
  std::vector<EffectKind> kinds;
  for (const Effect& effect : played.effects) {
    if (effect.kind == EffectKind::kWrite) {
      EXPECT_EQ(effect.bytes.size(), 5u);
    }
    if (effect.kind == EffectKind::kWrite || effect.kind == EffectKind::kRst) {
      kinds.push_back(effect.kind);
    }
  }
  EXPECT_EQ(kinds, (std::vector{EffectKind::kWrite, EffectKind::kRst}));
}

Task<> CutAfterAnyFrame(Peer& peer) { co_await HelloInto(peer, At(How::kFin, Side::kHarness, "")); }

TEST(Fault, ACutAfterAFrameWritesItWhole) {
  const Played played = Play(&CutAfterAnyFrame, Direction::kHarnessToSubject);
  EXPECT_EQ(played.level, Level::kPass);
  std::vector<EffectKind> kinds;
  for (const Effect& effect : played.effects) {
    if (effect.kind == EffectKind::kWrite) {
      wire::FrameDecoder decoder;
      std::string_view bytes = effect.bytes;
      EXPECT_TRUE(decoder.Next(bytes)) << "only a part of the frame";
    }
    if (effect.kind == EffectKind::kWrite || effect.kind == EffectKind::kFin) {
      kinds.push_back(effect.kind);
    }
  }
  EXPECT_EQ(kinds, (std::vector{EffectKind::kWrite, EffectKind::kFin}));
}

Task<> SecondOfItsKind(Peer& peer) {
  Fault fault = At(How::kRst, Side::kHarness, "transport_hello");
  fault.ordinal = 2;
  co_await HelloInto(peer, std::move(fault));
}

Task<> AnotherGeneration(Peer& peer) {
  Fault fault = At(How::kRst, Side::kHarness, "transport_hello");
  fault.generation = 2;
  co_await HelloInto(peer, std::move(fault));
}

TEST(Fault, CountsFramesOfItsKindAndGenerationOnly) {
  EXPECT_EQ(Play(&SecondOfItsKind, Direction::kHarnessToSubject).level, Level::kInconclusive);
  EXPECT_EQ(Play(&AnotherGeneration, Direction::kHarnessToSubject).level, Level::kInconclusive);
}

Task<> HalfClosed(Peer& peer) {
  Link* link = co_await peer.OpenLink(SessionOptions());
  peer.Arm(At(How::kHalfClose, Side::kHarness, "transport_hello"));
  peer.Send(*link, peer.TransportHello());
  const bool again = peer.Send(*link, peer.TransportHello());
  co_await peer.Require(!again && !link->end, kRule,
                        "nothing more is written, and reading goes on");
}

TEST(Fault, AHalfClosedLinkIsStillRead) {
  const Played played = Play(&HalfClosed, Direction::kHarnessToSubject);
  EXPECT_EQ(played.level, Level::kPass) << played.reason.text;
  size_t writes = 0, half_closes = 0;
  for (const Effect& effect : played.effects) {
    writes += effect.kind == EffectKind::kWrite;
    half_closes += effect.kind == EffectKind::kHalfClose;
  }
  EXPECT_EQ(writes, 1u);
  EXPECT_EQ(half_closes, 1u);
}

Task<> Killed(Peer& peer) {
  co_await HelloInto(peer, At(How::kKill, Side::kHarness, "transport_hello"));
  co_await peer.Until("the subject to be gone", [&peer] { return peer.subject_exited(); });
}

TEST(Fault, AKilledSubjectIsNoCrash) {
  const Played played = Play(&Killed, Direction::kHarnessToSubject);
  EXPECT_EQ(played.level, Level::kPass) << played.reason.text;
  EXPECT_TRUE(played.faults.at(0).fired);
}

// ---------------------------------------------------------------- faults that end nothing

template <How how>
Task<> PlainlyUnder(Peer& peer) {
  Fault fault = At(how, Side::kHarness, "transport_hello");
  if (how == How::kSplit) fault.offset = 3;
  if (how == How::kBitFlip) fault.offset = 35;
  co_await HelloInto(peer, std::move(fault));
}

size_t Count(const Played& played, EffectKind kind) {
  return static_cast<size_t>(
      std::count_if(played.effects.begin(), played.effects.end(),
                    [kind](const Effect& effect) { return effect.kind == kind; }));
}

std::string Written(const Played& played) {
  std::string bytes;
  for (const Effect& effect : played.effects) {
    if (effect.kind == EffectKind::kWrite) bytes += effect.bytes;
  }
  return bytes;
}

TEST(Fault, ASplitFrameIsWrittenInTwoAndWhole) {
  const Played whole = Play(&PlainlyUnder<How::kMerge>, Direction::kHarnessToSubject);
  const Played split = Play(&PlainlyUnder<How::kSplit>, Direction::kHarnessToSubject);
  EXPECT_EQ(split.level, Level::kPass) << split.reason.text;
  EXPECT_EQ(Count(split, EffectKind::kSplit), 1u);
  EXPECT_EQ(Count(split, EffectKind::kWrite), 2u);
  EXPECT_EQ(Written(split), Written(whole));
  EXPECT_EQ(Count(whole, EffectKind::kMerge), 1u);
  EXPECT_EQ(whole.faults.at(0).proof, "scripted");
}

TEST(Fault, AWrongBitIsOneBitAndTheLastThingSent) {
  const Played whole = Play(&PlainlyUnder<How::kMerge>, Direction::kHarnessToSubject);
  const Played wrong = Play(&PlainlyUnder<How::kBitFlip>, Direction::kHarnessToSubject);
  EXPECT_EQ(wrong.level, Level::kPass) << wrong.reason.text;
  std::string expected = Written(whole);
  expected[4] = static_cast<char>(expected[4] ^ 4);
  EXPECT_EQ(Written(wrong), expected);
}

TEST(Fault, AStoppedProcessAndAnUnreadLinkAreAskedForOnce) {
  const Played stopped = Play(&PlainlyUnder<How::kStop>, Direction::kHarnessToSubject);
  EXPECT_EQ(stopped.level, Level::kPass) << stopped.reason.text;
  EXPECT_EQ(Count(stopped, EffectKind::kStopProcess), 1u);
  const Played unread = Play(&PlainlyUnder<How::kStopReading>, Direction::kHarnessToSubject);
  EXPECT_EQ(unread.level, Level::kPass) << unread.reason.text;
  EXPECT_EQ(Count(unread, EffectKind::kStopReading), 1u);
}

// ---------------------------------------------------------------- proofs

TEST(Fault, OneThatNothingShowsIsNotGreen) {
  for (const auto& play :
       {&PlainlyUnder<How::kRst>, &PlainlyUnder<How::kFin>, &PlainlyUnder<How::kHalfClose>,
        &PlainlyUnder<How::kStop>, &PlainlyUnder<How::kStopReading>, &PlainlyUnder<How::kSplit>,
        &PlainlyUnder<How::kMerge>, &PlainlyUnder<How::kBitFlip>}) {
    for (const bool answered : {false, true}) {
      const Played played =
          Play(play, Direction::kHarnessToSubject, 0, answered ? Proof::kOfNoEffect : Proof::kNone);
      SCOPED_TRACE(peer::Name(played.faults.at(0).fault.how));
      EXPECT_EQ(played.level, Level::kInconclusive);
      EXPECT_EQ(played.reason.place, "unfired fault");
      EXPECT_TRUE(played.faults.at(0).fired);
      EXPECT_EQ(played.faults.at(0).proof, "");
    }
  }
}

// ---------------------------------------------------------------- a scenario's own mistake

// Where the subject accepts, its Call command may overtake LetsGo: always told, not by chance.
Task<> CallsOnWhatMayNotBeBound(Peer& peer) {
  peer::Session* session = peer.NewSession(SessionOptions());
  peer.StartCallBySubject(*session, "Echo", "", "early");
  peer.Judged(kRule);
  co_return;
}

TEST(ScriptedRun, ACallOnASessionThatMayNotBeBoundIsTheHarnesssError) {
  const Played played = Play(&CallsOnWhatMayNotBeBound, Direction::kHarnessToSubject);
  EXPECT_EQ(played.level, Level::kError);
  EXPECT_NE(played.reason.text.find("early"), std::string::npos) << played.reason.text;
  EXPECT_EQ(Play(&CallsOnWhatMayNotBeBound, Direction::kSubjectToHarness).level, Level::kPass);
}

}  // namespace
}  // namespace counterpart::scenarios
