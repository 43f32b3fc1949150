#include "harness/judge/cut_outcomes.h"

namespace counterpart::judge {
namespace {

using peer::Side;

// r[retry.resume.reattempt] r[retry.detach.keep]: one new attempt, which joins what runs, is told
// what was returned, or is the first to arrive. In each case there is one execution in all.
CutOutcome WithoutChannels(Seen seen) {
  const uint32_t more = seen >= Seen::kArrived ? 0 : 1;
  return {.endings = kValue, .least = more, .most = more, .rule = "retry.resume.reattempt"};
}

// r[retry.channel.volatile.rebinding.fresh]: it runs again, unless it had returned before the cut.
CutOutcome IdemWithChannels(Seen seen) {
  return {.endings = kValue,
          .least = seen >= Seen::kArrived ? 0u : 1u,
          .most = 1,
          .rule = "retry.channel.volatile.rebinding.fresh"};
}

// r[retry.channel.recovery.non-idem]: what was cut while it ran is lost, and never runs again.
CutOutcome NonIdemWithChannels(const CutCase& cut) {
  CutOutcome outcome;
  outcome.rule = "retry.channel.recovery.non-idem";
  if (cut.callee == Side::kHarness) {
    // The subject is the caller. It knows what it handed to a link, and the harness what it read.
    outcome.attempt_forbidden = cut.seen >= Seen::kArrived;
    outcome.endings = cut.seen == Seen::kArrived ? kIndeterminate : kIndeterminate | kValue;
    return outcome;
  }
  switch (cut.seen) {
    case Seen::kUnsent:
      outcome.endings = kValue;
      outcome.least = outcome.most = 1;
      break;
    case Seen::kInDoubt:  // admitted and never begun is Indeterminate as well
      outcome.endings = kValue | kIndeterminate;
      outcome.most = 1;
      break;
    case Seen::kArrived:
    case Seen::kAnswered:
      outcome.endings = kValue | kIndeterminate;
      break;
  }
  return outcome;
}

// r[retry.session-lost.policy] r[rpc.error.ambiguous]
CutOutcome SessionLost(const CutCase& cut) {
  CutOutcome outcome;
  outcome.rule = "retry.session-lost.policy";
  if (cut.callee == Side::kSubject) return outcome;  // the harness gives up its calls
  outcome.attempt_forbidden = true;
  if (cut.seen == Seen::kAnswered) outcome.endings |= kValue;
  if (cut.idem) {
    outcome.endings |= kShutdown;
  } else {
    outcome.endings |= kIndeterminate;
    if (cut.seen <= Seen::kInDoubt) outcome.endings |= kNotSent | kShutdown;
  }
  return outcome;
}

}  // namespace

CutOutcome OutcomeOf(const CutCase& cut) {
  if (cut.after == After::kLost) return SessionLost(cut);
  if (!cut.channels) return WithoutChannels(cut.seen);
  return cut.idem ? IdemWithChannels(cut.seen) : NonIdemWithChannels(cut);
}

std::vector<CutCase> AllCutCases() {
  std::vector<CutCase> all;
  for (const After after : {After::kResumed, After::kLost}) {
    for (const bool channels : {false, true}) {
      for (const bool idem : {true, false}) {
        for (const Seen seen : {Seen::kUnsent, Seen::kInDoubt, Seen::kArrived}) {
          all.push_back({Side::kSubject, seen, idem, channels, after});
        }
        // The harness knows of no request that it has not read, and of each that it has.
        for (const Seen seen : {Seen::kInDoubt, Seen::kArrived, Seen::kAnswered}) {
          all.push_back({Side::kHarness, seen, idem, channels, after});
        }
      }
    }
  }
  return all;
}

std::string Describe(const CutCase& cut) {
  static constexpr const char* kSeen[] = {"was not sent", "may have arrived", "has arrived",
                                          "was answered"};
  std::string text = cut.callee == Side::kSubject ? "the subject executes" : "the subject calls";
  text += std::string(" · ") + kSeen[static_cast<int>(cut.seen)];
  text += cut.idem ? " · idem" : " · not idem";
  text += cut.channels ? " with channels" : "";
  text += cut.after == After::kResumed ? " · session resumed" : " · session lost";
  return text;
}

std::string DescribeEndings(uint8_t endings) {
  std::string text;
  const auto add = [&](uint8_t bit, const char* name) {
    if ((endings & bit) != 0) text += (text.empty() ? "" : " or ") + std::string(name);
  };
  add(kValue, "its value");
  add(kIndeterminate, "Indeterminate");
  add(kShutdown, "SessionShutdown");
  add(kNotSent, "an error that says it was never sent");
  return text.empty() ? "nothing" : text;
}

}  // namespace counterpart::judge
