// Runs a machine over recorded answers instead of a world.
#ifndef COUNTERPART_MACHINE_REPLAY_H_
#define COUNTERPART_MACHINE_REPLAY_H_

#include <optional>
#include <string>
#include <vector>

#include "harness/machine/machine.h"

namespace counterpart::machine {

// The first place where a replay and its recording differ.
struct Divergence {
  uint64_t entry = 0;
  std::string recorded, replayed;  // labels; "(nothing)" past an end
};

// Feeds the recorded answers to a fresh machine, round by round, and compares everything the
// machine then asks, notes and chooses with the recording. Nothing if the two are the same.
std::optional<Divergence> RunReplay(Machine& machine, const std::vector<Entry>& recorded);

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_REPLAY_H_
