// Persist operations: what a kill, the end of a session and a cancel leave of them, and whom a
// caller asks whose session is lost.
#include <iterator>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/peer/leftovers.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::ExecuteRequest;
using control::v1::Outcome;
using peer::Call;
using peer::Fault;
using peer::How;
using peer::Incoming;
using peer::Session;
using peer::SessionOptions;
using peer::Side;
using wire::v1::Response;

const char* const kWriteAhead = "retry.policy.persist.write-ahead";
const char* const kNeverReleased = "retry.policy.persist.never-released";
const char* const kDurableSeal = "retry.policy.persist.durable-seal";
const char* const kRestart = "retry.policy.persist.restart";
const char* const kForbidden = "retry.channel.persist-forbidden";
const char* const kPolicy = "retry.session-lost.policy";

// The same, persist: the one runs at most once, the other as often as it is lost.
constexpr const char* kMethods[] = {"EchoPersist", "EchoPersistIdem"};

const char* const kGate = "gate";

testbed::v1::EchoRequest Crashing() {
  testbed::v1::EchoRequest request = Echo("no value");
  request.mutable_program()->add_steps()->mutable_panic();
  return request;
}

testbed::v1::EchoRequest Failing() {
  testbed::v1::EchoRequest request = Echo("no value");
  request.mutable_program()->add_steps()->mutable_fail()->set_code(7);
  return request;
}

// An operation that the session of now did not mint.
Call* AttemptByOrigin(Session& now, const Session& origin, const Call& call,
                      const char* deliberate = "") {
  now.in_every_request.set_origin_session(origin.id);
  Call* attempt = now.StartCallRaw(*call.method, call.arguments, call.operation_id, deliberate);
  now.in_every_request.clear_origin_session();
  return attempt;
}

// co_await: the process is gone, by a SIGKILL that was sent, and another one has taken its place. A
// restart ends every session.
Task<> StartAgain(Peer& peer, Session& session) {
  co_await peer.Until("the subject to be gone", [&peer] { return peer.subject_exited(); });
  session.Detach();
  session.lost = true;
  co_await peer.Restart();
}

// co_await: how often the handlers of an operation have run, in all processes so far.
Task<size_t> RunsOf(Peer& peer, const Session& origin, uint64_t operation_id) {
  const std::string session = counterpart::peer::HexOf(origin.id);
  std::vector<peer::ObservedEnd::Execution> executions = co_await peer.ReadExecutions();
  size_t runs = 0;
  for (const auto& each : executions) {
    runs += each.operation_id == operation_id && each.session_id == session;
  }
  co_return runs;
}

Task<> RequireRuns(Peer& peer, const Session& origin, uint64_t operation_id, size_t times,
                   const char* rule) {
  const size_t ran = co_await RunsOf(peer, origin, operation_id);
  std::string wanted = "operation " + std::to_string(operation_id) +
                       " of the session that minted " + "it is executed " + std::to_string(times) +
                       " times, not " + std::to_string(ran);
  co_await peer.Require(ran == times, rule, std::move(wanted));
}

// What an operation came to before, and must be found as.
struct Left {
  enum class As { kAbsent, kIndeterminate, kSealed } as;
  Call* call;
  const char* rule;      // what says that it is found so
  const char* told;      // of the state it was left in
  size_t runs = 0;       // before
  Response sealed = {};  // with kSealed
  bool crashes = false;  // whenever it runs
};

