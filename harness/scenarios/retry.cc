// Calls across a cut: who runs again, who attaches, who is replayed, who fails closed.
#include <algorithm>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::Fault;
using peer::How;
using peer::Incoming;
using peer::ObservedEnd;
using peer::Session;
using peer::Side;
using wire::v1::Response;

constexpr uint32_t kOutput = 3;
constexpr uint32_t kCutAfter = 20;
// More than any credit granted before the cut allows: the handler cannot have returned by then.
constexpr uint32_t kItems = 100;

// The connection dies after the 20th channel item of the first attachment.
void CutAfterItem(Peer& peer, Side sender) {
  Fault fault;
  fault.how = CutBySeed(peer);
  fault.from = sender;
  fault.kind = "channel_item";
  fault.ordinal = kCutAfter;
  peer.Arm(std::move(fault));
}

testbed::v1::GenerateRequest Generate(uint32_t count) {
  testbed::v1::GenerateRequest request;
  request.set_first(1);
  request.set_count(count);
  return request;
}

// co_await: what the application took of a stream that was cut is a prefix of it, and then it saw
// the end of the attempt's handles: never a clean end.
Task<> RequireCutPrefix(Peer& peer, const Outcome& outcome) {
  const auto& received = outcome.received();
  std::vector<uint64_t> values(received.values().begin(), received.values().end());
  const auto prefix = Sequence(1, static_cast<uint32_t>(values.size()));
  const bool ok = values == prefix && values.size() <= kCutAfter &&
                  received.status() == control::v1::END_STATUS_DEFUNCT;
  std::string wanted = "the first attempt's handle delivers what had arrived, then fails; it saw " +
                       std::to_string(values.size()) + " items and " +
                       peer::ShortName(received.status());
  co_await peer.Require(ok, "retry.channel.disconnect.closes", std::move(wanted));
}

// ---------------------------------------------------------------- channel_retry_idem_…

Task<> IdemReruns(Peer& peer) {
  const std::string rule = "retry.channel.volatile.rebinding.fresh";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    CutAfterItem(peer, Side::kSubject);
    Call* first = session->StartCall("GenerateIdem", Generate(kItems));
    std::vector<uint64_t> before = co_await first->channels[kOutput]->ReceiveAll();
    co_await peer.Require(!session->attached() && !first->response, "", "the cut came first");
    co_await peer.Resume(*session);
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id);
    Channel* output = second->channels[kOutput];
    std::vector<uint64_t> values = co_await output->ReceiveAll();
    co_await peer.Require(values == Sequence(1, kItems) && !output->aborted_by_subject(), rule,
                          "the re-run streams from the start on the fresh channel");
    Response response = co_await session->ResponseTo(*second);
    co_await peer.Require(response.has_ok(), "retry.duplicate.released.idem",
                          "an idem operation that was released runs again and succeeds");
    co_await RequireExecutions(peer, first->operation_id, 2, "retry.duplicate.released.idem");
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "GenerateIdem",
                                                    Generate(kItems).SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  CutAfterItem(peer, Side::kHarness);
  const uint32_t receiving = peer.Start(ReceiveItems("call", kOutput, 0, 1));
  co_await first->channels[kOutput]->Send(1, kItems);
  co_await peer.Require(!session->attached(), "", "the cut came before the stream's end");
  co_await peer.Resume(*session);
  Incoming* second = co_await session->NextRequest("the new attempt", "retry.resume.reattempt");
  const bool same = second->request.operation_id() == first->request.operation_id() &&
                    second->request.arguments() == first->request.arguments() &&
                    second->request.method() == first->request.method();
  co_await peer.Require(same, "retry.op-id.survives-resume",
                        "the new attempt has the same operation id, method and bytes");
  // That channel and request ids are new is the monitors' to judge.
  const uint32_t again = peer.Start(ReceiveItems("call", kOutput, 0, 2));
  Channel* output = second->channels[kOutput];
  co_await peer.Require(output != nullptr && output->credit() == 16, rule,
                        "the fresh channel starts with its full initial credit");
  co_await output->Send(1, kItems);
  output->Close();
  testbed::v1::GenerateIdemResponse reply;
  reply.set_emitted(kItems);
  session->RespondOk(*second, reply);
  Outcome old = co_await peer.OutcomeOf(receiving, "the first attempt's handle to fail",
                                        "retry.channel.disconnect.closes");
  co_await RequireCutPrefix(peer, old);
  Outcome fresh = co_await peer.OutcomeOf(again, "the second attempt's stream to end", rule);
  std::vector<uint64_t> values(fresh.received().values().begin(), fresh.received().values().end());
  co_await peer.Require(
      values == Sequence(1, kItems) && fresh.received().status() == control::v1::END_STATUS_CLOSED,
      rule, "the application gets the second stream whole, from its start");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
  co_await peer.Require(outcome.attempts() == 2, "retry.resume.reattempt",
                        "one attempt per generation: two in all");
}

