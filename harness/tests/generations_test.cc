// What a subject's journal may say of generations, when a cut hides how many there were.
#include "harness/judge/generations.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "harness/judge/judge.h"
#include "harness/wire/schema_id.h"

namespace counterpart::judge {
namespace {

using machine::Finding;
using machine::Level;
using Readings = std::vector<Generations::Reading>;

TEST(Generations, ProvenOnesHaveOneReading) {
  Generations generations;
  for (const uint32_t link : {1u, 2u}) {
    generations.MayBind(link);
    generations.Bound(link);
  }
  EXPECT_EQ(generations.proven(), 2u);
  EXPECT_EQ(generations.possible(), 2u);
  EXPECT_EQ(generations.Readings(2), (Readings{{{1, 1}, {2, 2}}}));
  EXPECT_TRUE(generations.Readings(1).empty());
  EXPECT_TRUE(generations.Readings(3).empty());
}

TEST(Generations, ACutLeavesTwoReadings) {
  Generations generations;
  generations.MayBind(1);
  generations.Bound(1);
  generations.MayBind(2);  // and cut
  generations.MayBind(3);
  generations.Bound(3);
  EXPECT_EQ(generations.proven(), 2u);
  EXPECT_EQ(generations.possible(), 3u);
  EXPECT_EQ(generations.Readings(2), (Readings{{{1, 1}, {2, 3}}}));
  EXPECT_EQ(generations.Readings(3), (Readings{{{1, 1}, {2, 2}, {3, 3}}}));
}

TEST(Generations, OfTwoCutsEitherMayHaveBound) {
  Generations generations;
  generations.MayBind(1);
  generations.MayBind(2);
  EXPECT_EQ(generations.Readings(1), (Readings{{{1, 1}}, {{1, 2}}}));
  generations.Refused(1);
  EXPECT_EQ(generations.Readings(1), (Readings{{{1, 2}}}));
}

// The whole judge, on a session that the subject opens and resumes.
class JournalOfACutResume : public testing::Test {
 protected:
  JournalOfACutResume() {
    judge_.set_report([this](Finding finding) { judge_.OnFinding(finding); });
    Handshake(1, true);
    Handshake(2, false);
    Handshake(3, true);
    wire::v1::Message ping;
    ping.mutable_ping()->set_nonce(7);
    Observe(3, Side::kSubject).message = &ping;
    judge_.OnFrame(frame_);
  }

  ObservedFrame& Observe(uint32_t link, Side from) {
    frame_ = {.from = from, .link = link};
    return frame_;
  }

  // Up to HelloYourself, or to the end.
  void Handshake(uint32_t link, bool whole) {
    wire::v1::Prologue hello, accept;
    hello.mutable_hello()->set_magic(0x54525043);
    hello.mutable_hello()->set_version(1);
    Observe(link, Side::kSubject).prologue = &hello;
    judge_.OnFrame(frame_);
    accept.mutable_accept();
    Observe(link, Side::kHarness).prologue = &accept;
    judge_.OnFrame(frame_);
    const uint64_t schema = wire::SchemaId(*wire::v1::Message::descriptor());
    wire::v1::Handshake first, second, third;
    first.mutable_hello()->set_parity(wire::v1::PARITY_ODD);
    first.mutable_hello()->set_protocol_schema(schema);
    Observe(link, Side::kSubject).handshake = &first;
    judge_.OnFrame(frame_);
    second.mutable_hello_yourself()->set_protocol_schema(schema);
    second.mutable_hello_yourself()->set_session_id(std::string(16, 's'));
    Observe(link, Side::kHarness).handshake = &second;
    judge_.OnFrame(frame_);
    if (!whole) return judge_.OnLinkEnd(link, peer::LinkEnd::kCutByHarness, 0, 0);
    third.mutable_lets_go();
    Observe(link, Side::kSubject).handshake = &third;
    judge_.OnFrame(frame_);
  }

