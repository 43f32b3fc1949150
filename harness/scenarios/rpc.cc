// Calls without channels, on an undisturbed session.
#include <map>
#include <set>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using peer::Call;
using peer::Incoming;
using peer::Session;
using wire::v1::Response;

// ---------------------------------------------------------------- rpc_echo_roundtrip

Task<> EchoRoundtrip(Peer& peer) {
  Session* session = co_await peer.Establish();
  const std::string text = "echo " + std::to_string(peer.machine().Choose(1000, "text"));
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Echo", Echo(text));
    Response response = co_await session->ResponseTo(*call);
    co_await RequireEcho(peer, response, text);
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo(text).SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  testbed::v1::EchoRequest asked;
  co_await peer.Require(
      asked.ParseFromString(incoming->request.arguments()) && asked.text() == text,
      "retry.op-id.payload-binding", "the arguments arrive as they were given");
  session->RespondOk(*incoming, EchoReply(text));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, EchoReply(text).SerializeAsString());
}

// ---------------------------------------------------------------- rpc_user_error_roundtrip

Task<> UserErrorRoundtrip(Peer& peer) {
  Session* session = co_await peer.Establish();
  testbed::v1::TestbedError error;
  error.set_code(42);
  error.set_text("no such thing");
  if (peer.harness_calls()) {
    testbed::v1::EchoRequest request = Echo("unused");
    auto* fail = request.mutable_program()->add_steps()->mutable_fail();
    fail->set_code(error.code());
    fail->set_text(error.text());
    Call* call = session->StartCall("Echo", request);
    Response response = co_await session->ResponseTo(*call);
    testbed::v1::TestbedError got;
    co_await peer.Require(response.has_user_error() && got.ParseFromString(response.user_error()) &&
                              got.code() == error.code() && got.text() == error.text(),
                          "rpc.fallible", "a user error arrives as the typed user error");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  session->RespondUserError(*incoming, error);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_USER_ERROR &&
                            outcome.value() == error.SerializeAsString(),
                        "rpc.fallible", "the application sees the typed user error, byte for byte");
}

// ---------------------------------------------------------------- rpc_unknown_method

Task<> UnknownMethod(Peer& peer) {
  Session* session = co_await peer.Establish();
  const std::string method = "counterpart.testbed.v1.Testbed/NoSuchMethod";
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Echo", Echo("before"));
    Response before = co_await session->ResponseTo(*call);
    session->AnnounceUnknown(method);
    Call* unknown = session->StartBareCall(method, "");
    Response response = co_await session->ResponseTo(*unknown);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD,
        "rpc.unknown-method", "an unknown method is answered by UNKNOWN_METHOD");
    co_await RequireAlive(peer, *session, "rpc.error.scope");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  session->RespondRuntimeError(*incoming, wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_UNKNOWN_METHOD,
                        "rpc.unknown-method", "UNKNOWN_METHOD reaches the application as such");
  co_await RequireCallWorks(peer, *session, "rpc.error.scope");
}

// ---------------------------------------------------------------- rpc_invalid_payload

Task<> InvalidPayload(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    // A length-delimited field that announces more bytes than there are.
    Call* call = session->StartCallRaw(*peer::FindMethod("Echo"),
                                       "\x0a\x7f"
                                       "abc",
                                       0);
    Response response = co_await session->ResponseTo(*call);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD,
        "rpc.invalid-payload", "undecodable arguments are answered by INVALID_PAYLOAD");
    co_await RequireAlive(peer, *session, "rpc.error.scope");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  session->RespondRuntimeError(*incoming, wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_INVALID_PAYLOAD,
                        "rpc.invalid-payload", "INVALID_PAYLOAD reaches the application as such");
  co_await RequireCallWorks(peer, *session, "rpc.error.scope");
}

// ---------------------------------------------------------------- rpc_pipelining_10_concurrent

