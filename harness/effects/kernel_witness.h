// What the kernel says about whether a subject can still do something by itself: one witness of
// calm. The other is the subject's own Settle.
#ifndef COUNTERPART_EFFECTS_KERNEL_WITNESS_H_
#define COUNTERPART_EFFECTS_KERNEL_WITNESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace counterpart::effects {

// One connection with the subject, as our end of it has been used.
struct LinkAccount {
  int fd = -1;  // our end
  uint64_t read = 0, written = 0;
  bool reading = true;  // false: input is left in the kernel on purpose
};

struct KernelView {
  enum class State {
    kBusy,         // something runs, can run, or is under way
    kQuiescent,    // nothing can happen any more within the horizon
    kUnjudgeable,  // looked at for too long
  } state = State::kBusy;
  int tier = 0;  // with kQuiescent: 1-3
  std::string evidence = {};
  std::chrono::microseconds retry_after{1000};  // with kBusy
};

class KernelWitness {
 public:
  virtual ~KernelWitness() = default;
  // The subject is up and nothing has been asked of it: its maintenance threads are those of now.
  virtual void OnStarted() = 0;
  // Something reached the subject or came from it: whatever was being waited for starts anew.
  virtual void OnActivity() = 0;
  // `horizon`: timers due later than this do not matter.
  virtual KernelView Look(const std::vector<LinkAccount>& links,
                          std::chrono::microseconds horizon) = 0;
};

// Watches the process tree of `root` and all that carries `token` in its environment.
std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_KERNEL_WITNESS_H_
