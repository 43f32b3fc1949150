// What a resume finds of the calls that were in flight: each is evaluated by itself, at the caller
// by its kind and at the callee by its record.
#include <map>
#include <set>
#include <string>

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
using peer::Session;
using wire::v1::Response;

constexpr uint32_t kChannelField = 3;  // of Generate's output and of Sum's input

testbed::v1::EchoRequest CrashingBehind(const std::string& gate) {
  testbed::v1::EchoRequest request = WaitingEcho("no value", gate);
  request.mutable_program()->add_steps()->mutable_panic();
  return request;
}

// co_await: the state of an operation of this run, as the subject's journal has it by now.
Task<std::string> StateOf(Peer& peer, const Call& call) {
  std::vector<control::v1::JournalEvent> journal = co_await peer.JournalSoFar();
  std::string state = "Absent";
  for (const auto& event : journal) {
    const auto& transition = event.transition();
    if (transition.machine() != control::v1::MACHINE_OPERATION) continue;
    if (transition.key() == call.operation_id) state = transition.to_state();
  }
  co_return state;
}

// ---------------------------------------------------------------- retry_resume_evaluates_…

// As callee: handlers that still wait, that return while nobody is there, that crash meanwhile.
Task<> EvaluatedByRecord(Peer& peer, Session& session) {
  const char* live_rule = "retry.reconnect.session-resume.live";
  const char* outcome_rule = "retry.reconnect.session-resume.outcome";
  const char* keep_rule = "retry.detach.keep";
  Call* live = session.StartCall("Echo", WaitingEcho("live", "late"));
  Call* returns = session.StartCall("Echo", WaitingEcho("returned", "detached"));
  Call* crashes = session.StartCall("Echo", CrashingBehind("detached"));
  Call* crashes_idem = session.StartCall("EchoIdem", CrashingBehind("detached"));
  for (const Call* call : {live, returns, crashes, crashes_idem}) {
    co_await peer.AwaitHandlerStarted(session, call->operation_id);
  }
  peer.Close(*session.link, CutBySeed(peer));
  co_await peer.Settle();
  for (const Call* call : {live, returns, crashes, crashes_idem}) {
    std::string state = co_await StateOf(peer, *call);
    std::string wanted = "an operation that runs stays Live when its link is lost; it is " + state;
    co_await peer.Require(state == "Live", keep_rule, std::move(wanted));
  }
  peer.Release("detached");
  for (const Call* call : {returns, crashes, crashes_idem}) {
    co_await AwaitHandlerEnded(peer, session, *call);
  }
  co_await peer.Resume(session);
  Call* live_again = session.Reattempt(*live);
  Call* returned = session.Reattempt(*returns);
  Call* crashed = session.Reattempt(*crashes);
  Call* rerun = session.Reattempt(*crashes_idem);
  Response value = co_await session.ResponseTo(*returned, outcome_rule);
  co_await peer.Require(value.ok() == EchoReply("returned").SerializeAsString(), outcome_rule,
                        "what was returned while detached answers the new attempt");
  Response lost = co_await session.ResponseTo(*crashed, outcome_rule);
  co_await peer.Require(lost.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE,
                        outcome_rule,
                        "what crashed while detached answers the new attempt with INDETERMINATE");
  Response second = co_await session.ResponseTo(*rerun, keep_rule);
  co_await session.Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, returns->operation_id, 1, outcome_rule);
  co_await RequireExecutions(peer, crashes->operation_id, 1, outcome_rule);
  co_await RequireExecutions(peer, crashes_idem->operation_id, 2, keep_rule);
  co_await RequireExecutions(peer, live->operation_id, 1, live_rule);
  peer.Release("late");
  Response joined = co_await session.ResponseTo(*live_again, live_rule);
  co_await peer.Require(joined.ok() == EchoReply("live").SerializeAsString(), live_rule,
                        "the attempt that joined is told what the handler returned");
  co_await session.Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, live->operation_id, 1, live_rule);
}

