// A recorded subject in place of a live one: it answers what it answered then, as soon as it is
// asked what it was asked then. For `replay --impersonate`: the recording plays the peer of a live
// subject in a run of two, or of the live harness.
//
// What the recording said is released in its order, each once everything that the harness had asked
// before it has been asked again. What is asked is compared whole with what was asked then: writes
// in the order of their link, commands in any. Values that the live side chooses anew (session ids,
// resume keys, ports) are learned from what is asked, and put into what the recording says.
//
// The first request that is another is kept as the mismatch; the recording plays on as if it were
// the one it knows, so far as it can.
#ifndef COUNTERPART_CAMPAIGN_RECORDED_WORLD_H_
#define COUNTERPART_CAMPAIGN_RECORDED_WORLD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/effects/live_world.h"
#include "harness/machine/trace.h"
#include "harness/report/trace_diff.h"

namespace counterpart::campaign {

struct RecordedSubject {
  effects::SubjectInfo info;            // as the live one would describe itself
  uint8_t subject = 0;                  // whose part of the recording: effects::Effect.subject
  std::vector<machine::Entry> entries;  // of the whole trace
};

// How far it got; filled in while the world is used, and outlives it.
struct Impersonation {
  std::optional<report::TraceDifference> mismatch;  // `a` is the recording, `b` the run
  size_t played = 0, entries = 0;                   // of the subject's part
  // The first recorded request that was never made again.
  std::optional<report::TraceDifference> missing;
};

// Of one lane at a time. `told` outlives it.
std::unique_ptr<effects::LiveWorld> MakeRecordedWorld(RecordedSubject recorded,
                                                      Impersonation* told);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_RECORDED_WORLD_H_
