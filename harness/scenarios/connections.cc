// Virtual connections: opened, used and closed by either side, cut, and kept apart from each other.
#include <algorithm>
#include <array>
#include <utility>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::CallStatus;
using control::v1::ExecuteRequest;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::Incoming;
using peer::Method;
using peer::Session;
using peer::SessionOptions;
using wire::v1::Message;
using wire::v1::Response;

constexpr uint32_t kSumInput = 3;
constexpr uint32_t kGenerateOutput = 3;
constexpr uint64_t kRoot = 0;

SessionOptions Accepting(uint32_t connections) {
  SessionOptions options;
  options.connections = connections;
  return options;
}

// ---------------------------------------------------------------- opening and closing

// The parity of ids that a side does not have in the session, for each to ask for.
bool OtherOdd(const Session& session, bool for_harness) {
  return session.odd_parity() != for_harness;
}

// co_await: a connection that the harness has opened, its ids of the other parity there.
Task<uint64_t> OpenByHarness(Peer& peer, Session& session) {
  const uint64_t id = session.OpenConnection(OtherOdd(session, true), session.harness_limit);
  const bool accepted = co_await session.OpeningAnswered(id);
  co_await peer.Require(accepted, "connection.open",
                        "a connection within the limit of the acceptor is accepted");
  co_return id;
}

ExecuteRequest OpenCommand(const Session& session) {
  ExecuteRequest command;
  auto& open = *command.mutable_open_connection();
  open.set_session_id(session.id);
  open.set_odd_parity(OtherOdd(session, false));
  open.set_max_concurrent_requests(session.subject_limit);
  return command;
}

ExecuteRequest CloseCommand(const Session& session, uint64_t connection) {
  ExecuteRequest command;
  command.mutable_close_connection()->set_session_id(session.id);
  command.mutable_close_connection()->set_connection_id(connection);
  return command;
}

// co_await: a connection that the subject has opened, its ids of the other parity there.
Task<uint64_t> OpenBySubject(Peer& peer, Session& session) {
  session.answers_openings = false;
  const uint32_t question = peer.Start(OpenCommand(session));
  co_await peer.Until(
      "OpenConnection", [&session] { return !session.waiting_openings().empty(); },
      "connection.open");
  // Nothing is said on it before it is accepted.
  const uint64_t id = session.waiting_openings().front();
  co_await session.Fence();
  session.AcceptConnection(id, session.harness_limit);
  session.answers_openings = true;
  Outcome outcome =
      co_await peer.OutcomeOf(question, "the connection to be open", "connection.open");
  co_await peer.Require(outcome.connection_opened().connection_id() == id, "connection.open",
                        "what the counterpart has accepted is open");
  co_return id;
}

// co_await: a connection, opened by whoever does not call on it, or does.
Task<uint64_t> Open(Peer& peer, Session& session, bool by_harness) {
  if (by_harness) {
    uint64_t id = co_await OpenByHarness(peer, session);
    co_return id;
  }
  uint64_t id = co_await OpenBySubject(peer, session);
  co_return id;
}

// co_await: closed by one side, echoed by the other.
Task<> CloseBoth(Peer& peer, Session& session, uint64_t connection, bool by_harness) {
  if (by_harness) {
    session.CloseConnection(connection);
    co_await session.AwaitClosed(connection);
    co_return;
  }
  ExecuteRequest command = CloseCommand(session, connection);
  Outcome outcome = co_await peer.Execute(std::move(command), "the subject to close a connection");
  co_await peer.Require(outcome.has_done(), "connection.close",
                        "a close that the counterpart has echoed is done");
}

// ---------------------------------------------------------------- calls

// co_await: an Echo of the subject's application on a connection goes through.
Task<> RequireCallOfSubject(Peer& peer, Session& session, uint64_t connection,
                            const std::string& rule) {
  const std::string handle = "on" + std::to_string(peer.subject_calls().size());
  const uint32_t question = peer.StartCallBySubject(
      session, "Echo", Echo(handle).SerializeAsString(), handle, connection);
  Incoming* incoming = co_await session.NextRequest("a Request on the connection", rule);
  co_await peer.Require(incoming->connection == connection, rule,
                        "a call is attempted on the connection it was made on");
  session.RespondOk(*incoming, EchoReply(handle));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await RequireOk(peer, outcome, EchoReply(handle).SerializeAsString());
}

