// One end of a stable conduit, without a link.
#include "runtime/stable_core.h"

#include <gtest/gtest.h>

namespace subject {
namespace {

constexpr uint32_t kNearTheWrap = 0xfffffffe;

wire::StableFrame Data(uint32_t seq, std::optional<uint32_t> ack = std::nullopt) {
  wire::StableFrame frame;
  frame.mutable_data()->set_seq(seq);
  frame.mutable_data()->set_item("item " + std::to_string(seq));
  if (ack) frame.mutable_data()->set_ack(*ack);
  return frame;
}

wire::StableFrame Ack(uint32_t seq) {
  wire::StableFrame frame;
  frame.mutable_ack()->set_ack(seq);
  return frame;
}

std::vector<uint32_t> Numbers(StableCore& core) {
  std::vector<uint32_t> numbers;
  for (const auto& frame : core.Unacknowledged()) numbers.push_back(frame.data().seq());
  return numbers;
}

using Seqs = std::vector<uint32_t>;

// r[stable.seq.monotonic]
TEST(StableCore, NumbersOverTheWrapAndKeepsUntilAcknowledged) {
  StableCore core(kNearTheWrap, 0);
  Seqs sent;
  for (int i = 0; i < 4; ++i) sent.push_back(core.Send("x").data().seq());
  EXPECT_EQ(sent, (Seqs{kNearTheWrap, 0xffffffff, 0, 1}));
  EXPECT_FALSE(core.Receive(Ack(0xffffffff)).violation);
  EXPECT_EQ(Numbers(core), (Seqs{0, 1}));
  EXPECT_FALSE(core.Receive(Ack(kNearTheWrap)).violation);  // told before
  EXPECT_FALSE(core.Receive(Ack(1)).violation);
  EXPECT_EQ(Numbers(core), Seqs());
}

TEST(StableCore, TakesWhatWasReceivedAlreadyOnce) {
  StableCore core(0, kNearTheWrap);
  EXPECT_EQ(core.last_received(), std::nullopt);
  EXPECT_TRUE(core.Receive(Data(kNearTheWrap)).item);
  const auto again = core.Receive(Data(kNearTheWrap));
  EXPECT_FALSE(again.item);
  EXPECT_FALSE(again.violation);
  EXPECT_TRUE(core.Receive(Data(0xffffffff)).item);
  EXPECT_TRUE(core.Receive(Data(0)).item);
  EXPECT_EQ(core.last_received(), 0u);
}

// r[stable.seq]
TEST(StableCore, RefusesAGap) {
  for (const uint32_t seq : {1u, 0xffffffffu, 1u << 31}) {
    StableCore core(0, 0);
    EXPECT_TRUE(core.Receive(Data(seq)).violation) << seq;
  }
}

TEST(StableCore, RefusesAnAckOfWhatWasNeverSent) {
  for (const uint32_t seq : {9u, 12u, 0xffffffffu}) {
    for (const auto& frame : {Ack(seq), Data(0, seq)}) {
      StableCore core(10, 0);
      core.Send("10");
      core.Send("11");
      EXPECT_TRUE(core.Receive(frame).violation) << seq;
    }
  }
}

TEST(StableCore, AcknowledgesOftenEnough) {
  StableCore core(0, 0);
  uint32_t since = 0;
  for (uint32_t seq = 0; seq < 1000; ++seq) {
    core.Receive(Data(seq));
    const auto due = core.DueAck();
    EXPECT_TRUE(!due || due->ack().ack() == seq);
    since = due ? 0 : since + 1;
    ASSERT_LT(since, 256u);
  }
}

TEST(StableCore, EveryFrameCarriesTheNewestAck) {
  StableCore core(0, 7);
  EXPECT_FALSE(core.Send("").data().has_ack());
  core.Receive(Data(7));
  EXPECT_EQ(core.Send("").data().ack(), 7u);
  for (const auto& frame : core.Unacknowledged()) EXPECT_EQ(frame.data().ack(), 7u);
}

// r[stable.ack.trim]
TEST(StableCore, LeavesOutWhatTheNewLinkNeedNotBring) {
  StableCore core(0, 0);
  for (int i = 0; i < 3; ++i) core.Send("x");
  EXPECT_FALSE(core.Resume(std::nullopt));
  EXPECT_EQ(Numbers(core), (Seqs{0, 1, 2}));
  EXPECT_FALSE(core.Resume(0));
  EXPECT_EQ(Numbers(core), (Seqs{1, 2}));
}

TEST(StableCore, RefusesALastReceivedThatCannotBe) {
  for (const std::optional<uint32_t> last :
       {std::optional<uint32_t>(), std::optional<uint32_t>(0), std::optional<uint32_t>(3)}) {
    StableCore core(0, 0);
    for (int i = 0; i < 3; ++i) core.Send("x");
    core.Receive(Ack(1));
    EXPECT_TRUE(core.Resume(last));
  }
}

}  // namespace
}  // namespace subject
