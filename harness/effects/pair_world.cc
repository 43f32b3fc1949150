#include "harness/effects/pair_world.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <utility>

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;

class PairWorld final : public LiveWorld {
 public:
  PairWorld(LiveWorld* first, LiveWorld* second) : worlds_{first, second} {}

  const SubjectInfo& subject() const override { return worlds_[0]->subject(); }
  uint32_t incarnation() const override { return worlds_[0]->incarnation(); }
  bool alive() const override { return worlds_[0]->alive() && worlds_[1]->alive(); }
  std::string stderr_tail() const override {
    std::string tails;
    for (const LiveWorld* world : worlds_) {
      const std::string tail = world->stderr_tail();
      if (!tail.empty()) tails += world->subject().name + ":\n" + tail + "\n";
    }
    return tails;
  }

  Lane OpenLane() override {
    const Lane lane = next_lane_++;
    for (size_t i = 0; i < worlds_.size(); ++i) {
      const Lane theirs = worlds_[i]->OpenLane();
      lanes_[lane][i] = theirs;
      ours_[i][theirs] = lane;
    }
    return lane;
  }

  void CloseLane(Lane lane) override {
    const auto found = lanes_.find(lane);
    if (found == lanes_.end()) return;
    for (size_t i = 0; i < worlds_.size(); ++i) {
      worlds_[i]->CloseLane(found->second[i]);
      ours_[i].erase(found->second[i]);
    }
    lanes_.erase(found);
    std::erase_if(kept_, [lane](const Arrival& arrival) { return arrival.lane == lane; });
  }

  void Execute(Lane lane, const Effect& effect) override {
    const auto found = lanes_.find(lane);
    if (found == lanes_.end() || effect.subject >= worlds_.size()) return;
    worlds_[effect.subject]->Execute(found->second[effect.subject], effect);
  }

  std::vector<Arrival> Poll(microseconds limit) override {
    std::vector<Arrival> arrivals = std::exchange(kept_, {});
    Take(&arrivals);
    if (!arrivals.empty() || limit.count() <= 0) return arrivals;
    std::array<pollfd, 2> wait = {};
    for (size_t i = 0; i < worlds_.size(); ++i) wait[i] = {worlds_[i]->wait_fd(), POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    poll(wait.data(), wait.size(), static_cast<int>(std::min<int64_t>(ms, 1'000'000)));
    Take(&arrivals);
    return arrivals;
  }

  int wait_fd() const override { return -1; }  // a pair of pairs is of no use

  // One after the other will do. They share nothing but the harness, which does nothing meanwhile:
  // a subject that was at rest when it was looked at stays so, for nobody else can wake it. Should
  // it have spoken all the same, that is seen at the end.
  Calm CheckCalm(microseconds horizon, Certainty certainty) override {
    Calm both;
    both.state = Calm::State::kQuiescent;
    for (size_t i = 0; i < worlds_.size(); ++i) {
      LiveWorld* world = worlds_[i];
      Calm calm = world->CheckCalm(horizon, certainty);
      if (calm.state != Calm::State::kQuiescent) {
        calm.subject = static_cast<uint8_t>(i);
        // The class of what cannot be judged stays in front.
        const size_t head =
            calm.state == Calm::State::kUnjudgeable ? calm.evidence.find(": ") : std::string::npos;
        calm.evidence.insert(head == std::string::npos ? 0 : head + 2,
                             world->subject().name + ": ");
        return calm;
      }
      both.fixpoint += calm.fixpoint;
      both.tier = std::max(both.tier, calm.tier);
      both.evidence +=
          (both.evidence.empty() ? "" : "; ") + world->subject().name + ": " + calm.evidence;
    }
    Take(&kept_);
    if (kept_.empty()) return both;
    return Calm{};
  }

  Status Respawn() override {
    for (LiveWorld* world : worlds_) {
      if (Status status = world->Respawn(); !status.ok()) return status;
    }
    return {};
  }

 private:
  // What there is, of both, without waiting.
  void Take(std::vector<Arrival>* arrivals) {
    for (size_t i = 0; i < worlds_.size(); ++i) {
      for (Arrival& arrival : worlds_[i]->Poll(microseconds(0))) {
        const auto lane = ours_[i].find(arrival.lane);
        if (lane == ours_[i].end()) continue;
        arrival.lane = lane->second;
        arrival.ingress.subject = static_cast<uint8_t>(i);
        arrivals->push_back(std::move(arrival));
      }
    }
  }

  const std::array<LiveWorld*, 2> worlds_;
  Lane next_lane_ = 1;
  std::map<Lane, std::array<Lane, 2>> lanes_;  // ours: theirs
  std::array<std::map<Lane, Lane>, 2> ours_;   // theirs: ours
  std::vector<Arrival> kept_;                  // came with a look for calm
};

}  // namespace

std::unique_ptr<LiveWorld> MakePairWorld(LiveWorld* first, LiveWorld* second) {
  return std::make_unique<PairWorld>(first, second);
}

}  // namespace counterpart::effects
