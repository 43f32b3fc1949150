#include "harness/effects/calm_check.h"

#include <algorithm>
#include <utility>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/fixpoint.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;

using std::chrono::microseconds;
using std::chrono::milliseconds;

// How long a subject that the kernel calls idle may leave a control question open, or disagree
// with us about what it was asked, before the run is given up as inconclusive, where nothing is on
// its way between: long enough for what has just been woken. Only that: nothing is ever judged by
// it.
constexpr auto kStallCeiling = milliseconds(20);
// The same through gRPC, whose threads look once a second for work that they were not woken for: to
// the kernel they are at rest until then, with a question in their hands.
constexpr auto kGrpcStallCeiling = milliseconds(5000);
// How long one check goes on looking by itself before it gives the thread back.
constexpr auto kPatience = milliseconds(50);
constexpr microseconds kSoon(1000);
constexpr auto kLookWhileAsking = milliseconds(20);

}  // namespace

void CalmCheck::OnStarted() {
  OnActivity();
  settle_open_ = false;
}

void CalmCheck::OnActivity() {
  idle_since_.reset();
  delivered_since_.reset();
  contradiction_.reset();
}

void CalmCheck::OnSettle(const ControlCompletion& completion) {
  settle_open_ = false;
  settle_ = completion;
}

// ---------------------------------------------------------------- the subject's own word

std::optional<CalmCheck::Wave> CalmCheck::AwaitSettle(microseconds horizon) {
  while (settle_open_) {
    if (scene_.TakeIn(kLookWhileAsking)) return Wave{.end = Wave::End::kInterrupted};
    if (!settle_open_) break;
    // Idle, with the question in its hands and no answer on its way: it will not be answered.
    // Where that cannot be shown, idle for a long time means the same.
    bool delivered = false;
    KernelView view = AskKernel(horizon, Certainty::kOneLook);
    if (view.state == KernelView::State::kQuiescent) {
      view = AskKernel(horizon, Certainty::kSustained, &delivered);
    }
    if (view.state == KernelView::State::kUnjudgeable) {
      return Wave{.end = Wave::End::kUnjudgeable,
                  .unjudgeable = Unjudgeable(view, view.evidence, "")};
    }
    if (KeepsSilent(view, delivered)) {
      return Wave{
          .end = Wave::End::kUnjudgeable,
          .unjudgeable = Unjudgeable(
              view, "stalled: the subject is idle and has not answered Settle; " + view.evidence,
              "not answered")};
    }
  }
  return std::nullopt;
}

CalmCheck::Wave CalmCheck::AskSettle(microseconds horizon) {
  // An answer still open from an interrupted check tells of a moment that is over.
  if (std::optional<Wave> old = AwaitSettle(horizon)) return *std::move(old);
  delivered_since_.reset();
  settle_open_ = true;
  scene_.AskSettle();
  if (std::optional<Wave> ended = AwaitSettle(horizon)) return *std::move(ended);
  if (settle_.lapsed) {
    Wave wave{.end = Wave::End::kUnjudgeable};
    wave.unjudgeable.state = Calm::State::kUnjudgeable;
    wave.unjudgeable.evidence = LapseText(settle_);
    return wave;
  }
  control::ControlReply reply;
  if (!settle_.answered) {
    return {.end = Wave::End::kUnsupported, .why = "no Settle: " + settle_.failure};
  }
  if (!reply.ParseFromString(settle_.reply) || !reply.has_settle()) {
    return {.end = Wave::End::kUnsupported, .why = "no Settle: an answer to something else"};
  }
  const control::SettleResponse& said = reply.settle();
  Wave wave{.settled = {.accepted = said.accepted(),
                        .answered = said.answered(),
                        .journal_seq = said.journal_seq(),
                        .runnable = said.runnable()}};
  Settled& settled = wave.settled;
  for (const control::PendingTimer& timer : said.timers()) {
    const microseconds due = milliseconds(std::min<uint64_t>(timer.due_ms(), uint64_t{1} << 40));
    if (timer.periodic() || due > horizon) continue;
    if (!settled.timer.empty() && due >= settled.timer_due) continue;
    settled.timer = timer.name();
    settled.timer_due = due;
  }
  return wave;
}

