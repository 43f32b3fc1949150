// What a fault does to a real socket or process, and what the kernel shows of it. Every wait is for
// an arrival or for calm.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/live_world.h"
#include "harness/effects/one_address.h"
#include "harness/wire/framing.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;
using namespace std::chrono_literals;

class ProofTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<LiveWorld>> started =
        LiveWorld::Start({"fake", {FAKE_SUBJECT, "stdio"}, 0}, &OneAddress());
    ASSERT_TRUE(started.ok()) << started.error().message;
    world_ = std::move(*started);
    lane_ = world_->OpenLane();
  }

  void Do(EffectKind kind, uint32_t id = 0, uint64_t number = 0, std::string bytes = "") {
    world_->Execute(lane_, {.kind = kind, .id = id, .number = number, .bytes = std::move(bytes)});
  }
  void Probe(const std::string& how) {
    control::ControlRequest request;
    request.mutable_execute()->set_command_id(next_command_);
    request.mutable_execute()->mutable_probe()->set_capability(how);
    Do(EffectKind::kAsk, next_command_++, 0, request.SerializeAsString());
  }
  // The next arrival that is wanted. Looks for calm as a worker does, where what lasts until then
  // ends; a calm world that has not brought it fails the test.
  Ingress Until(const std::function<bool(const Ingress&)>& wanted) {
    while (true) {
      for (Arrival& arrival : world_->Poll(300us)) arrived_.push_back(std::move(arrival.ingress));
      while (!arrived_.empty()) {
        Ingress ingress = std::move(arrived_.front());
        arrived_.pop_front();
        if (wanted(ingress)) return ingress;
      }
      if (world_->CheckCalm(0us, Certainty::kOneLook).state != Calm::State::kNo) {
        ADD_FAILURE() << "nothing more can come";
        return {};
      }
    }
  }
  Ingress Until(IngressKind kind) {
    return Until([kind](const Ingress& ingress) { return ingress.kind == kind; });
  }
  uint32_t AcceptOne(const std::string& how) {
    Do(EffectKind::kListen, 1);
    const uint64_t port = Until(IngressKind::kListening).number;
    Probe("dial:" + std::to_string(port) + ":" + how);
    return Until(IngressKind::kLinkAccepted).id;
  }
  Ingress Proof(EffectKind kind) {
    const Ingress proof = Until(IngressKind::kProof);
    EXPECT_EQ(proof.bytes, Name(kind));
    return proof;
  }

  std::unique_ptr<LiveWorld> world_;
  Lane lane_ = 0;
  std::deque<Ingress> arrived_;
  uint32_t next_command_ = 1;
};

TEST_F(ProofTest, OfARstIsASocketThatIsClosed) {
  const uint32_t link = AcceptOne("mute");
  Do(EffectKind::kRst, link, 1);
  const Ingress proof = Proof(EffectKind::kRst);
  EXPECT_EQ(proof.number, 1u);
  EXPECT_NE(proof.text.find("socket is"), std::string::npos) << proof.text;
}

TEST_F(ProofTest, OfAFinIsASocketThatHasGotIt) {
  for (const EffectKind kind : {EffectKind::kFin, EffectKind::kHalfClose}) {
    const uint32_t link = AcceptOne("mute");
    Do(kind, link, 1);
    const Ingress proof = Proof(kind);
    EXPECT_EQ(proof.id, link);
    EXPECT_EQ(proof.number, 1u);
    EXPECT_EQ(proof.text, "the subject's socket is in CLOSE_WAIT");
  }
}

TEST_F(ProofTest, IsGivenOnlyIfAskedFor) {
  Do(EffectKind::kRst, AcceptOne("mute"));
  while (world_->CheckCalm(0us, Certainty::kOneLook).state == Calm::State::kNo) {
    for (const Arrival& arrival : world_->Poll(300us)) {
      EXPECT_NE(arrival.ingress.kind, IngressKind::kProof);
    }
  }
}

