// The model of the random walk: what it says is legal, and that it gets everywhere.
#include "harness/scenarios/walk_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace counterpart::scenarios::walk {
namespace {

// Numbers of a seed, the same everywhere.
Model::Chooser Seeded(uint64_t seed) {
  return [state = seed * 2 + 1](uint64_t n, const char*) mutable {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
}

Errand Of(const char* method, const char* name) {
  Errand errand;
  errand.method = peer::FindMethod(method);
  errand.name = name;
  errand.gate = true;
  return errand;
}

std::set<Act> ActsOn(const Model& model, size_t call) {
  std::set<Act> acts;
  for (const Weighted& each : model.Enabled()) {
    EXPECT_GT(each.weight, 0u);
    const Act act = each.action.act;
    if (act != Act::kCall && act < Act::kPing && each.action.call == call) acts.insert(act);
  }
  return acts;
}

bool Has(const Model& model, Act act) {
  const auto all = model.Enabled();
  return std::any_of(all.begin(), all.end(), [act](const auto& e) { return e.action.act == act; });
}

Action Do(Act act, size_t call = 0, uint32_t field = 0, uint32_t amount = 0) {
  return {act, call, field, amount};
}

TEST(WalkModel, ASendingEndGoesByItsTableAndItsCredit) {
  Model model(/*harness_calls=*/true);
  const Errand sum = Of("Sum", "sum");
  model.Apply(Do(Act::kCall), &sum);
  EXPECT_EQ(ActsOn(model, 0),
            (std::set<Act>{Act::kRelease, Act::kCancel, Act::kSend, Act::kClose}));
  for (int i = 0; i < 8; ++i) model.Apply(Do(Act::kSend, 0, 3, 2));
  EXPECT_FALSE(ActsOn(model, 0).contains(Act::kSend));  // sixteen to begin with
  SeenChannel seen;
  seen.field = 3;
  seen.credit = 1;
  model.SeeChannel(0, seen);
  EXPECT_TRUE(ActsOn(model, 0).contains(Act::kSend));
  model.Apply(Do(Act::kClose, 0, 3));
  EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kRelease, Act::kCancel}));
}

TEST(WalkModel, AReceivingEndTakesWhatHasArrivedAndIsSilentAfterTheClose) {
  Model model(/*harness_calls=*/true);
  const Errand generate = Of("Generate", "generate");
  model.Apply(Do(Act::kCall), &generate);
  EXPECT_FALSE(ActsOn(model, 0).contains(Act::kTake));
  SeenChannel seen;
  seen.field = 3;
  seen.available = 2;
  model.SeeChannel(0, seen);
  EXPECT_EQ(ActsOn(model, 0),
            (std::set<Act>{Act::kRelease, Act::kCancel, Act::kTake, Act::kGrant, Act::kReset}));
  seen.closed = true;
  model.SeeChannel(0, seen);
  EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kRelease, Act::kCancel, Act::kTake}));
}

TEST(WalkModel, AfterAResetNothingIsLeftToDoWithAnEnd) {
  for (const char* method : {"Sum", "Generate"}) {
    Model model(/*harness_calls=*/true);
    const Errand errand = Of(method, "call");
    model.Apply(Do(Act::kCall), &errand);
    SeenChannel seen;
    seen.field = 3;
    seen.credit = 4;
    seen.reset = errand.method->channels.front().to_callee;
    if (!seen.reset) model.Apply(Do(Act::kReset, 0, 3));
    model.SeeChannel(0, seen);
    EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kRelease, Act::kCancel})) << method;
  }
}

TEST(WalkModel, WithoutAnAttachmentNothingIsSaidOnIt) {
  for (const bool harness_calls : {true, false}) {
    Model model(harness_calls);
    const Errand transform = Of("Transform", "call");
    model.Apply(Do(Act::kCall), &transform);
    model.SeeCall(0, true, false, false);
    model.Apply(Do(Act::kCutRst));
    EXPECT_FALSE(model.attached());
    for (const Act act : ActsOn(model, 0)) {
      EXPECT_TRUE(act == Act::kRelease || (act == Act::kCancel && !harness_calls)) << Name(act);
    }
    EXPECT_TRUE(Has(model, Act::kResume));
    EXPECT_FALSE(Has(model, Act::kCutFin));
    EXPECT_FALSE(Has(model, Act::kPing));
    EXPECT_EQ(Has(model, Act::kCall), !harness_calls);
    model.Apply(Do(Act::kResume));
    EXPECT_FALSE(ActsOn(model, 0).contains(Act::kSend));  // of the older attachment
    model.SeeAttempt(0);
    EXPECT_TRUE(ActsOn(model, 0).contains(Act::kSend));
  }
}

