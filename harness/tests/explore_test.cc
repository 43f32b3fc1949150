// Plans as text, which plans there are, and how one is made smaller.
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/explore/enumerate.h"
#include "harness/explore/reduce.h"

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Moment;
using peer::Seat;
using peer::Side;

Moment Frame(Side from, uint32_t ordinal, const char* kind, uint32_t bytes = 10,
             uint32_t link = 1) {
  Moment moment;
  moment.from = from;
  moment.ordinal = ordinal;
  moment.kind = kind;
  moment.bytes = bytes;
  moment.generation = link;
  return moment;
}

// A prologue, and two messages each way.
std::vector<Moment> SixFrames() {
  return {Frame(Side::kHarness, 1, "transport_hello", 5),
          Frame(Side::kSubject, 1, "transport_accept"),
          Frame(Side::kHarness, 2, "request", 7),
          Frame(Side::kSubject, 2, "response"),
          Frame(Side::kHarness, 3, "ping", 4),
          Frame(Side::kSubject, 3, "pong")};
}

std::vector<std::string> Texts(const Plan& plan) {
  std::vector<std::string> texts;
  for (const Fault& fault : plan) texts.push_back(ToText(fault));
  return texts;
}

TEST(PlanText, IsReadBackAsItWasWritten) {
  for (const char* text : {"rst after frame 7 of the subject on link 1",
                           "fin 5 bytes into frame 3 of the harness on link 2",
                           "half_close after frame 1 of the harness on link 12",
                           "sigkill 5 bytes into frame 3 of the harness on link 1",
                           "sigstop after frame 2 of the subject on link 1",
                           "stop_reading after frame 2 of the harness on link 1",
                           "listener_down after frame 2 of the harness on link 1",
                           "split 4 bytes into frame 3 of the harness on link 1",
                           "merge after frame 3 of the harness on link 1",
                           "bit_flip at bit 37 of frame 3 of the harness on link 1",
                           "rst after frame 7 of the server on link 1",
                           "fin 5 bytes into frame 3 of the client on link 2",
                           "rst instead of frame 3 of the client on link 1"}) {
    Result<Fault> fault = ParseFault(text);
    ASSERT_TRUE(fault.ok()) << fault.error().message;
    EXPECT_EQ(ToText(*fault), text);
  }
}

TEST(PlanText, RefusesWhatIsNoFaultAndSaysWhatIs) {
  for (const char* text :
       {"", "rst", "burn after frame 1 of the harness on link 1",
        "rst after frame 0 of the harness on link 1", "rst after frame x of the harness on link 1",
        "rst after frame 1 of the weather on link 1",
        "rst after frame 1 of the harness on link 1 !",
        "rst 5 bytes into frame 1 of the subject on link 1",
        "split after frame 1 of the harness on link 1",
        "merge 5 bytes into frame 1 of the harness on link 1",
        "merge after frame 1 of the subject on link 1",
        "sigstop 5 bytes into frame 1 of the harness on link 1",
        "bit_flip 5 bytes into frame 1 of the harness on link 1",
        "bit_flip at bit 5 of frame 1 of the subject on link 1",
        "rst instead of frame 1 of the harness on link 1",
        "rst 0 bytes into frame 1 of the client on link 1",
        "split 3 bytes into frame 1 of the client on link 1"}) {
    Result<Fault> fault = ParseFault(text);
    ASSERT_FALSE(fault.ok()) << text;
    EXPECT_NE(fault.error().message.find("rst after frame 7 of the subject"), std::string::npos);
  }
}

TEST(Enumerate, CutsAfterEveryFrameByEveryFault) {
  const std::vector<Plan> plans = Enumerate(SixFrames(), Options());
  ASSERT_EQ(plans.size(), 12u);
  EXPECT_EQ(Texts(plans[0])[0], "rst after frame 1 of the harness on link 1");
  EXPECT_EQ(Texts(plans[1])[0], "fin after frame 1 of the harness on link 1");
  EXPECT_EQ(Texts(plans[11])[0], "fin after frame 3 of the subject on link 1");
}

