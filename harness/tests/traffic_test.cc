// The books of what two subjects said, and the reading of their payloads, by themselves.
#include "harness/peer/traffic.h"

#include <gtest/gtest.h>

#include "harness/peer/phase_reader.h"
#include "harness/peer/testbed.h"

namespace counterpart::peer {
namespace {

using wire::v1::Message;

constexpr char kSum[] = "counterpart.testbed.v1.Testbed/Sum";

Message Request(uint64_t request, uint64_t operation, uint64_t channel) {
  Message message;
  message.mutable_request()->set_request_id(request);
  message.mutable_request()->set_operation_id(operation);
  message.mutable_request()->set_method(kSum);
  auto* ref = message.mutable_request()->add_channels();
  ref->set_field_number(3);
  ref->set_channel_id(channel);
  return message;
}

Message Item(uint64_t channel, uint64_t value) {
  Message message;
  message.mutable_channel_item()->set_channel_id(channel);
  message.mutable_channel_item()->set_item(EncodeNumber(value));
  return message;
}

TEST(Traffic, KeepsStreamsOfAttemptsApart) {
  Traffic traffic;
  traffic.OnMessage(Seat::kClient, 1, Request(1, 7, 1));
  traffic.OnMessage(Seat::kClient, 1, Item(1, 10));
  traffic.OnMessage(Seat::kClient, 2, Request(3, 7, 3));
  traffic.OnMessage(Seat::kClient, 2, Item(3, 20));
  traffic.OnMessage(Seat::kClient, 2, Item(1, 30));  // of a channel that this link does not have
  const Operation* operation = traffic.Find(Seat::kClient, kSum, "", 0);
  ASSERT_NE(operation, nullptr);
  ASSERT_EQ(operation->attempts.size(), 2u);
  const Stream& first = *operation->attempts[0].streams.at(3);
  const Stream& second = *operation->attempts[1].streams.at(3);
  EXPECT_EQ(first.values, std::vector<uint64_t>{10});
  EXPECT_EQ(second.values, std::vector<uint64_t>{20});
  EXPECT_EQ(second.sender, Seat::kClient);
  EXPECT_EQ(traffic.Find(Seat::kClient, kSum, "", 7), nullptr);
  EXPECT_EQ(traffic.Find(Seat::kServer, kSum, "", 0), nullptr);
}

TEST(Traffic, BothSidesMayUseOneOperationId) {
  Traffic traffic;
  traffic.OnMessage(Seat::kClient, 1, Request(1, 1, 1));
  traffic.OnMessage(Seat::kServer, 1, Request(2, 1, 2));
  Message response;
  response.mutable_response()->set_request_id(2);
  traffic.OnMessage(Seat::kClient, 1, response);
  EXPECT_FALSE(traffic.Find(Seat::kClient, kSum, "", 0)->latest().response);
  EXPECT_TRUE(traffic.Find(Seat::kServer, kSum, "", 0)->latest().response);
}

TEST(Traffic, CreditSaysWhoseStepItIs) {
  Traffic traffic;
  traffic.OnMessage(Seat::kServer, 1, Request(2, 1, 2));
  const Stream& stream = *traffic.Find(Seat::kServer, kSum, "", 0)->latest().streams.at(3);
  for (uint64_t i = 0; i < 16; ++i) {
    EXPECT_FALSE(stream.blocked());
    traffic.OnMessage(Seat::kServer, 1, Item(2, i));
  }
  EXPECT_TRUE(stream.blocked());
  EXPECT_EQ(stream.receiver(), Seat::kClient);
  Message credit;
  credit.mutable_grant_credit()->set_channel_id(2);
  credit.mutable_grant_credit()->set_credit(1);
  traffic.OnMessage(Seat::kClient, 1, credit);
  EXPECT_FALSE(stream.blocked());
  EXPECT_EQ(traffic.Count(Seat::kServer, "channel_item"), 16u);
}

// ---------------------------------------------------------------- phases

std::string Hello() {
  wire::v1::Prologue prologue;
  prologue.mutable_hello()->set_version(1);
  return prologue.SerializeAsString();
}
std::string Accept() {
  wire::v1::Prologue prologue;
  prologue.mutable_accept()->set_max_payload(1u << 20);
  return prologue.SerializeAsString();
}
std::string SessionHello() {
  wire::v1::Handshake handshake;
  handshake.mutable_hello();
  return handshake.SerializeAsString();
}
std::string Yourself() {
  wire::v1::Handshake handshake;
  handshake.mutable_hello_yourself();
  return handshake.SerializeAsString();
}
std::string LetsGo() {
  wire::v1::Handshake handshake;
  handshake.mutable_lets_go();
  return handshake.SerializeAsString();
}
std::string Ping() {
  Message message;
  message.mutable_ping()->set_nonce(5);
  return message.SerializeAsString();
}

TEST(PhaseReader, FollowsTheHandshakeOfBothSides) {
  PhaseReader reader;
  Names names;
  EXPECT_EQ(reader.next_speaker(), Seat::kClient);
  EXPECT_EQ(reader.Read(Seat::kClient, Hello(), names).kind, "transport_hello");
  EXPECT_EQ(reader.next_speaker(), Seat::kServer);
  EXPECT_EQ(reader.Read(Seat::kServer, Accept(), names).kind, "transport_accept");
  EXPECT_EQ(reader.Read(Seat::kClient, SessionHello(), names).kind, "hello");
  EXPECT_EQ(reader.Read(Seat::kServer, Yourself(), names).kind, "hello_yourself");
  EXPECT_FALSE(reader.established());
  EXPECT_EQ(reader.Read(Seat::kClient, LetsGo(), names).kind, "lets_go");
  EXPECT_TRUE(reader.established());
  EXPECT_EQ(reader.next_speaker(), std::nullopt);
  EXPECT_EQ(reader.Read(Seat::kServer, Ping(), names).kind, "ping");
  EXPECT_EQ(reader.Read(Seat::kClient, Ping(), names).label, "Ping 5");
}

TEST(PhaseReader, OfAStableConduitReadsItsHellosAndThenFrames) {
  PhaseReader link(PhaseReader::Of::kStableLink);
  PhaseReader items(PhaseReader::Of::kStableItems);
  Names names;
  link.Read(Seat::kClient, Hello(), names);
  link.Read(Seat::kServer, Accept(), names);
  wire::v1::StableHandshake hello;
  hello.mutable_client_hello();
  EXPECT_EQ(link.Read(Seat::kClient, hello.SerializeAsString(), names).kind, "client_hello");
  EXPECT_EQ(link.next_speaker(), Seat::kServer);
  hello.mutable_server_hello()->set_resume_key("key");
  EXPECT_EQ(link.Read(Seat::kServer, hello.SerializeAsString(), names).kind, "server_hello");
  EXPECT_TRUE(link.established());
  EXPECT_EQ(link.next_speaker(), std::nullopt);

  wire::v1::StableFrame frame;
  frame.mutable_data()->set_item(SessionHello());
  const ReadPayload read = link.Read(Seat::kClient, frame.SerializeAsString(), names);
  ASSERT_TRUE(read.stable_frame && !read.message && !read.handshake);
  EXPECT_EQ(read.kind, "data");
  EXPECT_EQ(items.next_speaker(), Seat::kClient);
  EXPECT_EQ(items.Read(Seat::kClient, read.stable_frame->data().item(), names).kind, "hello");
  EXPECT_EQ(items.Read(Seat::kServer, Yourself(), names).kind, "hello_yourself");
  EXPECT_EQ(items.Read(Seat::kClient, LetsGo(), names).kind, "lets_go");
  EXPECT_TRUE(items.established());
  EXPECT_FALSE(link.Read(Seat::kServer, "", names).malformed.empty());
}

// r[wire.envelope]
TEST(PhaseReader, APayloadOfAnotherPhaseIsNothing) {
  PhaseReader reader;
  Names names;
  const ReadPayload early = reader.Read(Seat::kClient, Ping(), names);
  EXPECT_FALSE(early.malformed.empty());
  EXPECT_FALSE(early.prologue || early.handshake || early.message);
  EXPECT_TRUE(early.kind.empty());
  EXPECT_FALSE(reader.Read(Seat::kServer, std::string("\xff\xff", 2), names).malformed.empty());
}

}  // namespace
}  // namespace counterpart::peer