TEST_F(ProofTest, OfASplitIsThatThePartWasReadBeforeTheRestWasWritten) {
  const uint32_t link = AcceptOne("echo");
  const std::string frame = wire::Frame("in two");
  Do(EffectKind::kWrite, link, 0, frame.substr(0, 3));
  Do(EffectKind::kSplit, link);
  Do(EffectKind::kWrite, link, 0, frame.substr(3));
  Do(EffectKind::kWrite, link, 0, wire::Frame("and another"));
  const Ingress proof = Proof(EffectKind::kSplit);
  EXPECT_EQ(proof.number, 1u);
  EXPECT_NE(proof.text.find("all 3 bytes before the rest"), std::string::npos) << proof.text;
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "in two");
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "and another");
}

TEST_F(ProofTest, OfASplitIsNotGivenWhereNobodyReads) {
  const uint32_t link = AcceptOne("mute");
  Do(EffectKind::kWrite, link, 0, "abc");
  Do(EffectKind::kSplit, link);
  Do(EffectKind::kWrite, link, 0, "def");
  EXPECT_EQ(Proof(EffectKind::kSplit).number, 0u);
}

TEST_F(ProofTest, OfAMergeIsOneSegment) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kMerge, link);
  Do(EffectKind::kWrite, link, 0, wire::Frame("one"));
  Do(EffectKind::kWrite, link, 0, wire::Frame("two"));
  const Ingress proof = Proof(EffectKind::kMerge);
  EXPECT_EQ(proof.number, 1u);
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "one");
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "two");
}

TEST_F(ProofTest, OfAMergeIsNotGivenForOneWriteAndThatIsWrittenAllTheSame) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kMerge, link);
  Do(EffectKind::kWrite, link, 0, wire::Frame("alone"));
  EXPECT_EQ(Proof(EffectKind::kMerge).number, 0u);
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "alone");
}

TEST_F(ProofTest, OfNotReadingIsWhatWaitsUnread) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kStopReading, link, 1);
  Do(EffectKind::kWrite, link, 0, wire::Frame("held"));
  const Ingress proof = Proof(EffectKind::kStopReading);
  EXPECT_EQ(proof.number, 1u);
  EXPECT_NE(proof.text.find("8 bytes of the subject wait unread"), std::string::npos) << proof.text;
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "held");
}

TEST_F(ProofTest, OfNotReadingTellsWhetherTheWindowClosed) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kStopReading, link, 1);
  const std::string large(3u << 20, 'l');
  Do(EffectKind::kWrite, link, 0, wire::Frame(large));
  EXPECT_EQ(Proof(EffectKind::kStopReading).number, 2u);
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, large);
}

TEST_F(ProofTest, OfNotReadingIsNotGivenWhereThereIsNothingToRead) {
  const uint32_t link = AcceptOne("mute");
  Do(EffectKind::kStopReading, link, 1);
  EXPECT_EQ(Proof(EffectKind::kStopReading).number, 0u);
}

TEST_F(ProofTest, OfAStopIsEveryThreadInStateTAndItGoesOn) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kStopProcess);
  Do(EffectKind::kWrite, link, 0, wire::Frame("waits"));
  const Ingress proof = Proof(EffectKind::kStopProcess);
  EXPECT_EQ(proof.number, 1u);
  EXPECT_NE(proof.text.find("in state T, and 9 bytes that wait for them"), std::string::npos)
      << proof.text;
  EXPECT_EQ(Until(IngressKind::kPayload).bytes, "waits");
}

TEST_F(ProofTest, AStoppedProcessGoesOnWhenItsLaneCloses) {
  Do(EffectKind::kStopProcess);
  world_->CloseLane(lane_);
  lane_ = world_->OpenLane();
  Probe("nothing");
  Until(IngressKind::kAnswer);
}

TEST_F(ProofTest, AStoppedProcessCanBeKilledAndStartedAgain) {
  Do(EffectKind::kStopProcess);
  Do(EffectKind::kKill);
  EXPECT_EQ(Until(IngressKind::kExited).text, "signal 9");
  Do(EffectKind::kRestart);
  Until(IngressKind::kStarted);
  Probe("nothing");
  Until(IngressKind::kAnswer);
}

}  // namespace
}  // namespace counterpart::effects