// co_await: one call on a connection, in the direction of this run, goes through.
Task<> RequireCallOn(Peer& peer, Session& session, uint64_t connection, const std::string& rule) {
  if (!peer.harness_calls()) {
    co_await RequireCallOfSubject(peer, session, connection, rule);
    co_return;
  }
  const std::string text = "on " + std::to_string(session.calls().size());
  Call* call = session.StartCallOn(connection, "Echo", Echo(text));
  Response response = co_await session.ResponseTo(*call, rule);
  co_await RequireEcho(peer, response, text);
}

// co_await: three items through a channel on a connection, by whoever calls.
Task<> RequireSumOn(Peer& peer, Session& session, uint64_t connection, const std::string& rule) {
  constexpr uint32_t kItems = 3;
  testbed::v1::SumResponse reply;
  if (peer.harness_calls()) {
    Call* call = session.StartCallOn(connection, "Sum", testbed::v1::SumRequest());
    co_await call->channels[kSumInput]->Send(1, kItems);
    call->channels[kSumInput]->Close();
    Response response = co_await session.ResponseTo(*call, rule);
    reply.ParseFromString(response.ok());
    co_await peer.Require(response.has_ok() && reply.count() == kItems, rule,
                          "what was sent on a channel of the connection is delivered there");
    co_return;
  }
  const std::string handle = "sum" + std::to_string(peer.subject_calls().size());
  const uint32_t question = peer.StartCallBySubject(session, "Sum", "", handle, connection);
  Incoming* incoming = co_await session.NextRequest("a Request with a channel", rule);
  const uint32_t sending = peer.Start(SendItems(handle, kSumInput, 1, kItems));
  std::vector<uint64_t> values = co_await incoming->channels[kSumInput]->Receive(kItems);
  co_await peer.Require(values == Sequence(1, kItems), rule,
                        "what was sent on a channel of the connection is delivered there");
  Outcome sent = co_await peer.OutcomeOf(sending, "the items to be accepted", rule);
  ExecuteRequest close = CloseEnd(handle, kSumInput);
  Outcome closed = co_await peer.Execute(std::move(close), "the channel to be closed");
  reply.set_count(kItems);
  session.RespondOk(*incoming, reply);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- connection_calls_follow_…

Task<> CallsFollowParity(Peer& peer) {
  Session* session = co_await peer.Establish(Accepting(4));
  std::vector<uint64_t> connections = {kRoot};
  for (const bool by_harness : {true, false}) {
    uint64_t id = co_await Open(peer, *session, by_harness);
    connections.push_back(id);
  }
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < connections.size(); ++i) {
      co_await RequireCallOn(peer, *session, connections[i], "connection.parity");
      co_await RequireSumOn(peer, *session, connections[i], "connection.parity");
      co_await RequireCallOfSubject(peer, *session, connections[i], "connection.parity");
    }
  }
  // Each side closes what the other has opened.
  co_await CloseBoth(peer, *session, connections[1], /*by_harness=*/false);
  co_await CloseBoth(peer, *session, connections[2], /*by_harness=*/true);
  co_await RequireOneCall(peer, *session, "connection.close");
  uint64_t again = co_await OpenBySubject(peer, *session);
  co_await RequireCallOn(peer, *session, again, "connection.parity");
}

// ---------------------------------------------------------------- connection_close_ends_…

testbed::v1::GenerateRequest EmitAndWait(uint32_t count, const std::string& gate) {
  testbed::v1::GenerateRequest request;
  auto& emit = *request.mutable_program()->add_steps()->mutable_emit();
  emit.set_first(1);
  emit.set_count(count);
  request.mutable_program()->add_steps()->mutable_wait()->set_gate(gate);
  return request;
}

