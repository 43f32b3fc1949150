// The oracle of a call after a cut, against the rules it is read from.
#include "harness/judge/cut_outcomes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace counterpart::judge {
namespace {

using peer::Side;

TEST(CutOutcomes, AlwaysAllowSomething) {
  for (const CutCase& cut : AllCutCases()) {
    const CutOutcome outcome = OutcomeOf(cut);
    EXPECT_LE(outcome.least, outcome.most) << Describe(cut);
    EXPECT_STRNE(outcome.rule, "") << Describe(cut);
    // A lost session leaves the harness's own calls without an answer.
    const bool given_up = cut.callee == Side::kSubject && cut.after == After::kLost;
    EXPECT_EQ(outcome.endings == 0, given_up) << Describe(cut);
  }
}

// r[retry.channel.recovery.non-idem] r[retry.detach.keep]
TEST(CutOutcomes, NeverRunANonIdemCallTwice) {
  for (const CutCase& cut : AllCutCases()) {
    if (cut.idem) continue;
    EXPECT_LE(OutcomeOf(cut).most, cut.seen >= Seen::kArrived ? 0u : 1u) << Describe(cut);
  }
}

// r[retry.resume.reattempt]: Indeterminate may come only from the record or from session loss, and
// a call without channels is neither released nor lost at a detach.
TEST(CutOutcomes, OfACallWithoutChannelsInALivingSessionAreItsValue) {
  for (const CutCase& cut : AllCutCases()) {
    if (cut.channels || cut.after == After::kLost) continue;
    EXPECT_EQ(OutcomeOf(cut).endings, kValue) << Describe(cut);
    if (cut.callee == Side::kSubject) {
      EXPECT_EQ(OutcomeOf(cut).least, cut.seen >= Seen::kArrived ? 0u : 1u) << Describe(cut);
    }
  }
}

// r[retry.channel.detach]: what the harness has read of a non-idem call and not answered is over.
TEST(CutOutcomes, OfAStreamThatWasCutAreIndeterminate) {
  CutCase cut{Side::kHarness, Seen::kArrived, /*idem=*/false, /*channels=*/true, After::kResumed};
  EXPECT_EQ(OutcomeOf(cut).endings, kIndeterminate);
  EXPECT_TRUE(OutcomeOf(cut).attempt_forbidden);
  cut.seen = Seen::kAnswered;  // the answer may have been read
  EXPECT_EQ(OutcomeOf(cut).endings, kIndeterminate | kValue);
  cut.idem = true;
  EXPECT_EQ(OutcomeOf(cut).endings, kValue);
}

// r[retry.session-lost.policy]
TEST(CutOutcomes, OfALostSessionTellIdemCallsFromOthers) {
  CutCase cut{Side::kHarness, Seen::kArrived, /*idem=*/true, /*channels=*/false, After::kLost};
  EXPECT_EQ(OutcomeOf(cut).endings, kShutdown);
  cut.idem = false;
  EXPECT_EQ(OutcomeOf(cut).endings, kIndeterminate);
}

TEST(CutOutcomes, AreNamedApart) {
  std::vector<std::string> names;
  for (const CutCase& cut : AllCutCases()) names.push_back(Describe(cut));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace counterpart::judge
