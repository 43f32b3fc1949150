// What monitors see: every frame of every session, both ways, in the one order the harness saw.
#ifndef COUNTERPART_PEER_OBSERVED_H_
#define COUNTERPART_PEER_OBSERVED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/wire/v1/wire.pb.h"
#include "harness/machine/finding.h"

namespace counterpart::peer {

enum class Side : uint8_t { kHarness, kSubject };

// What stands for the link of a session over a stable conduit is numbered from there; links of a
// run far below.
inline constexpr uint32_t kFaces = 1'000'000;

// One payload on one link. Exactly one of prologue, handshake and message is set; none, if it
// could not be read as what its phase allows (`malformed` says why).
struct ObservedFrame {
  Side from;
  uint32_t link = 0;
  bool harness_dialled = false;
  uint64_t entry = 0;  // trace index
  const wire::v1::Prologue* prologue = nullptr;
  const wire::v1::Handshake* handshake = nullptr;
  const wire::v1::Message* message = nullptr;
  std::string malformed = {};
  size_t payload_bytes = 0;  // without the length field
  // Rule that a frame of the harness breaks on purpose; "" for all legal traffic.
  std::string deliberate = {};
  // The frame was cut on its way out: the subject did not get all of it.
  bool cut_short = false;
  // Over a stable conduit: in place of the three, what a link of it carries. What such a frame
  // brings that is new is shown as a frame of the conduit, whose id then stands for the link.
  const wire::v1::StableHandshake* stable_handshake = nullptr;
  const wire::v1::StableFrame* stable_frame = nullptr;
  uint32_t conduit = 0;  // which; 0: none that is known
};

enum class LinkEnd : uint8_t { kEof, kReset, kCutByHarness, kOversize };

// What the end-of-run monitors see.
struct ObservedEnd {
  std::vector<control::v1::JournalEvent> journal;
  uint64_t journal_gap = 0;
  bool journal_read = false;
  bool subject_killed = false;  // by a fault: journals and counts start anew
  // Lines of the executions file of this run's sessions.
  struct Execution {
    std::string session_id;
    uint64_t operation_id, attempt, generation;
  };
  std::vector<Execution> executions;
  bool executions_read = false;
};

class FrameObserver {
 public:
  virtual ~FrameObserver() = default;
  virtual void OnFrame(const ObservedFrame& frame) = 0;
  virtual void OnLinkEnd(uint32_t link, LinkEnd end, uint64_t partial_bytes, uint64_t entry) = 0;
  virtual void OnEnd(const ObservedEnd& end) = 0;
  // A scenario judged this rule itself: the premise was met and it held.
  virtual void OnJudged(const std::string& rule) = 0;
  virtual void OnFinding(const machine::Finding& finding) = 0;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_OBSERVED_H_