// co_await: a new attempt in another session is answered as its record prescribes, and runs it only
// if that does.
Task<> RequireFound(Peer& peer, Session& now, const Session& origin, Left& left) {
  const bool reruns = left.as == Left::As::kAbsent ||
                      (left.as == Left::As::kIndeterminate && left.call->method->idem);
  Call* again = AttemptByOrigin(now, origin, *left.call);
  Response response = co_await now.ResponseTo(*again, left.rule);
  co_await now.Fence();
  co_await peer.Settle();
  left.runs += reruns ? 1 : 0;
  co_await RequireRuns(peer, origin, left.call->operation_id, left.runs, left.rule);
  const std::string short_name =
      left.call->method->name.substr(left.call->method->name.find('/') + 1);
  std::string wanted = "an operation of " + short_name + " that " + left.told;
  if (left.as == Left::As::kSealed) {
    wanted += " is answered with its outcome";
    response.clear_request_id();
    Response sealed = left.sealed;
    sealed.clear_request_id();
    co_await peer.Require(response.SerializeAsString() == sealed.SerializeAsString(), left.rule,
                          std::move(wanted));
    co_return;
  }
  const bool value = reruns && !left.crashes;
  wanted += value ? " is run, and answered with its value" : " is answered with INDETERMINATE";
  const bool ok =
      value ? response.has_ok()
            : response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE;
  co_await peer.Require(ok, left.rule, std::move(wanted));
  if (!value) co_return;
  left.as = Left::As::kSealed;
  left.rule = kDurableSeal;
  left.told = "was run again and answered with its value";
  left.sealed = response;
}

// co_await: the same of each.
Task<> RequireAllFound(Peer& peer, Session& now, const Session& origin, std::vector<Left>& left) {
  for (size_t i = 0; i < left.size(); ++i) co_await RequireFound(peer, now, origin, left[i]);
}

// ---------------------------------------------------------------- persist_record_…

Task<> RecordSurvives(Peer& peer) {
  Session* origin = co_await peer.Establish();
  std::vector<Left> left;
  for (const char* method : kMethods) {
    Call* crashed = origin->StartCall(method, Crashing());
    Response response = co_await origin->ResponseTo(*crashed, "retry.seal.only-return");
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE,
        "retry.seal.only-return", "a handler that returned nothing is answered with INDETERMINATE");
    left.push_back({.as = Left::As::kIndeterminate,
                    .call = crashed,
                    .rule = kRestart,
                    .told = "was answered with INDETERMINATE before the kill",
                    .runs = 1,
                    .crashes = true});
  }
  for (const char* method : kMethods) {
    Call* running = origin->StartCall(method, WaitingEcho("running", kGate));
    co_await peer.AwaitHandlerStarted(*origin, running->operation_id);
    left.push_back({.as = Left::As::kIndeterminate,
                    .call = running,
                    .rule = kWriteAhead,
                    .told = "ran when the kill came",
                    .runs = 1});
  }
  peer.Kill();
  co_await StartAgain(peer, *origin);
  Session* second = co_await peer.Establish();
  std::vector<Left> first_attempted;
  for (const char* method : kMethods) {
    // Under an id that the session had minted, and never said.
    Call unsaid;
    unsaid.operation_id = origin->NextOperationId();
    unsaid.method = peer::FindMethod(method);
    unsaid.arguments = Echo("unsaid").SerializeAsString();
    Call* attempt = AttemptByOrigin(*second, *origin, unsaid);
    Response response = co_await second->ResponseTo(*attempt, kWriteAhead);
    co_await RequireEcho(peer, response, "unsaid");
    co_await second->Fence();
    co_await peer.Settle();
    co_await RequireRuns(peer, *origin, unsaid.operation_id, 1, kWriteAhead);
    first_attempted.push_back({.as = Left::As::kSealed,
                               .call = attempt,
                               .rule = kDurableSeal,
                               .told = "was first attempted after a kill",
                               .runs = 1,
                               .sealed = response});
  }
  peer.Release(kGate);
  co_await RequireAllFound(peer, *second, *origin, left);
  // What the second process has made of it, a third one finds.
  peer.Kill();
  co_await StartAgain(peer, *second);
  Session* third = co_await peer.Establish();
  co_await RequireAllFound(peer, *third, *origin, left);
  co_await RequireAllFound(peer, *third, *origin, first_attempted);
}

// ---------------------------------------------------------------- persist_outcome_…

// SIGKILL as soon as the nth Response from now on has been read.
void KillAtResponse(Peer& peer, uint32_t nth) {
  Fault fault;
  fault.how = How::kKill;
  fault.from = Side::kSubject;
  fault.kind = "response";
  fault.generation = 0;
  fault.ordinal = nth;
  peer.Arm(std::move(fault));
}