TEST(Enumerate, CutsInsideOnlyWhatTheHarnessSends) {
  Options options;
  options.cuts = Cuts::kBytes;
  options.faults = {How::kRst};
  options.messages_by_byte = 1;
  const std::vector<Plan> plans = Enumerate(SixFrames(), options);
  // 4 inside the prologue, 6 inside the first message, none inside the second; and 6 boundaries.
  EXPECT_EQ(plans.size(), 4u + 6u + 6u);
  for (const Plan& plan : plans) {
    EXPECT_FALSE(plan[0].offset && plan[0].from == Side::kSubject);
    EXPECT_FALSE(plan[0].offset && plan[0].ordinal == 3);
  }
}

// What a subject has sent is passed on whole, in part, or not at all.
TEST(Enumerate, CutsBetweenTwoSubjectsAfterAndInsteadOfEveryFrame) {
  std::vector<Moment> frames = {Frame(Side::kSubject, 1, "hello", 3),
                                Frame(Side::kSubject, 1, "hello_yourself", 3)};
  frames[0].seat = Seat::kClient;
  frames[1].seat = Seat::kServer;
  Options options;
  options.faults = {How::kRst, How::kSplit};
  std::vector<std::string> texts;
  for (const Plan& plan : Enumerate(frames, options)) texts.push_back(Texts(plan)[0]);
  EXPECT_EQ(texts, (std::vector<std::string>{"rst instead of frame 1 of the client on link 1",
                                             "rst after frame 1 of the client on link 1",
                                             "rst instead of frame 1 of the server on link 1",
                                             "rst after frame 1 of the server on link 1"}));
  options.cuts = Cuts::kBytes;
  EXPECT_EQ(Enumerate(frames, options).size(), 4u + 2u * 2u);
  options.cuts = Cuts::kFrames;
  options.pairs = true;
  for (const Plan& plan : Enumerate(frames, options)) {
    ASSERT_EQ(plan.size(), 2u);
    EXPECT_TRUE(plan[1].seat.has_value());
    EXPECT_TRUE(ParseFault(ToText(plan[1])).ok()) << ToText(plan[1]);
  }
}

TEST(Enumerate, DoesEachFaultWhereItCanBeDone) {
  const auto count = [](How how) {
    Options options;
    options.faults = {how};
    const std::vector<Plan> plans = Enumerate(SixFrames(), options);
    for (const Plan& plan : plans) {
      const Result<Fault> again = ParseFault(ToText(plan[0]));
      EXPECT_TRUE(again.ok()) << ToText(plan[0]);
    }
    return plans.size();
  };
  for (const How how : {How::kStop, How::kStopReading, How::kKill, How::kListenerDown}) {
    EXPECT_EQ(count(how), 6u) << peer::Name(how);  // after each frame
  }
  EXPECT_EQ(count(How::kMerge), 3u);  // after those of the harness
  // Frames of 5, 7 and 4 bytes: in the length field, behind it, and before the last byte.
  EXPECT_EQ(count(How::kSplit), 2u + 3u + 1u);
  // Four bits of each length; of a body the first, one in the middle and the last.
  EXPECT_EQ(count(How::kBitFlip), (4u + 1u) + (4u + 3u) + 4u);
}

TEST(Enumerate, FlipsABitOfEveryByteIfBytesAreAskedFor) {
  Options options;
  options.cuts = Cuts::kBytes;
  options.faults = {How::kBitFlip};
  options.messages_by_byte = 0;
  // Bytes 2 to 5 of the prologue, besides the bits of each frame.
  EXPECT_EQ(Enumerate(SixFrames(), options).size(), 4u + 5u + 7u + 4u);
}

TEST(Enumerate, PairsEveryCutWithOneInTheResumeThatFollows) {
  Options options;
  options.pairs = true;
  options.faults = {How::kFin};
  const std::vector<Plan> plans = Enumerate(SixFrames(), options);
  EXPECT_EQ(plans.size(), 6u * 12u);
  for (const Plan& plan : plans) {
    ASSERT_EQ(plan.size(), 2u);
    EXPECT_EQ(plan[1].generation, plan[0].generation + 1);
  }
}

TEST(Enumerate, DrawsAsManyDifferentPlansAsAskedAndTheSameForOneSeed) {
  Options options;
  options.sample = 20;
  options.depth = 3;
  options.seed = 7;
  const std::vector<Plan> plans = Enumerate(SixFrames(), options);
  ASSERT_EQ(plans.size(), 20u);
  std::vector<std::vector<std::string>> texts, again;
  for (const Plan& plan : plans) texts.push_back(Texts(plan));
  for (const Plan& plan : Enumerate(SixFrames(), options)) again.push_back(Texts(plan));
  EXPECT_EQ(texts, again);
  std::sort(texts.begin(), texts.end());
  EXPECT_EQ(std::unique(texts.begin(), texts.end()), texts.end());
  for (const Plan& plan : plans) EXPECT_EQ(plan.size(), 3u);
  options.seed = 8;
  EXPECT_NE(Texts(Enumerate(SixFrames(), options)[0]), again[0]);
}