// As caller: which calls are attempted again, and what is said of the others.
Task<> EvaluatedByKind(Peer& peer, Session& session) {
  const char* rule = "retry.reconnect.session-resume.evaluate";
  const char* channels_rule = "retry.channel.detach";
  const std::string arguments = Echo("same bytes").SerializeAsString();
  const uint32_t plain = peer.StartCallBySubject(session, "Echo", arguments, "plain");
  const uint32_t twin = peer.StartCallBySubject(session, "Echo", arguments, "twin");
  const uint32_t cancelled = peer.StartCallBySubject(session, "Echo", arguments, "cancelled");
  const uint32_t stream = peer.StartCallBySubject(session, "Generate", "", "stream");
  const uint32_t idem_stream = peer.StartCallBySubject(session, "GenerateIdem", "", "idem stream");
  std::set<uint64_t> operations;
  for (int i = 0; i < 5; ++i) {
    Incoming* incoming = co_await session.NextRequest("each of the subject's Requests");
    operations.insert(incoming->request.operation_id());
  }
  co_await peer.Require(operations.size() == 5, "retry.op-id.per-intention",
                        "each call is an operation of its own, also where the bytes are the same");
  peer.CancelCallBySubject("cancelled");
  CallOutcome gone = co_await peer.CallOutcomeOf(cancelled, "rpc.cancel.response");
  co_await CutAndResume(peer, session);
  // Three come again, in whatever order: the plain calls and the stream that may run again.
  std::vector<Incoming*> again;
  std::map<std::string, int> methods;
  for (int i = 0; i < 3; ++i) {
    const bool came = co_await peer.ReadyBeforeQuiet(
        "a new attempt", [&session] { return session.waiting_requests() > 0; });
    co_await peer.Require(came, rule, "each call that is open is attempted again after a resume");
    Incoming* incoming = co_await session.NextRequest("a new attempt");
    co_await peer.Require(operations.contains(incoming->request.operation_id()),
                          "retry.op-id.per-intention",
                          "a further attempt of a call is of the same operation");
    ++methods[incoming->method->name];
    again.push_back(incoming);
  }
  co_await session.Fence();
  co_await peer.Settle();
  const bool more = session.waiting_requests() > 0;
  while (session.waiting_requests() > 0) {
    again.push_back(co_await session.NextRequest("one attempt more than is due"));
  }
  for (const Incoming* incoming : again) {
    co_await peer.Require(incoming->method->channels.empty() || incoming->method->idem,
                          channels_rule,
                          "nothing is sent for a non-idem call whose channels were lost");
  }
  co_await peer.Require(!more && methods[peer::FindMethod("Echo")->name] == 2, rule,
                        "a call that was cancelled is not attempted again");
  CallOutcome lost = co_await peer.CallOutcomeOf(stream, channels_rule);
  co_await peer.Require(lost.status() == control::v1::CALL_STATUS_INDETERMINATE, channels_rule,
                        "a non-idem call whose channels were lost is Indeterminate");
  for (Incoming* incoming : again) {
    for (auto& [field, channel] : incoming->channels) channel->Close();
    if (incoming->channels.empty()) {
      session.RespondOk(*incoming, EchoReply("once"));
    } else {
      session.RespondOk(*incoming, testbed::v1::GenerateIdemResponse());
    }
  }
  for (const uint32_t question : {plain, twin}) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    co_await RequireOk(peer, outcome, EchoReply("once").SerializeAsString());
    co_await peer.Require(operations.contains(outcome.operation_id()), "retry.op-id.per-intention",
                          "a call keeps its operation for all of its attempts");
  }
  CallOutcome rerun = co_await peer.CallOutcomeOf(idem_stream, channels_rule);
  co_await peer.Require(rerun.status() == control::v1::CALL_STATUS_OK && rerun.attempts() == 2,
                        channels_rule, "an idem call with channels is attempted again");
}

Task<> ResumeEvaluates(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    co_await EvaluatedByRecord(peer, *session);
  } else {
    co_await EvaluatedByKind(peer, *session);
  }
}

// ---------------------------------------------------------------- retry_given_up_…

Task<> GivenUpExecution(Peer& peer) {
  const char* rule = "retry.duplicate.indeterminate";
  const char* detach_rule = "retry.channel.detach";
  Session* session = co_await peer.Establish();
  testbed::v1::GenerateRequest request;
  auto* emit = request.mutable_program()->add_steps()->mutable_emit();
  emit->set_first(1);
  emit->set_count(2);
  request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
  Call* call = session->StartCall("Generate", request);
  std::vector<uint64_t> items = co_await call->channels[kChannelField]->Receive(2);
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Settle();
  // Its handler is given up: were it not, it would now return a value.
  std::string state = co_await StateOf(peer, *call);
  std::string left =
      "an operation with channels leaves Live at the detach, non-idem to "
      "Indeterminate; it is " +
      state;
  co_await peer.Require(state == "Indeterminate", detach_rule, std::move(left));
  peer.Release("gate");
  co_await peer.Settle();
  co_await peer.Resume(*session);
  Call* second = session->Reattempt(*call, detach_rule);
  Response response = co_await session->ResponseTo(*second, rule);
  co_await peer.Require(
      response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, rule,
      "an execution that was given up makes no outcome, however late it returns");
  co_await session->Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, call->operation_id, 1, rule);
}

// ---------------------------------------------------------------- retry_replay_…

// co_await: the new attempt of a call that has returned is told the same, and its channel is ended
// by then, with nothing on it.
Task<> RequireReplay(Peer& peer, Session& session, Call& again, const Response& first,
                     const char* rule) {
  const char* sealed_rule = "retry.channel.sealed-result";
  Response response = co_await session.ResponseTo(again, rule);
  co_await peer.Require(first.has_ok() && response.ok() == first.ok() && response.has_ok(), rule,
                        "a sealed outcome stays, and is replayed as often as it is asked for");
  const Channel& channel = *again.channels[kChannelField];
  const bool dead = channel.harness_sends()
                        ? channel.reset_by_subject()
                        : channel.aborted_by_subject() && channel.received() == 0;
  co_await peer.Require(dead, sealed_rule,
                        "before a replay the callee ends the new attempt's channels: resets what "
                        "it would receive, aborts what it would send");
}