// co_await: the subject's journal says that an operation of the harness is sealed.
Task<> AwaitSealed(Peer& peer, const Session& session, const Call& call) {
  ExecuteRequest await;
  await.mutable_await_event()->set_session_id(session.id);
  await.mutable_await_event()->set_machine(control::v1::MACHINE_OPERATION);
  await.mutable_await_event()->set_key(call.operation_id);
  await.mutable_await_event()->set_to_state("Sealed");
  Outcome sealed = co_await peer.Execute(std::move(await), "the operation to be sealed");
}

Task<> OutcomeSurvives(Peer& peer) {
  // Killed as soon as the last Response has been read.
  Session* origin = co_await peer.Establish();
  std::vector<Left> left;
  for (const char* method : kMethods) {
    for (const bool fails : {false, true}) {
      const bool last = method == kMethods[1] && fails;
      if (last) KillAtResponse(peer, 1);
      Call* call = origin->StartCall(method, fails ? Failing() : Echo("answered"));
      Response response = co_await origin->ResponseTo(*call, kDurableSeal);
      co_await peer.Require(fails ? response.has_user_error() : response.has_ok(), "rpc.fallible",
                            "a handler's value and its user error arrive as themselves");
      left.push_back({.as = Left::As::kSealed,
                      .call = call,
                      .rule = kDurableSeal,
                      .told = "was answered before the kill",
                      .runs = 1,
                      .sealed = response});
    }
  }
  co_await StartAgain(peer, *origin);
  Session* second = co_await peer.Establish();
  co_await RequireAllFound(peer, *second, *origin, left);
  // The record binds in the new process as in the old one.
  Call other = *left.front().call;
  other.arguments = Echo("other bytes").SerializeAsString();
  Call* conflict = AttemptByOrigin(*second, *origin, other, "retry.op-id.payload-binding");
  Response refusal = co_await second->ResponseTo(*conflict, "retry.op-id.scope");
  co_await peer.Require(
      refusal.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_OPERATION_CONFLICT,
      "retry.op-id.scope", "other bytes under a known id are a conflict, also after a restart");
  // Sealed while nobody is there to be answered, then killed.
  std::vector<Left> unanswered;
  for (const char* method : kMethods) {
    Call* call = second->StartCall(method, WaitingEcho("unanswered", kGate));
    co_await peer.AwaitHandlerStarted(*second, call->operation_id);
    Response expected;
    testbed::v1::EchoResponse reply = EchoReply("unanswered");
    expected.set_ok(reply.SerializeAsString());
    unanswered.push_back({.as = Left::As::kSealed,
                          .call = call,
                          .rule = kDurableSeal,
                          .told = "was sealed before the kill, and never answered",
                          .runs = 1,
                          .sealed = expected});
  }
  peer.Close(*second->link, CutBySeed(peer));
  peer.Release(kGate);
  for (size_t i = 0; i < unanswered.size(); ++i) {
    co_await AwaitSealed(peer, *second, *unanswered[i].call);
  }
  peer.Kill();
  co_await StartAgain(peer, *second);
  Session* third = co_await peer.Establish();
  co_await RequireAllFound(peer, *third, *second, unanswered);
  co_await RequireAllFound(peer, *third, *origin, left);
}

// ---------------------------------------------------------------- persist_killed_…

