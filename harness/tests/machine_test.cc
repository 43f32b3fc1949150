// The engine alone, with an observer that only counts.
#include "harness/machine/machine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "harness/machine/replay.h"

namespace counterpart::machine {
namespace {

using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;

struct World : Observer {
  int payloads = 0;
  bool open = true;
  std::vector<Finding> findings;
  Reading OnIngress(const Ingress& ingress, uint64_t) override {
    payloads += ingress.kind == IngressKind::kPayload;
    return {"in", ingress.bytes, ""};
  }
  void OnFinding(const Finding& finding) override { findings.push_back(finding); }
  bool OutsideOpen() const override { return open; }
};

Ingress Payload(std::string bytes) {
  return {.kind = IngressKind::kPayload, .id = 1, .bytes = std::move(bytes)};
}
Ingress Calm() { return {.kind = IngressKind::kQuiescent, .number = 1, .text = "calm"}; }

Task<> AskAndWait(Machine& m, World& world) {
  m.Choose(1000, "number");
  m.Request({.kind = EffectKind::kDial, .id = 1}, {"out", "dial", ""});
  Machine::Wait wait;
  wait.awaited = "a payload";
  wait.ready = [&world] { return world.payloads > 0; };
  wait.rule = "some.rule";
  co_await m.Await(std::move(wait));
  m.Request({.kind = EffectKind::kFin, .id = 1}, {"out", "fin", ""});
}

Task<> UntilCalm(Machine& m, Wake* wake) {
  Machine::Wait wait;
  wait.awaited = "calm";
  wait.ready = [] { return false; };
  wait.wake_when_quiescent = true;
  *wake = co_await m.Await(std::move(wait));
}

Task<> Ends(Machine& m, bool* went_on) {
  co_await m.End();
  *went_on = true;
}

struct Fixture {
  World world;
  Machine machine;
  explicit Fixture(uint64_t seed = 1) : machine(seed, [] { return uint64_t{0}; }) {
    machine.set_observer(&world);
    machine.AddRole("role", AskAndWait(machine, world));
  }
};

TEST(Machine, WaitsThenGoesOnThenIsDone) {
  Fixture f;
  EXPECT_TRUE(f.machine.TakeEffects().empty());
  EXPECT_EQ(f.machine.Run(), Step::kWaiting);
  ASSERT_EQ(f.machine.TakeEffects().size(), 1u);
  EXPECT_TRUE(f.machine.TakeEffects().empty());
  EXPECT_EQ(f.machine.Awaited(), std::vector<std::string>{"a payload"});
  f.machine.Ingest({Payload("x")});
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
  EXPECT_EQ(f.machine.TakeEffects()[0].kind, EffectKind::kFin);
  EXPECT_TRUE(f.world.findings.empty());
}

TEST(Machine, IsStuckWhenNothingOutsideIsOpen) {
  Fixture f;
  f.world.open = false;
  EXPECT_EQ(f.machine.Run(), Step::kStuck);
}

TEST(Machine, QuiescenceFailsWhatIsAwaitedByItsRule) {
  Fixture f;
  f.machine.Run();
  f.machine.Ingest({Calm()});
  ASSERT_EQ(f.world.findings.size(), 1u);
  EXPECT_EQ(f.world.findings[0].level, Level::kFail);
  EXPECT_EQ(f.world.findings[0].rule, "some.rule");
  EXPECT_EQ(f.world.findings[0].place, "a payload");
  EXPECT_TRUE(f.world.findings[0].stall);
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
}

TEST(Machine, AFrameBeforeQuiescenceInItsBatchBeatsIt) {
  Fixture f;
  f.machine.Run();
  f.machine.Ingest({Payload("x"), Calm()});
  EXPECT_TRUE(f.world.findings.empty());
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
}

TEST(Machine, TellsOfQuiescenceWhoAskedToBeTold) {
  World world;
  Machine machine(1, [] { return uint64_t{0}; });
  machine.set_observer(&world);
  Wake wake = Wake::kReady;
  machine.AddRole("role", UntilCalm(machine, &wake));
  machine.Run();
  machine.Ingest({Calm()});
  EXPECT_EQ(machine.Run(), Step::kAllDone);
  EXPECT_EQ(wake, Wake::kQuiescent);
  EXPECT_TRUE(world.findings.empty());
}

// An alternative: what arrives, or that nothing more does.
Task<> ArrivalOrCalm(Machine& m, World& world, std::vector<Wake>* wakes) {
  for (int i = 1; i <= 2; ++i) {
    Machine::Wait wait;
    wait.awaited = "a payload or calm";
    wait.ready = [&world, i] { return world.payloads >= i; };
    wait.wake_when_quiescent = true;
    wakes->push_back(co_await m.Await(std::move(wait)));
  }
}

struct Alternatives {
  World world;
  Machine machine{1, [] { return uint64_t{0}; }};
  std::vector<Wake> wakes;
  Alternatives() {
    machine.set_observer(&world);
    machine.AddRole("role", ArrivalOrCalm(machine, world, &wakes));
    machine.Run();
  }
};

TEST(Await, WhatHasArrivedBeatsWhatCanNoLonger) {
  for (const bool payload_first : {true, false}) {
    Alternatives a;
    a.machine.Ingest(payload_first ? std::vector<Ingress>{Payload("x"), Calm()}
                                   : std::vector<Ingress>{Calm(), Payload("x")});
    a.machine.Run();
    EXPECT_EQ(a.wakes, std::vector<Wake>{Wake::kReady});
    // Calm was of that round only: the next wait begins anew.
    EXPECT_EQ(a.machine.Awaited(), std::vector<std::string>{"a payload or calm"});
    a.machine.Ingest({Calm()});
    EXPECT_EQ(a.machine.Run(), Step::kAllDone);
    EXPECT_EQ(a.wakes, (std::vector<Wake>{Wake::kReady, Wake::kQuiescent}));
    EXPECT_TRUE(a.world.findings.empty());
  }
}

TEST(Await, OfWhatIsThereAlreadyStillEndsTheStep) {
  Alternatives a;
  a.machine.Ingest({Payload("x"), Payload("y")});
  EXPECT_EQ(a.machine.StepOnce(), Step::kContinue);
  EXPECT_EQ(a.wakes.size(), 1u);
  EXPECT_EQ(a.machine.StepOnce(), Step::kAllDone);
  EXPECT_EQ(a.wakes, (std::vector<Wake>{Wake::kReady, Wake::kReady}));
}

// One role that can go on keeps a stall of another from being called: it may bring what is awaited.
TEST(Await, CalmFailsNobodyWhileARoleGoesOn) {
  Fixture f;
  std::vector<Wake> wakes;
  f.machine.AddRole("second", ArrivalOrCalm(f.machine, f.world, &wakes));
  f.machine.Run();
  f.machine.Ingest({Calm()});
  f.machine.Run();
  EXPECT_TRUE(f.world.findings.empty());
  EXPECT_EQ(wakes, std::vector<Wake>{Wake::kQuiescent});
}

Task<> WaitsFor(Machine& m, std::chrono::microseconds horizon) {
  Machine::Wait wait;
  wait.awaited = "a delay";
  wait.ready = [] { return false; };
  wait.horizon = horizon;
  co_await m.Await(std::move(wait));
}

TEST(Await, TheHorizonIsTheLongestOfAll) {
  World world;
  Machine machine(1, [] { return uint64_t{0}; });
  machine.set_observer(&world);
  EXPECT_EQ(machine.horizon().count(), 0);
  machine.AddRole("short", WaitsFor(machine, std::chrono::microseconds(5)));
  machine.AddRole("long", WaitsFor(machine, std::chrono::microseconds(700)));
  machine.Run();
  EXPECT_EQ(machine.horizon().count(), 700);
}

TEST(Machine, ADaemonKeepsNothingGoing) {
  World world;
  Machine machine(1, [] { return uint64_t{0}; });
  machine.set_observer(&world);
  machine.AddRole("daemon", WaitsFor(machine, std::chrono::microseconds(0)), /*daemon=*/true);
  EXPECT_EQ(machine.Run(), Step::kAllDone);
  EXPECT_TRUE(machine.Awaited().empty());
  machine.Ingest({Calm()});
  EXPECT_TRUE(world.findings.empty());
}

Task<> WaitFor(Machine& m, std::string awaited) {
  Machine::Wait wait;
  wait.awaited = std::move(awaited);
  wait.ready = [] { return false; };
  co_await m.Await(std::move(wait));
}

// A role that comes later is there for what the others wait behind.
TEST(Machine, OfManyThatWaitInVainTheNewestIsNamed) {
  Fixture f;
  f.machine.AddRole("helper", WaitFor(f.machine, "help"));
  f.machine.Run();
  f.machine.Ingest({Calm()});
  ASSERT_EQ(f.world.findings.size(), 1u);
  EXPECT_EQ(f.world.findings[0].place, "help");
}

TEST(Machine, ARoleIsReplacedByItsName) {
  Fixture f;
  f.machine.AddRole("helper", WaitFor(f.machine, "help"));
  f.machine.Run();
  f.machine.Replace("helper", WaitFor(f.machine, "other help"));
  f.machine.Run();
  const std::vector<std::string> awaited = {"a payload", "other help"};
  EXPECT_EQ(f.machine.Awaited(), awaited);
}

TEST(Trace, TheFirstDifferenceIsNamedByItsEdge) {
  const auto trace_of = [](const std::vector<std::pair<std::string, std::string>>& entries) {
    Trace trace;
    for (const auto& [edge, label] : entries) {
      Entry entry{.kind = EntryKind::kNote};
      entry.reading.edge = edge;
      entry.reading.label = label;
      trace.Append(std::move(entry));
    }
    return trace;
  };
  const Trace one = trace_of({{"a", "1"}, {"b", "x"}, {"b", "y"}, {"a", "2"}, {"", "note"}});
  // Another interleaving of the same streams is the same.
  EXPECT_EQ(FirstDifference(one, trace_of({{"b", "x"}, {"a", "1"}, {"a", "2"}, {"b", "y"}})),
            std::nullopt);
  // The earliest of the first run, not the first edge by name.
  EXPECT_EQ(FirstDifference(one, trace_of({{"a", "1"}, {"a", "3"}, {"b", "x"}, {"b", "z"}})),
            "entry 2 of b: first \"y\", then \"z\"");
  EXPECT_EQ(FirstDifference(one, trace_of({{"a", "1"}, {"b", "x"}, {"b", "y"}})),
            "entry 2 of a: first \"2\", then nothing more");
  EXPECT_EQ(FirstDifference(
                one, trace_of({{"a", "1"}, {"b", "x"}, {"b", "y"}, {"a", "2"}, {"c", "new"}})),
            "entry 1 of c: first nothing more, then \"new\"");
}

TEST(Machine, ASubjectThatContradictsTheKernelBreaksARule) {
  Fixture f;
  f.machine.Run();
  Ingress contradicted;
  contradicted.kind = IngressKind::kContradicted;
  contradicted.text = "it says so, and it is not so";
  f.machine.Ingest({contradicted});
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
  ASSERT_EQ(f.world.findings.size(), 1u);
  EXPECT_EQ(f.world.findings[0].level, Level::kFail);
  EXPECT_EQ(f.world.findings[0].rule, "control.settle");
}

TEST(Machine, WhatCannotBeJudgedIsInconclusive) {
  Fixture f;
  f.machine.Run();
  Ingress unjudgeable;
  unjudgeable.kind = IngressKind::kUnjudgeable;
  unjudgeable.text = "no such kernel";
  f.machine.Ingest({unjudgeable});
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
  ASSERT_EQ(f.world.findings.size(), 1u);
  EXPECT_EQ(f.world.findings[0].level, Level::kInconclusive);
}

TEST(Machine, AFindingStopsTheRunAfterItsStep) {
  Fixture f;
  f.machine.Run();
  f.machine.TakeEffects();
  f.machine.Report({.level = Level::kFail, .rule = "some.rule", .text = "seen"});
  f.machine.Ingest({Payload("x")});
  EXPECT_EQ(f.machine.Run(), Step::kAllDone);
  EXPECT_TRUE(f.machine.TakeEffects().empty());
}

TEST(Machine, EndEndsARole) {
  World world;
  Machine machine(1, [] { return uint64_t{0}; });
  machine.set_observer(&world);
  bool went_on = false;
  machine.AddRole("role", Ends(machine, &went_on));
  EXPECT_EQ(machine.Run(), Step::kAllDone);
  EXPECT_FALSE(went_on);
}

TEST(Replay, ReproducesAndNamesTheFirstDifference) {
  Fixture live;
  live.machine.Run();
  live.machine.Ingest({Payload("x")});
  live.machine.Run();
  const auto recorded = live.machine.trace().entries();
  Fixture same;
  EXPECT_FALSE(RunReplay(same.machine, recorded));
  EXPECT_EQ(same.machine.trace().ExactHash(), live.machine.trace().ExactHash());
  auto changed = recorded;
  changed[2].ingress = Calm();  // choice, dial, then the payload
  Fixture other;
  const auto divergence = RunReplay(other.machine, changed);
  ASSERT_TRUE(divergence);
  EXPECT_EQ(divergence->entry, 3u);
  Fixture seeded(2);
  const auto choice = RunReplay(seeded.machine, recorded);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->entry, 0u);
}

TEST(Trace, CanonicalBytesComeBackAndNoShorterOnesDo) {
  Fixture f;
  f.machine.Run();
  f.machine.Ingest({Payload("xyz")});
  f.machine.Note("e", "label");
  for (const Entry& entry : f.machine.trace().entries()) {
    const std::string bytes = Canonical(entry);
    Entry back{};
    ASSERT_TRUE(DecodeCanonical(bytes, &back));
    EXPECT_EQ(Canonical(back), bytes);
    for (size_t size = 0; size < bytes.size(); ++size) {
      Entry cut{};
      EXPECT_FALSE(DecodeCanonical(bytes.substr(0, size), &cut)) << size;
    }
  }
}

TEST(Trace, NormalisedHashForgetsInterleavingOnly) {
  auto hash = [](std::vector<Reading> readings) {
    Trace trace;
    for (auto& reading : readings) {
      Entry entry{.kind = EntryKind::kNote};
      entry.reading = std::move(reading);
      trace.Append(std::move(entry));
    }
    return trace.NormalisedHash();
  };
  const Reading a1{"a", "1", ""}, a2{"a", "2", ""}, b1{"b", "1", ""};
  EXPECT_EQ(hash({a1, a2, b1}), hash({b1, a1, a2}));
  EXPECT_NE(hash({a1, a2, b1}), hash({a2, a1, b1}));
  EXPECT_NE(hash({a1, b1}), hash({a2, b1}));
}

// Two runs of one seed: in one the other side's FIN came just before ours, in the other after it.
TEST(Trace, NormalisedHashForgetsWhoClosedALinkFirstWhenBothDid) {
  const auto hash = [](bool theirs_on_1, bool ours_on_1) {
    Trace trace;
    const auto fin = [&trace](uint32_t link, bool ours) {
      Entry entry{.kind = ours ? EntryKind::kEffect : EntryKind::kIngress};
      (ours ? entry.effect.id : entry.ingress.id) = link;
      if (ours) entry.effect.kind = effects::EffectKind::kFin;
      if (!ours) entry.ingress.kind = effects::IngressKind::kEof;
      entry.reading.edge = "link" + std::to_string(link) + (ours ? ".out" : ".in");
      trace.Append(std::move(entry));
    };
    fin(2, true);
    if (theirs_on_1) fin(1, false);
    if (ours_on_1) fin(1, true);
    return trace.NormalisedHash();
  };
  EXPECT_EQ(hash(true, true), hash(false, true));
  EXPECT_NE(hash(true, false), hash(true, true));
  EXPECT_NE(hash(true, false), hash(false, false));
}

}  // namespace
}  // namespace counterpart::machine
