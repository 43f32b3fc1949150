// The check for calm against witnesses that say what a test tells them, on a clock of its own.
#include "harness/effects/calm_check.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "counterpart/control/v1/control.pb.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kSpan = 60s;

KernelView AtRest() {
  return {.state = KernelView::State::kQuiescent, .tier = 1, .evidence = "all asleep"};
}
KernelView Busy(microseconds retry_after = 1ms) { return {.retry_after = retry_after}; }

class CalmCheckTest : public testing::Test, protected CalmCheck::Scene {
 protected:
  struct Said {
    uint64_t accepted = 2, answered = 2, journal = 7;
    uint32_t runnable = 0;
    std::string timer = {};
    uint64_t due_ms = 0;
    bool periodic = false;
  };
  static ControlCompletion AnswerOf(const Said& said) {
    control::v1::ControlReply reply;
    control::v1::SettleResponse& settle = *reply.mutable_settle();
    settle.set_accepted(said.accepted);
    settle.set_answered(said.answered);
    settle.set_journal_seq(said.journal);
    settle.set_runnable(said.runnable);
    if (!said.timer.empty()) {
      control::v1::PendingTimer& timer = *settle.add_timers();
      timer.set_name(said.timer);
      timer.set_due_ms(said.due_ms);
      timer.set_periodic(said.periodic);
    }
    return {.answered = true, .reply = reply.SerializeAsString()};
  }

  // What one look takes in: whatever is open is answered at once, unless the test holds answers.
  bool TakeIn(microseconds limit) override {
    now_ += limit;
    if (open_ > 0 && (!holds_answers_ || now_ >= answers_from_)) {
      --open_;
      ControlCompletion answer = AnswerOf({});
      if (!answers_.empty()) {
        answer = answers_.front();
        if (answers_.size() > 1) answers_.pop_front();  // the last one is said again and again
      }
      check_.OnCompletion();
      check_.OnSettle(answer);
    }
    return std::exchange(arrived_, false);
  }
  KernelView AskKernel(microseconds, Certainty certainty, bool* delivered) override {
    steps_.push_back(certainty == Certainty::kSustained ? "kernel, sustained" : "kernel");
    if (delivered != nullptr) *delivered = delivered_;
    KernelView view = views_.empty() ? AtRest() : views_.front();
    if (views_.size() > 1) views_.pop_front();
    if (arrives_at_look_ > 0 && --arrives_at_look_ == 0) arrived_ = true;
    return view;
  }
  void AskSettle() override {
    steps_.push_back("settle");
    ++open_;
  }
  Commands commands() const override { return commands_; }
  bool asks_directly() const override { return directly_; }
  const std::string& subject_name() const override { return name_; }
  CalmCheck::TimePoint Now() const override { return now_; }

  Calm Check(microseconds horizon = 0us, Certainty certainty = Certainty::kSustained) {
    return check_.Check(horizon, certainty);
  }
  // How many checks there are until one commits itself, that one among them; of `most`.
  int ChecksUntilCommitted(int most, Calm* calm) {
    for (int checks = 1; checks <= most; ++checks) {
      *calm = Check();
      if (calm->state != Calm::State::kNo) return checks;
    }
    return most + 1;
  }

  const std::string name_ = "played";
  Commands commands_{.sent = 2, .answered = 2};
  CalmCheck::TimePoint now_{};
  std::deque<ControlCompletion> answers_;  // to Settle; none: that all agrees
  std::deque<KernelView> views_;           // of the kernel; none: at rest
  bool delivered_ = true, directly_ = true;
  bool holds_answers_ = false;  // until `answers_from_`
  CalmCheck::TimePoint answers_from_ = CalmCheck::TimePoint::max();
  bool arrived_ = false;
  int arrives_at_look_ = 0;  // something arrives with so many looks at the kernel
  int open_ = 0;
  std::vector<std::string> steps_;
  CalmCheck check_{this, kSpan};
};

