// Questions to the kernel about processes that are not (or no longer) our direct children.
#ifndef COUNTERPART_EFFECTS_PROCESS_TABLE_H_
#define COUNTERPART_EFFECTS_PROCESS_TABLE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace counterpart::effects {

struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  uint64_t flags = 0;            // PF_*
  uint64_t start_time = 0;       // ticks since boot
  uint64_t environment_end = 0;  // an address; 0 in the middle of exec
  bool zombie() const { return state == 'Z' || state == 'X'; }
};

// Nothing if there is no such process.
std::optional<ProcessStat> ReadStat(pid_t pid);
// The state of each of its threads ('T' is stopped); empty if there is no such process.
std::string ThreadStates(pid_t pid);
// Whether the environment it was started with holds `entry` ("NAME=value"). False for zombies.
// A process in the middle of exec shows no environment: this waits until it has one again.
bool HasEnvironment(pid_t pid, std::string_view entry);
// Every process id there is.
std::vector<pid_t> AllProcesses();
// Whether one of its descriptors is the socket of that inode.
bool HoldsSocket(pid_t pid, uint64_t inode);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_PROCESS_TABLE_H_
