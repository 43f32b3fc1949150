#include "harness/effects/wait_self_test.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>

#include "harness/effects/linux_reader.h"
#include "harness/effects/process_table.h"

namespace counterpart::effects {
namespace {

// Looks at a child that never rests: each of them must say so.
constexpr int kLooks = 60;
// Looks at a child that rests, after the kernel says elsewhere that it sleeps. More than one,
// because other wake-ups may come between.
constexpr int kMostLooks = 1000;

// A child that does this; killed and reaped with the object. Only async-signal-safe calls: the
// harness may have threads. And `_Fork`, which runs no handlers: with those of a sanitizer's
// runtime the child has a thread that looks around ten times a second, and never comes to rest.
class Child {
 public:
  explicit Child(void (*life)()) {
    const pid_t harness = getpid();
    pid_ = _Fork();
    if (pid_ > 0) setpgid(pid_, pid_);  // also done by the child: whoever comes first
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);  // Ctrl-C is for the harness, which ends us
    setpgid(0, 0);
    if (getppid() != harness) _exit(0);
    life();
    _exit(0);
  }
  ~Child() {
    if (pid_ <= 0) return;
    killpg(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    // What it had forked is ours now, if the harness is a subreaper.
    while (waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

void Sleep() {
  while (true) pause();
}

void Spin() {
  volatile uint64_t spin = 0;
  while (true) spin = spin + 1;
}

// Two processes, of which now one and now the other waits for a byte.
void Hop() {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return;
  const pid_t parent = getpid();
  const pid_t other = _Fork();
  if (other == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
  }
  char byte = 0;
  if (other != 0 && write(there[1], &byte, 1) != 1) return;
  const int in = other == 0 ? there[0] : back[0];
  const int out = other == 0 ? back[1] : there[1];
  while (read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1) {
  }
}

bool SaysAtRest(KernelWitness& witness) {
  OurEnds nothing;
  return witness.Look(&nothing, std::chrono::microseconds(0), Certainty::kOneLook).state ==
         KernelView::State::kQuiescent;
}

bool Asleep(pid_t pid) {
  const auto stat = ReadStat(pid);
  return stat && stat->state == 'S';
}

std::optional<std::string> LookAtUnrest(
    const char* what, void (*life)(),
    const std::function<std::unique_ptr<KernelWitness>(pid_t)>& make) {
  const Child child(life);
  if (child.pid() < 0) return "no child could be started";
  const auto witness = make(child.pid());
  for (int i = 0; i < kLooks; ++i) {
    if (SaysAtRest(*witness)) return std::string(what) + " was taken for one at rest";
  }
  return std::nullopt;
}

std::optional<std::string> LookAtRest(
    const std::function<std::unique_ptr<KernelWitness>(pid_t)>& make) {
  const Child child(Sleep);
  if (child.pid() < 0) return "no child could be started";
  const auto witness = make(child.pid());
  for (int looks = 0; looks < kMostLooks;) {
    if (SaysAtRest(*witness)) return std::nullopt;
    if (Asleep(child.pid())) {
      ++looks;
    } else {
      poll(nullptr, 0, 1);  // it has not come to rest yet; nothing tells us when it will
    }
  }
  OurEnds nothing;
  return "a sleeping child was not taken for one at rest: " +
         witness->Look(&nothing, std::chrono::microseconds(0), Certainty::kOneLook).evidence;
}

}  // namespace

SelfTestResult TryWitness(const std::function<std::unique_ptr<KernelWitness>(pid_t)>& make) {
  std::optional<std::string> wrong = LookAtRest(make);
  if (!wrong) wrong = LookAtUnrest("a spinning child", Spin, make);
  if (!wrong) wrong = LookAtUnrest("a child that hands a byte to and fro", Hop, make);
  return {.trusted = !wrong.has_value(), .reason = wrong.value_or("")};
}

namespace {

SelfTestResult& Distrusted() {
  static SelfTestResult result;
  return result;
}

}  // namespace

void DistrustKernel(const std::string& reason) { Distrusted().reason = reason; }

const SelfTestResult& WaitSelfTest() {
  if (!Distrusted().reason.empty()) return Distrusted();
  static const SelfTestResult result = TryWitness([](pid_t root) {
    return MakeSnapshotWitness(MakeLinuxReader(root, "COUNTERPART_TOKEN=self-test"));
  });
  return result;
}

}  // namespace counterpart::effects
