// Wrong messages that are generated: that they are as wrong as they say, and what is owed to them.
#include "harness/wire/message_variants.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/testbed.h"
#include "harness/scenarios/message_oracle.h"

namespace counterpart {
namespace {

using scenarios::Ground;
using scenarios::Judged;
using scenarios::SubjectEnd;
using wire::Variant;
using wire::VariantsOf;
using wire::Wrong;
using wire::v1::Message;

Message Valid() {
  Message message;
  auto& request = *message.mutable_request();
  request.set_request_id(7);
  request.set_operation_id(300);
  request.set_method("method");
  request.add_channels()->set_field_number(3);
  request.mutable_channels(0)->set_channel_id(9);
  return message;
}

std::map<std::string, Message> Merged(Wrong wrong) {
  std::map<std::string, Message> all;
  for (const Variant& variant : VariantsOf(Valid())) {
    Message message;
    if (variant.wrong == wrong && message.ParseFromString(variant.bytes)) {
      all[variant.Text()] = message;
    }
  }
  return all;
}

TEST(MessageVariants, EachFieldAtAnyDepthIsWrongInEachWay) {
  std::set<std::string> fields;
  std::set<std::string> texts;
  for (const Variant& variant : VariantsOf(Valid())) {
    fields.insert(variant.field);
    EXPECT_TRUE(texts.insert(variant.Text()).second) << variant.Text();
    EXPECT_NE(variant.bytes, Valid().SerializeAsString()) << variant.Text();
  }
  EXPECT_EQ(fields, (std::set<std::string>{"request", "request.request_id", "request.operation_id",
                                           "request.method", "request.channels",
                                           "request.channels.field_number",
                                           "request.channels.channel_id"}));
}

TEST(MessageVariants, MergeToWhatTheySay) {
  const auto absent = Merged(Wrong::kAbsent);
  EXPECT_EQ(absent.at("request.request_id absent").request().request_id(), 0u);
  EXPECT_EQ(absent.at("request.request_id absent").request().operation_id(), 300u);
  EXPECT_EQ(absent.at("request absent").payload_case(), Message::PAYLOAD_NOT_SET);
  EXPECT_EQ(absent.at("request.channels.channel_id absent").request().channels(0).field_number(),
            3u);
  // The last one counts; what repeats grows.
  const auto repeated = Merged(Wrong::kRepeated);
  EXPECT_EQ(repeated.at("request.request_id repeated").SerializeAsString(),
            Valid().SerializeAsString());
  EXPECT_EQ(repeated.at("request repeated").SerializeAsString(), Valid().SerializeAsString());
  EXPECT_EQ(repeated.at("request.channels repeated").request().channels_size(), 2);
  const auto range = Merged(Wrong::kOutOfRange);
  EXPECT_EQ(
      range.at("request.operation_id out of range: 18446744073709551615").request().operation_id(),
      UINT64_MAX);
  EXPECT_EQ(range.at("request.channels.field_number out of range: 4294967297")
                .request()
                .channels(0)
                .field_number(),
            1u);
  // As another wire type it is a field that nobody knows.
  EXPECT_EQ(Merged(Wrong::kWireType).at("request.method of another wire type").request().method(),
            "");
}

TEST(MessageVariants, WhatIsTruncatedOrUndecodableDoesNotDecode) {
  EXPECT_TRUE(Merged(Wrong::kTruncated).empty());
  EXPECT_TRUE(Merged(Wrong::kUndecodable).empty());
}

// ---------------------------------------------------------------- the oracle

Message About(uint64_t id, const char* kind) {
  Message message;
  const std::string what = kind;
  if (what == "item") message.mutable_channel_item()->set_channel_id(id);
  if (what == "close") message.mutable_close_channel()->set_channel_id(id);
  if (what == "reset") message.mutable_reset_channel()->set_channel_id(id);
  if (what == "credit") message.mutable_grant_credit()->set_channel_id(id);
  return message;
}

std::set<std::string> LegalIn(bool receives, const char* state) {
  std::set<std::string> legal;
  for (const char* kind : {"item", "close", "reset", "credit"}) {
    Ground ground;
    SubjectEnd end;
    end.receives = receives;
    end.state = state;
    end.credit = 4;
    ground.ends[1] = end;
    const Message message = About(1, kind);
    if (Judged(ground, &message).legal()) legal.insert(kind);
  }
  return legal;
}

TEST(MessageOracle, AChannelEndTakesWhatItsTableHas) {
  using Kinds = std::set<std::string>;
  EXPECT_EQ(LegalIn(true, "Open"), (Kinds{"item", "close"}));
  EXPECT_EQ(LegalIn(true, "Closing"), Kinds{});
  EXPECT_EQ(LegalIn(true, "Closed"), Kinds{});
  EXPECT_EQ(LegalIn(true, "Reset"), (Kinds{"item", "close"}));
  EXPECT_EQ(LegalIn(false, "Open"), (Kinds{"reset", "credit"}));
  EXPECT_EQ(LegalIn(false, "Closed"), (Kinds{"reset", "credit"}));
  EXPECT_EQ(LegalIn(false, "Reset"), Kinds{});
}

TEST(MessageOracle, CreditIsCounted) {
  Ground ground;
  ground.ends[1].receives = true;
  const Message item = About(1, "item");
  EXPECT_EQ(Judged(ground, &item).rule, "rpc.flow-control.credit.exceeded");
  ground.ends[1].receives = false;
  ground.ends[1].credit = 16;
  Message credit = About(1, "credit");
  credit.mutable_grant_credit()->set_credit(UINT32_MAX - 16);
  EXPECT_TRUE(Judged(ground, &credit).legal());
  credit.mutable_grant_credit()->set_credit(UINT32_MAX - 15);
  EXPECT_EQ(Judged(ground, &credit).rule, "rpc.flow-control.credit.overflow");
}

TEST(MessageOracle, ARequestIsHeldToAllItsRules) {
  Ground ground;
  const peer::Method* sum = peer::FindMethod("Sum");
  ground.announced.insert(sum->name);
  ground.newest_request = 5;
  Message message = Valid();
  message.mutable_request()->set_method(sum->name);
  EXPECT_TRUE(Judged(ground, &message).legal());
  const auto rule = [&ground](Message changed) { return Judged(ground, &changed).rule; };
  Message changed = message;
  changed.mutable_request()->set_request_id(5);
  EXPECT_EQ(rule(changed), "rpc.id.monotone");
  changed.mutable_request()->set_request_id(8);
  EXPECT_EQ(rule(changed), "rpc.id.monotone");
  changed = message;
  changed.mutable_request()->set_operation_id(0);
  EXPECT_EQ(rule(changed), "retry.op-id.scope");
  changed = message;
  changed.mutable_request()->set_method("another");
  EXPECT_EQ(rule(changed), "schema.exchange.required");
  changed = message;
  changed.mutable_request()->clear_channels();
  EXPECT_EQ(rule(changed), "rpc.channel.allocation");
  EXPECT_EQ(Judged(ground, nullptr).rule, "wire.envelope");
}

TEST(MessageOracle, AResponseNeedsARequestAndAnOutcome) {
  Ground ground;
  ground.in_flight = {4};
  ground.response_announced = true;
  Message message;
  message.mutable_response()->set_request_id(4);
  EXPECT_EQ(Judged(ground, &message).rule, "rpc.response.shape");
  EXPECT_FALSE(Judged(ground, &message).legal());
  message.mutable_response()->set_ok("value");
  EXPECT_TRUE(Judged(ground, &message).legal());
  message.mutable_response()->set_user_error("error");
  EXPECT_EQ(Judged(ground, &message).rule, "schema.exchange.required");
  message.mutable_response()->set_request_id(6);
  EXPECT_EQ(Judged(ground, &message).rule, "rpc.response.one-per-request");
}

}  // namespace
}  // namespace counterpart
