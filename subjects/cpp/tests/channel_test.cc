// Both ends of a channel, against a host that only notes what they say.
#include "runtime/channel.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace subject {
namespace {

constexpr uint64_t kChannel = 7;

class FakeHost final : public ChannelHost {
 public:
  const Recorder& record() const override { return record_; }
  bool Commit(wire::Message message) override {
    sent.push_back(std::move(message));
    return true;
  }
  bool Fits(const wire::Message& message) const override {
    return message.ByteSizeLong() <= largest;
  }
  void Announce(const Method&, wire::BindingRole, uint32_t) override { ++announced; }
  Loop& loop() override { return loop_; }
  bool Congested() const override { return congested; }

  // Runs what was posted; how often `wake` was among it is the test's to count.
  void Run() {
    loop_.io().restart();
    loop_.io().poll();
  }
  uint32_t discarded(std::string_view what) {
    uint32_t count = 0;
    const control::JournalResponse journalled = journal_.Read("", 0);
    for (const auto& event : journalled.events()) {
      if (event.discard().what() == what) count += event.discard().count();
    }
    return count;
  }
  uint32_t invalid() {
    uint32_t count = 0;
    const control::JournalResponse journalled = journal_.Read("", 0);
    for (const auto& event : journalled.events()) count += event.transition().invalid();
    return count;
  }

  std::vector<wire::Message> sent;
  int announced = 0;
  bool congested = false;
  size_t largest = 1 << 20;