TEST_F(CalmCheckTest, IsTwoWavesAroundASnapshot) {
  const Calm calm = Check(0us, Certainty::kOneLook);
  EXPECT_EQ(calm.state, Calm::State::kQuiescent);
  EXPECT_EQ(calm.tier, 1);
  EXPECT_EQ(calm.evidence,
            "all asleep; settled twice: 2 commands taken in, 2 answered, journal at 7");
  EXPECT_EQ(std::exchange(steps_, {}), (std::vector<std::string>{"settle", "kernel", "settle"}));
  Check(0us, Certainty::kSustained);  // a verdict that fails something rests on the stricter look
  EXPECT_EQ(steps_, (std::vector<std::string>{"settle", "kernel, sustained", "settle"}));
}

TEST_F(CalmCheckTest, WhatHappensBetweenTheWavesIsNoCalm) {
  for (const Said& second :
       {Said{.accepted = 3}, Said{.answered = 1}, Said{.journal = 8}, Said{.runnable = 1}}) {
    answers_ = {AnswerOf({}), AnswerOf(second)};
    EXPECT_EQ(Check().state, Calm::State::kNo);
  }
}

TEST_F(CalmCheckTest, WhatArrivesMeanwhileIsNoCalm) {
  arrived_ = true;  // with the first wave
  EXPECT_EQ(Check().state, Calm::State::kNo);
  views_ = {Busy(), AtRest()};
  arrives_at_look_ = 1;  // while the snapshot waits for rest
  EXPECT_EQ(Check().state, Calm::State::kNo);
  views_ = {AtRest()};
  commands_ = {};
  answers_ = {AnswerOf({.accepted = 0, .answered = 0, .journal = 0})};
  arrives_at_look_ = 1;  // with the second wave
  EXPECT_EQ(Check().state, Calm::State::kNo);
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, WhatTheWaveSetInMotionComesToRestFirst) {
  views_ = {Busy(), Busy(), Busy(), AtRest()};
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, GivesTheThreadBackForWhatTakesLong) {
  views_ = {Busy(1s)};
  EXPECT_EQ(Check().retry_after, 1s);
  views_ = {Busy(1ms)};
  const CalmCheck::TimePoint began = now_;
  EXPECT_EQ(Check().state, Calm::State::kNo);
  EXPECT_LT(now_ - began, 1s);
}

// ---------------------------------------------------------------- timers that the subject names

TEST_F(CalmCheckTest, ATimerThatTheSubjectNamesIsAwaited) {
  answers_ = {AnswerOf({.timer = "redial", .due_ms = 30})};
  EXPECT_EQ(Check(1s).retry_after, 30ms);
  EXPECT_EQ(Check(29ms).state, Calm::State::kQuiescent) << "it is due beyond the horizon";
  answers_ = {AnswerOf({.timer = "keep-alive", .due_ms = 30, .periodic = true})};
  EXPECT_EQ(Check(1s).state, Calm::State::kQuiescent) << "it never ends";
}

// ---------------------------------------------------------------- the witnesses disagree

TEST_F(CalmCheckTest, EqualAnswersAroundInstantsOfRestConvict) {
  answers_ = {AnswerOf({.runnable = 2})};
  Calm calm;
  EXPECT_EQ(ChecksUntilCommitted(1000, &calm), kAgreeingAnswers + 1);
  EXPECT_EQ(calm.state, Calm::State::kContradicted);
  EXPECT_EQ(calm.evidence,
            "the subject says that 2 units of work are runnable, and said so again after each of "
            "20 instants at which it was at rest, the last one with all asleep");
}

TEST_F(CalmCheckTest, SoDoCountsThatAreNotOurs) {
  answers_ = {AnswerOf({.accepted = 1})};
  Calm calm;
  EXPECT_EQ(ChecksUntilCommitted(1000, &calm), kAgreeingAnswers + 1);
  EXPECT_TRUE(calm.evidence.starts_with(
      "the subject counts 1 commands and 2 answers, the harness 2 and 2, and said so again"))
      << calm.evidence;
}