// The harness calls on two connections, and one of them is closed.
Task<> CloseUnderCallsOfHarness(Peer& peer, Session& session, bool by_harness) {
  const char* rule = "connection.close";
  const std::string gate = by_harness ? "gate1" : "gate2";
  uint64_t closed = co_await Open(peer, session, by_harness);
  uint64_t other = co_await Open(peer, session, !by_harness);
  Call* ended = session.StartCallOn(closed, "Echo", WaitingEcho("ended", gate));
  Call* stream = session.StartCallOn(closed, "Generate", EmitAndWait(2, gate));
  Call* kept = session.StartCallOn(other, "Echo", WaitingEcho("kept", gate));
  Call* flow = session.StartCallOn(other, "Sum", testbed::v1::SumRequest());
  co_await stream->channels[kGenerateOutput]->AwaitReceived(2);
  co_await flow->channels[kSumInput]->Send(1, 2);
  for (Call* call : std::array{ended, stream, kept, flow}) {
    co_await peer.AwaitHandlerStarted(session, call->operation_id);
  }
  co_await CloseBoth(peer, session, closed, by_harness);
  co_await session.Fence();
  peer.Release(gate);
  Response response = co_await session.ResponseTo(*kept, rule);
  co_await RequireEcho(peer, response, "kept");
  co_await flow->channels[kSumInput]->Send(3, 2);
  flow->channels[kSumInput]->Close();
  Response summed = co_await session.ResponseTo(*flow, rule);
  testbed::v1::SumResponse reply;
  reply.ParseFromString(summed.ok());
  co_await peer.Require(summed.has_ok() && reply.sum() == 10, rule,
                        "the close of a connection touches no channel of another one");
  co_await session.Fence();
  co_await peer.Settle();
  co_await peer.Require(!ended->response && !stream->response, rule,
                        "a call of a closed connection is not answered");
}

// co_await: the application is told this of its call.
Task<> RequireStatus(Peer& peer, uint32_t question, CallStatus wanted, const std::string& rule) {
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  std::string text = "the application is told " + peer::ShortName(wanted) +
                     " of a call whose connection is gone, not " +
                     peer::ShortName(outcome.status());
  co_await peer.Require(outcome.status() == wanted, rule, std::move(text));
}

// co_await: what the application gets of an end whose connection was closed.
Task<> RequireEnded(Peer& peer, uint32_t receiving, std::vector<uint64_t> values) {
  Outcome outcome = co_await peer.OutcomeOf(receiving, "the end of a stream", "connection.close");
  const auto& received = outcome.received();
  const bool kept =
      std::vector<uint64_t>(received.values().begin(), received.values().end()) == values;
  co_await peer.Require(kept && received.status() == control::v1::END_STATUS_DEFUNCT,
                        "rpc.channel.detach.buffered",
                        "what came before the close is delivered, then a failure");
}

// The subject calls on two connections, and one of them is closed.
Task<> CloseUnderCallsOfSubject(Peer& peer, Session& session, bool by_harness) {
  const char* ambiguous = "rpc.error.ambiguous";
  const std::string name = by_harness ? "h" : "s";
  uint64_t closed = co_await Open(peer, session, by_harness);
  uint64_t other = co_await Open(peer, session, !by_harness);
  const auto call = [&](const char* method, const std::string& arguments, const std::string& handle,
                        uint64_t on) {
    return peer.StartCallBySubject(session, method, arguments, name + handle, on);
  };
  const std::string echo = Echo("ended").SerializeAsString();
  // As many as the harness takes on a connection, and one more.
  const uint32_t plain = call("Echo", echo, "plain", closed);
  Incoming* first = co_await session.NextRequest("the first Request");
  const uint32_t idem = call("EchoIdem", echo, "idem", closed);
  Incoming* second = co_await session.NextRequest("the second Request");
  const uint32_t stream = call("Generate", "", "stream", closed);
  Incoming* streamed = co_await session.NextRequest("the third Request");
  const uint32_t queued = call("Echo", echo, "queued", closed);
  const uint32_t flow = call("Sum", "", "flow", other);
  Incoming* kept = co_await session.NextRequest("a Request on the other connection");
  co_await peer.Require(first->connection == closed && second->connection == closed &&
                            streamed->connection == closed && kept->connection == other,
                        "connection.open", "a call is attempted on its connection");
  co_await streamed->channels[kGenerateOutput]->Send(1, 2);
  co_await session.Fence();
  co_await CloseBoth(peer, session, closed, by_harness);
  co_await RequireStatus(peer, plain, control::v1::CALL_STATUS_INDETERMINATE, ambiguous);
  co_await RequireStatus(peer, idem, control::v1::CALL_STATUS_CONNECTION_CLOSED, ambiguous);
  co_await RequireStatus(peer, stream, control::v1::CALL_STATUS_INDETERMINATE, ambiguous);
  co_await RequireStatus(peer, queued, control::v1::CALL_STATUS_CONNECTION_CLOSED, ambiguous);
  const uint32_t receiving = peer.Start(ReceiveItems(name + "stream", kGenerateOutput, 0, 1));
  co_await RequireEnded(peer, receiving, Sequence(1, 2));
  // The other one goes on, its channel as well.
  const uint32_t sending = peer.Start(SendItems(name + "flow", kSumInput, 1, 3));
  std::vector<uint64_t> values = co_await kept->channels[kSumInput]->Receive(3);
  co_await peer.Require(values == Sequence(1, 3), "connection.close",
                        "the close of a connection touches no channel of another one");
  Outcome sent = co_await peer.OutcomeOf(sending, "the items to be accepted");
  ExecuteRequest close = CloseEnd(name + "flow", kSumInput);
  Outcome end = co_await peer.Execute(std::move(close), "the channel to be closed");
  session.RespondOk(*kept, testbed::v1::SumResponse());
  CallOutcome outcome = co_await peer.CallOutcomeOf(flow, "connection.close");
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK, "connection.close",
                        "the close of a connection touches no call of another one");
  const uint32_t late = call("Echo", echo, "late", closed);
  co_await RequireStatus(peer, late, control::v1::CALL_STATUS_CONNECTION_CLOSED, ambiguous);
}

