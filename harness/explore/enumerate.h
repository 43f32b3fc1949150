// Which plans to try, given the frames of an undisturbed run.
#ifndef COUNTERPART_EXPLORE_ENUMERATE_H_
#define COUNTERPART_EXPLORE_ENUMERATE_H_

#include <cstdint>
#include <vector>

#include "harness/explore/plan.h"

namespace counterpart::explore {

enum class Cuts : uint8_t {
  kFrames,  // after every frame, of both sides
  kBytes,   // and inside: after every byte of prologue and handshakes, and of the first messages
};

struct Options {
  Cuts cuts = Cuts::kFrames;
  std::vector<peer::How> faults = {peer::How::kRst, peer::How::kFin};
  // With kBytes: of each link, the messages of the harness that are cut at every byte.
  uint32_t messages_by_byte = 3;
  // A second fault, on the link that follows: each first one with each frame of its resume.
  bool pairs = false;
  // Instead of all: this many plans of `depth` faults, drawn by `seed`.
  uint32_t sample = 0;
  uint32_t depth = 1;
  uint64_t seed = 1;
};

// In the order of the frames; each plan once. A frame of the subject can be cut after only: what
// of it was read makes no difference to the subject. One that is passed on to another can be cut
// anywhere, and instead of it.
std::vector<Plan> Enumerate(const std::vector<peer::Moment>& moments, const Options& options);

// Of drawing plans: the least chance that one finds a bug that needs `depth` given faults, and the
// runs after which it is found with 95 %.
struct Chance {
  double least = 0;
  uint64_t runs_for_95 = 0;
};
Chance ChanceOf(size_t moments, const Options& options);

}  // namespace counterpart::explore

#endif  // COUNTERPART_EXPLORE_ENUMERATE_H_
