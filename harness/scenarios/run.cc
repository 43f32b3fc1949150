#include "harness/scenarios/run.h"

#include <utility>

#include "harness/scenarios/aftermath.h"

namespace counterpart::scenarios {
namespace {

Task<> Play(const Scenario& scenario, Peer& peer) {
  co_await scenario.body(peer);
  co_await peer.Epilogue();
}

}  // namespace

Run::Run(const Scenario& scenario, Direction direction, uint64_t seed,
         std::function<uint64_t()> now_us, const std::vector<peer::Fault>& plan)
    : scenario_(scenario),
      direction_(direction),
      machine_(seed, std::move(now_us)),
      peer_(&machine_, direction, &judge_) {
  judge_.set_report([this](machine::Finding finding) { machine_.Report(std::move(finding)); });
  machine_.set_observer(&peer_);
  machine_.AddRole("scenario", Play(scenario_, peer_));
  peer_.ArmPlan(plan, [this] {
    cut_ = true;
    machine_.Supersede("aftermath", Aftermath(peer_));
  });
}

void Run::Conclude() {
  // What a scenario promises to judge, it promises of an undisturbed run.
  static const std::vector<std::string> kOfACut = {"session.outlives-conduit"};
  judge_.Conclude(cut_ ? kOfACut : scenario_.Rules(direction_));
}

void Run::ConcludeStuck() {
  std::string awaited;
  for (const std::string& what : machine_.Awaited())
    awaited += (awaited.empty() ? "" : ", ") + what;
  machine::Finding finding;
  finding.level = machine::Level::kFail;
  finding.text = "awaited " + awaited + ", and nothing is left that could answer";
  finding.place = awaited;
  finding.stall = true;
  machine_.Report(std::move(finding));
  Conclude();
}

Rejudged Rejudge(const Scenario& scenario, Direction direction, uint64_t seed,
                 const std::vector<machine::Entry>& recorded,
                 const std::vector<peer::Fault>& plan) {
  Run run(
      scenario, direction, seed, [] { return uint64_t{0}; }, plan);
  Rejudged result;
  result.divergence = machine::RunReplay(run.machine(), recorded);
  if (!result.divergence) result.hash = run.machine().trace().ExactHash();
  run.Conclude();
  result.level = run.judge().verdict().level();
  result.reason = run.judge().verdict().reason();
  return result;
}

}  // namespace counterpart::scenarios
