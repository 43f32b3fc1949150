// What a verdict about calm rests on, thread by thread: for people, and for nothing else.
#ifndef COUNTERPART_EFFECTS_FIXPOINT_H_
#define COUNTERPART_EFFECTS_FIXPOINT_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace counterpart::effects {

struct Fixpoint {
  struct Thread {
    pid_t pid = 0, tid = 0;
    std::string name;        // any bytes, up to 15
    char state = '?';        // as in /proc/<pid>/stat
    std::string blocked_in;  // "epoll_wait", "running"
    std::string until;       // "for ever", "1200 ms", "unknown"
    bool housekeeping = false;
  };
  struct Timer {
    std::string what;
    uint64_t due_us = 0;  // from the look
  };
  // A connection with the subject, in bytes since its beginning.
  struct Link {
    uint64_t sent = 0, read = 0;                     // by the subject; of these, by us
    uint64_t written = 0, received = 0, unread = 0;  // by us; by its kernel; not by itself
  };

  std::string subject;
  int tier = 0;          // 0: given up
  std::string given_up;  // runaway, starved, stalled or dead
  std::vector<Thread> threads;
  std::vector<Timer> timers;
  std::vector<Link> links;
  std::string settle;
  uint64_t horizon_us = 0;
};

// As the report has it (an Exec with nothing but `fixpoints`). Those of several subjects may be
// joined by putting one behind the other.
std::string ToBytes(const Fixpoint& fixpoint);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_FIXPOINT_H_
