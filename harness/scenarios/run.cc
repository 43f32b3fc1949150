#include "harness/scenarios/run.h"

#include <utility>

#include "harness/scenarios/aftermath.h"
#include "harness/scenarios/aftermath_between.h"

namespace counterpart::scenarios {
namespace {

Task<> Play(const Scenario& scenario, Peer& peer) {
  co_await scenario.body(peer);
  co_await peer.Epilogue();
}

Task<> Play(const Scenario& scenario, Relay& relay) {
  co_await scenario.between(relay);
  co_await relay.Epilogue();
}

}  // namespace

Run::Run(const Scenario& scenario, const Cast& cast, uint64_t seed,
         std::function<uint64_t()> now_us, const std::vector<peer::Fault>& plan)
    : scenario_(scenario),
      direction_(cast.direction),
      stable_(cast.stable),
      machine_(seed, std::move(now_us)) {
  const auto report = [this](machine::Finding finding) { machine_.Report(std::move(finding)); };
  if (direction_ == Direction::kBidirectional) {
    pair_ = std::make_unique<judge::PairJudge>(cast.ids);
    pair_->set_report(report);
    relay_ =
        std::make_unique<Relay>(&machine_, cast.ids,
                                peer::BySeat<peer::FrameObserver*>(&pair_->of(peer::Seat::kServer),
                                                                   &pair_->of(peer::Seat::kClient)),
                                [this](const machine::Finding& finding) { pair_->Add(finding); });
    relay_->set_stable(stable_);
    machine_.set_observer(relay_.get());
    machine_.AddRole("scenario", Play(scenario_, *relay_));
    relay_->ArmPlan(plan, [this] {
      if (stable_) return;  // r[stable.untouched]
      cut_ = true;
      machine_.Supersede("aftermath", AftermathBetween(*relay_));
    });
    return;
  }
  judge_ = std::make_unique<judge::Judge>();
  judge_->set_report(report);
  peer_ = std::make_unique<Peer>(&machine_, direction_, judge_.get());
  peer_->set_stable(stable_);
  machine_.set_observer(peer_.get());
  machine_.AddRole("scenario", Play(scenario_, *peer_));
  peer_->ArmPlan(plan, [this] {
    // r[stable.untouched]
    if (stable_) return machine_.Replace("conduit", peer_->CarryOn());
    cut_ = true;
    for (const peer::ArmedFault& armed : peer_->faults()) {
      const bool other =
          armed.fault.how == peer::How::kKill || armed.fault.how == peer::How::kBitFlip;
      session_lives_ &= !(armed.planned && armed.fired && other);
    }
    machine_.Supersede("aftermath", Aftermath(*peer_));
  });
}

const judge::Findings& Run::judge() const {
  if (pair_ != nullptr) return *pair_;
  return *judge_;
}

std::vector<peer::FaultReport> Run::faults() const {
  if (relay_ != nullptr) return relay_->faults();
  std::vector<peer::FaultReport> reports;
  for (const peer::ArmedFault& armed : peer_->faults()) {
    peer::FaultReport& report = reports.emplace_back();
    report.at = peer::DescribeMoment(armed.fault);
    report.how = peer::Name(armed.fault.how);
    report.ordinal = armed.fault.ordinal;
    report.fired = armed.fired;
    report.where = armed.where;
    report.proof = armed.proof;
  }
  return reports;
}

const std::vector<peer::Moment>& Run::moments() const {
  return relay_ != nullptr ? relay_->moments() : peer_->moments();
}

const std::string& Run::exit_text() const {
  return relay_ != nullptr ? relay_->exit_text() : peer_->exit_text();
}

void Run::Conclude() {
  // What a scenario promises to judge, it promises of an undisturbed run.
  static const std::vector<std::string> kOfACut = {"session.outlives-conduit"};
  static const std::vector<std::string> kOfALostSession = {};
  if (pair_ != nullptr) {
    pair_->Conclude(!cut_                     ? scenario_.Rules(direction_, stable_)
                    : relay_->session_lives() ? kOfACut
                                              : kOfALostSession);
  } else {
    judge_->Conclude(!cut_            ? scenario_.Rules(direction_, stable_)
                     : session_lives_ ? kOfACut
                                      : kOfALostSession);
  }
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

Rejudged Rejudge(const Scenario& scenario, const Cast& cast, uint64_t seed,
                 const std::vector<machine::Entry>& recorded,
                 const std::vector<peer::Fault>& plan) {
  Run run(
      scenario, cast, seed, [] { return uint64_t{0}; }, plan);
  Rejudged result;
  result.divergence = machine::RunReplay(run.machine(), recorded);
  if (!result.divergence) result.hash = run.machine().trace().ExactHash();
  run.Conclude();
  result.level = run.judge().verdict().level();
  result.reason = run.judge().verdict().reason();
  return result;
}

}  // namespace counterpart::scenarios