Task<> CloseEndsWhatIsInFlight(Peer& peer) {
  SessionOptions options = Accepting(4);
  if (!peer.harness_calls()) options.harness_limit = 3;
  Session* session = co_await peer.Establish(options);
  for (const bool by_harness : {true, false}) {
    if (peer.harness_calls()) {
      co_await CloseUnderCallsOfHarness(peer, *session, by_harness);
    } else {
      co_await CloseUnderCallsOfSubject(peer, *session, by_harness);
    }
  }
  co_await RequireOneCall(peer, *session, "connection.close");
}

// ---------------------------------------------------------------- connection_closes_that_cross_…

Task<> ClosesThatCross(Peer& peer) {
  const char* rule = "connection.close.echo";
  Session* session = co_await peer.Establish(Accepting(4));
  session->echoes_closes = false;
  uint64_t first = co_await OpenByHarness(peer, *session);
  uint64_t second = co_await OpenBySubject(peer, *session);
  // The subject has closed it; what the harness still says there has crossed, and is discarded.
  const uint32_t closing = peer.Start(CloseCommand(*session, first));
  co_await session->AwaitClosed(first, "connection.close");
  Call* crossed = session->StartCallOn(first, "Sum", testbed::v1::SumRequest());
  co_await crossed->channels[kSumInput]->Send(1, 1);
  session->Cancel(*crossed);
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(!crossed->response && !peer.question(closing).answered, rule,
                        "what crosses a close is discarded, until the other side has closed too");
  co_await RequireExecutions(peer, crossed->operation_id, 0, rule);
  session->CloseConnection(first);
  Outcome outcome = co_await peer.OutcomeOf(closing, "the close to be done", rule);
  co_await peer.Require(outcome.has_done(), rule, "a close that was echoed is done");
  // Both close at once: each takes the other's close for the echo of its own.
  const uint32_t both = peer.Start(CloseCommand(*session, second));
  session->CloseConnection(second);
  co_await session->AwaitClosed(second);
  Outcome done = co_await peer.OutcomeOf(both, "the close to be done", rule);
  co_await session->Fence();
  co_await RequireOneCall(peer, *session, rule);
}

// ---------------------------------------------------------------- connection_over_the_limit_…