 private:
  Journal journal_;
  Recorder record_{&journal_, "", "session", 1};
  Loop loop_;
};

class ChannelTest : public testing::Test {
 protected:
  ChannelArgument Argument(uint32_t credit) { return {3, true, nullptr, credit}; }
  SendingEnd Sender(uint32_t credit) {
    SendingEnd end(&host_, &method_, Argument(credit), kChannel);
    end.Bind();
    return end;
  }
  ReceivingEnd Receiver(uint32_t credit) {
    return ReceivingEnd(&host_, &method_, Argument(credit), kChannel);
  }
  static void ExpectViolation(const MaybeViolation& violation, wire::ProtocolErrorCode code,
                              const std::string& rule) {
    ASSERT_TRUE(violation.has_value());
    EXPECT_EQ(violation->code, code);
    EXPECT_EQ(violation->rule, rule);
  }
  static void ExpectState(const MaybeViolation& violation) {
    ExpectViolation(violation, wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends");
  }

  FakeHost host_;
  Method method_{"Service/Method", nullptr, nullptr, nullptr, false, false, {}};
};

// ------------------------------------------------------------------ sending end

TEST_F(ChannelTest, AFullWayOutPushesBackAndSpendsNoCredit) {  // r[strict.delivery.explicit]
  SendingEnd end = Sender(2);
  int woken = 0;
  host_.congested = true;
  EXPECT_EQ(end.Send("a"), Sent::kNotNow);
  EXPECT_EQ(end.credit(), 2u);
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  EXPECT_TRUE(host_.sent.empty());
  end.OnChange([&] { ++woken; });
  host_.congested = false;
  end.OnDrained();
  host_.Run();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(end.Send("a"), Sent::kAccepted);
  EXPECT_EQ(end.credit(), 1u);
}

TEST_F(ChannelTest, EachItemCostsOneCreditAndZeroBlocks) {  // r[rpc.flow-control.credit.spend]
  SendingEnd end = Sender(2);
  EXPECT_EQ(end.Send("a"), Sent::kAccepted);
  EXPECT_EQ(end.Send("b"), Sent::kAccepted);
  EXPECT_EQ(end.credit(), 0u);
  EXPECT_EQ(end.Send("c"), Sent::kNotNow);
  ASSERT_EQ(host_.sent.size(), 2u);
  EXPECT_EQ(host_.sent[1].channel_item().channel_id(), kChannel);
  EXPECT_EQ(host_.sent[1].channel_item().item(), "b");
  EXPECT_EQ(host_.announced, 2);

  int woken = 0;
  end.OnChange([&] { ++woken; });
  EXPECT_FALSE(end.OnCredit(0));  // grants nothing, harms nothing
  EXPECT_EQ(end.Send("c"), Sent::kNotNow);
  EXPECT_FALSE(end.OnCredit(2));
  EXPECT_FALSE(end.OnCredit(3));
  EXPECT_EQ(end.credit(), 5u);
  EXPECT_EQ(woken, 0);  // never from inside
  host_.Run();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(end.Send("c"), Sent::kAccepted);
  EXPECT_EQ(end.credit(), 4u);
}

// r[link.limit.announce]
TEST_F(ChannelTest, AnItemOverTheLimitIsRefusedAndHarmsNothing) {
  SendingEnd end = Sender(1);
  EXPECT_EQ(end.Send(std::string(host_.largest, 'x')), Sent::kTooLarge);
  EXPECT_EQ(end.credit(), 1u);
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  EXPECT_EQ(host_.announced, 0);
  EXPECT_TRUE(host_.sent.empty());
  EXPECT_EQ(end.Send("a"), Sent::kAccepted);
  EXPECT_EQ(end.Send(std::string(host_.largest, 'x')), Sent::kTooLarge);  // with no credit either
}

TEST_F(ChannelTest, CreditMayComeBeforeBinding) {
  SendingEnd end(&host_, &method_, Argument(0), kChannel);
  EXPECT_FALSE(end.OnCredit(1));
  EXPECT_EQ(end.Send("a"), Sent::kNotNow);
  end.Bind();
  EXPECT_EQ(end.Send("a"), Sent::kAccepted);
}

TEST_F(ChannelTest, CreditOverflowIsAViolation) {
  SendingEnd end = Sender(1);
  EXPECT_FALSE(end.OnCredit(std::numeric_limits<uint32_t>::max() - 1));
  ExpectViolation(end.OnCredit(1), wire::PROTOCOL_ERROR_CODE_CREDIT_OVERFLOW,
                  "rpc.flow-control.credit.overflow");
}

TEST_F(ChannelTest, SenderSaysNothingAfterItsClose) {  // r[rpc.channel.close]
  SendingEnd end = Sender(5);
  end.Close();
  EXPECT_EQ(end.status(), EndStatus::kClosed);
  end.Close();
  end.Abort();
  EXPECT_EQ(end.Send("a"), Sent::kOver);
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_FALSE(host_.sent[0].close_channel().aborted());
}

TEST_F(ChannelTest, AbortSaysSo) {  // r[rpc.channel.abandon]
  SendingEnd end(&host_, &method_, Argument(1), kChannel);
  end.Abort();  // never bound
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_TRUE(host_.sent[0].close_channel().aborted());
}

TEST_F(ChannelTest, SenderIgnoresWhatCrossedItsClose) {  // r[rpc.channel.ends]
  SendingEnd end = Sender(1);
  end.Close();
  EXPECT_FALSE(end.OnCredit(1));
  EXPECT_FALSE(end.OnCredit(1));
  EXPECT_FALSE(end.OnReset());
  EXPECT_EQ(host_.discarded("grant_credit"), 2u);
  EXPECT_EQ(host_.discarded("reset_channel"), 1u);
  EXPECT_EQ(end.status(), EndStatus::kClosed);
  EXPECT_EQ(host_.invalid(), 0u);
  ExpectState(end.OnReset());  // no race explains a second one
}

TEST_F(ChannelTest, SenderStopsAtReset) {  // r[rpc.channel.reset]
  SendingEnd end = Sender(5);
  int woken = 0;
  end.OnChange([&] { ++woken; });
  EXPECT_FALSE(end.OnReset());
  host_.Run();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(end.status(), EndStatus::kReset);
  EXPECT_EQ(end.Send("a"), Sent::kOver);
  end.Close();
  EXPECT_TRUE(host_.sent.empty());
  ExpectState(end.OnReset());
  ExpectState(end.OnCredit(1));
  EXPECT_EQ(host_.invalid(), 2u);
}

TEST_F(ChannelTest, MessagesOfTheWrongDirectionAreViolations) {
  ExpectState(Sender(1).OnForeign("item"));
  ExpectState(Receiver(1).OnForeign("credit"));
}

TEST_F(ChannelTest, DetachedSenderIsDefunctForGood) {  // r[strict.rebind.generation]
  SendingEnd end = Sender(5);
  end.Detach();
  EXPECT_EQ(end.status(), EndStatus::kDefunct);
  EXPECT_EQ(end.Send("a"), Sent::kOver);
  end.Close();
  end.Abort();
  EXPECT_TRUE(host_.sent.empty());
}

// ------------------------------------------------------------------ receiving end

TEST_F(ChannelTest, KeepsItemsUntilBoundThenDeliversInOrder) {  // r[rpc.channel.binding]
  ReceivingEnd end = Receiver(3);
  std::string item;
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnItem("b", true));
  EXPECT_FALSE(end.Take(item));
  EXPECT_FALSE(end.OnClose(false));
  end.Bind();
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(item, "a");
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(item, "b");
  EXPECT_FALSE(end.Take(item));
  EXPECT_EQ(end.status(), EndStatus::kClosed);
  EXPECT_TRUE(end.Ended());
  EXPECT_TRUE(host_.sent.empty());  // no credit after the close
}

// ReservedClosing of spec/machines/channel_receiver.yaml: its only ways on are bind, reset, detach.
TEST_F(ChannelTest, ClosedBeforeBindingItStillDeliversOnlyOnceBound) {
  ReceivingEnd end = Receiver(2);
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnClose(false));
  std::string item;
  EXPECT_FALSE(end.Take(item));
  end.Bind();
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  ASSERT_TRUE(end.Take(item));
  EXPECT_EQ(item, "a");
  EXPECT_FALSE(end.Take(item));
  EXPECT_EQ(end.status(), EndStatus::kClosed);
  EXPECT_TRUE(end.Ended());
  EXPECT_EQ(host_.invalid(), 0u);
}

