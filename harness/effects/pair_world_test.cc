// Two tiny subjects as one world: each hears only what is meant for it, and calm is that of both.
// Nothing here sleeps or is judged by a clock.
#include "harness/effects/pair_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/one_address.h"
#include "harness/wire/framing.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;
using namespace std::chrono_literals;

class PairWorldTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (auto& world : worlds_) {
      Result<std::unique_ptr<LiveWorld>> started =
          LiveWorld::Start({"fake", {FAKE_SUBJECT, GetParam()}, 0}, &OneAddress());
      ASSERT_TRUE(started.ok()) << started.error().message;
      world = std::move(*started);
    }
    pair_ = MakePairWorld(worlds_[0].get(), worlds_[1].get());
    lane_ = pair_->OpenLane();
  }

  void Do(uint8_t subject, EffectKind kind, uint32_t id, uint64_t number = 0,
          std::string bytes = "") {
    pair_->Execute(
        lane_,
        {.kind = kind, .id = id, .number = number, .bytes = std::move(bytes), .subject = subject});
  }
  Ingress Until(uint8_t subject, IngressKind kind) {
    while (true) {
      for (size_t i = 0; i < seen_.size(); ++i) {
        if (seen_[i].kind != kind || seen_[i].subject != subject) continue;
        Ingress found = std::move(seen_[i]);
        seen_.erase(seen_.begin() + static_cast<std::ptrdiff_t>(i));
        return found;
      }
      Take(100ms);
    }
  }
  void Take(std::chrono::microseconds limit) {
    for (Arrival& arrival : pair_->Poll(limit)) {
      EXPECT_EQ(arrival.lane, lane_);
      seen_.push_back(std::move(arrival.ingress));
    }
  }
  control::ControlReply Probe(uint8_t subject, const std::string& how) {
    AskProbe(subject, how);
    control::ControlReply reply;
    EXPECT_TRUE(reply.ParseFromString(Until(subject, IngressKind::kAnswer).bytes));
    return reply;
  }
  void AskProbe(uint8_t subject, const std::string& how) {
    control::ControlRequest request;
    request.mutable_execute()->set_command_id(++commands_[subject]);
    request.mutable_execute()->set_send(1);
    request.mutable_execute()->mutable_probe()->set_capability(how);
    Do(subject, EffectKind::kAsk, ++questions_, 0, request.SerializeAsString());
  }
  Calm AwaitCalm() {
    while (true) {
      Calm calm = pair_->CheckCalm(0us, Certainty::kOneLook);
      if (calm.state != Calm::State::kNo) return calm;
      Take(calm.retry_after);
    }
  }

  std::unique_ptr<LiveWorld> worlds_[2];
  std::unique_ptr<LiveWorld> pair_;
  Lane lane_ = 0;
  std::vector<Ingress> seen_;
  uint64_t commands_[2] = {0, 0};
  uint32_t questions_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Control, PairWorldTest, testing::Values("grpc", "stdio"),
                         [](const auto& info) { return info.param; });

TEST_P(PairWorldTest, EachSubjectHasLinksOfItsOwn) {
  Do(1, EffectKind::kListen, 1);
  const uint64_t port = Until(1, IngressKind::kListening).number;
  AskProbe(1, "dial:" + std::to_string(port) + ":echo");
  const uint32_t accepted = Until(1, IngressKind::kLinkAccepted).id;
  const uint64_t other = Probe(0, "listen:echo").execute().outcome().listening().port();
  Do(0, EffectKind::kDial, accepted, other);  // the same number, of the other subject
  Until(0, IngressKind::kLinkUp);
  Do(0, EffectKind::kWrite, accepted, 0, wire::Frame("to the first"));
  Do(1, EffectKind::kWrite, accepted, 0, wire::Frame("to the second"));
  EXPECT_EQ(Until(0, IngressKind::kPayload).bytes, "to the first");
  EXPECT_EQ(Until(1, IngressKind::kPayload).bytes, "to the second");
  Do(0, EffectKind::kRst, accepted);
  Do(1, EffectKind::kWrite, accepted, 0, wire::Frame("still here"));
  EXPECT_EQ(Until(1, IngressKind::kPayload).bytes, "still here");
}

TEST_P(PairWorldTest, IsCalmOnlyWhenBothAre) {
  for (const uint8_t busy : {uint8_t{0}, uint8_t{1}}) {
    AskProbe(busy, "spin:50");
    const Calm calm = AwaitCalm();
    ASSERT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
    // It had ended by then: its answer is here and need not be waited for.
    const auto answers = std::count_if(seen_.begin(), seen_.end(), [busy](const Ingress& ingress) {
      return ingress.kind == IngressKind::kAnswer && ingress.subject == busy;
    });
    EXPECT_EQ(answers, 1) << int{busy};
  }
}

TEST_P(PairWorldTest, TellsWhichOfThemEnded) {
  AskProbe(1, "exit:3");
  EXPECT_EQ(Until(1, IngressKind::kExited).text, "exit 3");
  EXPECT_FALSE(pair_->alive());
  EXPECT_TRUE(worlds_[0]->alive());
}

TEST_P(PairWorldTest, ClosingALaneClosesItAtBoth) {
  const uint64_t port = Probe(0, "listen:mute").execute().outcome().listening().port();
  Do(0, EffectKind::kDial, 1, port);
  Until(0, IngressKind::kLinkUp);
  pair_->CloseLane(lane_);
  lane_ = pair_->OpenLane();
  EXPECT_EQ(AwaitCalm().state, Calm::State::kQuiescent);
  EXPECT_TRUE(pair_->Poll(0us).empty());
}

}  // namespace
}  // namespace counterpart::effects