Task<> OverTheLimit(Peer& peer) {
  const char* rule = "connection.open.rejection";
  constexpr uint32_t kMost = 2;
  Session* session = co_await peer.Establish(Accepting(kMost));
  std::vector<uint64_t> opened;
  for (uint32_t i = 0; i < kMost; ++i) {
    uint64_t id = co_await OpenByHarness(peer, *session);
    opened.push_back(id);
  }
  const uint64_t over = session->OpenConnection(OtherOdd(*session, true));
  const bool accepted = co_await session->OpeningAnswered(over, rule);
  const bool reasoned = !accepted && !session->rejections().at(over).reason().empty();
  co_await peer.Require(reasoned, rule, "one over the limit is rejected with a reason");
  co_await RequireCallOn(peer, *session, opened.front(), rule);
  co_await RequireOneCall(peer, *session, rule);
  // Room again: what was closed counts no more.
  co_await CloseBoth(peer, *session, opened.front(), /*by_harness=*/true);
  uint64_t next = co_await OpenByHarness(peer, *session);
  co_await RequireCallOn(peer, *session, next, rule);
  // The same the other way round; the id of what was rejected is burnt.
  for (uint32_t i = 0; i < kMost; ++i) {
    uint64_t id = co_await OpenBySubject(peer, *session);
    opened.push_back(id);
  }
  ExecuteRequest command = OpenCommand(*session);
  Outcome rejected = co_await peer.Execute(std::move(command), "the opening to be rejected");
  co_await peer.Require(
      rejected.failed().reason() == control::v1::FAILURE_REASON_CONNECTION_REJECTED, rule,
      "the application is told that its connection was rejected");
  co_await CloseBoth(peer, *session, opened.back(), /*by_harness=*/false);
  uint64_t last = co_await OpenBySubject(peer, *session);
  co_await RequireCallOn(peer, *session, last, rule);
}

// ---------------------------------------------------------------- connection_stalled_…

Task<> StalledDelaysNoOther(Peer& peer) {
  const char* rule = "connection.independent";
  SessionOptions options = Accepting(4);
  options.harness_limit = options.subject_limit = 1;
  Session* session = co_await peer.Establish(options);
  uint64_t stalled = co_await Open(peer, *session, peer.harness_calls());
  uint64_t other = co_await Open(peer, *session, !peer.harness_calls());
  if (peer.harness_calls()) {
    // Its one call waits at a gate, after items that nobody gives credit for.
    Call* call = session->StartCallOn(stalled, "Generate", EmitAndWait(100, "gate"));
    call->channels[kGenerateOutput]->set_auto_grant(false);
    co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    for (const uint64_t free : std::array{other, kRoot}) {
      co_await RequireCallOn(peer, *session, free, rule);
      co_await RequireSumOn(peer, *session, free, rule);
    }
    co_await peer.Require(!call->response, rule, "the stalled one was stalled all the while");
    peer.Release("gate");
    call->channels[kGenerateOutput]->set_auto_grant(true);
    std::vector<uint64_t> values = co_await call->channels[kGenerateOutput]->ReceiveAll();
    Response response = co_await session->ResponseTo(*call, rule);
    co_await peer.Require(response.has_ok() && values == Sequence(1, 100), rule,
                          "what was stalled goes on where it was");
    co_return;
  }
  // One call waits for the harness, one for the limit, and items for credit.
  const uint32_t blocked = peer.StartCallBySubject(*session, "Sum", "", "blocked", stalled);
  Incoming* first = co_await session->NextRequest("the Request that is left waiting");
  first->channels[kSumInput]->set_auto_grant(false);
  const uint32_t sending = peer.Start(SendItems("blocked", kSumInput, 1, 100));
  const uint32_t queued = peer.StartCallBySubject(
      *session, "Echo", Echo("queued").SerializeAsString(), "queued", stalled);
  co_await session->Fence();
  for (const uint64_t free : std::array{other, kRoot}) {
    co_await RequireCallOn(peer, *session, free, rule);
    co_await RequireSumOn(peer, *session, free, rule);
  }
  co_await peer.Require(!peer.question(sending).answered && !peer.question(queued).answered, rule,
                        "the stalled one was stalled all the while");
  first->channels[kSumInput]->set_auto_grant(true);
  std::vector<uint64_t> values = co_await first->channels[kSumInput]->Receive(100);
  co_await peer.Require(values == Sequence(1, 100), rule, "what was stalled goes on where it was");
  ExecuteRequest close = CloseEnd("blocked", kSumInput);
  Outcome closed = co_await peer.Execute(std::move(close), "the channel to be closed");
  session->RespondOk(*first, testbed::v1::SumResponse());
  Incoming* second = co_await session->NextRequest("the Request that was queued");
  session->RespondOk(*second, EchoReply("queued"));
  for (const uint32_t question : std::array{blocked, queued}) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK, rule,
                          "a stalled call ends once it can");
  }
}

