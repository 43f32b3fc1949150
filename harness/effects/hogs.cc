#include "harness/effects/hogs.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace counterpart::effects {

Hogs::Hogs(uint32_t count) {
  const pid_t harness = getpid();
  for (uint32_t i = 0; i < count; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      // Only async-signal-safe calls: the harness may have threads.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      signal(SIGINT, SIG_DFL);  // Ctrl-C at a terminal: the harness has to end, and gets the CPU
      if (getppid() != harness) _exit(0);
      volatile uint64_t spin = 0;
      while (true) spin = spin + 1;
    }
    if (pid > 0) pids_.push_back(pid);
  }
}

Hogs::~Hogs() {
  for (const pid_t pid : pids_) kill(pid, SIGKILL);
  for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
}

}  // namespace counterpart::effects
