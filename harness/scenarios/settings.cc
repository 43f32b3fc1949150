// What two peers have agreed on, and what each may count on from then: the parity of ids, how many
// attempts may be in flight, what a Pong says, and that a last word loses nothing.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::Session;
using peer::SessionOptions;
using wire::v1::Response;

// ---------------------------------------------------------------- session_parity_is_…

Task<> ParityIsTheInitiators(Peer& peer) {
  const std::string rule = "session.parity";
  for (const bool even : {false, true}) {
    SessionOptions options;
    options.initiator_even = even;
    peer.ForgetConnect();
    Session* session = co_await peer.Establish(options);
    co_await session->Fence();
    // Either side calls: the initiator with the ids it asked for, the acceptor with the others.
    // The monitor judges each id.
    co_await RequireCallWorks(peer, *session, rule);
    const uint64_t id = session->incoming().back()->request.request_id();
    const bool odd = id % 2 == 1;
    co_await peer.Require(odd != session->odd_parity(), rule,
                          "the subject's ids are of the parity that is left to it");
    // (Where the harness accepts, it makes no calls: see what refusals do.)
    if (peer.harness_calls()) co_await RequireAlive(peer, *session, rule);
    co_await session->SayGoodbye();
  }
}

// ---------------------------------------------------------------- transport_prologue_is_…

Task<> PrologueIsAwaited(Peer& peer) {
  const std::string rule = "transport.prologue.accept";
  const SessionOptions options;
  Session* session = peer.NewSession(options);
  Link* link = co_await peer.OpenLink(options);
  co_await peer.Until(
      "TransportHello", [link] { return !link->inbox.empty(); },
      "transport.prologue.first-payload");
  // As long as it is not answered, nothing may follow.
  co_await peer.Settle();
  co_await peer.Require(link->inbox.size() == 1, rule,
                        "a TransportHello is followed by nothing before it was accepted");
  co_await peer.DoPrologue(*link);
  co_await peer.DoHandshake(*link, *session, "");
  Outcome connected = co_await peer.OutcomeOf(peer.connect_question(), "Connect to end", rule);
  co_await RequireCallWorks(peer, *session, rule);
}

// ---------------------------------------------------------------- session_limit_of_zero_…

Task<> LimitOfZero(Peer& peer) {
  const std::string rule = "session.connection-settings";
  SessionOptions options;
  if (peer.harness_calls()) {
    options.subject_limit = 0;
    Session* session = co_await peer.Establish(options);
    // The subject has announced that it takes no call: the harness makes one on purpose.
    session->StartCallBreaking(rule, "Echo", Echo("not taken"));
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_REQUEST_LIMIT_EXCEEDED,
                                         rule);
    co_await peer.Settle();
    auto executions = co_await peer.ReadExecutions();
    co_await peer.Require(executions.empty(), rule, "a call that is not taken executes nothing");
    co_return;
  }
  options.harness_limit = 0;
  Session* session = co_await peer.Establish(options);
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("not sent").SerializeAsString(), "call");
  const bool local = co_await peer.ReadyBeforeQuiet(
      "the call to fail locally", [&peer, question] { return peer.question(question).answered; });
  co_await peer.Require(local, rule, "a call to a counterpart that takes none fails, and at once");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  const bool failed = outcome.status() != control::v1::CALL_STATUS_OK &&
                      outcome.status() != control::v1::CALL_STATUS_INDETERMINATE;
  co_await peer.Require(failed && outcome.attempts() == 0, rule,
                        "a limit of 0 makes a call fail without an attempt");
  co_await session->Fence();
  co_await peer.Require(session->waiting_requests() == 0, rule, "nothing of it is sent");
}

// ---------------------------------------------------------------- rpc_lost_attempts_free_…