TEST(Enumerate, OfASmallSpaceDrawsWhatThereIs) {
  Options options;
  options.sample = 1000;
  EXPECT_EQ(Enumerate(SixFrames(), options).size(), 12u);
  EXPECT_TRUE(Enumerate({}, options).empty());
}

TEST(Chance, IsOneOverTheSpaceAndSaysHowManyRunsThatTakes) {
  Options options;
  options.faults = {How::kRst, How::kFin};
  const Chance one = ChanceOf(10, options);
  EXPECT_DOUBLE_EQ(one.least, 1.0 / 20);
  EXPECT_EQ(one.runs_for_95, 59u);  // 0.95^58 > 0.05 > 0.95^59
  options.depth = 2;
  EXPECT_DOUBLE_EQ(ChanceOf(10, options).least, 1.0 / 20 / 24);
}

// Which plans fail, as a rule over their first fault.
TEST(Reduce, FindsTheEarliestFrameThatStillFails) {
  const Plan plan = {*ParseFault("fin 3 bytes into frame 3 of the harness on link 1"),
                     *ParseFault("fin after frame 2 of the subject on link 2")};
  uint32_t asked = 0;
  const Plan smallest = Reduce(plan, SixFrames(), [&asked](const Plan& candidate) {
    ++asked;
    // Any cut from the response on shows it.
    const Fault& fault = candidate[0];
    return fault.generation == 1 &&
           (fault.ordinal == 3 || (fault.ordinal == 2 && fault.from == Side::kSubject));
  });
  EXPECT_EQ(Texts(smallest),
            std::vector<std::string>{"rst after frame 2 of the subject on link 1"});
  EXPECT_LT(asked, 40u);
}

TEST(Reduce, KeepsAFaultWhereItCanBeDone) {
  const Plan plan = {*ParseFault("split 3 bytes into frame 3 of the harness on link 1")};
  const Plan smallest = Reduce(plan, SixFrames(), [](const Plan& candidate) {
    EXPECT_TRUE(ParseFault(ToText(candidate[0])).ok()) << ToText(candidate[0]);
    return candidate[0].how == How::kSplit && candidate[0].ordinal >= 2;
  });
  EXPECT_EQ(Texts(smallest),
            std::vector<std::string>{"split 1 bytes into frame 2 of the harness on link 1"});
}

TEST(Reduce, BetweenTwoSubjectsPassesNothingOnRatherThanAPart) {
  const Plan plan = {*ParseFault("fin 3 bytes into frame 2 of the client on link 1")};
  const Plan smallest = Reduce(plan, {}, [](const Plan& candidate) {
    EXPECT_TRUE(ParseFault(ToText(candidate[0])).ok()) << ToText(candidate[0]);
    return candidate[0].offset.has_value();  // where the frame gets through nothing is wrong
  });
  EXPECT_EQ(Texts(smallest),
            std::vector<std::string>{"rst instead of frame 2 of the client on link 1"});
}

TEST(Reduce, KeepsBothFaultsOfABugThatNeedsBoth) {
  const Plan plan = {*ParseFault("rst after frame 3 of the subject on link 1"),
                     *ParseFault("rst after frame 4 of the harness on link 2")};
  const Plan smallest = Reduce(plan, SixFrames(), [](const Plan& candidate) {
    return candidate.size() == 2 && candidate[1].ordinal >= 2;
  });
  EXPECT_EQ(Texts(smallest),
            (std::vector<std::string>{"rst after frame 1 of the harness on link 1",
                                      "rst after frame 2 of the harness on link 2"}));
}

TEST(Reduce, LeavesAPlanOfWhichNothingSmallerFails) {
  const Plan plan = {*ParseFault("fin 3 bytes into frame 2 of the harness on link 1")};
  const Plan smallest = Reduce(plan, SixFrames(), [](const Plan&) { return false; });
  EXPECT_EQ(Texts(smallest), Texts(plan));
}

}  // namespace
}  // namespace counterpart::explore
