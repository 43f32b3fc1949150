// Verdicts, and monitors fed by hand: one legal and one illegal sequence each.
#include "harness/judge/judge.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace counterpart::judge {
namespace {

using machine::Finding;
using machine::Level;

// A judge that keeps what monitors report, and one monitor on one link.
struct Bench {
  Judge judge;
  std::unique_ptr<Monitor> monitor;
  LinkContext link;
  explicit Bench(std::unique_ptr<Monitor> m) : monitor(std::move(m)) {
    judge.set_report([this](Finding finding) { judge.OnFinding(finding); });
    link.link = 1;
    link.harness_dialled = true;
    link.limit[0] = link.limit[1] = 2;
  }
  void Say(Side from, const std::string& text, const std::string& deliberate = "") {
    wire::v1::Message message;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
    ObservedFrame frame{.from = from, .link = 1, .harness_dialled = true, .message = &message};
    frame.deliberate = deliberate;
    monitor->OnFrame(frame, link, judge);
  }
  std::string rule() const { return judge.verdict().reason().rule; }
  Level level() const { return judge.verdict().level(); }
};

constexpr auto kUs = Side::kHarness;
constexpr auto kThem = Side::kSubject;
constexpr char kFirst[] = "request { request_id: 1 operation_id: 1 method: 'M' }";
constexpr char kSecond[] = "request { request_id: 3 operation_id: 2 method: 'M' }";
constexpr char kThird[] = "request { request_id: 5 operation_id: 3 method: 'M' }";
constexpr char kAnswer[] = "response { request_id: 1 ok: 'r' }";

TEST(Verdict, OnlyRisesAndKeepsTheFirstReason) {
  Verdict verdict;
  verdict.Join({.level = Level::kFail, .rule = "first"});
  verdict.Join({.level = Level::kPass});
  EXPECT_EQ(verdict.level(), Level::kFail);
  verdict.Join({.level = Level::kFail, .rule = "second"});
  EXPECT_EQ(verdict.level(), Level::kFail);
  EXPECT_EQ(verdict.reason().rule, "first");
  verdict.Join({.level = Level::kError, .rule = "ours"});
  EXPECT_EQ(verdict.reason().rule, "ours");
}

TEST(Judge, ARunThatJudgedNothingIsAnError) {
  Judge judge;
  judge.Conclude({});
  EXPECT_EQ(judge.verdict().level(), Level::kError);
}

TEST(Judge, APromisedRuleNeverJudgedIsAnError) {
  Judge judge;
  judge.Held("a");
  judge.Conclude({"a", "b"});
  EXPECT_EQ(judge.verdict().level(), Level::kError);
  EXPECT_EQ(judge.verdict().reason().rule, "b");
  Judge whole;
  whole.Held("a");
  whole.Conclude({"a"});
  EXPECT_EQ(whole.verdict().level(), Level::kPass);
}

TEST(MessageMonitor, PongAnswersTheOldestPing) {
  Bench good(NewMessageMonitor());
  good.Say(kUs, "ping { nonce: 7 }");
  good.Say(kThem, "pong { nonce: 7 }");
  EXPECT_EQ(good.level(), Level::kNone);
  Bench bad(NewMessageMonitor());
  bad.Say(kUs, "ping { nonce: 7 }");
  bad.Say(kThem, "pong { nonce: 8 }");
  EXPECT_EQ(bad.level(), Level::kFail);
  EXPECT_EQ(bad.rule(), "session.keepalive");
}

TEST(MessageMonitor, BlamesTheHarnessUnlessItMeantIt) {
  Bench ours(NewMessageMonitor());
  ours.Say(kUs, "connection_id: 1 ping { nonce: 7 }");
  EXPECT_EQ(ours.level(), Level::kError);
  Bench meant(NewMessageMonitor());
  meant.Say(kUs, "connection_id: 1 ping { nonce: 7 }", "session.message.connection-id");
  EXPECT_EQ(meant.level(), Level::kNone);
  Bench theirs(NewMessageMonitor());
  theirs.Say(kThem, "connection_id: 1 ping { nonce: 7 }");
  EXPECT_EQ(theirs.rule(), "session.message.connection-id");
}

TEST(MessageMonitor, NothingFollowsGoodbye) {
  Bench bad(NewMessageMonitor());
  bad.Say(kThem, "goodbye {}");
  EXPECT_EQ(bad.level(), Level::kNone);
  bad.Say(kThem, "ping { nonce: 7 }");
  EXPECT_EQ(bad.rule(), "session.goodbye");
}

TEST(RequestMonitor, OneResponsePerRequest) {
  Bench bench(NewRequestMonitor());
  bench.Say(kUs, kFirst);
  bench.Say(kThem, kAnswer);
  EXPECT_EQ(bench.level(), Level::kNone);
  bench.Say(kThem, kAnswer);
  EXPECT_EQ(bench.level(), Level::kFail);
  EXPECT_EQ(bench.rule(), "rpc.response.one-per-request");
  Bench unknown(NewRequestMonitor());
  unknown.Say(kThem, kAnswer);
  EXPECT_EQ(unknown.rule(), "rpc.response.one-per-request");
}

TEST(RequestMonitor, IdsRiseAndAreOfTheirSidesParity) {
  Bench falling(NewRequestMonitor());
  falling.Say(kUs, kSecond);
  EXPECT_EQ(falling.level(), Level::kNone);
  falling.Say(kUs, kFirst);
  EXPECT_EQ(falling.rule(), "rpc.id.monotone");
  Bench parity(NewRequestMonitor());
  parity.Say(kThem, kFirst);
  EXPECT_EQ(parity.level(), Level::kFail);
  EXPECT_EQ(parity.rule(), "session.parity");
}

TEST(RequestMonitor, KeepsToTheAnnouncedLimit) {
  Bench bench(NewRequestMonitor());
  bench.Say(kUs, kFirst);
  bench.Say(kUs, kSecond);
  EXPECT_EQ(bench.level(), Level::kNone);
  bench.Say(kUs, kThird);
  EXPECT_EQ(bench.rule(), "rpc.flow-control.max-concurrent-requests.outbound");
}

TEST(ChannelMonitor, UnknownChannel) {
  Bench bench(NewChannelMonitor());
  bench.Say(kThem, "channel_item { channel_id: 9 }");
  EXPECT_EQ(bench.level(), Level::kFail);
  EXPECT_EQ(bench.rule(), "rpc.channel.unknown");
}

TEST(ExecutionMonitor, RunsNoMoreThanWasAttempted) {
  Bench bench(NewExecutionMonitor());
  bench.Say(kUs, kFirst);
  ObservedEnd end;
  end.executions_read = true;
  end.executions.push_back({"", 1, 1, 1});
  bench.monitor->OnEnd(end, bench.judge);
  EXPECT_EQ(bench.level(), Level::kNone);
  end.executions.push_back({"", 1, 2, 1});
  bench.monitor->OnEnd(end, bench.judge);
  EXPECT_EQ(bench.level(), Level::kFail);
  EXPECT_EQ(bench.rule(), "retry.layers.no-silent-retry");
}

}  // namespace
}  // namespace counterpart::judge