Task<> LostAttemptsFreeTheirSlots(Peer& peer) {
  const std::string rule = "rpc.flow-control.max-concurrent-requests.attachment-loss";
  constexpr uint32_t kLimit = 3;
  SessionOptions options;
  options.harness_limit = options.subject_limit = kLimit;
  Session* session = co_await peer.Establish(options);
  session->resume_rule = rule;
  if (peer.harness_calls()) {
    std::vector<Call*> lost;
    for (uint32_t i = 0; i < kLimit; ++i) {
      lost.push_back(session->StartCall("EchoIdem", WaitingEcho("lost", "gate")));
    }
    for (const Call* call : lost) co_await peer.AwaitHandlerStarted(*session, call->operation_id);
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    // The handlers of before still run, and hold no slot: as many new calls may be made.
    std::vector<Call*> fresh;
    for (uint32_t i = 0; i < kLimit; ++i) {
      fresh.push_back(session->StartCall("Echo", WaitingEcho("fresh", "gate")));
    }
    session->ExpectProtocolError();
    const uint64_t nonce = session->SendPing();
    co_await peer.Until(
        "the Pong, or a refusal",
        [session, nonce] {
          return session->PongSeen(nonce) || session->protocol_error().has_value();
        },
        "session.keepalive");
    co_await peer.Require(!session->protocol_error().has_value(), rule,
                          "handlers of a lost link count for nothing on the next one");
    peer.Release("gate");
    for (Call* call : fresh) {
      Response response = co_await session->ResponseTo(*call, rule);
      co_await RequireEcho(peer, response, "fresh");
    }
    co_return;
  }
  std::vector<uint32_t> questions;
  for (uint32_t i = 0; i < kLimit; ++i) {
    questions.push_back(peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(),
                                                "call" + std::to_string(i)));
    co_await session->NextRequest("the subject's Request");
  }
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  std::vector<Incoming*> again;
  for (uint32_t i = 0; i < kLimit; ++i) {
    const bool came = co_await peer.ReadyBeforeQuiet(
        "a new attempt", [session] { return session->waiting_requests() > 0; });
    std::string wanted =
        "attempts of a lost link hold no slot on the next one: " + std::to_string(kLimit) +
        " come again, not " + std::to_string(i);
    co_await peer.Require(came, rule, std::move(wanted));
    again.push_back(co_await session->NextRequest("a new attempt"));
  }
  for (Incoming* incoming : again) session->RespondOk(*incoming, EchoReply("x"));
  for (const uint32_t question : questions) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    co_await RequireOk(peer, outcome, EchoReply("x").SerializeAsString());
  }
}

// ---------------------------------------------------------------- keepalive_pong_follows_…

Task<> PongFollowsRefusals(Peer& peer) {
  const std::string rule = "session.keepalive.fence";
  Session* session = co_await peer.Establish();
  const std::string unknown = "counterpart.testbed.v1.Testbed/NoSuchMethod";
  session->AnnounceUnknown(unknown);
  // What the subject executes it tells by session id, and where the harness accepts it mints the
  // same ones whenever a seed is run: there, nothing is executed.
  Call* running = nullptr;
  if (peer.harness_calls()) {
    running = session->StartCall("Echo", WaitingEcho("running", "gate"));
    co_await peer.AwaitHandlerStarted(*session, running->operation_id);
  }
  // In one breath: what has to be refused, and a Ping behind it.
  std::vector<Call*> refused;
  for (int i = 0; i < 4; ++i) {
    refused.push_back(session->StartBareCall(unknown, ""));
    refused.push_back(session->StartCallRaw(*peer::FindMethod("Echo"),
                                            "\x0a\x7f"
                                            "abc",
                                            0));
    if (running == nullptr) continue;
    // The number of an operation that is known, with other bytes.
    refused.push_back(session->StartCallRaw(*peer::FindMethod("Echo"),
                                            Echo("other bytes").SerializeAsString(),
                                            running->operation_id, "retry.op-id.payload-binding"));
  }
  wire::v1::Message open;
  const uint64_t connection = session->odd_parity() ? 1 : 2;
  open.set_connection_id(connection);
  open.mutable_open_connection()->set_parity(wire::v1::PARITY_ODD);
  open.mutable_open_connection()->mutable_settings()->set_max_concurrent_requests(1);
  session->Send(open);
  const uint64_t nonce = session->SendPing();
  co_await peer.Until(
      "the Pong", [session, nonce] { return session->PongSeen(nonce); }, "session.keepalive");
  size_t answered = 0;
  for (const Call* call : refused) answered += call->response.has_value();
  std::string wanted = "a Pong comes behind every refusal of what came before its Ping: behind " +
                       std::to_string(refused.size()) + ", not " + std::to_string(answered);
  co_await peer.Require(answered == refused.size(), rule, std::move(wanted));
  co_await peer.Require(session->rejections().contains(connection), rule,
                        "and behind the answer to OpenConnection");
  if (running == nullptr) co_return;
  peer.Release("gate");
  Response response = co_await session->ResponseTo(*running);
  co_await RequireEcho(peer, response, "running");
}

// ---------------------------------------------------------------- keepalive_pings_only_…

Task<> PingsOnlyWhenTold(Peer& peer) {
  const std::string rule = "session.keepalive.loss";
  Session* session = co_await peer.Establish();
  co_await RequireOneCall(peer, *session, rule);
  co_await peer.Settle();
  co_await peer.Require(session->pings_received() == 0, rule,
                        "a peer that was not configured to ping does not");
  control::v1::ExecuteRequest ping;
  ping.mutable_ping()->set_session_id(session->id);
  Outcome pong = co_await peer.Execute(std::move(ping), "the subject's Ping to be answered");
  co_await peer.Require(pong.has_done() && session->pings_received() == 1, rule,
                        "a Ping that was asked for is sent once");
  // Across a cut as well.
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  co_await RequireOneCall(peer, *session, rule);
  co_await peer.Settle();
  co_await peer.Require(session->pings_received() == 1, rule,
                        "no Ping follows that nobody asked for");
}

// ---------------------------------------------------------------- link_goodbye_behind_…

// More than the sockets between two processes take.
constexpr size_t kBacklogBytes = 8u << 20;
constexpr size_t kPieceBytes = 512u << 10;