// ---------------------------------------------------------------- channel_retry_non_idem_…

Task<> NonIdemFailsClosed(Peer& peer) {
  const std::string rule = "retry.channel.recovery.non-idem";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    CutAfterItem(peer, Side::kSubject);
    Call* first = session->StartCall("Generate", Generate(kItems));
    std::vector<uint64_t> before = co_await first->channels[kOutput]->ReceiveAll();
    co_await peer.Require(!session->attached() && !first->response, "", "the cut came first");
    co_await peer.Resume(*session);
    // A caller would not ask again (r[retry.channel.detach]). The harness does, to see that the
    // callee's record alone decides.
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id,
                                         "retry.channel.detach");
    Response response = co_await session->ResponseTo(*second, rule);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, rule,
        "a non-idem operation with channels that was cut answers INDETERMINATE");
    const Channel* output = second->channels[kOutput];
    co_await peer.Require(
        output->received() == 0 && output->closed_by_subject() && output->aborted_by_subject(),
        "rpc.channel.abandon",
        "the channels of a refused attempt are ended, aborted, before its "
        "response, and carry nothing");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireExecutions(peer, first->operation_id, 1, rule);
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Generate", Generate(kItems).SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  CutAfterItem(peer, Side::kHarness);
  const uint32_t receiving = peer.Start(ReceiveItems("call", kOutput, 0, 1));
  co_await first->channels[kOutput]->Send(1, kItems);
  co_await peer.Require(!session->attached(), "", "the cut came before the stream's end");
  co_await peer.Resume(*session);
  Outcome old =
      co_await peer.OutcomeOf(receiving, "the handle to fail", "retry.channel.disconnect.closes");
  co_await RequireCutPrefix(peer, old);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "retry.outcome.indeterminate");
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_INDETERMINATE, rule,
                        "the application is told Indeterminate");
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(session->waiting_requests() == 0 && outcome.attempts() == 1, rule,
                        "a non-idem call with channels is not attempted again");
}

// ---------------------------------------------------------------- channel_stale_generation_…

Task<> StaleGeneration(Peer& peer) {
  const std::string rule = "strict.rebind.generation";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    testbed::v1::GenerateIdemRequest request;
    request.mutable_program()->add_steps()->mutable_emit()->set_first(1);
    request.mutable_program()->mutable_steps(0)->mutable_emit()->set_count(5);
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    request.mutable_program()->add_steps()->mutable_emit()->set_first(6);
    request.mutable_program()->mutable_steps(2)->mutable_emit()->set_count(5);
    Call* first = session->StartCall("GenerateIdem", request);
    std::vector<uint64_t> before = co_await first->channels[kOutput]->Receive(5);
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id);
    Channel* output = second->channels[kOutput];
    std::vector<uint64_t> start = co_await output->Receive(5);
    // Now the first handler, were it alive, would go on too.
    peer.Release("gate");
    std::vector<uint64_t> rest = co_await output->ReceiveAll();
    start.insert(start.end(), rest.begin(), rest.end());
    co_await peer.Require(start == Sequence(1, 10) && !output->aborted_by_subject(), rule,
                          "only the new attempt's handler writes, and its stream is whole");
    Response response = co_await session->ResponseTo(*second);
    co_await peer.Require(response.has_ok(), rule, "the new attempt ends well");
    co_await session->Fence();
    co_await RequireExecutions(peer, first->operation_id, 2, rule);
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "GenerateIdem", Generate(10).SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  first->channels[kOutput]->SendNow(1);
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  Incoming* second = co_await session->NextRequest("the new attempt", "retry.resume.reattempt");
  Channel* output = second->channels[kOutput];
  co_await output->Send(1, 3);
  // The application lets go of the old handle late: nothing of it may reach the new channel.
  const uint32_t resetting = peer.Start(ResetEnd("call", kOutput, 1));
  co_await peer.Answered(resetting, "the late reset of the old handle to be answered");
  co_await session->Fence();
  co_await peer.Require(!output->reset_by_subject(), rule,
                        "letting go of an old handle does not reset the new channel");
  const uint32_t receiving = peer.Start(ReceiveItems("call", kOutput, 0, 2));
  co_await output->Send(4, 7);
  output->Close();
  testbed::v1::GenerateIdemResponse reply;
  session->RespondOk(*second, reply);
  Outcome received = co_await peer.OutcomeOf(receiving, "the new stream to end", rule);
  std::vector<uint64_t> values(received.received().values().begin(),
                               received.received().values().end());
  co_await peer.Require(
      values == Sequence(1, 10) && received.received().status() == control::v1::END_STATUS_CLOSED,
      rule, "the new stream is whole");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- retry_live_duplicate_attaches