TEST_F(ChannelTest, ItemBeyondCreditIsAViolation) {
  ReceivingEnd end = Receiver(1);
  EXPECT_FALSE(end.OnItem("a", true));
  ExpectViolation(end.OnItem("b", true), wire::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED,
                  "rpc.flow-control.credit.exceeded");
}

TEST_F(ChannelTest, ItemOfAnUnannouncedTypeIsAViolation) {
  ExpectViolation(Receiver(1).OnItem("a", false), wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING,
                  "schema.exchange.required");
}

TEST_F(ChannelTest, ItemOrCloseAfterCloseIsAViolation) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  EXPECT_FALSE(end.OnClose(false));
  ExpectViolation(end.OnItem("a", true), wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE,
                  "rpc.channel.data-after-close");
  EXPECT_EQ(host_.invalid(), 1u);
  ExpectState(end.OnClose(false));
}

TEST_F(ChannelTest, AbortedCloseIsAFailureAfterWhatCameBefore) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  std::string item;
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnClose(true));
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(end.status(), EndStatus::kAborted);
}

// Credit is granted for what was taken, or when the application waits without any.
TEST_F(ChannelTest, GrantsWhatTheApplicationTook) {  // r[rpc.flow-control.credit.replenish]
  ReceivingEnd end = Receiver(2);
  end.Bind();
  std::string item;
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_TRUE(host_.sent.empty());
  EXPECT_TRUE(end.Take(item));
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(host_.sent[0].grant_credit().credit(), 1u);
  EXPECT_EQ(host_.sent[0].grant_credit().channel_id(), kChannel);
}

TEST_F(ChannelTest, WaitingWithoutCreditGrantsOne) {
  ReceivingEnd end = Receiver(0);
  end.Bind();
  ExpectViolation(Receiver(0).OnItem("a", true), wire::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED,
                  "rpc.flow-control.credit.exceeded");
  end.OnItemOrEnd([] {});
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(host_.sent[0].grant_credit().credit(), 1u);
  end.OnItemOrEnd([] {});  // one is outstanding
  EXPECT_EQ(host_.sent.size(), 1u);
  EXPECT_FALSE(end.OnItem("a", true));
}

