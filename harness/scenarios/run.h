// One run of one scenario: machine, peer and judge put together. Knows no world: a driver feeds it
// answers, live or recorded.
#ifndef COUNTERPART_SCENARIOS_RUN_H_
#define COUNTERPART_SCENARIOS_RUN_H_

#include <functional>
#include <optional>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/machine/machine.h"
#include "harness/machine/replay.h"
#include "harness/peer/peer.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

class Run {
 public:
  // `plan`: faults that the scenario knows nothing of.
  Run(const Scenario& scenario, Direction direction, uint64_t seed,
      std::function<uint64_t()> now_us, const std::vector<peer::Fault>& plan = {});

  machine::Machine& machine() { return machine_; }
  peer::Peer& peer() { return peer_; }
  const judge::Judge& judge() const { return judge_; }

  // Once the machine is done: joins what the end of a run adds to its verdict.
  void Conclude();
  // The machine stopped where nothing can ever arrive: a deadlock of scenario and subject.
  void ConcludeStuck();

 private:
  const Scenario& scenario_;
  Direction direction_;
  bool cut_ = false;  // by a planned fault
  judge::Judge judge_;
  machine::Machine machine_;
  peer::Peer peer_;
};

// Verdict and hash of a recorded run judged again, and where it differs from the recording.
struct Rejudged {
  machine::Finding reason;
  machine::Level level = machine::Level::kNone;
  uint64_t hash = 0;
  std::optional<machine::Divergence> divergence;
};
Rejudged Rejudge(const Scenario& scenario, Direction direction, uint64_t seed,
                 const std::vector<machine::Entry>& recorded,
                 const std::vector<peer::Fault>& plan = {});

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_RUN_H_