Task<> LiveDuplicate(Peer& peer) {
  const std::string rule = "retry.duplicate.live.attach";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* first = session->StartCall("Echo", WaitingEcho("once", "gate"));
    co_await peer.AwaitHandlerStarted(*session, first->operation_id);
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id);
    co_await session->Fence();
    peer.Release("gate");
    Response response = co_await session->ResponseTo(*second, rule);
    co_await RequireEcho(peer, response, "once");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireExecutions(peer, first->operation_id, 1, rule);
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("once").SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  Incoming* second = co_await session->NextRequest("the new attempt", "retry.resume.reattempt");
  co_await peer.Require(second->request.operation_id() == first->request.operation_id(),
                        "retry.op-id.survives-resume", "the new attempt has the same operation id");
  session->RespondOk(*second, EchoReply("once"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, EchoReply("once").SerializeAsString());
  co_await peer.Settle();
  co_await peer.Require(session->waiting_requests() == 0 && outcome.attempts() == 2,
                        "retry.resume.reattempt", "one attempt per generation: two in all");
}

// ---------------------------------------------------------------- retry_sealed_outcome_…

Task<> SealedReplayed(Peer& peer) {
  const std::string rule = "retry.duplicate.sealed";
  Session* session = co_await peer.Establish();
  const bool user_error = peer.machine().Choose(2, "user error") == 1;
  testbed::v1::EchoRequest request = Echo("sealed");
  if (user_error) request.mutable_program()->add_steps()->mutable_fail()->set_code(7);
  // The reply is lost: it is written, and nobody reads it before the cut.
  peer.StopReading(*session->link);
  Call* first = session->StartCall("Echo", request);
  co_await AwaitHandlerEnded(peer, *session, *first);
  peer.Close(*session->link, How::kRst);
  co_await peer.Resume(*session);
  Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id);
  Response response = co_await session->ResponseTo(*second, rule);
  testbed::v1::TestbedError error;
  const bool same = user_error ? error.ParseFromString(response.user_error()) && error.code() == 7
                               : response.ok() == EchoReply("sealed").SerializeAsString();
  co_await peer.Require(same, "retry.seal.replay-exact",
                        "the sealed outcome is replayed as it was");
  co_await session->Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, first->operation_id, 1, rule);
}

// ---------------------------------------------------------------- retry_cut_after_any_frame_…

constexpr uint32_t kCutCalls = 5;

// The first session frames of each side, by the end of the last call: prologue and handshake of the
// initiator take three, of the acceptor two, an announcement one.
void CutAfterAnyFrame(Peer& peer) {
  Fault fault;
  fault.how = CutBySeed(peer);
  fault.from = peer.machine().Choose(2, "frame of") == 0 ? Side::kHarness : Side::kSubject;
  const bool initiator = (fault.from == Side::kHarness) == peer.harness_calls();
  fault.ordinal =
      (initiator ? 4 : 3) + static_cast<uint32_t>(peer.machine().Choose(kCutCalls + 1, "frame"));
  peer.Arm(std::move(fault));
}

