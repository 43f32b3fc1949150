// Whether this machine's kernel tells a sleeping process from a spinning one and from two that hand
// a byte to and fro: what every verdict about calm rests on. Tried once per program.
#ifndef COUNTERPART_EFFECTS_WAIT_SELF_TEST_H_
#define COUNTERPART_EFFECTS_WAIT_SELF_TEST_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "harness/effects/kernel_witness.h"

namespace counterpart::effects {

struct SelfTestResult {
  bool trusted = false;
  std::string reason = {};  // if not trusted: what went wrong

  // The best tier that verdicts may have.
  const char* tier() const { return trusted ? "T1" : "T3"; }
};

// Forks three children and looks at them with what `make` makes of the root of a process tree.
SelfTestResult TryWitness(const std::function<std::unique_ptr<KernelWitness>(pid_t root)>& make);

// The result for snapshots by this kernel: tried by the first call, from any thread.
const SelfTestResult& WaitSelfTest();

// From now on the result is that the kernel is not to be trusted, for this reason. To be called
// before there are other threads.
void DistrustKernel(const std::string& reason);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_WAIT_SELF_TEST_H_