// ---------------------------------------------------------------- connection_resume_keeps_…

Task<> ResumeKeeps(Peer& peer) {
  const char* rule = "session.resume.connections";
  Session* session = co_await peer.Establish(Accepting(8));
  uint64_t kept = co_await OpenByHarness(peer, *session);
  uint64_t kept_too = co_await OpenBySubject(peer, *session);
  uint64_t dropped = co_await Open(peer, *session, peer.harness_calls());
  for (const uint64_t id : std::array{kept, kept_too, dropped}) {
    co_await RequireCallOn(peer, *session, id, rule);
  }
  // In flight: one call that is to survive, and of the subject one that is not, idem or not.
  Call* waiting = nullptr;
  uint32_t surviving = 0, idem = 0, plain = 0;
  const std::string echo = Echo("cut").SerializeAsString();
  if (peer.harness_calls()) {
    waiting = session->StartCallOn(kept_too, "Echo", WaitingEcho("cut", "gate"));
    co_await peer.AwaitHandlerStarted(*session, waiting->operation_id);
  } else {
    surviving = peer.StartCallBySubject(*session, "Echo", echo, "surviving", kept);
    idem = peer.StartCallBySubject(*session, "EchoIdem", echo, "idem", dropped);
    plain = peer.StartCallBySubject(*session, "Echo", echo, "plain", dropped);
    for (int i = 0; i < 3; ++i) {
      co_await session->NextRequest("a Request");
    }
  }
  // Asked for, and not answered before the cut.
  session->answers_openings = false;
  const uint32_t opening = peer.Start(OpenCommand(*session));
  co_await peer.Until(
      "OpenConnection", [session] { return !session->waiting_openings().empty(); },
      "connection.open");
  peer.Close(*session->link, CutBySeed(peer));
  session->CloseConnection(dropped);  // with no link to say so on
  co_await peer.Resume(*session);
  session->answers_openings = true;
  std::vector<uint64_t> held = {kept, kept_too, dropped};
  std::sort(held.begin(), held.end());
  std::vector<uint64_t> listed = session->link->listed_by_subject;
  std::sort(listed.begin(), listed.end());
  co_await peer.Require(listed == held, rule, "a resume lists what was open when the link was cut");
  Outcome lost = co_await peer.OutcomeOf(opening, "the pending opening to fail", rule);
  co_await peer.Require(lost.failed().reason() == control::v1::FAILURE_REASON_CONNECTION_CLOSED,
                        rule, "an opening that was not answered fails with its link");
  if (peer.harness_calls()) {
    Call* again = session->Reattempt(*waiting);
    co_await session->Fence();
    peer.Release("gate");
    Response response = co_await session->ResponseTo(*again, rule);
    co_await RequireEcho(peer, response, "cut");
  } else {
    Incoming* again = co_await session->NextRequest("a new attempt of the call that survives");
    co_await peer.Require(again->connection == kept, rule,
                          "the calls of a connection that both list are attempted on it again");
    session->RespondOk(*again, EchoReply("cut"));
    CallOutcome outcome = co_await peer.CallOutcomeOf(surviving, rule);
    co_await RequireOk(peer, outcome, EchoReply("cut").SerializeAsString());
    co_await RequireStatus(peer, idem, control::v1::CALL_STATUS_CONNECTION_CLOSED, rule);
    co_await RequireStatus(peer, plain, control::v1::CALL_STATUS_INDETERMINATE, rule);
  }
  for (const uint64_t id : std::array{kept, kept_too, kRoot}) {
    co_await RequireCallOn(peer, *session, id, rule);
  }
  uint64_t fresh = co_await OpenBySubject(peer, *session);
  co_await RequireCallOn(peer, *session, fresh, rule);
}

// ---------------------------------------------------------------- connection_lost_session_…