Task<> CutAfterAny(Peer& peer) {
  const std::string rule = "session.outlives-conduit";
  CutAfterAnyFrame(peer);
  Session* session = co_await peer.Establish();
  session->resume_rule = rule;
  if (peer.harness_calls()) {
    std::vector<Call*> calls;
    for (uint32_t i = 0; i < kCutCalls && session->attached(); ++i) {
      calls.push_back(session->StartCall("Echo", Echo(std::to_string(i))));
    }
    co_await peer.Until("the cut", [session] { return !session->attached(); });
    co_await peer.Resume(*session);
    // What ran before the cut, what ran and was not heard of, and what never arrived: each runs
    // once in all, and its outcome comes in the end.
    for (size_t i = 0; i < calls.size(); ++i) {
      if (!calls[i]->response) {
        calls[i] =
            session->StartCallRaw(*calls[i]->method, calls[i]->arguments, calls[i]->operation_id);
      }
    }
    for (size_t i = 0; i < calls.size(); ++i) {
      Response response = co_await session->ResponseTo(*calls[i], rule);
      co_await RequireEcho(peer, response, std::to_string(i));
    }
    co_await session->Fence();
    co_await peer.Settle();
    for (const Call* call : calls) {
      co_await RequireExecutions(peer, call->operation_id, 1, "retry.duplicate.live.attach");
    }
    co_return;
  }
  std::vector<uint32_t> questions;
  for (uint32_t i = 0; i < kCutCalls; ++i) {
    const std::string text = std::to_string(i);
    questions.push_back(
        peer.StartCallBySubject(*session, "Echo", Echo(text).SerializeAsString(), "call" + text));
  }
  const auto resolved = [&peer, &questions] {
    return std::all_of(questions.begin(), questions.end(),
                       [&peer](uint32_t id) { return peer.question(id).answered; });
  };
  bool resumed = false;
  while (!resolved() || !resumed) {
    co_await peer.Until(
        "a Request, the cut or the end of every call",
        [session, &resumed, &resolved] {
          return session->waiting_requests() > 0 || (!session->attached() && !resumed) ||
                 resolved();
        },
        rule);
    if (!session->attached() && !resumed) {
      co_await peer.Resume(*session);
      resumed = true;
    }
    while (session->waiting_requests() > 0) {
      Incoming* incoming = co_await session->NextRequest("a Request");
      testbed::v1::EchoRequest asked;
      asked.ParseFromString(incoming->request.arguments());
      if (incoming->generation == session->generation) {
        session->RespondOk(*incoming, EchoReply(asked.text()));
      }
    }
  }
  for (uint32_t i = 0; i < kCutCalls; ++i) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(questions[i], rule);
    co_await RequireOk(peer, outcome, EchoReply(std::to_string(i)).SerializeAsString());
  }
}

// ---------------------------------------------------------------- retry_killed_callee_…

Task<> KilledCallee(Peer& peer) {
  const std::string rule = "session.resume.unknown";
  Session* session = co_await peer.Establish();
  // Killed with the Request on its way, or with an item seen that proves the handler to run.
  const bool proven = peer.machine().Choose(2, "proven to run") == 1;
  Fault fault;
  fault.how = How::kKill;
  fault.from = proven ? Side::kSubject : Side::kHarness;
  fault.kind = proven ? "channel_item" : "request";
  fault.ordinal = proven ? kCutAfter : 1;
  peer.Arm(std::move(fault));
  Call* call = session->StartCall("Generate", Generate(kItems));
  Channel* output = call->channels[kOutput];
  if (proven) std::vector<uint64_t> some = co_await output->Receive(kCutAfter);
  co_await peer.Until("the subject to be gone", [&peer] { return peer.subject_exited(); });
  // The file outlives the process, and bounds from both sides what it has done.
  size_t ran = 0;
  auto executions = co_await peer.ReadExecutions();
  for (const auto& execution : executions) ran += execution.operation_id == call->operation_id;
  co_await peer.Require(ran <= 1 && (ran == 1 || !proven), "control.journal.executions",
                        "a handler that was seen to run has left one line, any other one at most");
  const std::string key = session->resume_key;
  session->Detach();
  co_await peer.Restart();
  co_await RequireUnknownSession(peer, *session, key);  // a restart ends every session
  Session* next = co_await peer.Establish();
  co_await RequireAlive(peer, *next, rule);
}

// ---------------------------------------------------------------- retry_released_non_idem_…

