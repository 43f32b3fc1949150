// What the kernel says about whether a subject can still do something by itself: one witness of
// calm. The other is the subject's own Settle.
#ifndef COUNTERPART_EFFECTS_KERNEL_WITNESS_H_
#define COUNTERPART_EFFECTS_KERNEL_WITNESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "harness/effects/fixpoint.h"
#include "harness/effects/kernel_reader.h"
#include "harness/effects/snapshot.h"

namespace counterpart::effects {

struct KernelView {
  enum class State {
    kBusy,         // something runs, can run, is under way, or is awaited
    kQuiescent,    // nothing can happen any more within the horizon
    kUnjudgeable,  // looked at for too long
  } state = State::kBusy;
  int tier = 0;  // with kQuiescent: 1-3
  // Of kUnjudgeable it begins with the class: runaway, starved, stalled or dead.
  std::string evidence = {};
  // With kUnjudgeable, and with what rests on Certainty::kSustained.
  std::optional<Fixpoint> fixpoint = {};
  // Nothing was seen of the subject's threads: this is good only beside its own Settle.
  bool needs_settle = false;
  std::chrono::microseconds retry_after{1000};  // with kBusy; an event may come sooner
};

// What the verdict is for. One that fails something rests on the same state twice, 5 ms apart.
enum class Certainty : uint8_t { kOneLook, kSustained };

class KernelWitness {
 public:
  virtual ~KernelWitness() = default;
  // The subject is up and nothing has been asked of it: its maintenance threads are those of now.
  virtual void OnStarted() = 0;
  // Something reached the subject or came from it: whatever was being waited for starts anew.
  virtual void OnActivity() = 0;
  // `horizon`: timers due later than this do not matter.
  virtual KernelView Look(OurEnds* ours, std::chrono::microseconds horizon,
                          Certainty certainty) = 0;
};

// When a subject that neither rests nor brings anything is given up as inconclusive. Nothing else
// is ever judged by these.
struct Watchdog {
  // So long not at rest, without the time it waited for a CPU and then got one, and without the
  // time in which we could not look: starved, stopped, …
  std::chrono::milliseconds span{std::chrono::seconds(60)};
  // So much CPU time used and never at rest: a runaway. The subject's own time, which load does not
  // touch.
  std::chrono::milliseconds cpu() const { return span / 6; }
  // Neither at work for the span nor at rest for good: a wait cannot keep its own watchdog off.
  std::chrono::milliseconds ceiling() const { return span * 10; }
};

// The policy over snapshots of whatever `reader` reads. Tier 1: at rest, nothing pending. Tier 2: a
// timer is due within the horizon: it is awaited. Tier 3: timers that never end, or wake-ups whose
// time cannot be read: at rest once more after a horizon of the subject's own resting time. Where
// the kernel does not let it see what the subject's threads do it is a silence witness.
std::unique_ptr<KernelWitness> MakeSnapshotWitness(std::unique_ptr<KernelReader> reader,
                                                   CheckSteps steps = {}, Watchdog watchdog = {});

// Where the kernel cannot be relied on: at rest is what has been silent for a second and the
// horizon, always tier 3. Its word is good only beside a Settle. `why`: what is wrong with the
// kernel.
std::unique_ptr<KernelWitness> MakeSilenceWitness(std::string why);

// Watches the process tree of `root` and all that carries `token` in its environment; by snapshots,
// or by silence if the self-test of this program did not trust the kernel (see wait_self_test.h).
std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token,
                                                 Watchdog watchdog);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_KERNEL_WITNESS_H_