// Work that an answer itself sets in motion now and then is no fault.
TEST_F(CalmCheckTest, AnotherAnswerBeginsTheCountAnew) {
  Calm calm;
  for (uint64_t round = 0; round < 10; ++round) {
    answers_ = {AnswerOf({.journal = 7 + round, .runnable = 2})};
    EXPECT_EQ(ChecksUntilCommitted(kAgreeingAnswers, &calm), kAgreeingAnswers + 1) << round;
  }
  answers_.clear();
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, SoDoesAnythingThatIsSentOrComes) {
  answers_ = {AnswerOf({.runnable = 2})};
  Calm calm;
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(ChecksUntilCommitted(kAgreeingAnswers, &calm), kAgreeingAnswers + 1) << round;
    check_.OnActivity();
  }
}

TEST_F(CalmCheckTest, SoDoesAnAnswerThatAgrees) {
  Calm calm;
  for (int round = 0; round < 10; ++round) {
    answers_ = {AnswerOf({.runnable = 2})};
    EXPECT_EQ(ChecksUntilCommitted(kAgreeingAnswers, &calm), kAgreeingAnswers + 1) << round;
    answers_.clear();
    EXPECT_EQ(Check().state, Calm::State::kQuiescent);
  }
}

// Only what was seen of its threads, with nothing on its way, is an instant of rest.
TEST_F(CalmCheckTest, NoRestNoConviction) {
  answers_ = {AnswerOf({.runnable = 2})};
  Calm calm;
  views_ = {Busy(1s)};
  EXPECT_EQ(ChecksUntilCommitted(100, &calm), 101) << "it is at work";
  views_ = {AtRest()};
  delivered_ = false;
  EXPECT_EQ(ChecksUntilCommitted(100, &calm), 101) << "an answer may be on its way";
  delivered_ = true;
  views_.front().tier = 3;
  EXPECT_EQ(ChecksUntilCommitted(100, &calm), 101) << "a timer may have woken it between";
}

TEST_F(CalmCheckTest, WhoeverGivesUpNamesTheDisagreement) {
  views_ = {{.state = KernelView::State::kUnjudgeable, .evidence = "runaway: never at rest"}};
  const Calm calm = Check();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_EQ(calm.evidence,
            "runaway: never at rest; the witnesses disagree: its Settle says that nothing is "
            "runnable");
}

// ---------------------------------------------------------------- a Settle that is not answered

TEST_F(CalmCheckTest, ASettleThatIsNotAnsweredAtRestIsAStall) {
  holds_answers_ = true;
  const Calm calm = Check();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_EQ(calm.evidence, "stalled: the subject is idle and has not answered Settle; all asleep");
}

TEST_F(CalmCheckTest, OneThatIsNotAnsweredAtWorkIsNone) {
  holds_answers_ = true;
  answers_from_ = now_ + 10 * kSpan;
  views_ = {Busy()};
  EXPECT_EQ(Check().state, Calm::State::kNo);
  EXPECT_GE(now_, answers_from_);
  views_ = {AtRest()};
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, ThreadsOfGrpcsLookForWorkOnceASecond) {
  directly_ = false;
  holds_answers_ = true;
  answers_from_ = now_ + 2s;
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, AnAnswerThatMayBeOnItsWayIsAwaitedForTheWatchdogsSpan) {
  delivered_ = false;
  holds_answers_ = true;
  answers_from_ = now_ + kSpan - 1s;
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
  answers_from_ = now_ + 2 * kSpan;
  EXPECT_EQ(Check().state, Calm::State::kUnjudgeable);
}