Task<> ReleasedNonIdem(Peer& peer) {
  const std::string rule = "retry.duplicate.released.non-idem";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* first = session->StartCall("Echo", WaitingEcho("x", "gate"));
    co_await peer.AwaitHandlerStarted(*session, first->operation_id);
    session->Cancel(*first);
    Response cancelled = co_await session->ResponseTo(*first, "rpc.cancel.response");
    co_await peer.Require(
        cancelled.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_CANCELLED,
        "rpc.cancel.response", "a cancel processed before sealing answers CANCELLED");
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    // A caller that cancelled would not ask again; the callee's record must still say no.
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id,
                                         "retry.resume.reattempt");
    Response response = co_await session->ResponseTo(*second, rule);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE, rule,
        "a released non-idem operation answers INDETERMINATE");
    peer.Release("gate");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireExecutions(peer, first->operation_id, 1, rule);
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  Incoming* second = co_await session->NextRequest("the new attempt", "retry.resume.reattempt");
  co_await peer.Require(second->request.operation_id() == first->request.operation_id(),
                        "retry.op-id.survives-resume", "the new attempt has the same operation id");
  session->RespondRuntimeError(*second, wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_INDETERMINATE,
                        "retry.outcome.indeterminate.distinct",
                        "Indeterminate reaches the application as itself");
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(session->waiting_requests() == 0, "retry.outcome.indeterminate",
                        "an Indeterminate call is over: it is not attempted again");
}

}  // namespace

std::vector<Scenario> RetryScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> channels = {"root_calls", "channels", "resume", "operations"};
  const std::vector<std::string> calls = {"root_calls", "resume", "operations"};
  return {
      {"channel_retry_idem_reruns_with_fresh_channels",
       "channel_retry",
       "An idem call cut after its 20th item runs again from the start on fresh channels.",
       both,
       {"retry.channel.volatile.rebinding.fresh", "retry.duplicate.released.idem"},
       {"retry.channel.volatile.rebinding.fresh", "retry.channel.disconnect.closes",
        "retry.op-id.survives-resume", "retry.resume.reattempt"},
       channels,
       &IdemReruns},
      {"channel_retry_non_idem_fails_closed",
       "channel_retry",
       "A non-idem call cut after its 20th item ends Indeterminate and never runs twice.",
       both,
       {"retry.channel.recovery.non-idem", "rpc.channel.abandon"},
       {"retry.channel.recovery.non-idem", "retry.channel.disconnect.closes"},
       channels,
       &NonIdemFailsClosed},
      {"channel_stale_generation_changes_nothing",
       "channel_retry",
       "Late ends, handlers and handles of an old generation change nothing of the new one.",
       both,
       {"strict.rebind.generation"},
       {"strict.rebind.generation", "retry.resume.reattempt"},
       channels,
       &StaleGeneration},
      {"retry_live_duplicate_attaches",
       "retry",
       "A new attempt of an operation that still runs attaches to it; it runs once.",
       both,
       {"retry.duplicate.live.attach"},
       {"retry.resume.reattempt", "retry.op-id.survives-resume"},
       calls,
       &LiveDuplicate},
      {"retry_sealed_outcome_is_replayed",
       "retry",
       "An outcome whose reply was lost is replayed as it was, not executed again.",
       {Direction::kHarnessToSubject},
       {"retry.duplicate.sealed", "retry.seal.replay-exact"},
       {},
       calls,
       &SealedReplayed},
      {"retry_cut_after_any_frame_resolves_every_call",
       "retry",
       "Wherever a link is cut, every call without channels runs once and is answered in the end.",
       both,
       {"session.outlives-conduit", "retry.duplicate.live.attach"},
       {"session.outlives-conduit"},
       calls,
       &CutAfterAny},
      {"retry_killed_callee_has_lost_its_sessions",
       "retry",
       "A callee that is killed has run a call once or not at all, and knows no session of before.",
       {Direction::kHarnessToSubject},
       {"session.resume.unknown", "control.journal.executions"},
       {},
       channels,
       &KilledCallee,
       /*exclusive=*/true},
      {"retry_released_non_idem_is_indeterminate",
       "retry",
       "A released non-idem operation answers INDETERMINATE, which the application sees as such.",
       both,
       {"retry.duplicate.released.non-idem"},
       {"retry.outcome.indeterminate.distinct", "retry.outcome.indeterminate"},
       calls,
       &ReleasedNonIdem},
  };
}

}  // namespace counterpart::scenarios