TEST_F(ChannelTest, ResetDiscardsWhatIsInFlightWithinCredit) {  // r[rpc.channel.reset]
  ReceivingEnd end = Receiver(3);
  end.Bind();
  EXPECT_FALSE(end.OnItem("a", true));
  end.Reset();
  end.Reset();
  EXPECT_EQ(end.status(), EndStatus::kReset);
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(host_.sent[0].reset_channel().channel_id(), kChannel);
  EXPECT_FALSE(end.OnItem("b", true));
  EXPECT_FALSE(end.OnItem("c", true));
  EXPECT_EQ(host_.discarded("channel_item"), 3u);
  std::string item;
  EXPECT_FALSE(end.Take(item));
  ExpectViolation(end.OnItem("d", true), wire::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED,
                  "rpc.flow-control.credit.exceeded");
}

TEST_F(ChannelTest, ResetIgnoresOneLateClose) {  // r[rpc.channel.ends]
  ReceivingEnd end = Receiver(3);
  end.Bind();
  end.Reset();
  EXPECT_FALSE(end.OnClose(false));
  EXPECT_EQ(host_.discarded("close_channel"), 1u);
  ExpectState(end.OnClose(false));
  ExpectViolation(end.OnItem("a", true), wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE,
                  "rpc.channel.data-after-close");
}

TEST_F(ChannelTest, ResetAfterCloseTellsNobody) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnClose(false));
  end.Reset();
  EXPECT_EQ(end.status(), EndStatus::kReset);
  EXPECT_TRUE(host_.sent.empty());
}

// r[rpc.channel.detach.buffered]
TEST_F(ChannelTest, DetachKeepsWhatWasReceivedThenFails) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  std::string item;
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnItem("b", true));
  end.Detach();
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(item, "a");
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(end.status(), EndStatus::kDefunct);
  end.OnItemOrEnd([] {});
  end.Reset();
  EXPECT_TRUE(host_.sent.empty());
}

TEST_F(ChannelTest, DetachAfterCloseStillEndsTheStream) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  std::string item;
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnClose(false));
  end.Detach();
  EXPECT_TRUE(end.Take(item));
  EXPECT_EQ(end.status(), EndStatus::kClosed);
  EXPECT_EQ(host_.invalid(), 0u);
}

// Its application can let go of what was kept for it, with the stream's end read or not.
TEST_F(ChannelTest, ResetAfterDetachDiscardsWhatWasKeptAndTellsNobody) {
  for (const bool closed : {false, true}) {
    ReceivingEnd end = Receiver(3);
    end.Bind();
    EXPECT_FALSE(end.OnItem("a", true));
    if (closed) {
      EXPECT_FALSE(end.OnClose(false));
    }
    end.Detach();
    end.Reset();
    std::string item;
    EXPECT_FALSE(end.Take(item));
    EXPECT_EQ(end.status(), EndStatus::kReset);
  }
  EXPECT_EQ(host_.discarded("channel_item"), 2u);
  EXPECT_TRUE(host_.sent.empty());
  EXPECT_EQ(host_.invalid(), 0u);
}

TEST_F(ChannelTest, AbandonedAfterDetachIsDiscardedAndCounted) {
  ReceivingEnd end = Receiver(3);
  end.Bind();
  EXPECT_FALSE(end.OnItem("a", true));
  EXPECT_FALSE(end.OnClose(false));
  end.Abandon();  // only what is detached is given up silently
  EXPECT_EQ(end.status(), EndStatus::kOpen);
  end.Detach();
  end.Abandon();
  EXPECT_EQ(end.status(), EndStatus::kReset);
  EXPECT_EQ(host_.discarded("channel_item"), 1u);
  EXPECT_TRUE(host_.sent.empty());
}

}  // namespace
}  // namespace subject
