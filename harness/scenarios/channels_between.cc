// Channels on an undisturbed session, from either of two subjects to the other.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/between.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::Outcome;
using peer::Operation;
using peer::Stream;

// Field numbers of the testbed's channel arguments.
constexpr uint32_t kGenerateOutput = 3;
constexpr uint32_t kSumInput = 3;
constexpr uint32_t kTransformInput = 3;
constexpr uint32_t kTransformOutput = 4;
constexpr uint32_t kInitialCredit = 16;

std::string Generate(uint32_t count) {
  testbed::v1::GenerateRequest request;
  request.set_first(1);
  request.set_count(count);
  return request.SerializeAsString();
}

// What a Sum must return.
std::function<bool(const std::string&)> SumsUp(uint32_t count) {
  return [count](const std::string& value) {
    testbed::v1::SumResponse reply;
    return reply.ParseFromString(value) && reply.count() == count &&
           reply.sum() == uint64_t{count} * (count + 1) / 2;
  };
}

std::function<bool(const std::string&)> Emitted(uint32_t count) {
  return [count](const std::string& value) {
    testbed::v1::GenerateResponse reply;
    return reply.ParseFromString(value) && reply.emitted() == count;
  };
}

const Stream* StreamOf(const Relay& relay, const RelayedCall& call, uint32_t field) {
  const Operation* operation = relay.Find(call);
  if (operation == nullptr) return nullptr;
  const auto found = operation->latest().streams.find(field);
  return found == operation->latest().streams.end() ? nullptr : found->second.get();
}

// ---------------------------------------------------------------- channeling_generate_…

Task<> GenerateServerToClient(Relay& relay) {
  constexpr uint32_t kItems = 100;
  const std::string rule = "rpc.channel.no-silent-drop";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call =
        relay.StartCall(caller, "Generate", Generate(kItems), Named("stream", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t taking = relay.Start(caller, ReceiveItems(call.handle, kGenerateOutput, 0, 1));
    co_await RequireTaken(relay, call, taking, kGenerateOutput, Sequence(1, kItems),
                          control::v1::END_STATUS_CLOSED, rule);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Emitted(kItems), rule);
  }
}

// ---------------------------------------------------------------- channeling_sum_…

Task<> SumOver(Relay& relay, const char* method, uint32_t count) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call = relay.StartCall(caller, method, "", Named("sum", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t sending = relay.Start(caller, SendItems(call.handle, kSumInput, 1, count, 1));
    co_await RequireSent(relay, call, sending, kSumInput, count, "rpc.flow-control.credit.grant");
    relay.Judged("rpc.flow-control.credit.grant", call.callee());
    const uint32_t closing = relay.Start(caller, CloseEnd(call.handle, kSumInput, 1));
    co_await relay.Answered(closing, "the close to end");
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, SumsUp(count),
                             "rpc.channel.close");
    relay.Judged("rpc.channel.close", call.callee());
  }
}

Task<> SumClientToServer(Relay& relay) { return SumOver(relay, "Sum", 100); }
Task<> ZeroInitialCredit(Relay& relay) { return SumOver(relay, "SumFromZero", 10); }

// ---------------------------------------------------------------- channeling_transform

