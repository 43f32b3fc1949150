// One run of one scenario: machine, peer and judge put together. Knows no world: a driver feeds it
// answers, live or recorded.
#ifndef COUNTERPART_SCENARIOS_RUN_H_
#define COUNTERPART_SCENARIOS_RUN_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/judge/pair_judge.h"
#include "harness/machine/machine.h"
#include "harness/machine/replay.h"
#include "harness/peer/peer.h"
#include "harness/peer/relay.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::scenarios {

// Whom a scenario is played with: one subject, or the ids of two between whom the harness stands.
struct Cast {
  Cast(Direction with_one, bool over_stable = false) : direction(with_one), stable(over_stable) {}
  Cast(std::string server, std::string client, bool over_stable = false)
      : direction(Direction::kBidirectional),
        ids(std::move(server), std::move(client)),
        stable(over_stable) {}

  Direction direction;
  peer::BySeat<std::string> ids;
  bool stable = false;  // over stable conduits
};

class Run {
 public:
  // `plan`: faults that the scenario knows nothing of.
  Run(const Scenario& scenario, const Cast& cast, uint64_t seed, std::function<uint64_t()> now_us,
      const std::vector<peer::Fault>& plan = {});

  machine::Machine& machine() { return machine_; }
  peer::Peer& peer() { return *peer_; }  // of a run with one subject
  const judge::Findings& judge() const;
  // Which rules were judged of which of two subjects; null if there is but one.
  const judge::PairJudge* pair() const { return pair_.get(); }
  std::vector<peer::FaultReport> faults() const;
  // Every frame so far: where a plan may cut.
  const std::vector<peer::Moment>& moments() const;
  // How a subject ended that died; "" if none has.
  const std::string& exit_text() const;

  // Once the machine is done: joins what the end of a run adds to its verdict.
  void Conclude();
  // The machine stopped where nothing can ever arrive: a deadlock of scenario and subject.
  void ConcludeStuck();

 private:
  const Scenario& scenario_;
  const Direction direction_;
  const bool stable_;
  bool cut_ = false;                     // by a planned fault
  bool session_lives_ = true;            // after all of them
  std::unique_ptr<judge::Judge> judge_;  // of one subject
  std::unique_ptr<judge::PairJudge> pair_;
  machine::Machine machine_;
  std::unique_ptr<peer::Peer> peer_;  // to one subject
  std::unique_ptr<peer::Relay> relay_;
};

// Verdict and hash of a recorded run judged again, and where it differs from the recording.
struct Rejudged {
  machine::Finding reason;
  machine::Level level = machine::Level::kNone;
  uint64_t hash = 0;
  std::optional<machine::Divergence> divergence;
};
Rejudged Rejudge(const Scenario& scenario, const Cast& cast, uint64_t seed,
                 const std::vector<machine::Entry>& recorded,
                 const std::vector<peer::Fault>& plan = {});

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_RUN_H_