Task<> KilledAtAnyMoment(Peer& peer) {
  constexpr uint32_t kCalls = 8;
  Session* origin = co_await peer.Establish();
  // With some answered, some running, some not even read.
  KillAtResponse(peer, 1 + static_cast<uint32_t>(peer.machine().Choose(kCalls, "killed at")));
  std::vector<Call*> calls;
  for (uint32_t i = 0; i < kCalls; ++i) {
    calls.push_back(origin->StartCall(kMethods[i % 2], Echo("once")));
  }
  co_await StartAgain(peer, *origin);
  Session* now = co_await peer.Establish();
  for (uint32_t i = 0; i < kCalls; ++i) {
    const Call& call = *calls[i];
    const bool idem = call.method->idem;
    const size_t before = co_await RunsOf(peer, *origin, call.operation_id);
    if (call.response) {
      Left left{.as = Left::As::kSealed,
                .call = calls[i],
                .rule = kDurableSeal,
                .told = "was answered when the kill came",
                .runs = before,
                .sealed = *call.response};
      co_await RequireFound(peer, *now, *origin, left);
      continue;
    }
    Call* again = AttemptByOrigin(*now, *origin, call);
    Response response = co_await now->ResponseTo(*again, kWriteAhead);
    co_await now->Fence();
    co_await peer.Settle();
    const size_t runs = co_await RunsOf(peer, *origin, call.operation_id);
    const bool told =
        response.has_ok() ||
        (!idem && response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE);
    co_await peer.Require(told, kWriteAhead,
                          "an operation that a kill met anywhere is answered with its value, or "
                          "with INDETERMINATE if it must not run again");
    co_await peer.Require(runs <= (idem ? before + 1 : 1), kWriteAhead,
                          "what had an effect before the kill is not taken for Absent after it");
    co_await peer.Require(!response.has_ok() || runs >= 1, kWriteAhead,
                          "a value is that of a handler that ran");
  }
}

// co_await: the operation is Live, as `rule` demands: this attempt waits for the handler at the
// gate, and is answered by its one run.
Task<> RequireAttached(Peer& peer, Session& session, Call& attempt, const Session& origin,
                       const std::string& gate, const char* rule) {
  co_await session.Fence();
  co_await peer.Require(!attempt.response, rule,
                        "the operation is Live: no attempt is answered before its handler returns");
  peer.Release(gate);
  Response response = co_await session.ResponseTo(attempt, rule);
  co_await peer.Require(response.has_ok(), rule,
                        "a later attempt is answered with the value of the handler that ran on");
  co_await session.Fence();
  co_await peer.Settle();
  co_await RequireRuns(peer, origin, attempt.operation_id, 1, rule);
}

// ---------------------------------------------------------------- persist_outlives_…

Task<> OutlivesItsSession(Peer& peer) {
  for (const bool said : {true, false}) {
    for (const char* method : kMethods) {
      Session* origin = co_await peer.Establish();
      const std::string gate = std::string(method) + (said ? " said" : " unsaid");
      Call* sealed = origin->StartCall(method, Echo("sealed"));
      Response outcome = co_await origin->ResponseTo(*sealed);
      co_await RequireEcho(peer, outcome, "sealed");
      Call* live = origin->StartCall(method, WaitingEcho("live", gate));
      co_await peer.AwaitHandlerStarted(*origin, live->operation_id);
      if (said) {
        co_await origin->SayGoodbye();
      } else {
        peer.Close(*origin->link, CutBySeed(peer));
        ExecuteRequest expire;
        expire.mutable_expire_session()->set_session_id(origin->id);
        Outcome expired = co_await peer.Execute(std::move(expire), "the session to be dropped");
      }
      origin->lost = true;
      Session* next = co_await peer.Establish();
      Left kept{.as = Left::As::kSealed,
                .call = sealed,
                .rule = kWriteAhead,
                .told = "was answered in a session that is over",
                .runs = 1,
                .sealed = outcome};
      co_await RequireFound(peer, *next, *origin, kept);
      Call* attached = AttemptByOrigin(*next, *origin, *live);
      co_await RequireAttached(peer, *next, *attached, *origin, gate, kNeverReleased);
      co_await next->SayGoodbye();
    }
  }
}

// ---------------------------------------------------------------- persist_cancel_…

Task<> CancelLeavesItLive(Peer& peer) {
  const char* rule = "retry.cancel.persist";
  Session* session = co_await peer.Establish();
  for (const char* method : kMethods) {
    const std::string gate = method;
    Call* call = session->StartCall(method, WaitingEcho("live", gate));
    co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    session->Cancel(*call);
    Response cancelled = co_await session->ResponseTo(*call, "rpc.cancel.response");
    co_await peer.Require(
        cancelled.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_CANCELLED,
        "rpc.cancel.response", "a cancel before the return answers CANCELLED");
    co_await CutAndResume(peer, *session);
    // A caller that cancelled would not ask again; the record must answer it all the same.
    Call* again = session->StartCallRaw(*call->method, call->arguments, call->operation_id,
                                        "retry.resume.reattempt");
    co_await RequireAttached(peer, *session, *again, *session, gate, rule);
  }
}

