// Faults as data: which protocol moment, and what is done to the connection or the process there.
// Moments are counted in frames, never in time.
#ifndef COUNTERPART_PEER_FAULT_H_
#define COUNTERPART_PEER_FAULT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "harness/peer/observed.h"

namespace counterpart::peer {

// Where a run failed in which a fault never came due.
inline constexpr char kUnfiredFault[] = "unfired fault";

enum class How : uint8_t {
  kRst,
  kFin,
  kHalfClose,     // the harness ends its own direction, and goes on reading
  kKill,          // SIGKILL of the subject's process group
  kListenerDown,  // the next `ordinal` connects are reset as soon as they are accepted
};

// "The `ordinal`-th frame of kind `kind` from `from` in the attachment of generation `generation`":
// after it, or, for frames of the harness, after `offset` bytes of it (its length field counts).
struct Fault {
  How how = How::kRst;
  Side from = Side::kSubject;
  std::string kind;  // member name in Handshake or Message, or in Prologue behind
                     // "transport_": "hello", "channel_item", "transport_hello"; ""
                     // counts every frame
  uint32_t ordinal = 1;
  uint32_t generation = 1;
  std::optional<uint32_t> offset;
};

struct ArmedFault {
  Fault fault;
  bool planned = false;  // by a plan, not by the scenario
  uint32_t seen = 0;
  bool fired = false;
  std::string where;  // proof: link, frame, bytes
};

// A frame of a run, as a fault names it: the `ordinal`-th of its side in that generation.
struct Moment {
  Side from = Side::kSubject;
  uint32_t generation = 1;
  uint32_t ordinal = 1;
  std::string kind;
  uint32_t bytes = 0;  // on the wire, length field included
};

// As a report has it.
struct FaultReport {
  std::string at, how;  // in words
  uint32_t ordinal = 0;
  bool fired = false;
  std::string where;
};

std::string DescribeMoment(const Fault& fault);
const char* Name(How how);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_FAULT_H_