Task<> Pipelining(Peer& peer) {
  constexpr int kCalls = 10;
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    std::vector<Call*> calls;
    for (int i = 0; i < kCalls; ++i) {
      calls.push_back(session->StartCall(
          "Echo", WaitingEcho("text " + std::to_string(i), "gate " + std::to_string(i))));
    }
    // Released in another order than asked: each response comes without the others.
    for (int i = 0; i < kCalls; ++i) {
      const int next = (i * 7 + 3) % kCalls;
      peer.Release("gate " + std::to_string(next));
      Response response =
          co_await session->ResponseTo(*calls[static_cast<size_t>(next)], "rpc.pipelining");
      co_await RequireEcho(peer, response, "text " + std::to_string(next));
    }
    co_return;
  }
  std::vector<uint32_t> questions;
  std::vector<Incoming*> requests;
  for (int i = 0; i < kCalls; ++i) {
    questions.push_back(peer.StartCallBySubject(
        *session, "Echo", Echo(std::to_string(i)).SerializeAsString(), "call" + std::to_string(i)));
  }
  for (int i = 0; i < kCalls; ++i) {
    requests.push_back(co_await session->NextRequest("Request " + std::to_string(i + 1) + " of 10",
                                                     "rpc.pipelining"));
  }
  for (int i = 0; i < kCalls; ++i) {
    Incoming* incoming = requests[static_cast<size_t>((i * 7 + 3) % kCalls)];
    testbed::v1::EchoRequest asked;
    asked.ParseFromString(incoming->request.arguments());
    session->RespondOk(*incoming, EchoReply(asked.text()));
    const size_t caller = static_cast<size_t>(std::stoi(asked.text()));
    CallOutcome outcome = co_await peer.CallOutcomeOf(questions[caller], "rpc.pipelining");
    co_await RequireOk(peer, outcome, EchoReply(asked.text()).SerializeAsString());
  }
}

// ---------------------------------------------------------------- rpc_blocked_call_delays_nobody

Task<> BlockedCallDelaysNobody(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* blocked = session->StartCall("Echo", WaitingEcho("late", "gate"));
    co_await peer.AwaitHandlerStarted(*session, blocked->operation_id);
    for (int i = 0; i < 3; ++i) {
      Call* call = session->StartCall("Echo", Echo("free"));
      Response response = co_await session->ResponseTo(*call, "rpc.pipelining");
      co_await RequireEcho(peer, response, "free");
    }
    co_await peer.Require(!blocked->response, "rpc.pipelining",
                          "a call that waits is not answered before it returns");
    peer.Release("gate");
    Response response = co_await session->ResponseTo(*blocked);
    co_await RequireEcho(peer, response, "late");
    co_return;
  }
  const uint32_t blocked =
      peer.StartCallBySubject(*session, "Echo", Echo("late").SerializeAsString(), "blocked");
  Incoming* late = co_await session->NextRequest("the first Request");
  for (int i = 0; i < 3; ++i) co_await RequireCallWorks(peer, *session, "rpc.pipelining");
  session->RespondOk(*late, EchoReply("late"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(blocked);
  co_await RequireOk(peer, outcome, EchoReply("late").SerializeAsString());
}

// ---------------------------------------------------------------- rpc_request_limit_is_kept

Task<> RequestLimit(Peer& peer) {
  constexpr uint32_t kLimit = 3;
  peer::SessionOptions options;
  options.harness_limit = kLimit;
  options.subject_limit = kLimit;
  Session* session = co_await peer.Establish(options);
  if (peer.harness_calls()) {
    std::vector<Call*> calls;
    for (uint32_t i = 0; i < kLimit; ++i) {
      calls.push_back(session->StartCall("Echo", WaitingEcho("kept", "gate")));
    }
    co_await session->Fence();
    // One over the limit the subject announced: the harness breaks the rule on purpose.
    const std::string rule = "rpc.flow-control.max-concurrent-requests.inbound";
    session->StartCallBreaking(rule, "Echo", Echo("over"));
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_REQUEST_LIMIT_EXCEEDED,
                                         rule);
    peer.Release("gate");
    co_return;
  }
  std::vector<uint32_t> questions;
  for (uint32_t i = 0; i < 2 * kLimit; ++i) {
    questions.push_back(peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(),
                                                "call" + std::to_string(i)));
  }
  std::vector<Incoming*> requests;
  for (uint32_t i = 0; i < kLimit; ++i) {
    requests.push_back(co_await session->NextRequest("a Request within the limit"));
  }
  // The rest are queued, not sent: the monitor counts, and nothing more comes.
  co_await peer.Settle();
  co_await peer.Require(session->waiting_requests() == 0,
                        "rpc.flow-control.max-concurrent-requests.outbound",
                        "at the limit further calls are queued by the caller");
  for (uint32_t i = 0; i < 2 * kLimit; ++i) {
    if (i >= kLimit) {
      requests.push_back(
          co_await session->NextRequest("a queued Request once a slot is free",
                                        "rpc.flow-control.max-concurrent-requests.counting"));
    }
    session->RespondOk(*requests[i], EchoReply("x"));
  }
  for (const uint32_t question : questions) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question);
    co_await RequireOk(peer, outcome, EchoReply("x").SerializeAsString());
  }
}

