// Calls without channels, from either of two subjects to the other.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/between.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::Outcome;
using peer::Operation;

// ---------------------------------------------------------------- rpc_echo_roundtrip

Task<> EchoRoundtrip(Relay& relay) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const std::string text = "echo " + std::to_string(relay.machine().Choose(1000, "text"));
    co_await RequireEcho(relay, caller, text, "rpc.response.one-per-request");
  }
}

// ---------------------------------------------------------------- rpc_user_error_roundtrip

Task<> UserErrorRoundtrip(Relay& relay) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    testbed::v1::EchoRequest request = Echo("unused");
    auto* fail = request.mutable_program()->add_steps()->mutable_fail();
    fail->set_code(42);
    fail->set_text("no such thing");
    RelayedCall call =
        relay.StartCall(caller, "Echo", request.SerializeAsString(), Named("failing call", caller));
    co_await RequireResolved(
        relay, call, control::v1::CALL_STATUS_USER_ERROR,
        [](const std::string& value) {
          testbed::v1::TestbedError error;
          return error.ParseFromString(value) && error.code() == 42 &&
                 error.text() == "no such thing";
        },
        "rpc.fallible");
    relay.Judged("rpc.fallible", call.callee());
  }
}

// ---------------------------------------------------------------- rpc_unknown_method

// A runtime may know by itself that nobody has such a method, or ask the other one. Either way the
// application is told so, and nothing else is touched.
Task<> UnknownMethod(Relay& relay) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call = relay.StartCall(caller, "counterpart.testbed.v1.Testbed/NoSuchMethod", "",
                                       Named("unknown call", caller));
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_UNKNOWN_METHOD, nullptr,
                             "rpc.unknown-method");
    co_await RequireEcho(relay, caller, "still works", "rpc.error.scope");
  }
}

// ---------------------------------------------------------------- rpc_pipelining_10_concurrent

// Ten at once each way: twenty handlers wait, and are let go one by one in another order.
Task<> Pipelining(Relay& relay) {
  constexpr size_t kCalls = 10;
  co_await relay.Establish();
  peer::BySeat<std::vector<RelayedCall>> calls;
  for (size_t i = 0; i < kCalls; ++i) {
    for (const Seat caller : peer::kSeats) {
      const std::string name = Named("call " + std::to_string(i), caller);
      calls[caller].push_back(relay.StartCall(
          caller, "Echo", WaitingEcho(name, "gate of " + name).SerializeAsString(), name));
    }
  }
  for (size_t i = 0; i < kCalls; ++i) {
    for (const Seat caller : peer::kSeats) {
      const RelayedCall& call = calls[caller][(i * 7 + 3) % kCalls];
      relay.Release(call.callee(), "gate of " + call.handle);
      co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(call.handle),
                               "rpc.pipelining");
      relay.Judged("rpc.pipelining", call.callee());
    }
  }
}

// ---------------------------------------------------------------- rpc_blocked_call_…

Task<> BlockedCallDelaysNobody(Relay& relay) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const std::string name = Named("blocked call", caller);
    RelayedCall blocked =
        relay.StartCall(caller, "Echo", WaitingEcho(name, name).SerializeAsString(), name);
    co_await AwaitHandler(relay, blocked);
    co_await RequireEcho(relay, caller, "free call", "rpc.pipelining");
    co_await RequireEcho(relay, Across(caller), "call against it", "rpc.pipelining");
    const Operation* operation = relay.Find(blocked);
    co_await relay.Demand(blocked.callee(), !operation->latest().response, "rpc.pipelining",
                          "a call that waits is not answered before it returns");
    relay.Release(blocked.callee(), name);
    co_await RequireResolved(relay, blocked, control::v1::CALL_STATUS_OK, Echoes(name),
                             "rpc.pipelining");
  }
}

// ---------------------------------------------------------------- rpc_cancel_late_response_…

Task<> CancelLateResponse(Relay& relay) {
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const std::string name = Named("cancelled call", caller);
    RelayedCall call =
        relay.StartCall(caller, "Echo", WaitingEcho(name, name).SerializeAsString(), name);
    co_await AwaitHandler(relay, call);
    control::v1::ExecuteRequest cancel;
    cancel.mutable_cancel()->set_handle(name);
    relay.Start(caller, std::move(cancel));
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_CANCELLED, nullptr,
                             "rpc.cancel.response");
    const Operation* operation = relay.Find(call);
    co_await relay.Until(
        "the Response to " + name, [operation] { return operation->latest().response.has_value(); },
        [&call] { return call.callee(); }, "rpc.cancel.response");
    co_await relay.Demand(call.callee(),
                          operation->latest().response->runtime_error().code() ==
                              wire::v1::RUNTIME_ERROR_CODE_CANCELLED,
                          "rpc.cancel.response",
                          "a cancel processed before the handler returned answers CANCELLED");
    // A second response would be seen by the monitors, and a second outcome by nobody.
    relay.Release(call.callee(), name);
    co_await RequireEcho(relay, caller, "after the cancel", "rpc.cancel");
    relay.Judged("rpc.cancel", call.callee());
  }
}

}  // namespace

std::vector<Between> CallsBetween() {
  return {
      {"rpc_echo_roundtrip",
       {"rpc.response.one-per-request", "rpc.request.id-allocation", "retry.op-id.scope",
        "schema.exchange.required", "session.goodbye"},
       &EchoRoundtrip},
      {"rpc_user_error_roundtrip", {"rpc.fallible"}, &UserErrorRoundtrip},
      {"rpc_unknown_method", {"rpc.unknown-method", "rpc.error.scope"}, &UnknownMethod},
      {"rpc_pipelining_10_concurrent", {"rpc.pipelining"}, &Pipelining},
      {"rpc_blocked_call_delays_nobody", {"rpc.pipelining"}, &BlockedCallDelaysNobody},
      {"rpc_cancel_late_response_is_ignored",
       {"rpc.cancel", "rpc.cancel.response"},
       &CancelLateResponse},
  };
}

}  // namespace counterpart::scenarios
