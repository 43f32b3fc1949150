// The callee's record of an operation, state by state: what a crash, a cancel, a promise to ask no
// more leave behind, and what a later attempt finds.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::How;
using peer::Incoming;
using peer::ObservedEnd;
using peer::Session;
using wire::v1::Response;

constexpr uint32_t kChannelField = 3;  // of Generate's output and of Sum's input

// One more attempt, which a caller that keeps the rule named would not make: the callee's record
// must answer it all the same.
Call* AskAgain(Session& session, const Call& call, const char* breaking) {
  return session.StartCallRaw(*call.method, call.arguments, call.operation_id, breaking);
}

Task<> RequireError(Peer& peer, const Response& response, wire::v1::RuntimeErrorCode code,
                    const char* rule, const char* wanted) {
  co_await peer.Require(response.runtime_error().code() == code, rule, wanted);
}

// ---------------------------------------------------------------- retry_crashed_handler_…

// An Echo (or EchoIdem) whose handler ends without returning anything.
testbed::v1::EchoRequest Crashing() {
  testbed::v1::EchoRequest request = Echo("no value");
  request.mutable_program()->add_steps()->mutable_panic();
  return request;
}

Task<> CrashedHandler(Peer& peer) {
  const char* only_return = "retry.seal.only-return";
  Session* session = co_await peer.Establish();
  for (const char* method : {"Echo", "EchoIdem"}) {
    Call* call = session->StartCall(method, Crashing());
    const bool idem = call->method->idem;
    Response response = co_await session->ResponseTo(*call, only_return);
    co_await RequireError(peer, response, wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, only_return,
                          "a handler that returned nothing is answered with INDETERMINATE");
    co_await CutAndResume(peer, *session);
    Call* again = AskAgain(*session, *call, "retry.resume.reattempt");
    const char* rule =
        idem ? "retry.duplicate.indeterminate.idem" : "retry.duplicate.indeterminate.non-idem";
    Response second = co_await session->ResponseTo(*again, rule);
    co_await RequireError(peer, second, wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, rule,
                          "an operation whose handler crashed stays Indeterminate");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireExecutions(peer, call->operation_id, idem ? 2 : 1, rule);
  }
}

// ---------------------------------------------------------------- retry_cancelled_idem_…

Task<> CancelledIdem(Peer& peer) {
  const char* rule = "retry.cancel.volatile";
  Session* session = co_await peer.Establish();
  Call* call = session->StartCall("EchoIdem", WaitingEcho("again", "gate"));
  co_await peer.AwaitHandlerStarted(*session, call->operation_id);
  session->Cancel(*call);
  Response cancelled = co_await session->ResponseTo(*call, "rpc.cancel.response");
  co_await RequireError(peer, cancelled, wire::v1::RUNTIME_ERROR_CODE_CANCELLED,
                        "rpc.cancel.response", "a cancel before the return answers CANCELLED");
  co_await CutAndResume(peer, *session);
  Call* again = AskAgain(*session, *call, "retry.resume.reattempt");
  co_await session->Fence();
  peer.Release("gate");
  Response response = co_await session->ResponseTo(*again, rule);
  co_await RequireEcho(peer, response, "again");
  co_await session->Fence();
  co_await peer.Settle();
  // Had the cancel left it Live, the new attempt would have attached to the first execution.
  co_await RequireExecutions(peer, call->operation_id, 2, rule);
}

// ---------------------------------------------------------------- retry_cancel_and_return_…

Task<> CancelAndReturn(Peer& peer) {
  const char* rule = "retry.cancel.seal-race";
  Session* session = co_await peer.Establish();
  Call* call = session->StartCall("Echo", WaitingEcho("one winner", "gate"));
  co_await peer.AwaitHandlerStarted(*session, call->operation_id);
  const bool cancel_first = peer.machine().Choose(2, "cancel first") == 1;
  if (cancel_first) session->Cancel(*call);
  peer.Release("gate");
  if (!cancel_first) session->Cancel(*call);
  Response first = co_await session->ResponseTo(*call, "rpc.cancel.response");
  const bool cancelled = first.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_CANCELLED;
  co_await peer.Require(cancelled || first.has_ok(), rule,
                        "the attempt is answered with the value or with CANCELLED");
  co_await CutAndResume(peer, *session);
  Call* again = AskAgain(*session, *call, "retry.resume.reattempt");
  Response second = co_await session->ResponseTo(*again, rule);
  const bool same =
      cancelled ? second.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE
                : second.has_ok() && second.ok() == first.ok();
  co_await peer.Require(same, rule, "a later attempt sees the same winner as the first");
  co_await session->Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, call->operation_id, 1, rule);
}

// ---------------------------------------------------------------- retry_settled_operation_…

