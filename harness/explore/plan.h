// A fault plan: which faults a run meets, each at a frame of a link. As text, a fault is one
// sentence that a person can read and edit:
//
//   rst after frame 7 of the subject on link 1
//   fin 5 bytes into frame 3 of the harness on link 2
//   bit_flip at bit 37 of frame 3 of the harness on link 1
//
// and between two subjects, the last one of a frame that was read and is not passed on:
//
//   fin 5 bytes into frame 3 of the server on link 1
//   rst instead of frame 3 of the client on link 1
//
// Frames count from 1, per side and link; links count in the order in which they were opened.
#ifndef COUNTERPART_EXPLORE_PLAN_H_
#define COUNTERPART_EXPLORE_PLAN_H_

#include <string>
#include <string_view>
#include <vector>

#include "harness/peer/fault.h"
#include "harness/result.h"

namespace counterpart::explore {

using Plan = std::vector<peer::Fault>;

// Every kind of fault that a plan may have.
inline constexpr peer::How kHows[] = {
    peer::How::kRst,          peer::How::kFin,    peer::How::kHalfClose,   peer::How::kKill,
    peer::How::kListenerDown, peer::How::kStop,   peer::How::kStopReading, peer::How::kSplit,
    peer::How::kMerge,        peer::How::kBitFlip};
// "rst, fin, …"
std::string HowNames();

std::string ToText(const peer::Fault& fault);
// An error (kUsage) says what a fault reads like.
Result<peer::Fault> ParseFault(std::string_view text);

}  // namespace counterpart::explore

#endif  // COUNTERPART_EXPLORE_PLAN_H_