TEST(WalkModel, OnlyWhatHasArrivedIsAnswered) {
  Model model(/*harness_calls=*/false);
  const Errand echo = Of("Echo", "echo");
  model.Apply(Do(Act::kCall), &echo);
  EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kCancel}));
  model.SeeCall(0, true, false, false);
  EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kCancel, Act::kAnswer, Act::kAnswerErr}));
  model.Apply(Do(Act::kCancel, 0));
  EXPECT_EQ(ActsOn(model, 0), (std::set<Act>{Act::kAnswer}));
  model.Apply(Do(Act::kAnswer, 0));
  EXPECT_EQ(ActsOn(model, 0), std::set<Act>{});
  EXPECT_EQ(model.moments().count("a cancel that raced a response"), 1u);
}

// A walk in which both sides do at once what they are asked: the same by seed, never stuck, and in
// the end everything has been met.
struct Walked {
  std::string text;
  std::set<std::string> moments;
  std::set<Act> acts;
};

Walked WalkOf(bool harness_calls, uint64_t seed) {
  Model model(harness_calls);
  const auto choose = Seeded(seed);
  Walked walked;
  for (int step = 0; step < 60; ++step) {
    const Action action = model.Draw(choose);
    Errand errand;
    if (action.act == Act::kCall) errand = model.DrawErrand(choose);
    model.Apply(action, &errand);
    walked.text += action.Text() + "\n";
    walked.acts.insert(action.act);
    if (action.act != Act::kRest || !model.attached()) continue;
    for (size_t i = 0; i < model.calls().size(); ++i) {
      const Call& call = model.calls()[i];
      const bool again = !call.arrived;
      model.SeeCall(i, true, call.answered || call.released, call.over);
      if (again && step > 20) model.SeeAttempt(i);
      for (const Channel& channel : std::vector<Channel>(call.channels)) {
        SeenChannel seen;
        seen.field = channel.field;
        seen.credit = channel.credit + 2;
        seen.available = channel.harness_sends ? 0 : channel.available + 1;
        model.SeeChannel(i, seen);
      }
    }
  }
  walked.moments = model.moments();
  return walked;
}

TEST(WalkModel, IsTheSameBySeedAndMeetsEverything) {
  for (const bool harness_calls : {true, false}) {
    const auto all = AllMoments(harness_calls);
    std::set<std::string> missing(all.begin(), all.end());
    std::set<Act> acts;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      const Walked walked = WalkOf(harness_calls, seed);
      EXPECT_EQ(walked.text, WalkOf(harness_calls, seed).text);
      for (const std::string& moment : walked.moments) missing.erase(moment);
      acts.insert(walked.acts.begin(), walked.acts.end());
    }
    EXPECT_EQ(missing, std::set<std::string>());
    // What only an application does, or only a gate, is of one direction.
    EXPECT_EQ(acts.contains(Act::kAppSend), !harness_calls);
    EXPECT_EQ(acts.contains(Act::kAnswer), !harness_calls);
    EXPECT_EQ(acts.contains(Act::kRelease), harness_calls);
    EXPECT_GE(acts.size(), harness_calls ? 14u : 20u);
  }
}

TEST(WalkModel, ArgumentsSayWhatTheErrandIs) {
  Errand errand = Of("Generate", "a name");
  errand.first = 100;
  errand.before = 2;
  errand.after = 1;
  errand.fail = true;
  testbed::v1::GenerateRequest request;
  ASSERT_TRUE(request.ParseFromString(errand.Arguments()));
  ASSERT_EQ(request.program().steps_size(), 4);
  EXPECT_EQ(request.program().steps(0).emit().count(), 2u);
  EXPECT_EQ(request.program().steps(1).wait().gate(), "a name");
  EXPECT_EQ(request.program().steps(2).emit().first(), 102u);
  EXPECT_EQ(request.program().steps(3).fail().code(), 7u);
  EXPECT_EQ(errand.Stream(), (std::vector<uint64_t>{100, 101, 102}));
}

}  // namespace
}  // namespace counterpart::scenarios::walk