Task<> SettledExpires(Peer& peer) {
  const char* rule = "retry.gc.expired";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* settled = session->StartCall("EchoIdem", Echo("settled"));
    Response first = co_await session->ResponseTo(*settled);
    co_await RequireEcho(peer, first, "settled");
    Call* kept = session->StartCall("Echo", Echo("kept"));
    Response second = co_await session->ResponseTo(*kept);
    co_await RequireEcho(peer, second, "kept");
    session->in_every_request.set_settled_below(kept->operation_id);
    Call* promise = session->StartCall("Echo", Echo("the promise"));
    Response third = co_await session->ResponseTo(*promise);
    co_await RequireEcho(peer, third, "the promise");
    co_await CutAndResume(peer, *session);
    Call* expired = AskAgain(*session, *settled, "retry.gc.settled-below");
    Response refusal = co_await session->ResponseTo(*expired, rule);
    co_await RequireError(peer, refusal, wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED, rule,
                          "an attempt below settled_below is answered with OPERATION_EXPIRED");
    Call* replayed = AskAgain(*session, *kept, "retry.resume.reattempt");
    Response replay = co_await session->ResponseTo(*replayed, "retry.gc.live");
    co_await peer.Require(replay.has_ok() && replay.ok() == second.ok(), "retry.gc.live",
                          "the record that settled_below just does not cover is kept");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireExecutions(peer, settled->operation_id, 1, rule);
    co_await RequireExecutions(peer, kept->operation_id, 1, "retry.gc.live");
    co_return;
  }
  for (const char* method : {"Echo", "EchoIdem"}) {
    const std::string handle = method;
    const uint32_t question =
        peer.StartCallBySubject(*session, method, Echo("x").SerializeAsString(), handle);
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    session->RespondRuntimeError(*incoming, wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED);
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, "retry.gc.settled-below");
    const auto wanted = incoming->method->idem ? control::v1::CALL_STATUS_OPERATION_EXPIRED
                                               : control::v1::CALL_STATUS_INDETERMINATE;
    co_await peer.Require(outcome.status() == wanted, "retry.gc.settled-below",
                          "OPERATION_EXPIRED is Indeterminate to the application if the method is "
                          "not idem");
  }
}

// ---------------------------------------------------------------- channel_aborted_is_a_failure

Task<> AbortedIsAFailure(Peer& peer) {
  const char* rule = "rpc.channel.aborted";
  Session* session = co_await peer.Establish();
  testbed::v1::GenerateRequest request;
  request.set_count(1);
  const uint32_t question =
      peer.StartCallBySubject(*session, "Generate", request.SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* output = incoming->channels[kChannelField];
  co_await output->Send(1, 3);
  output->Close(/*aborted=*/true);
  testbed::v1::TestbedError error;
  error.set_code(7);
  session->RespondUserError(*incoming, error);
  Outcome outcome =
      co_await peer.Execute(ReceiveItems("call", kChannelField, 0), "the items and the failure");
  const auto& received = outcome.received();
  const std::vector<uint64_t> values(received.values().begin(), received.values().end());
  std::string wanted =
      "the application takes the three items sent before, then sees the stream "
      "fail as aborted; it took " +
      std::to_string(values.size()) + " and saw " + peer::ShortName(received.status());
  co_await peer.Require(
      values == Sequence(1, 3) && received.status() == control::v1::END_STATUS_ABORTED, rule,
      std::move(wanted));
  CallOutcome ended = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(ended.status() == control::v1::CALL_STATUS_USER_ERROR, "rpc.fallible",
                        "the user error reaches the application as itself");
}

// ---------------------------------------------------------------- rpc_cancel_ends_no_channel

Task<> CancelEndsNoChannel(Peer& peer) {
  const char* rule = "rpc.cancel.channels";
  Session* session = co_await peer.Establish();
  const uint32_t question = peer.StartCallBySubject(*session, "Sum", "", "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* input = incoming->channels[kChannelField];
  Outcome sent = co_await peer.Execute(SendItems("call", kChannelField, 1, 2), "two items sent");
  co_await input->AwaitReceived(2);
  peer.CancelCallBySubject("call");
  co_await peer.Until(
      "CancelRequest", [incoming] { return incoming->cancelled; }, "rpc.cancel");
  co_await session->Fence();
  co_await peer.Require(!input->closed_by_subject(), rule,
                        "a cancel does not close the channels of its call");
  Outcome more = co_await peer.Execute(SendItems("call", kChannelField, 3, 1), "one more item");
  co_await input->AwaitReceived(3);
  co_await peer.Require(!input->closed_by_subject(), rule,
                        "the channel of a cancelled call takes further items");
  // The callee ends what its handler held, then answers.  r[rpc.channel.abandon]
  input->Reset();
  session->RespondRuntimeError(*incoming, wire::v1::RUNTIME_ERROR_CODE_CANCELLED);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "rpc.cancel.response");
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_CANCELLED,
                        "rpc.cancel.response", "the caller reports Cancelled");
  co_await RequireCallWorks(peer, *session, "rpc.cancel");
}

// ---------------------------------------------------------------- connection_open_without_…

