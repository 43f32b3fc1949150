// The threads of a subject, looked at twice: between the two looks none of them ran, or it is
// said which one did.
#ifndef COUNTERPART_EFFECTS_THREAD_PROBE_H_
#define COUNTERPART_EFFECTS_THREAD_PROBE_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/effects/blocked_syscall.h"
#include "harness/effects/unique_fd.h"

namespace counterpart::effects {

struct ThreadLook {
  std::string name;  // comm
  BlockedSyscall waits;
  // A runtime's own maintenance: its timeouts mean nothing for the protocol. That it runs does.
  bool housekeeping = false;
};

struct ThreadsLook {
  std::string busy;  // why not at rest; empty: every thread was asleep at one instant
  std::vector<ThreadLook> threads;
};

class ThreadProbe {
 public:
  // Watches the process tree below `root`, and children of the harness itself whose environment
  // has `mark`: what a wrapper left behind is re-parented to the harness (a subreaper).
  ThreadProbe(pid_t root, std::string mark);
  ~ThreadProbe();

  // Both looks; `between` runs in the middle and may say why the subject is busy after all.
  ThreadsLook Look(const std::function<std::string()>& between);

  // Threads that exist by now, and none later, may be housekeeping. A thread inherits the name of
  // the one that started it: what an application starts later may only look like maintenance.
  void MarkHousekeeping();

 private:
  struct Thread;

  std::vector<pid_t> ListProcesses();
  // Re-lists; opens what is new, closes what is gone. False if a file could not be read.
  bool List(std::vector<std::pair<pid_t, pid_t>>* ids);
  bool Ours(pid_t orphan);

  const pid_t root_;
  const std::string mark_;
  std::map<std::pair<pid_t, pid_t>, Thread> threads_;  // by process and thread id
  std::map<pid_t, bool> orphans_;                      // looked up once
};

// Maintenance threads of the runtimes we know, by the beginning of their name.
bool IsHousekeeping(const std::string& comm);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_THREAD_PROBE_H_
