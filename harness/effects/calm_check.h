// Whether anything can still come from a subject by itself, by two witnesses: what the kernel shows
// of it, and what it says of itself. r[control.settle]
//
//   first wave    Settle: it has taken in all we asked, every answer is here, nothing is runnable
//   snapshot      the kernel: it rests, every byte is accounted for, no timer is due
//   second wave   Settle: the same counts, so nothing happened around the snapshot either
//
// Whoever disagrees is asked again, with the subject brought to rest between: work under way
// explains every difference but one that stays. No verdict rests on a duration. The few there are
// give a run up as inconclusive, whose subject rests with a question in its hands.
#ifndef COUNTERPART_EFFECTS_CALM_CHECK_H_
#define COUNTERPART_EFFECTS_CALM_CHECK_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "harness/effects/calm.h"
#include "harness/effects/control_client.h"
#include "harness/effects/kernel_witness.h"

namespace counterpart::effects {

// Answers of a subject about itself, each after an instant of rest, that convict it. Many, because
// work that an answer itself now and then sets in motion may be counted in it and is no fault.
inline constexpr int kAgreeingAnswers = 20;

class CalmCheck {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // The world of the subject, as far as the check needs it. Called from within Check and Owed only.
  class Scene {
   public:
    virtual ~Scene() = default;
    // Takes in what there is, after waiting for up to `limit`. True if something has arrived that
    // is not told yet: whatever was asked is then of a moment that is over.
    virtual bool TakeIn(std::chrono::microseconds limit) = 0;
    // `delivered`, unless null: set to whether no question of the control plane and no answer can
    // have been on its way at that instant; false if that cannot be shown.
    virtual KernelView AskKernel(std::chrono::microseconds horizon, Certainty certainty,
                                 bool* delivered) = 0;
    // Sends a Settle. It is completed by OnSettle, within a later TakeIn.
    virtual void AskSettle() = 0;
    // Commands sent to this incarnation, and answered by it.
    struct Commands {
      uint64_t sent = 0, answered = 0;
    };
    virtual Commands commands() const = 0;
    // Whether a question is with the subject as soon as it is asked, and an answer with us.
    virtual bool asks_directly() const = 0;
    virtual const std::string& subject_name() const = 0;
    virtual TimePoint Now() const = 0;
  };

  // `scene` outlives this. `span`: of the watchdog.
  CalmCheck(Scene* scene, std::chrono::milliseconds span) : scene_(*scene), span_(span) {}

  // A new incarnation: nothing is known of it.
  void OnStarted();
  // Something was sent, or came.
  void OnActivity();
  // A question of the control plane is over, whosever it was.
  void OnCompletion() { delivered_since_.reset(); }
  // That of AskSettle.
  void OnSettle(const ControlCompletion& completion);

  // To be asked of a subject that lives, with no question open but commands. kQuiescent: nothing
  // comes any more within the horizon.
  Calm Check(std::chrono::microseconds horizon, Certainty certainty);
  // Instead, while `what` is owed that an idle subject cannot bring about, and a busy one may.
  Calm Owed(std::chrono::microseconds horizon, const std::string& what);

 private:
  // What a subject says is going on in it.
  struct Settled {
    uint64_t accepted = 0, answered = 0, journal_seq = 0;
    uint32_t runnable = 0;
    std::string timer = {};  // the first one due within the horizon, for people
    std::chrono::microseconds timer_due{0};
    bool SameCounts(const Settled& other) const {
      return accepted == other.accepted && answered == other.answered &&
             journal_seq == other.journal_seq && runnable == other.runnable;
    }
  };
  // How one Settle ended.
  struct Wave {
    enum class End {
      kAnswered,
      kInterrupted,  // something arrived meanwhile
      kUnsupported,
      kUnjudgeable,
    } end = End::kAnswered;
    Settled settled = {};   // with kAnswered
    std::string why = {};   // with kUnsupported
    Calm unjudgeable = {};  // with kUnjudgeable
  };
  // What the subject says that cannot be, and the instants of rest between equal answers so far.
  struct Contradiction {
    Settled said;
    int rests = 0;
    bool rested = false;  // since the last answer
    KernelView at_rest = {};
  };

  Wave AskSettle(std::chrono::microseconds horizon);
  // Until the Settle that is open is over. Nothing: it is.
  std::optional<Wave> AwaitSettle(std::chrono::microseconds horizon);
  KernelView AskKernel(std::chrono::microseconds horizon, Certainty certainty,
                       bool* delivered = nullptr);
  // Whether what it owes will not come any more, by `view` and by what was seen before.
  // `delivered`: no question and no answer is on its way.
  bool KeepsSilent(const KernelView& view, bool delivered);
  // What the subject says of itself is not what we see; "" if it is.
  std::string Difference(const Settled& said) const;
  Calm Contradicted(std::chrono::microseconds horizon, const Settled& said, const std::string& how);
  // Not yet, unless `view` ends the wait for `what`.
  Calm StillOwed(const KernelView& view, bool delivered, const std::string& what);
  Calm Unjudgeable(const KernelView& view, std::string evidence, const std::string& settle) const;
  std::string Bytes(KernelView view, const std::string& settle) const;

  Scene& scene_;
  const std::chrono::milliseconds span_;
  std::optional<TimePoint> idle_since_;  // by the kernel's word, without a break
  // With a question in its hands: the first instant of rest since it was asked, or anything came.
  std::optional<TimePoint> delivered_since_;
  std::optional<Contradiction> contradiction_;
  bool settle_open_ = false;
  ControlCompletion settle_;  // the last one
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CALM_CHECK_H_