Task<> NoAcceptor(Peer& peer) {
  const char* rule = "connection.open.rejection";
  Session* session = co_await peer.Establish();
  const uint64_t id = session->odd_parity() ? 1 : 2;
  wire::v1::Message message;
  message.set_connection_id(id);
  message.mutable_open_connection()->set_parity(wire::v1::PARITY_ODD);
  message.mutable_open_connection()->mutable_settings()->set_max_concurrent_requests(1);
  session->Send(message);
  co_await peer.Until(
      "RejectConnection", [session, id] { return session->rejections().contains(id); }, rule);
  co_await peer.Require(!session->rejections().at(id).reason().empty(), rule,
                        "a rejection gives a reason");
  co_await RequireOneCall(peer, *session, rule);
}

// ---------------------------------------------------------------- rpc_metadata_unknown_…

void AddEntry(google::protobuf::RepeatedPtrField<wire::v1::MetadataEntry>* entries, const char* key,
              const char* value, uint32_t flags) {
  wire::v1::MetadataEntry& entry = *entries->Add();
  entry.set_key(key);
  entry.set_value(value);
  entry.set_flags(flags);
}

Task<> UnknownMetadata(Peer& peer) {
  const char* rule = "rpc.metadata.unknown-keys";
  Session* session = co_await peer.Establish();
  // A key twice, a flag nobody knows, no key at all: nothing of it concerns the call.
  google::protobuf::RepeatedPtrField<wire::v1::MetadataEntry> entries;
  AddEntry(&entries, "x-nobody-knows-this", "1", 0);
  AddEntry(&entries, "x-nobody-knows-this", "2", 1u << 31);
  AddEntry(&entries, "", "", 0);
  if (peer.harness_calls()) {
    *session->in_every_request.mutable_metadata() = entries;
    Call* call = session->StartCall("Echo", Echo("unharmed"));
    Response response = co_await session->ResponseTo(*call, rule);
    co_await peer.Require(response.has_ok(), rule, "an unknown metadata key fails no call");
    co_await RequireEcho(peer, response, "unharmed");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("unharmed").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Response response;
  response.set_ok(EchoReply("unharmed").SerializeAsString());
  *response.mutable_metadata() = entries;
  session->RespondAgain(*incoming, response);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK, rule,
                        "an unknown metadata key fails no call");
  co_await RequireOk(peer, outcome, EchoReply("unharmed").SerializeAsString());
}

}  // namespace

std::vector<Scenario> OperationScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<Direction> there = {Direction::kHarnessToSubject};
  const std::vector<Direction> back = {Direction::kSubjectToHarness};
  const std::vector<std::string> operations = {"root_calls", "resume", "operations"};
  return {
      {"retry_crashed_handler_is_indeterminate",
       "retry",
       "A handler that crashes leaves its operation Indeterminate: an idem one runs again.",
       there,
       {"retry.seal.only-return", "retry.duplicate.indeterminate.idem",
        "retry.duplicate.indeterminate.non-idem"},
       {},
       operations,
       &CrashedHandler},
      {"retry_cancelled_idem_runs_again",
       "retry",
       "A cancel releases a volatile operation: a later attempt of an idem one runs it again.",
       there,
       {"retry.cancel.volatile", "rpc.cancel.response"},
       {},
       {"root_calls", "resume", "operations", "cancel"},
       &CancelledIdem},
      {"retry_cancel_and_return_have_one_winner",
       "retry",
       "Of a cancel and a return that compete one wins, and every later attempt sees the same.",
       there,
       {"retry.cancel.seal-race"},
       {},
       {"root_calls", "resume", "operations", "cancel"},
       &CancelAndReturn},
      {"retry_settled_operation_expires",
       "retry",
       "What settled_below covers is refused and not run; what it does not cover is kept.",
       both,
       {"retry.gc.expired", "retry.gc.live"},
       {"retry.gc.settled-below"},
       operations,
       &SettledExpires},
      {"channel_aborted_is_a_failure",
       "channel",
       "A stream that its sender aborted ends in failure, after the items sent before.",
       back,
       {},
       {"rpc.channel.aborted"},
       {"root_calls", "channels"},
       &AbortedIsAFailure},
      {"rpc_cancel_ends_no_channel",
       "rpc",
       "Cancelling a call leaves its channels open until they are ended by themselves.",
       back,
       {},
       {"rpc.cancel.channels"},
       {"root_calls", "channels", "cancel"},
       &CancelEndsNoChannel},
      {"connection_open_without_an_acceptor_is_rejected",
       "connection",
       "Opening a connection that nobody accepts is rejected with a reason; the session lives.",
       both,
       {"connection.open.rejection"},
       {"connection.open.rejection"},
       {"root_calls"},
       &NoAcceptor},
      {"rpc_metadata_of_unknown_keys_is_ignored",
       "rpc",
       "Metadata that nobody knows, in any number, fails no call.",
       both,
       {"rpc.metadata.unknown-keys"},
       {"rpc.metadata.unknown-keys"},
       {"root_calls"},
       &UnknownMetadata},
  };
}

}  // namespace counterpart::scenarios