// Both ways at once, and from both sides at once: four streams in one session.
Task<> Transform(Relay& relay) {
  constexpr uint32_t kItems = 40;
  const std::string rule = "rpc.channel.no-silent-drop";
  co_await relay.Establish();
  std::vector<uint64_t> doubled;
  for (uint64_t i = 1; i <= kItems; ++i) doubled.push_back(2 * i);
  peer::BySeat<RelayedCall> calls;
  peer::BySeat<uint32_t> sending, taking;
  for (const Seat caller : peer::kSeats) {
    calls[caller] = relay.StartCall(caller, "Transform", "", Named("transform", caller));
  }
  for (const Seat caller : peer::kSeats) {
    co_await AwaitRequest(relay, calls[caller]);
    const std::string& handle = calls[caller].handle;
    sending[caller] = relay.Start(caller, SendItems(handle, kTransformInput, 1, kItems, 1));
    taking[caller] = relay.Start(caller, ReceiveItems(handle, kTransformOutput, 0, 1));
  }
  for (const Seat caller : peer::kSeats) {
    co_await RequireSent(relay, calls[caller], sending[caller], kTransformInput, kItems, rule);
    const uint32_t closing =
        relay.Start(caller, CloseEnd(calls[caller].handle, kTransformInput, 1));
    co_await relay.Answered(closing, "the close to end");
  }
  for (const Seat caller : peer::kSeats) {
    co_await RequireTaken(relay, calls[caller], taking[caller], kTransformOutput, doubled,
                          control::v1::END_STATUS_CLOSED, rule);
    co_await RequireResolved(
        relay, calls[caller], control::v1::CALL_STATUS_OK,
        [](const std::string& value) {
          testbed::v1::TransformResponse reply;
          return reply.ParseFromString(value) && reply.count() == kItems;
        },
        rule);
  }
}

// ---------------------------------------------------------------- channel_credit_exhaustion_…

// The handler takes one item and waits: its runtime may grant for that one, and for nothing else.
Task<> CreditExhaustion(Relay& relay) {
  constexpr uint32_t kItems = 40;
  const std::string rule = "rpc.flow-control.credit.zero-blocks";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const std::string name = Named("sum", caller);
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_consume()->set_count(1);
    request.mutable_program()->add_steps()->mutable_wait()->set_gate(name);
    request.mutable_program()->add_steps()->mutable_consume()->set_count(0);
    RelayedCall call = relay.StartCall(caller, "Sum", request.SerializeAsString(), name);
    co_await AwaitRequest(relay, call);
    const uint32_t sending = relay.Start(caller, SendItems(name, kSumInput, 1, kItems, 1));
    // All that could still come has come: what is missing now waits for credit.
    co_await relay.Settle();
    const Stream* stream = StreamOf(relay, call, kSumInput);
    const size_t sent = stream == nullptr ? 0 : stream->values.size();
    const size_t granted = stream == nullptr ? 0 : stream->credit;
    co_await relay.Demand(call.callee(), granted < kItems, "rpc.flow-control.credit.replenish",
                          "credit is granted for items taken: a handler that waits grants none");
    std::string wanted = "the sender uses the credit it has, " + std::to_string(granted) +
                         ", and waits at zero; it has sent " + std::to_string(sent);
    co_await relay.Demand(call.caller, sent == granted && sent >= kInitialCredit, rule,
                          std::move(wanted));
    relay.Release(call.callee(), name);
    co_await RequireSent(relay, call, sending, kSumInput, kItems, rule);
    const uint32_t closing = relay.Start(caller, CloseEnd(name, kSumInput, 1));
    co_await relay.Answered(closing, "the close to end");
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, SumsUp(kItems), rule);
  }
}

// ---------------------------------------------------------------- channel_slow_consumer_…

Task<> SlowConsumer(Relay& relay) {
  constexpr uint32_t kItems = 60;
  constexpr uint32_t kFirst = 3;
  const std::string rule = "rpc.channel.no-silent-drop";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call =
        relay.StartCall(caller, "Generate", Generate(kItems), Named("stream", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t some =
        relay.Start(caller, ReceiveItems(call.handle, kGenerateOutput, kFirst, 1));
    co_await RequireTaken(relay, call, some, kGenerateOutput, Sequence(1, kFirst),
                          control::v1::END_STATUS_OPEN, rule);
    // The application takes nothing: whatever its runtime may still be sent is with it now.
    co_await relay.Settle();
    const Stream* stream = StreamOf(relay, call, kGenerateOutput);
    co_await relay.Demand(caller, stream != nullptr && stream->credit < kItems,
                          "rpc.flow-control.credit.replenish",
                          "credit is granted for items taken: a consumer that waits grants none");
    const uint32_t rest = relay.Start(caller, ReceiveItems(call.handle, kGenerateOutput, 0, 1));
    co_await RequireTaken(relay, call, rest, kGenerateOutput, Sequence(kFirst + 1, kItems - kFirst),
                          control::v1::END_STATUS_CLOSED, rule, kFirst);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Emitted(kItems), rule);
  }
}