Task<> LostSessionTakesThemAll(Peer& peer) {
  const char* rule = "retry.session-lost.policy";
  SessionOptions options = Accepting(2);
  options.session_lost = control::v1::SESSION_LOST_POLICY_FRESH;
  Session* session = co_await peer.Establish(options);
  uint64_t id = co_await Open(peer, *session, peer.machine().Choose(2, "who opens") == 0);
  const std::string echo = Echo("lost").SerializeAsString();
  const uint32_t on_root = peer.StartCallBySubject(*session, "EchoIdem", echo, "on the root");
  const uint32_t idem = peer.StartCallBySubject(*session, "EchoIdem", echo, "idem", id);
  const uint32_t plain = peer.StartCallBySubject(*session, "Echo", echo, "plain", id);
  for (int i = 0; i < 3; ++i) co_await session->NextRequest("each of the subject's Requests");
  co_await CutAndForget(peer, *session, options);
  Session* fresh = co_await SessionInPlace(peer, options, rule);
  Incoming* again = co_await fresh->NextRequest("the idem call of the root", rule);
  fresh->RespondOk(*again, EchoReply("lost"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(on_root, rule);
  co_await RequireOk(peer, outcome, EchoReply("lost").SerializeAsString());
  co_await RequireStatus(peer, idem, control::v1::CALL_STATUS_SESSION_SHUTDOWN, rule);
  co_await RequireStatus(peer, plain, control::v1::CALL_STATUS_INDETERMINATE, rule);
  // The new session has the root alone, and opens others as any session does.
  uint64_t next = co_await OpenBySubject(peer, *fresh);
  co_await RequireCallOn(peer, *fresh, next, "connection.open");
}

// ---------------------------------------------------------------- connection_operation_ids_…

Task<> OperationIdsSpan(Peer& peer) {
  const char* rule = "retry.op-id.scope";
  Session* session = co_await peer.Establish(Accepting(2));
  uint64_t id = co_await OpenByHarness(peer, *session);
  for (const char* gate : {"gate", ""}) {  // Live, and Sealed
    const bool live = *gate != '\0';
    Call* call = session->StartCall("EchoIdem", live ? WaitingEcho("one", gate) : Echo("one"));
    if (live) {
      co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    } else {
      Response sealed = co_await session->ResponseTo(*call);
    }
    testbed::v1::EchoRequest same = live ? WaitingEcho("one", gate) : Echo("one");
    Call* again = session->StartCallOn(id, "EchoIdem", same, call->operation_id, rule);
    Response response = co_await session->ResponseTo(*again, rule);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_OPERATION_CONFLICT, rule,
        "an operation belongs to the connection it was minted on");
    if (!live) continue;
    peer.Release(gate);
    Response first = co_await session->ResponseTo(*call, rule);
    co_await RequireEcho(peer, first, "one");
  }
}

// ---------------------------------------------------------------- what is refused

// co_await: the subject gives the session up, and its pending call fails.
Task<> RequireRefused(Session& session, const Message& message, wire::v1::ProtocolErrorCode code,
                      const char* rule) {
  session.Send(message, rule);
  co_await session.AwaitProtocolError(code, rule);
}

Task<> AfterBothCloses(Peer& peer) {
  Session* session = co_await peer.Establish(Accepting(2));
  uint64_t id = co_await Open(peer, *session, peer.harness_calls());
  const bool by_harness = peer.machine().Choose(2, "who closes") == 0;
  co_await CloseBoth(peer, *session, id, by_harness);
  Message message;
  message.set_connection_id(id);
  if (peer.machine().Choose(2, "what comes") == 0) {
    message.mutable_close_connection();
  } else {
    message.mutable_cancel_request()->set_request_id(1);
  }
  co_await RequireRefused(*session, message, wire::v1::PROTOCOL_ERROR_CODE_BAD_CONNECTION,
                          "connection.close.echo");
}

// An Echo on a connection, by the harness's first id of the one parity or the other.
Message EchoOn(uint64_t connection, bool odd) {
  Message message;
  message.set_connection_id(connection);
  auto& request = *message.mutable_request();
  request.set_request_id(odd ? 1 : 2);
  request.set_operation_id(1);
  request.set_method(peer::FindMethod("Echo")->name);
  request.set_arguments(Echo("nothing").SerializeAsString());
  return message;
}

Task<> AnnouncedElsewhere(Peer& peer) {
  Session* session = co_await peer.Establish(Accepting(2));
  uint64_t id = co_await Open(peer, *session, peer.harness_calls());
  session->AnnounceArguments(*peer::FindMethod("Echo"));
  co_await RequireRefused(*session, EchoOn(id, session->FindConnection(id)->odd),
                          wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING,
                          "schema.tracking.connection");
}

Task<> IdsOfTheSession(Peer& peer) {
  Session* session = co_await peer.Establish(Accepting(2));
  uint64_t id = co_await Open(peer, *session, peer.harness_calls());
  session->AnnounceArguments(*peer::FindMethod("Echo"), id);
  co_await RequireRefused(*session, EchoOn(id, session->odd_parity()),
                          wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "connection.parity");
}

}  // namespace

