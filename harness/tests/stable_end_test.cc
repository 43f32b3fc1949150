// The harness's end of a stable conduit, and the monitor that judges the subject's.
#include "harness/peer/stable_end.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/judge/judge.h"

namespace counterpart::tests {
namespace {

using peer::ObservedFrame;
using peer::Side;
using peer::StableEnd;
using wire::v1::StableFrame;
using wire::v1::StableHandshake;

constexpr uint32_t kNearTheWrap = 0xfffffffe;

StableFrame Data(uint32_t seq, const std::string& item = "") {
  StableFrame frame;
  frame.mutable_data()->set_seq(seq);
  frame.mutable_data()->set_item(item);
  return frame;
}

StableFrame Ack(uint32_t ack) {
  StableFrame frame;
  frame.mutable_ack()->set_ack(ack);
  return frame;
}

TEST(StableEnd, CountsOverTheWrapAndForgetsWhatIsAcknowledged) {
  StableEnd end(kNearTheWrap, 0);
  std::vector<uint32_t> sent;
  for (int i = 0; i < 4; ++i) sent.push_back(end.Send("x").data().seq());
  EXPECT_EQ(sent, (std::vector<uint32_t>{kNearTheWrap, 0xffffffff, 0, 1}));
  EXPECT_EQ(end.Receive(Ack(0xffffffff)).broken, "");
  ASSERT_EQ(end.Unacknowledged().size(), 2u);
  EXPECT_EQ(end.Unacknowledged().front().data().seq(), 0u);
  EXPECT_EQ(end.Receive(Ack(kNearTheWrap)).broken, "");
  EXPECT_NE(end.Receive(Ack(2)).broken, "");
  EXPECT_NE(end.Receive(Ack(kNearTheWrap - 1)).broken, "");
}

TEST(StableEnd, TakesANumberOnceAndNoGap) {
  StableEnd end(0, kNearTheWrap);
  EXPECT_EQ(end.Receive(Data(kNearTheWrap, "a")).item, "a");
  EXPECT_FALSE(end.Receive(Data(kNearTheWrap, "a")).item);
  EXPECT_EQ(end.last_received(), kNearTheWrap);
  EXPECT_NE(end.Receive(Data(0)).broken, "");
  EXPECT_NE(end.Receive(Data(kNearTheWrap - 1)).broken, "");
}

TEST(StableEnd, AcknowledgesOftenEnough) {
  StableEnd end(0, 0);
  uint32_t since = 0;
  for (uint32_t seq = 0; seq < 1000; ++seq) {
    end.Receive(Data(seq));
    since = end.AckIfDue() ? 0 : since + 1;
    ASSERT_LT(since, 256u);
  }
}

TEST(StableEnd, RefusesALastReceivedThatCannotBe) {
  const auto after_an_ack = [](std::optional<uint32_t> last) {
    StableEnd end(0, 0);
    for (int i = 0; i < 3; ++i) end.Send("x");
    end.Receive(Ack(1));
    return end.Resume(last);
  };
  EXPECT_EQ(after_an_ack(1), "");
  EXPECT_EQ(after_an_ack(2), "");
  EXPECT_NE(after_an_ack(0), "");
  EXPECT_NE(after_an_ack(3), "");
  EXPECT_NE(after_an_ack(std::nullopt), "");
}

// ---------------------------------------------------------------- the monitor

// What a conduit of two links tells, of which the subject is the server.
class Told : public testing::Test {
 protected:
  Told() {
    judge_.set_report([this](machine::Finding finding) { findings_.push_back(finding.rule); });
    Hello(1, "", "K1", std::nullopt);
  }