// ---------------------------------------------------------------- persist_with_channels_…

ExecuteRequest Register(const char* service) {
  ExecuteRequest command;
  command.mutable_register_service()->set_service(std::string("counterpart.testbed.v1.") + service);
  return command;
}

Task<> WithChannelsIsForbidden(Peer& peer) {
  Outcome legal = co_await peer.Execute(Register("Durable"), "persist methods to be registered");
  co_await peer.Require(legal.has_done(), kForbidden,
                        "persist methods without channels can be registered");
  Outcome illegal = co_await peer.Execute(Register("Forbidden"), "the registration to be refused");
  co_await peer.Require(illegal.failed().reason() == control::v1::FAILURE_REASON_METHOD_FORBIDDEN,
                        kForbidden,
                        "a persist method with a channel is refused when it is to be registered");
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* call = session->StartCall("GeneratePersist", testbed::v1::GeneratePersistRequest());
    Response response = co_await session->ResponseTo(*call, kForbidden);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD, kForbidden,
        "and nothing of it is offered");
    co_await session->Fence();
    co_await peer.Settle();
    co_await RequireRuns(peer, *session, call->operation_id, 0, kForbidden);
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "GeneratePersist", "", "call");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, kForbidden);
  co_await peer.Require(
      outcome.status() == control::v1::CALL_STATUS_UNKNOWN_METHOD && outcome.attempts() == 0,
      kForbidden, "and a call of it is refused before anything of it is sent");
  co_await RequireCallWorks(peer, *session, kForbidden);
}

// ---------------------------------------------------------------- persist_origin_…

struct Unfit {
  const char* method;
  size_t bytes;
};
// Not persist; not the size of a session id, one way and the other.
constexpr Unfit kUnfit[] = {{"EchoIdem", 16}, {"EchoPersist", 15}, {"EchoPersist", 17}};

Task<> OriginMustFit(Peer& peer) {
  for (const Unfit& unfit : kUnfit) {
    Session* session = co_await peer.Establish();
    session->in_every_request.set_origin_session(peer.MintBytes("origin", unfit.bytes));
    session->StartCallBreaking(kWriteAhead, unfit.method, Echo("of no session"));
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_MALFORMED, kWriteAhead);
    std::vector<peer::ObservedEnd::Execution> executions = co_await peer.ReadExecutions();
    co_await peer.Require(executions.empty(), kWriteAhead, "and nothing is executed");
  }
}

// ---------------------------------------------------------------- persist_lost_session_…

struct Lost {
  const char* method;
  bool persist, idem;
  uint32_t question = 0;
  Incoming* before = nullptr;
};