  // The journal has the Ping in this generation, which is its newest.
  void EndWithPingIn(uint64_t generation) {
    ObservedEnd end;
    end.journal_read = true;
    control::v1::JournalEvent event;
    event.set_seq(1);
    event.set_session_id(std::string(16, 's'));
    event.set_generation(generation);
    event.mutable_frame()->set_sent(true);
    event.mutable_frame()->set_kind("ping");
    event.mutable_frame()->set_id(7);
    end.journal.push_back(event);
    judge_.OnEnd(end);
  }

  std::string rule() const { return judge_.verdict().reason().rule; }

  Judge judge_;
  ObservedFrame frame_{};
};

TEST_F(JournalOfACutResume, MayHaveHeardOfTheCutOne) {
  EndWithPingIn(3);
  EXPECT_EQ(judge_.verdict().level(), Level::kNone) << judge_.verdict().reason().text;
  EXPECT_TRUE(judge_.judged().contains("control.journal.cross-check"));
}

TEST_F(JournalOfACutResume, OrNot) {
  EndWithPingIn(2);
  EXPECT_EQ(judge_.verdict().level(), Level::kNone) << judge_.verdict().reason().text;
}

TEST_F(JournalOfACutResume, CannotHaveFewerThanAreProven) {
  EndWithPingIn(1);
  EXPECT_EQ(rule(), "session.attachment.generation");
}

TEST_F(JournalOfACutResume, NorMoreThanArePossible) {
  EndWithPingIn(4);
  EXPECT_EQ(rule(), "session.attachment.generation");
}

TEST_F(JournalOfACutResume, MustHaveWhatWasSeen) {
  ObservedEnd end;
  end.journal_read = true;
  control::v1::JournalEvent event;
  event.set_seq(1);
  event.set_session_id(std::string(16, 's'));
  event.set_generation(3);
  event.mutable_discard();
  end.journal.push_back(event);
  judge_.OnEnd(end);
  EXPECT_EQ(rule(), "control.journal.cross-check");
}

// r[control.scope]: a tombstone is of no scope, and so not in the journal of the command's.
TEST(JournalMonitor, ACommandMayBeRevivedFromATombstoneOfNoScope) {
  const auto verdict_on = [](const char* from) {
    Judge judge;
    judge.set_report([&judge](Finding finding) { judge.OnFinding(finding); });
    ObservedEnd end;
    end.journal_read = true;
    control::v1::JournalEvent event;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        std::string("seq: 1 transition { machine: MACHINE_COMMAND key: 5 from_state: '") + from +
            "' event: 'accept' to_state: 'Accepted' }",
        &event));
    end.journal.push_back(event);
    judge.OnEnd(end);
    return judge.verdict().level();
  };
  EXPECT_EQ(verdict_on("NotAccepted"), Level::kNone);
  EXPECT_EQ(verdict_on("Tombstoned"), Level::kNone);
  EXPECT_EQ(verdict_on("Accepted"), Level::kFail);
}

// r[link.limit.announce]
TEST(PayloadMonitor, KeepsToWhatTheReaderAnnounced) {
  for (const size_t bytes : {size_t{65536}, size_t{65537}}) {
    Judge judge;
    judge.set_report([&judge](Finding finding) { judge.OnFinding(finding); });
    const auto monitor = NewPayloadMonitor();
    LinkContext link;
    link.link = 1;
    link.harness_dialled = true;
    wire::v1::Prologue hello;
    hello.mutable_hello()->set_max_payload(65536);
    ObservedFrame first{.from = Side::kHarness, .link = 1, .prologue = &hello};
    monitor->OnFrame(first, link, judge);
    wire::v1::Message message;
    message.mutable_ping();
    ObservedFrame second{.from = Side::kSubject, .link = 1, .message = &message};
    second.payload_bytes = bytes;
    monitor->OnFrame(second, link, judge);
    EXPECT_EQ(judge.verdict().level(), bytes > 65536 ? Level::kFail : Level::kNone);
  }
}

}  // namespace
}  // namespace counterpart::judge