std::string CalmCheck::Difference(const Settled& said) const {
  const Scene::Commands ours = scene_.commands();
  if (said.accepted != ours.sent || said.answered != ours.answered) {
    return "the subject counts " + std::to_string(said.accepted) + " commands and " +
           std::to_string(said.answered) + " answers, the harness " + std::to_string(ours.sent) +
           " and " + std::to_string(ours.answered);
  }
  if (said.runnable > 0) {
    return "the subject says that " + std::to_string(said.runnable) +
           (said.runnable == 1 ? " unit of work is" : " units of work are") + " runnable";
  }
  return {};
}

// ---------------------------------------------------------------- the kernel's

KernelView CalmCheck::AskKernel(microseconds horizon, Certainty certainty, bool* delivered) {
  KernelView view = scene_.AskKernel(horizon, certainty, delivered);
  if (view.state != KernelView::State::kQuiescent) {
    idle_since_.reset();
  } else if (!idle_since_) {
    idle_since_ = scene_.Now();
  }
  return view;
}

bool CalmCheck::KeepsSilent(const KernelView& view, bool delivered) {
  if (view.state != KernelView::State::kQuiescent) return false;
  const TimePoint now = scene_.Now();
  if (!view.needs_settle && delivered) {
    if (!delivered_since_) delivered_since_ = now;
    // That threads of gRPC's look for work once a second is no progress.
    const milliseconds ceiling = scene_.asks_directly() ? kStallCeiling : kGrpcStallCeiling;
    return now - *delivered_since_ > std::min<milliseconds>(ceiling, span_);
  }
  // Silent, and perhaps starved; or threads of our own may be, that have the question.
  return idle_since_ && now - *idle_since_ > span_;
}

std::string CalmCheck::Bytes(KernelView view, const std::string& settle) const {
  if (!view.fixpoint) return {};
  view.fixpoint->subject = scene_.subject_name();
  view.fixpoint->settle = settle;
  return ToBytes(*view.fixpoint);
}

// ---------------------------------------------------------------- both

Calm CalmCheck::Unjudgeable(const KernelView& view, std::string evidence,
                            const std::string& settle) const {
  Calm calm;
  calm.state = Calm::State::kUnjudgeable;
  calm.evidence = std::move(evidence);
  calm.fixpoint = Bytes(view, settle);
  return calm;
}

Calm CalmCheck::StillOwed(const KernelView& view, bool delivered, const std::string& what) {
  if (view.state == KernelView::State::kUnjudgeable) return Unjudgeable(view, view.evidence, what);
  if (KeepsSilent(view, delivered)) {
    return Unjudgeable(view, "stalled: the subject is idle, and yet " + what + "; " + view.evidence,
                       what);
  }
  return Calm::NotYet(std::max(view.retry_after, kSoon));
}

Calm CalmCheck::Owed(microseconds horizon, const std::string& what) {
  bool delivered = false;
  const KernelView view = AskKernel(horizon, Certainty::kSustained, &delivered);
  return StillOwed(view, delivered, what);
}