// ---------------------------------------------------------------- rpc_cancel_late_response_…

Task<> CancelLateResponse(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Echo", WaitingEcho("x", "gate"));
    co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    session->Cancel(*call);
    Response response = co_await session->ResponseTo(*call, "rpc.cancel.response");
    co_await peer.Require(response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_CANCELLED,
                          "rpc.cancel.response",
                          "a cancel processed before the handler returned answers CANCELLED");
    // Cancelling a finished attempt is harmless, and a second response would be seen.
    session->Cancel(*call);
    peer.Release("gate");
    co_await session->Fence();
    co_await RequireAlive(peer, *session, "rpc.cancel");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  peer.CancelCallBySubject("call");
  co_await peer.Until(
      "CancelRequest", [incoming] { return incoming->cancelled; }, "rpc.cancel");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "rpc.cancel.response");
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_CANCELLED,
                        "rpc.cancel.response", "the caller reports Cancelled at once");
  // The response that was on its way is ignored.
  session->RespondOk(*incoming, EchoReply("late"));
  co_await session->Fence();
  co_await RequireCallWorks(peer, *session, "rpc.cancel");
}

}  // namespace

std::vector<Scenario> RpcScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> calls = {"root_calls"};
  return {
      {"rpc_echo_roundtrip",
       "rpc",
       "A call is answered with what its handler returned.",
       both,
       {"rpc.response.one-per-request", "rpc.request.id-allocation", "schema.exchange.required"},
       {"rpc.request.id-allocation", "retry.op-id.scope", "schema.exchange.required"},
       calls,
       &EchoRoundtrip},
      {"rpc_user_error_roundtrip",
       "rpc",
       "A user error arrives as the typed user error, apart from every runtime error.",
       both,
       {"rpc.fallible"},
       {"rpc.fallible"},
       calls,
       &UserErrorRoundtrip},
      {"rpc_unknown_method",
       "rpc",
       "An unknown method is a call error; the connection and other calls live on.",
       both,
       {"rpc.unknown-method", "rpc.error.scope"},
       {"rpc.unknown-method", "rpc.error.scope"},
       calls,
       &UnknownMethod},
      {"rpc_invalid_payload",
       "rpc",
       "Undecodable arguments are a call error; the connection and other calls live on.",
       both,
       {"rpc.invalid-payload", "rpc.error.scope"},
       {"rpc.invalid-payload", "rpc.error.scope"},
       calls,
       &InvalidPayload},
      {"rpc_pipelining_10_concurrent",
       "rpc",
       "Ten calls at once are answered each on its own, in whatever order they complete.",
       both,
       {"rpc.pipelining"},
       {"rpc.pipelining"},
       calls,
       &Pipelining},
      {"rpc_blocked_call_delays_nobody",
       "rpc",
       "A call that waits holds up no other.",
       both,
       {"rpc.pipelining"},
       {"rpc.pipelining"},
       calls,
       &BlockedCallDelaysNobody},
      {"rpc_request_limit_is_kept",
       "rpc",
       "The announced number of concurrent requests is kept by the caller and enforced by the "
       "callee.",
       both,
       {"rpc.flow-control.max-concurrent-requests.inbound"},
       {"rpc.flow-control.max-concurrent-requests.outbound",
        "rpc.flow-control.max-concurrent-requests.counting"},
       calls,
       &RequestLimit},
      {"rpc_cancel_late_response_is_ignored",
       "rpc",
       "A cancelled call ends once; what comes later changes nothing.",
       both,
       {"rpc.cancel", "rpc.cancel.response"},
       {"rpc.cancel", "rpc.cancel.response"},
       {"root_calls", "cancel"},
       &CancelLateResponse},
  };
}

}  // namespace counterpart::scenarios