  void Hello(uint32_t link, const std::string& key, const std::string& next,
             std::optional<uint32_t> last_received) {
    StableHandshake client, server;
    client.mutable_client_hello()->set_resume_key(key);
    if (last_received) client.mutable_client_hello()->set_last_received(*last_received);
    server.mutable_server_hello()->set_resume_key(std::string(16, 'k') + next);
    Show(link, Side::kHarness, &client, nullptr);
    Show(link, Side::kSubject, &server, nullptr);
  }
  void Sent(uint32_t link, const StableFrame& frame) {
    Show(link, Side::kSubject, nullptr, &frame);
  }
  void Show(uint32_t link, Side from, const StableHandshake* hello, const StableFrame* stable) {
    ObservedFrame frame{.from = from};
    frame.link = link;
    frame.harness_dialled = true;
    frame.stable_handshake = hello;
    frame.stable_frame = stable;
    frame.conduit = 1'000'001;
    judge_.OnFrame(frame);
  }
  bool Judged(const std::string& rule) { return judge_.judged().contains(rule); }

  judge::Judge judge_;
  std::vector<std::string> findings_;
};

using Rules = std::vector<std::string>;

TEST_F(Told, AReplayInOrderIsWhatTheRulesAskFor) {
  for (uint32_t seq = 0; seq < 4; ++seq) Sent(1, Data(seq, std::to_string(seq)));
  Hello(2, "K1", "K2", 0);
  for (uint32_t seq = 1; seq < 5; ++seq) Sent(2, Data(seq, std::to_string(seq)));
  EXPECT_EQ(findings_, Rules());
  for (const char* rule : {"stable.seq.monotonic", "stable.ack.trim", "stable.replay-buffer.order",
                           "stable.reconnect.server-replay", "stable.resume-key"}) {
    EXPECT_TRUE(Judged(rule)) << rule;
  }
}

TEST_F(Told, WithoutAChangeOfLinkNothingIsSaidOfReplays) {
  for (uint32_t seq = 0; seq < 4; ++seq) Sent(1, Data(seq));
  EXPECT_TRUE(Judged("stable.seq.monotonic"));
  EXPECT_FALSE(Judged("stable.ack.trim"));
  EXPECT_FALSE(Judged("stable.replay-buffer.order"));
  EXPECT_FALSE(Judged("stable.reconnect.server-replay"));
}

TEST_F(Told, ANumberThatIsLeftOutOrUsedTwice) {
  Sent(1, Data(0));
  Sent(1, Data(2));
  EXPECT_EQ(findings_, Rules{"stable.seq.monotonic"});
}

TEST_F(Told, AnotherFrameUnderAnOldNumber) {
  for (uint32_t seq = 0; seq < 3; ++seq) Sent(1, Data(seq, std::to_string(seq)));
  Hello(2, "K1", "K2", 0);
  Sent(2, Data(1, "other"));
  EXPECT_EQ(findings_, Rules{"stable.seq.monotonic"});
}

TEST_F(Told, WhatWasReceivedIsSentAgain) {
  for (uint32_t seq = 0; seq < 3; ++seq) Sent(1, Data(seq));
  Hello(2, "K1", "K2", 1);
  Sent(2, Data(1));
  EXPECT_EQ(findings_, Rules{"stable.ack.trim"});
}

TEST_F(Told, NothingIsSentAgain) {
  for (uint32_t seq = 0; seq < 3; ++seq) Sent(1, Data(seq));
  Hello(2, "K1", "K2", 0);
  Sent(2, Data(3));
  EXPECT_EQ(findings_, Rules{"stable.reconnect.server-replay"});
}

TEST_F(Told, AReplayOutOfOrder) {
  for (uint32_t seq = 0; seq < 4; ++seq) Sent(1, Data(seq));
  Hello(2, "K1", "K2", 0);
  Sent(2, Data(1));
  Sent(2, Data(3));
  EXPECT_EQ(findings_, Rules{"stable.replay-buffer.order"});
}

TEST_F(Told, AKeyIsHandedOutTwice) {
  Hello(2, "K1", "K1", 0);
  EXPECT_EQ(findings_, Rules{"stable.resume-key"});
}

}  // namespace
}  // namespace counterpart::tests
