// What was seen to be right or wrong, before anybody joins it into a verdict.
#ifndef COUNTERPART_MACHINE_FINDING_H_
#define COUNTERPART_MACHINE_FINDING_H_

#include <cstdint>
#include <string>

namespace counterpart::machine {

// In rising order; joins only rise.
enum class Level : uint8_t { kNone, kPass, kInconclusive, kFail, kError };

struct Finding {
  Level level = Level::kNone;
  std::string rule = {};  // "" where no rule of the spec is at stake
  std::string text = {};  // what was seen, and what was wanted
  uint64_t entry = 0;     // trace index it rests on
  // Where in the scenario, stable over runs: part of the failure signature.
  std::string place = {};
  bool stall = false;  // the awaited could no longer happen
  // Id of the subject that is to blame, where a run has more than one; else "".
  std::string blame = {};
};

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_FINDING_H_