// The witnesses disagree. While the subject is at work, or anything is on its way, that is as it
// should be. But equal answers around an instant of rest cannot all be true: its count is wrong, or
// work of it is ready and nobody will ever take it up.
Calm CalmCheck::Contradicted(microseconds horizon, const Settled& said, const std::string& how) {
  if (!contradiction_ || !contradiction_->said.SameCounts(said)) {
    contradiction_ = Contradiction{said};
  }
  contradiction_->rests += std::exchange(contradiction_->rested, false) ? 1 : 0;
  if (contradiction_->rests >= kAgreeingAnswers) {
    Calm calm;
    calm.state = Calm::State::kContradicted;
    calm.evidence = how + ", and said so again after each of " + std::to_string(kAgreeingAnswers) +
                    " instants at which it was at rest, the last one with " +
                    contradiction_->at_rest.evidence;
    calm.fixpoint = Bytes(contradiction_->at_rest, how);
    return calm;
  }
  // What the question itself set in motion comes to rest first.
  bool delivered = false;
  KernelView view;
  for (const TimePoint began = scene_.Now();;) {
    view = AskKernel(horizon, Certainty::kSustained, &delivered);
    if (view.state != KernelView::State::kBusy || view.retry_after > kPatience) break;
    if (scene_.Now() - began > kPatience) break;
    if (scene_.TakeIn(view.retry_after)) return Calm::NotYet(microseconds(0));
  }
  // By what was seen of its threads, and without a doubt.
  if (view.state == KernelView::State::kQuiescent && view.tier == 1 && delivered) {
    contradiction_->rested = true;
    contradiction_->at_rest = view;
    return Calm::NotYet(microseconds(0));
  }
  return StillOwed(view, /*delivered=*/false, how);
}

Calm CalmCheck::Check(microseconds horizon, Certainty certainty) {
  // The first wave: whatever we asked for has been taken in, and every answer is here.
  const Wave first = AskSettle(horizon);
  if (first.end == Wave::End::kInterrupted) return Calm::NotYet(microseconds(0));
  if (first.end == Wave::End::kUnjudgeable) return first.unjudgeable;
  const bool settles = first.end == Wave::End::kAnswered;
  if (settles) {
    const std::string difference = Difference(first.settled);
    if (!difference.empty()) return Contradicted(horizon, first.settled, difference);
    contradiction_.reset();
    if (!first.settled.timer.empty()) {
      return Calm::NotYet(std::max(first.settled.timer_due, kSoon));
    }
  }

  // The snapshot. What the wave itself set in motion in the subject comes to rest first.
  KernelView view;
  for (const TimePoint began = scene_.Now();;) {
    view = AskKernel(horizon, certainty);
    if (view.state == KernelView::State::kUnjudgeable) {
      if (!settles) return Unjudgeable(view, view.evidence, first.why);
      const std::string said = "nothing is runnable";
      return Unjudgeable(
          view, view.evidence + "; the witnesses disagree: its Settle says that " + said, said);
    }
    if (view.state == KernelView::State::kQuiescent) break;
    if (view.retry_after > kPatience || scene_.Now() - began > kPatience) {
      return Calm::NotYet(view.retry_after);
    }
    if (scene_.TakeIn(view.retry_after)) return Calm::NotYet(microseconds(0));
  }

  // The second wave: the same counts, so nothing happened around the snapshot either.
  if (settles) {
    const Wave second = AskSettle(horizon);
    if (second.end == Wave::End::kUnjudgeable) return second.unjudgeable;
    if (second.end != Wave::End::kAnswered) return Calm::NotYet(microseconds(0));
    if (!first.settled.SameCounts(second.settled)) return Calm::NotYet(kSoon);
  } else if (view.needs_settle) {
    return Unjudgeable(
        view, "stalled: " + view.evidence + "; and the subject itself says nothing, " + first.why,
        first.why);
  }

  Calm calm;
  calm.state = Calm::State::kQuiescent;
  calm.tier = view.tier;
  const std::string said =
      settles ? std::to_string(first.settled.accepted) + " commands taken in, " +
                    std::to_string(first.settled.answered) + " answered, journal at " +
                    std::to_string(first.settled.journal_seq)
              : first.why;
  calm.evidence = view.evidence + (settles ? "; settled twice: " + said
                                           : "; " + said + ", so this is the kernel's word alone");
  calm.fixpoint = Bytes(view, said);
  return calm;
}

}  // namespace counterpart::effects