// ---------------------------------------------------------------- channel_reset_stops_sender

Task<> ResetStopsSender(Relay& relay) {
  const std::string rule = "rpc.channel.reset";
  constexpr uint32_t kItems = 1000;
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call =
        relay.StartCall(caller, "Generate", Generate(kItems), Named("stream", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t some = relay.Start(caller, ReceiveItems(call.handle, kGenerateOutput, 5, 1));
    co_await RequireTaken(relay, call, some, kGenerateOutput, Sequence(1, 5),
                          control::v1::END_STATUS_OPEN, rule);
    const uint32_t resetting = relay.Start(caller, ResetEnd(call.handle, kGenerateOutput, 1));
    co_await relay.Answered(resetting, "the reset to end");
    co_await RequireResolved(
        relay, call, control::v1::CALL_STATUS_OK,
        [](const std::string& value) {
          testbed::v1::GenerateResponse reply;
          return reply.ParseFromString(value) && reply.emitted() < kItems;
        },
        rule);
    relay.Judged(rule, call.callee());
    co_await RequireEcho(relay, caller, "after the reset", "rpc.error.scope");
  }
}

// ---------------------------------------------------------------- channel_close_race_…

// The caller closes while the handler resets. Whoever wins, both ends rest and the session lives.
Task<> CloseRace(Relay& relay) {
  const std::string rule = "strict.channel.close-race";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const bool close_first = relay.machine().Choose(2, "close first") == 1;
    const std::string name = Named("race", caller);
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_consume()->set_count(1);
    request.mutable_program()->add_steps()->mutable_wait()->set_gate(name);
    request.mutable_program()->add_steps()->mutable_reset_input();
    RelayedCall call = relay.StartCall(caller, "Sum", request.SerializeAsString(), name);
    co_await AwaitRequest(relay, call);
    const uint32_t sending = relay.Start(caller, SendItems(name, kSumInput, 1, 2, 1));
    co_await RequireSent(relay, call, sending, kSumInput, 2, rule);
    uint32_t closing = 0;
    // Two subjects, one command each: neither waits for the other.
    if (close_first) closing = relay.Start(caller, CloseEnd(name, kSumInput, 1));
    relay.Release(call.callee(), name);
    if (!close_first) closing = relay.Start(caller, CloseEnd(name, kSumInput, 1));
    co_await relay.Answered(closing, "the close to end");
    co_await RequireResolved(
        relay, call, control::v1::CALL_STATUS_OK, [](const std::string&) { return true; }, rule);
    relay.Judged(rule, call.callee());
    co_await RequireEcho(relay, caller, "after the race", rule);
  }
}

}  // namespace

std::vector<Between> ChannelsBetween() {
  return {
      {"channeling_generate_server_to_client",
       {"rpc.channel.no-silent-drop", "rpc.flow-control.credit.spend"},
       &GenerateServerToClient},
      {"channeling_sum_client_to_server",
       {"rpc.channel.close", "rpc.flow-control.credit.grant"},
       &SumClientToServer},
      {"channeling_transform", {"rpc.channel.no-silent-drop"}, &Transform},
      {"channel_credit_exhaustion_blocks_sender",
       {"rpc.flow-control.credit.zero-blocks", "rpc.flow-control.credit.replenish",
        "rpc.flow-control.credit"},
       &CreditExhaustion},
      {"channel_zero_initial_credit", {"rpc.flow-control.credit.grant"}, &ZeroInitialCredit},
      {"channel_reset_stops_sender", {"rpc.channel.reset"}, &ResetStopsSender},
      {"channel_slow_consumer_loses_nothing",
       {"rpc.channel.no-silent-drop", "rpc.flow-control.credit.replenish"},
       &SlowConsumer},
      {"channel_close_race_settles_alike", {"strict.channel.close-race"}, &CloseRace},
  };
}

}  // namespace counterpart::scenarios
