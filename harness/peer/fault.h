// Faults as data: which protocol moment, and what is done to the connection or the process there.
// Moments are counted in frames, never in time.
#ifndef COUNTERPART_PEER_FAULT_H_
#define COUNTERPART_PEER_FAULT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "harness/peer/observed.h"
#include "harness/peer/seat.h"

namespace counterpart::peer {

// Where a run failed in which a fault never came due.
inline constexpr char kUnfiredFault[] = "unfired fault";

enum class How : uint8_t {
  kRst,
  kFin,
  kHalfClose,     // the harness ends its own direction, and goes on reading
  kKill,          // SIGKILL of the subject's process group
  kListenerDown,  // the next connects are reset as soon as they are accepted
  kStop,          // SIGSTOP of the subject's process group, SIGCONT once all there is was sent
  kStopReading,   // nothing is read from the link until the subject is at rest
  kSplit,         // the rest of the frame is written once the subject has read the part before
  kMerge,         // the frame leaves in one segment with the one after it
  kBitFlip,       // the frame is sent with one bit wrong, and nothing after it
};

// Whether what follows is another story than the scenario's. What does not is a condition that
// every peer has to live with, unseen.
bool EndsScenario(How how);
// Whether it is done to the process, and so to every run that shares it.
bool NeedsProcess(How how);
// Whether it can be done to a link that carries a stable conduit, whose session is to notice
// nothing.
bool FitsConduits(How how);
// Whether it can be done on the path between two subjects.
bool FitsPairs(How how);
// Where it can be done.
struct Places {
  bool after = true;       // a frame
  bool inside = true;      // one of the harness, at an offset
  bool of_subject = true;  // its frames as well
};
Places PlacesOf(How how);

// "The `ordinal`-th frame of kind `kind` from `from` in the attachment of generation `generation`":
// after it, or, for frames of the harness, after `offset` bytes of it (its length field counts).
// Of kBitFlip `offset` is a bit, counted from 1: 1 to 32 are the length field's.
struct Fault {
  How how = How::kRst;
  Side from = Side::kSubject;
  std::string kind;  // member name in Handshake or Message, or in Prologue behind
                     // "transport_": "hello", "channel_item", "transport_hello"; ""
                     // counts every frame
  uint32_t ordinal = 1;
  uint32_t generation = 1;
  std::optional<uint32_t> offset;
  // Between two subjects: whose frame; `from` is then kSubject. The harness has read it whole, and
  // `offset` bytes of it are passed on, 0 or more.
  std::optional<Seat> seat;
};

struct ArmedFault {
  Fault fault;
  bool planned = false;  // by a plan, not by the scenario
  uint32_t seen = 0;
  bool fired = false;
  std::string where;  // link, frame, bytes
  // What the kernel or the subject shows of its having taken effect; "" if nothing does.
  std::string proof;
  uint32_t link = 0;                 // that it was applied to
  uint32_t refuse = 0, refused = 0;  // of kListenerDown: connects still to be reset, and so far
};

// A frame of a run, as a fault names it: the `ordinal`-th of its side in that generation.
struct Moment {
  Side from = Side::kSubject;
  uint32_t generation = 1;
  uint32_t ordinal = 1;
  std::string kind;
  uint32_t bytes = 0;  // on the wire, length field included
  std::optional<Seat> seat;
};

// Whose frame it is: "harness" or "subject"; "server" or "client" of two.
const char* SpeakerOf(Side from, const std::optional<Seat>& seat);

// As a report has it.
struct FaultReport {
  std::string at, how;  // in words
  uint32_t ordinal = 0;
  bool fired = false;
  std::string where, proof;
};

std::string DescribeMoment(const Fault& fault);
const char* Name(How how);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_FAULT_H_