Task<> ReplayRevivesNothing(Peer& peer) {
  const char* rule = "retry.seal.absorbing";
  Session* session = co_await peer.Establish();
  testbed::v1::GenerateRequest generate;
  generate.set_count(2);
  Call* sends = session->StartCall("Generate", generate);
  std::vector<uint64_t> items = co_await sends->channels[kChannelField]->ReceiveAll();
  Response generated = co_await session->ResponseTo(*sends);
  Call* takes = session->StartCall("Sum", testbed::v1::SumRequest());
  co_await takes->channels[kChannelField]->Send(1, 2);
  takes->channels[kChannelField]->Close();
  Response summed = co_await session->ResponseTo(*takes);
  for (int generation = 2; generation <= 3; ++generation) {
    co_await CutAndResume(peer, *session);
    // A caller that has its answer asks no more: the callee's record has to hold all the same.
    Call* generate_again = session->Reattempt(*sends, "retry.channel.detach");
    Call* sum_again = session->Reattempt(*takes, "retry.channel.detach");
    co_await RequireReplay(peer, *session, *sum_again, summed, rule);
    co_await RequireReplay(peer, *session, *generate_again, generated, rule);
    // Nor does a cancel that comes too late take the outcome back.
    session->Cancel(*generate_again);
    session->Cancel(*sum_again);
    co_await session->Fence();
  }
  co_await peer.Settle();
  co_await RequireExecutions(peer, sends->operation_id, 1, rule);
  co_await RequireExecutions(peer, takes->operation_id, 1, rule);
}

// ---------------------------------------------------------------- session_resume_discards_…

// What names, on the newer link, a request or a channel of the older one.
Task<> OldNamesAreRefused(Peer& peer) {
  const std::string rule = "session.resume.discard";
  Session* session = co_await peer.Establish();
  uint64_t request = 0, channel = 0;
  if (peer.harness_calls()) {
    testbed::v1::SumRequest sum;
    sum.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    Call* call = session->StartCall("Sum", sum);
    co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    request = call->request_id;
    channel = call->channels[kChannelField]->id();
  } else {
    peer.StartCallBySubject(*session, "Generate", "", "call");
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    request = incoming->request.request_id();
    channel = incoming->channels[kChannelField]->id();
  }
  co_await CutAndResume(peer, *session);
  co_await session->Fence();
  wire::v1::Message message;
  auto code = wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID;
  auto or_code = wire::v1::PROTOCOL_ERROR_CODE_UNSPECIFIED;
  switch (peer.machine().Choose(2, "an old request, an old channel")) {
    case 0:
      if (peer.harness_calls()) {
        message.mutable_cancel_request()->set_request_id(request);
      } else {
        message.mutable_response()->set_request_id(request);
        message.mutable_response()->mutable_runtime_error()->set_code(
            wire::v1::RUNTIME_ERROR_CODE_CANCELLED);
      }
      break;
    default:
      message.mutable_close_channel()->set_channel_id(channel);
      code = wire::v1::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID;
      or_code = wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE;
  }
  session->Send(std::move(message), rule);
  co_await session->AwaitProtocolError(code, rule, or_code);
  peer.Release("gate");
}

}  // namespace

std::vector<Scenario> ResumedCallScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<Direction> there = {Direction::kHarnessToSubject};
  const std::vector<std::string> channels = {"root_calls", "channels", "resume", "operations"};
  return {
      {"retry_resume_evaluates_every_operation",
       "retry",
       "After a resume each call in flight is evaluated by itself: attempted again or given up by "
       "its caller, joined, replayed, run again or refused by its callee.",
       both,
       {"retry.reconnect.session-resume.live", "retry.reconnect.session-resume.outcome",
        "retry.detach.keep"},
       {"retry.reconnect.session-resume.evaluate", "retry.channel.detach",
        "retry.op-id.per-intention"},
       {"root_calls", "channels", "resume", "operations", "cancel"},
       &ResumeEvaluates},
      {"retry_given_up_execution_makes_no_outcome",
       "retry",
       "A handler that was given up at the detach makes no outcome, however late it returns.",
       there,
       {"retry.duplicate.indeterminate", "retry.channel.detach"},
       {},
       channels,
       &GivenUpExecution},
      {"retry_replay_revives_no_channel",
       "retry",
       "A sealed outcome stays sealed, and its replay revives no channel.",
       there,
       {"retry.seal.absorbing", "retry.channel.sealed-result"},
       {},
       {"root_calls", "channels", "resume", "operations", "cancel"},
       &ReplayRevivesNothing},
      {"session_resume_refuses_old_names",
       "session",
       "A message that names a request or a channel of the older link is a protocol error.",
       both,
       {"session.resume.discard"},
       {"session.resume.discard"},
       channels,
       &OldNamesAreRefused},
  };
}

}  // namespace counterpart::scenarios