testbed::v1::EchoRequest Large() {
  testbed::v1::EchoRequest request = Echo("large");
  request.set_padding(std::string(kPieceBytes, 'x'));
  return request;
}

// co_await: the link ends by FIN, and not inside a payload.
Task<> RequireCleanEnd(Peer& peer, Link& link, const std::string& rule) {
  co_await peer.AwaitEnd(link, rule);
  co_await peer.Require(link.end == peer::LinkEnd::kEof && link.end_partial == 0, rule,
                        "the link ends by FIN behind all that was committed to it");
}

Task<> GoodbyeBehindABacklog(Peer& peer) {
  const std::string rule = "link.tx.close";
  Session* session = co_await peer.Establish();
  Link* link = session->link;
  link->end_expected = true;
  session->set_auto_goodbye_expected();
  std::vector<Call*> calls;
  std::vector<uint32_t> questions;
  peer.StopReading(*link);
  for (size_t bytes = 0; bytes < kBacklogBytes; bytes += kPieceBytes) {
    if (peer.harness_calls()) {
      calls.push_back(session->StartCall("Echo", Large()));
    } else {
      questions.push_back(peer.StartCallBySubject(*session, "Echo", Large().SerializeAsString(),
                                                  "call" + std::to_string(bytes)));
    }
  }
  co_await peer.Settle();
  // All of it is committed and little of it written. Now the subject says its last word.
  control::v1::ExecuteRequest close;
  close.mutable_close_session()->set_session_id(session->id);
  const uint32_t closing = peer.Start(std::move(close));
  co_await peer.Settle();
  peer.ResumeReading(*link);
  co_await peer.Until(
      "Goodbye, or the end of the link",
      [session, link] { return session->goodbye_received() || link->end.has_value(); }, rule);
  size_t came = session->incoming().size();
  for (const Call* call : calls) came += call->response && call->response->has_ok();
  const size_t all = calls.size() + questions.size();
  std::string wanted =
      "what was committed before the last word arrives before it: " + std::to_string(all) +
      " messages, not " + std::to_string(came);
  co_await peer.Require(came == all, rule, std::move(wanted));
  co_await peer.Require(session->goodbye_received(), rule,
                        "the last word itself arrives before the link ends");
  Outcome closed = co_await peer.OutcomeOf(closing, "the close to end", rule);
  co_await RequireCleanEnd(peer, *link, rule);
  peer.Close(*link, How::kFin);
  for (const uint32_t question : questions) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, "rpc.error.ambiguous");
    co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_INDETERMINATE,
                          "rpc.error.ambiguous",
                          "a call in flight is Indeterminate when its session is closed");
  }
  session->TakeRequests();
}

}  // namespace

std::vector<Scenario> SettingsScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> calls = {"root_calls"};
  return {
      {"session_parity_is_the_initiators_choice",
       "session",
       "The initiator chooses the parity of its ids, and the acceptor takes the other one.",
       both,
       {"session.parity", "session.handshake.session-id"},
       {"session.parity"},
       {"root_calls", "initiator", "acceptor"},
       &ParityIsTheInitiators},
      {"transport_prologue_is_awaited",
       "link",
       "Who has dialled says nothing more before its TransportHello was accepted.",
       {Direction::kSubjectToHarness},
       {},
       {"transport.prologue.accept"},
       {"root_calls", "initiator"},
       &PrologueIsAwaited},
      {"session_limit_of_zero_allows_no_call",
       "session",
       "A side that announced a limit of 0 is called by nobody.",
       both,
       {"session.connection-settings"},
       {"session.connection-settings"},
       calls,
       &LimitOfZero},
      {"rpc_lost_attempts_free_their_slots",
       "rpc",
       "Attempts of a lost link hold no slot on the next one.",
       both,
       {"rpc.flow-control.max-concurrent-requests.attachment-loss"},
       {"rpc.flow-control.max-concurrent-requests.attachment-loss"},
       {"root_calls", "resume", "operations"},
       &LostAttemptsFreeTheirSlots},
      {"keepalive_pong_follows_what_was_refused",
       "session",
       "A Pong comes behind every refusal of what came before its Ping.",
       both,
       {"session.keepalive.fence"},
       {"session.keepalive.fence"},
       {"root_calls", "keepalive", "operations"},
       &PongFollowsRefusals},
      {"keepalive_pings_only_when_told",
       "session",
       "A peer pings when it was told to, and not otherwise.",
       both,
       {"session.keepalive.loss"},
       {"session.keepalive.loss"},
       {"root_calls", "keepalive", "resume"},
       &PingsOnlyWhenTold},
      {"link_goodbye_behind_a_backlog_loses_nothing",
       "link",
       "A graceful close writes all that was committed before it, however slow its reader.",
       both,
       {"link.tx.close"},
       {"link.tx.close"},
       calls,
       &GoodbyeBehindABacklog},
  };
}

}  // namespace counterpart::scenarios