Task<> SessionLostNamesOrigin(Peer& peer) {
  SessionOptions options;
  options.session_lost = control::v1::SESSION_LOST_POLICY_FRESH;
  Session* lost = co_await peer.Establish(options);
  Lost calls[] = {{.method = "EchoIdem", .persist = false, .idem = true},
                  {.method = "EchoPersist", .persist = true, .idem = false},
                  {.method = "Echo", .persist = false, .idem = false},
                  {.method = "EchoPersistIdem", .persist = true, .idem = true}};
  for (size_t i = 0; i < std::size(calls); ++i) {
    calls[i].question = peer.StartCallBySubject(
        *lost, calls[i].method, Echo(calls[i].method).SerializeAsString(), calls[i].method);
    calls[i].before = co_await lost->NextRequest("the subject's Request");
  }
  co_await CutAndForget(peer, *lost, options);
  Session* fresh = co_await SessionInPlace(peer, options, kPolicy);
  for (int left = 3; left > 0; --left) {
    Incoming* incoming = co_await fresh->NextRequest("a call of the lost session", kPolicy);
    const wire::v1::Request& request = incoming->request;
    Lost* call = nullptr;
    for (size_t i = 0; i < std::size(calls); ++i) {
      if (calls[i].before->request.method() == request.method()) call = &calls[i];
    }
    co_await peer.Require(call != nullptr && (call->persist || call->idem), kPolicy,
                          "idem and persist calls go on in the new session, no other ones");
    const wire::v1::Request& before = call->before->request;
    const bool same = request.operation_id() == before.operation_id() &&
                      request.arguments() == before.arguments() &&
                      request.origin_session() == lost->id;
    co_await peer.Require(call->persist ? same : request.origin_session().empty(), kPolicy,
                          "a persist call is issued again under its own operation id and bytes, "
                          "naming the session that minted it; an idem one that is not names none");
    testbed::v1::EchoResponse reply = EchoReply(call->method);
    fresh->RespondOk(*incoming, reply);
    CallOutcome outcome = co_await peer.CallOutcomeOf(call->question, kPolicy);
    co_await RequireOk(peer, outcome, reply.SerializeAsString());
  }
  CallOutcome ambiguous = co_await peer.CallOutcomeOf(calls[2].question, "retry.session-lost");
  co_await peer.Require(ambiguous.status() == control::v1::CALL_STATUS_INDETERMINATE,
                        "retry.session-lost",
                        "a call that is neither idem nor persist ends Indeterminate");
}

}  // namespace

std::vector<Scenario> PersistScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<Direction> there = {Direction::kHarnessToSubject};
  const std::vector<std::string> needs = {"root_calls", "operations", "persist"};
  const std::vector<std::string> resume = {"root_calls", "operations", "persist", "resume"};
  // Exclusive, also where nothing is killed: what a cut beside it may leave is not known to the
  // aftermath of a planned one.
  return {
      {"persist_record_survives_a_kill",
       "persist",
       "A persist operation that was admitted is Indeterminate after a kill, and never Absent.",
       there,
       {kWriteAhead, kRestart},
       {},
       needs,
       &RecordSurvives,
       /*exclusive=*/true},
      {"persist_outcome_survives_a_kill",
       "persist",
       "A persist operation that was sealed replays its outcome after a kill, answered or not.",
       there,
       {kDurableSeal},
       {},
       resume,
       &OutcomeSurvives,
       /*exclusive=*/true},
      {"persist_killed_at_any_moment",
       "persist",
       "A kill at any moment of a persist operation leads to no second execution.",
       there,
       {kDurableSeal},
       {},
       needs,
       &KilledAtAnyMoment,
       /*exclusive=*/true},
      {"persist_outlives_its_session",
       "persist",
       "A persist operation stays Live when its session ends; another one attaches by its origin.",
       there,
       {kNeverReleased, kWriteAhead},
       {},
       needs,
       &OutlivesItsSession,
       /*exclusive=*/true},
      {"persist_cancel_leaves_it_live",
       "persist",
       "A cancelled persist operation runs on, and a later attempt attaches to it.",
       there,
       {"retry.cancel.persist", "rpc.cancel.response"},
       {},
       {"root_calls", "operations", "persist", "resume", "cancel"},
       &CancelLeavesItLive,
       /*exclusive=*/true},
      {"persist_origin_must_fit",
       "persist",
       "An origin session that no operation of the method can have is a protocol error.",
       there,
       {kWriteAhead},
       {},
       needs,
       &OriginMustFit,
       /*exclusive=*/true},
      {"persist_with_channels_is_forbidden",
       "persist",
       "A persist method with a channel is refused when it is registered, and when it is called.",
       both,
       {kForbidden},
       {kForbidden},
       {"root_calls", "channels", "persist"},
       &WithChannelsIsForbidden,
       /*exclusive=*/true},
      {"persist_lost_session_is_named",
       "persist",
       "Persist calls of a lost session go on in a fresh one, naming the session they are of.",
       {Direction::kSubjectToHarness},
       {},
       {kPolicy, "retry.session-lost"},
       resume,
       &SessionLostNamesOrigin,
       /*exclusive=*/true},
  };
}

}  // namespace counterpart::scenarios
