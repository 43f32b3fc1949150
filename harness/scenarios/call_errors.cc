// How a call fails, and what its application may make of that.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::CallStatus;
using peer::Incoming;
using peer::Session;
using wire::v1::RuntimeErrorCode;

// ---------------------------------------------------------------- rpc_error_codes_…

struct Meaning {
  RuntimeErrorCode code;
  CallStatus status;
};

// What the answer to a non-idem call says, and what its application is told.
constexpr Meaning kMeanings[] = {
    {wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD, control::v1::CALL_STATUS_UNKNOWN_METHOD},
    {wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD, control::v1::CALL_STATUS_INVALID_PAYLOAD},
    {wire::v1::RUNTIME_ERROR_CODE_CANCELLED, control::v1::CALL_STATUS_CANCELLED},
    {wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, control::v1::CALL_STATUS_INDETERMINATE},
    {wire::v1::RUNTIME_ERROR_CODE_OPERATION_CONFLICT, control::v1::CALL_STATUS_OPERATION_CONFLICT},
    {wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED, control::v1::CALL_STATUS_INDETERMINATE},
    {wire::v1::RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED, control::v1::CALL_STATUS_RESOURCE_EXHAUSTED},
    {wire::v1::RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE, control::v1::CALL_STATUS_PAYLOAD_TOO_LARGE},
    {wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, control::v1::CALL_STATUS_SCHEMA_MISMATCH},
    // Of a newer version of the protocol.
    {static_cast<RuntimeErrorCode>(4711), control::v1::CALL_STATUS_OTHER_RUNTIME_ERROR},
};

// What invites an application to try again.
bool IsRetryable(CallStatus status) {
  return status == control::v1::CALL_STATUS_CONNECTION_CLOSED ||
         status == control::v1::CALL_STATUS_SESSION_SHUTDOWN ||
         status == control::v1::CALL_STATUS_SEND_FAILED;
}

Task<> ErrorCodesKeepTheirMeaning(Peer& peer) {
  const std::string rule = "rpc.error.retryable";
  Session* session = co_await peer.Establish();
  for (const Meaning& meaning : kMeanings) {
    const std::string name = std::to_string(meaning.code);
    const uint32_t question =
        peer.StartCallBySubject(*session, "Echo", Echo(name).SerializeAsString(), name);
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    session->RespondRuntimeError(*incoming, meaning.code);
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    std::string safe = "a call that failed with code " + name +
                       " is not called safe to repeat: " + peer::ShortName(outcome.status());
    co_await peer.Require(!IsRetryable(outcome.status()), rule, std::move(safe));
    std::string wanted = "code " + name + " reaches the application as " +
                         peer::ShortName(meaning.status) + ", not " +
                         peer::ShortName(outcome.status());
    co_await peer.Require(outcome.status() == meaning.status, "rpc.response.shape",
                          std::move(wanted));
    co_await peer.Require(outcome.attempts() == 1, rule,
                          "nor does its runtime attempt it again by itself");
  }
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(session->waiting_requests() == 0, rule, "no further attempt follows");
  // What was never sent may be tried again, and its error says so.
  co_await session->SayGoodbye();
  const uint32_t late =
      peer.StartCallBySubject(*session, "Echo", Echo("late").SerializeAsString(), "late");
  co_await peer.Answered(late, "the late call to end");
  const auto& reply = peer.question(late).reply.execute();
  if (reply.has_refusal()) co_return;  // it knows no such session any more, which is as good
  const CallOutcome& shutdown = reply.outcome().call();
  co_await peer.Require(IsRetryable(shutdown.status()) && shutdown.attempts() == 0, rule,
                        "a call in a session that is over fails with an error that says it may be "
                        "tried again");
}

}  // namespace

std::vector<Scenario> CallErrorScenarios() {
  return {
      {"rpc_error_codes_keep_their_meaning",
       "rpc",
       "Each runtime error reaches the application as itself, and none passes for retryable.",
       {Direction::kSubjectToHarness},
       {},
       {"rpc.error.retryable", "rpc.response.shape"},
       {"root_calls"},
       &ErrorCodesKeepTheirMeaning},
  };
}

}  // namespace counterpart::scenarios