// By silence alone nothing is known of where the question is.
TEST_F(CalmCheckTest, SoIsOneOfASubjectWhoseThreadsCannotBeSeen) {
  views_ = {AtRest()};
  views_.front().needs_settle = true;
  holds_answers_ = true;
  answers_from_ = now_ + kSpan - 1s;
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, AnAnswerOfAnEarlierCheckIsNotTakenForOneOfThis) {
  holds_answers_ = true;
  arrived_ = true;
  EXPECT_EQ(Check().state, Calm::State::kNo);  // its Settle stays open
  holds_answers_ = false;
  answers_ = {AnswerOf({.accepted = 1}), AnswerOf({})};
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
  EXPECT_EQ(std::count(steps_.begin(), steps_.end(), "settle"), 3);
}

TEST_F(CalmCheckTest, NoneIsOpenInANewIncarnation) {
  holds_answers_ = true;
  arrived_ = true;
  Check();
  open_ = 0;  // it went with the process
  holds_answers_ = false;
  check_.OnStarted();
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, OneThatHasLapsedCannotBeJudged) {
  answers_ = {{.failure = "CANCELLED", .lapsed = true}};
  const Calm calm = Check();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_TRUE(calm.evidence.starts_with("starved: ")) << calm.evidence;
}

// ---------------------------------------------------------------- a subject without Settle

TEST_F(CalmCheckTest, WithoutSettleItIsTheKernelsWordAlone) {
  answers_ = {{.failure = "UNIMPLEMENTED"}};
  const Calm calm = Check();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent);
  EXPECT_EQ(calm.evidence,
            "all asleep; no Settle: UNIMPLEMENTED, so this is the kernel's word alone");
}

TEST_F(CalmCheckTest, AnAnswerToSomethingElseIsNoSettle) {
  control::v1::ControlReply reply;
  reply.mutable_reset();
  answers_ = {{.answered = true, .reply = reply.SerializeAsString()}};
  EXPECT_TRUE(Check().evidence.ends_with(
      "no Settle: an answer to something else, so this is the kernel's word alone"));
}

TEST_F(CalmCheckTest, WithNeitherWitnessNothingIsKnown) {
  answers_ = {{.failure = "UNIMPLEMENTED"}};
  views_ = {AtRest()};
  views_.front().needs_settle = true;
  const Calm calm = Check();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_EQ(calm.evidence,
            "stalled: all asleep; and the subject itself says nothing, no Settle: UNIMPLEMENTED");
}

// ---------------------------------------------------------------- what an idle subject owes

TEST_F(CalmCheckTest, WhatIsOwedIsAStallOnceItIsDeliveredAndAllIsAtRest) {
  EXPECT_EQ(check_.Owed(0us, "a dial is undecided").state, Calm::State::kNo);
  now_ += 1s;
  const Calm calm = check_.Owed(0us, "a dial is undecided");
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_EQ(calm.evidence, "stalled: the subject is idle, and yet a dial is undecided; all asleep");
}

TEST_F(CalmCheckTest, WorkBreaksTheTimeOfRest) {
  delivered_ = false;
  EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
  now_ += kSpan - 1s;
  views_ = {Busy(), AtRest()};
  EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
  EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
  now_ += 2s;
  EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
  now_ += kSpan;
  EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kUnjudgeable);
}

// It has a time of its own to be answered in.
TEST_F(CalmCheckTest, ASettleIsNotAsOldAsWhatWasOwedBeforeIt) {
  check_.Owed(0us, "an answer");
  now_ += 1s;
  holds_answers_ = true;
  answers_from_ = now_ + 30ms;
  EXPECT_EQ(Check().state, Calm::State::kQuiescent);
}

TEST_F(CalmCheckTest, WhatIsOwedMayComeWhileAnythingGoesOn) {
  for (int look = 0; look < 100; ++look) {
    EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
    now_ += 1s;
    switch (look % 3) {
      case 0:
        check_.OnActivity();
        break;
      case 1:
        check_.OnCompletion();
        break;
      default:
        check_.OnStarted();
    }
  }
  views_ = {Busy()};
  for (int look = 0; look < 100; ++look, now_ += 1s) {
    EXPECT_EQ(check_.Owed(0us, "an answer").state, Calm::State::kNo);
  }
}

}  // namespace
}  // namespace counterpart::effects