std::vector<Scenario> ConnectionScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> needs = {"virtual_connections"};
  const std::vector<std::string> used = {"connection.open", "connection.parity", "connection.close",
                                         "connection.close.echo", "schema.tracking.connection"};
  const std::vector<std::string> crossed = {"connection.close", "connection.close.echo"};
  const std::vector<std::string> rejected = {"connection.open", "connection.open.rejection"};
  const std::vector<std::string> independent = {"connection.independent"};
  const std::vector<std::string> resumed = {"session.resume.connections", "connection.open"};
  const std::vector<std::string> echoed = {"connection.close.echo"};
  const std::vector<std::string> announced = {"schema.tracking.connection"};
  const std::vector<std::string> parity = {"connection.parity"};
  return {
      {"connection_calls_follow_its_parity", "connection",
       "Either side opens a connection, calls and streams on it with ids of the parity asked for "
       "and types announced anew, and closes it.",
       both, used, used, needs, &CallsFollowParity},
      {"connection_close_ends_what_is_in_flight",
       "connection",
       "A close ends the calls and channels of its connection as the application is due to be "
       "told, and touches no other connection.",
       both,
       crossed,
       {"connection.close", "connection.close.echo", "rpc.error.ambiguous",
        "rpc.channel.detach.buffered"},
       needs,
       &CloseEndsWhatIsInFlight},
      {"connection_closes_that_cross_are_each_an_echo", "connection",
       "What crosses a close is discarded without effect, and of two closes that cross each is the "
       "echo of the other.",
       both, crossed, crossed, needs, &ClosesThatCross},
      {"connection_over_the_limit_is_rejected", "connection",
       "A connection over the limit is rejected with a reason, its id is burnt, and everything "
       "else goes on.",
       both, rejected, rejected, needs, &OverTheLimit},
      {"connection_stalled_delays_no_other", "connection",
       "A connection without a free slot, whose items have no credit, delays no other one.", both,
       independent, independent, needs, &StalledDelaysNoOther},
      {"connection_resume_keeps_what_both_list",
       "connection",
       "A resume keeps the connections that both sides list, with their calls, and ends the "
       "others.",
       both,
       resumed,
       resumed,
       {"virtual_connections", "resume"},
       &ResumeKeeps},
      {"connection_operation_ids_span_connections",
       "connection",
       "An operation id used again on another connection is a conflict, and changes nothing.",
       {Direction::kHarnessToSubject},
       {"retry.op-id.scope"},
       {},
       needs,
       &OperationIdsSpan},
      {"connection_lost_session_takes_it_along",
       "connection",
       "A session that is lost takes its connections along, and what was called on them.",
       {Direction::kSubjectToHarness},
       {},
       {"retry.session-lost.policy"},
       {"root_calls", "operations", "resume", "virtual_connections"},
       &LostSessionTakesThemAll,
       /*exclusive=*/true},  // an aftermath knows of no session in place of another
      {"connection_message_after_both_closes_is_refused", "connection",
       "A message on a connection that both have closed is a protocol error.", both, echoed, echoed,
       needs, &AfterBothCloses},
      {"connection_schema_of_another_connection_is_refused", "connection",
       "What was announced on one connection counts for no other one.", both, announced, announced,
       needs, &AnnouncedElsewhere},
      {"connection_request_id_of_the_session_parity_is_refused", "connection",
       "A request id of the session's parity on a connection of the other one is a protocol error.",
       both, parity, parity, needs, &IdsOfTheSession},
  };
}

}  // namespace counterpart::scenarios
