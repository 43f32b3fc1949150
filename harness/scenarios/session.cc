// Sessions: handshake order, resume in all its ways, keepalive.
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
using peer::Side;
using wire::v1::Response;

// ---------------------------------------------------------------- session_resume_keeps_…

Task<> ResumeKeepsSession(Peer& peer) {
  Session* session = co_await peer.Establish();
  const std::string first_key = session->resume_key;
  co_await RequireOneCall(peer, *session, "");
  for (int i = 0; i < 2; ++i) {
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    co_await RequireOneCall(peer, *session, "session.outlives-conduit");
  }
  co_await peer.Require(session->resume_key != first_key, "session.resume.key-rotation",
                        "the resume key is rotated at every resume");
}

// ---------------------------------------------------------------- session_resume_survives_…

// Where the resume handshake is cut, once.
struct HandshakeCut {
  Side from;
  const char* kind;
  std::optional<uint32_t> offset;
};

constexpr HandshakeCut kCutsOfInitiator[] = {
    {Side::kHarness, "hello", 7},
    {Side::kHarness, "hello", std::nullopt},
    {Side::kSubject, "hello_yourself", std::nullopt},
    {Side::kHarness, "lets_go", std::nullopt},
};

constexpr HandshakeCut kCutsOfAcceptor[] = {
    {Side::kSubject, "hello", std::nullopt},
    {Side::kHarness, "hello_yourself", 7},
    {Side::kHarness, "hello_yourself", std::nullopt},
    {Side::kSubject, "lets_go", std::nullopt},
};

// co_await: one resume handshake, begun by the harness, that the armed fault ends somewhere.
Task<> DialToTheCut(Peer& peer, Session& session, Link& link) {
  co_await peer.DoPrologue(link);
  wire::v1::Handshake hello;
  *hello.mutable_hello() = peer.NewHello(session, session.resume_key);
  peer.Send(link, hello);
  if (link.end) co_return;
  auto answer = co_await peer.NextInbound(link, "HelloYourself", "session.handshake.resume");
  if (answer && answer->handshake) {
    session.resume_key = answer->handshake->hello_yourself().resume_key();
  }
  if (link.end) co_return;
  wire::v1::Handshake lets_go;
  lets_go.mutable_lets_go();
  peer.Send(link, lets_go);
}

// co_await: the same, begun by the subject. Afterwards `resume_key` is the newest that it has
// certainly read; returns one that it may have read, "" if there is none.
Task<std::string> AnswerToTheCut(Peer& peer, Session& session, Link& link) {
  co_await peer.DoPrologue(link);
  auto hello = co_await peer.NextInbound(link, "Hello", "session.handshake.resume");
  const bool presented = hello && hello->handshake && hello->handshake->has_hello() &&
                         hello->handshake->hello().resume_key() == session.resume_key;
  co_await peer.Require(presented, "session.handshake.resume",
                        "the Hello of a redial presents the newest resume key it has read");
  if (link.end) co_return "";
  const wire::v1::Handshake yourself = peer.NewHelloYourself(session, session.resume_key);
  std::string successor = yourself.hello_yourself().resume_key();
  if (!peer.Send(link, yourself)) co_return "";
  if (link.end) co_return successor;
  auto lets_go = co_await peer.NextInbound(link, "LetsGo", "session.handshake.resume");
  const bool went = lets_go && lets_go->handshake && lets_go->handshake->has_lets_go();
  co_await peer.Require(went, "session.handshake.resume", "a HelloYourself is answered by LetsGo");
  session.resume_key = std::move(successor);
  co_return "";
}

Task<> ResumeSurvivesCut(Peer& peer) {
  SessionOptions options;
  options.dials = 8;
  Session* session = co_await peer.Establish(options);
  co_await RequireOneCall(peer, *session, "");
  // Nobody is locked out: the initiator presents the newest key it has read, and that one works.
  session->resume_rule = "session.resume.key-rotation";
  // Each cut once, beginning with any.
  const uint64_t first = peer.machine().Choose(4, "first cut");
  for (uint32_t i = 0; i < 4; ++i) {
    const size_t where = (first + i) % 4;
    const HandshakeCut& cut =
        peer.harness_calls() ? kCutsOfInitiator[where] : kCutsOfAcceptor[where];
    peer::Fault fault;
    fault.how = CutBySeed(peer);
    fault.from = cut.from;
    fault.kind = cut.kind;
    fault.offset = cut.offset;
    fault.generation = 2 + 2 * i;  // every other link of the run
    peer.Arm(std::move(fault));
    peer.Close(*session->link, How::kFin);
    Link* link = co_await peer.OpenLink(options);
    std::string or_key;
    if (peer.harness_calls()) {
      co_await DialToTheCut(peer, *session, *link);
    } else {
      or_key = co_await AnswerToTheCut(peer, *session, *link);
    }
    co_await peer.Require(link->end.has_value(), "", "the cut came inside the handshake");
    Link* next = co_await peer.OpenLink(options);
    co_await peer.DoPrologue(*next);
    std::string key = session->resume_key;
    co_await peer.DoHandshake(*next, *session, std::move(key), std::move(or_key));
    peer.Judged("session.resume.key-rotation");
    co_await RequireOneCall(peer, *session, "session.outlives-conduit");
  }
}

// ---------------------------------------------------------------- session_resume_unknown_key

Task<> ResumeUnknownKey(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    const std::string retired = session->resume_key;
    co_await RequireUnknownSession(peer, *session, peer.MintBytes("no such key", 16));
    co_await RequireAlive(peer, *session, "session.resume.unknown");
    peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Resume(*session);
    co_await RequireUnknownSession(peer, *session, retired);
    co_await RequireAlive(peer, *session, "session.resume.key-rotation");
    co_return;
  }
  // The subject's session is lost: every operation it had in flight is resolved. (It was told to
  // open no other session.)
  const uint32_t idem =
      peer.StartCallBySubject(*session, "EchoIdem", Echo("i").SerializeAsString(), "idem");
  co_await session->NextRequest("the idem Request");
  const uint32_t non_idem =
      peer.StartCallBySubject(*session, "Echo", Echo("n").SerializeAsString(), "non-idem");
  co_await session->NextRequest("the non-idem Request");
  co_await CutAndForget(peer, *session);
  co_await RequireLost(peer, non_idem, control::v1::CALL_STATUS_INDETERMINATE,
                       "session.resume.unknown", "retry.session-lost");
  co_await RequireLost(peer, idem, control::v1::CALL_STATUS_SESSION_SHUTDOWN,
                       "session.resume.unknown", "retry.session-lost.policy");
}

// ---------------------------------------------------------------- session_resume_supersedes_…

Task<> ResumeSupersedes(Peer& peer) {
  Session* session = co_await peer.Establish();
  co_await RequireAlive(peer, *session, "");
  Link* old = session->link;
  old->end_expected = true;
  // A second link while the first looks alive: the harness keeps it open, to see who closes it.
  std::string key = session->resume_key;
  Link* link = co_await peer.OpenLink(SessionOptions());
  co_await peer.DoPrologue(*link);
  session->Detach();
  co_await peer.DoHandshake(*link, *session, std::move(key));
  co_await peer.AwaitEnd(*old, "session.resume.supersede");
  peer.Close(*old, How::kFin);
  co_await RequireAlive(peer, *session, "session.resume.bind");
}

// ---------------------------------------------------------------- session_resume_backlog_…

Task<> ResumeBacklog(Peer& peer) {
  constexpr int kCalls = 8;
  Session* session = co_await peer.Establish();
  co_await RequireCallWorks(peer, *session, "");
  const size_t before = session->incoming().size();
  peer.Close(*session->link, CutBySeed(peer));
  // The subject redials; it is let in only after the calls were made.
  Link* link = co_await peer.OpenLink(SessionOptions());
  std::vector<uint32_t> questions;
  for (int i = 0; i < kCalls; ++i) {
    const std::string text = std::to_string(i);
    questions.push_back(peer.StartCallBySubject(*session, "Echo", Echo(text).SerializeAsString(),
                                                "backlog" + text));
    // Commands have no order of their own on the control plane: each is taken in before the next.
    co_await peer.Settle();
  }
  std::string key = session->resume_key;
  co_await peer.DoPrologue(*link);
  co_await peer.DoHandshake(*link, *session, std::move(key));
  for (int i = 0; i < kCalls; ++i) {
    Incoming* incoming =
        co_await session->NextRequest("a call of the backlog", "strict.outbound.sequencer");
    testbed::v1::EchoRequest asked;
    asked.ParseFromString(incoming->request.arguments());
    co_await peer.Require(asked.text() == std::to_string(i), "strict.outbound.sequencer",
                          "calls made while detached are sent in their order, each once");
    session->RespondOk(*incoming, EchoReply(asked.text()));
  }
  for (const uint32_t question : questions) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question);
    co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK, "rpc.error.ambiguous",
                          "a call made while detached waits for the next generation");
  }
  co_await peer.Require(session->incoming().size() == before + kCalls, "strict.outbound.sequencer",
                        "each call of the backlog is sent once");
}

// ---------------------------------------------------------------- session_handshake_order

Task<> HandshakeOrder(Peer& peer) {
  const std::string rule = "session.handshake";
  Session* session = peer.NewSession(SessionOptions());
  Link* link = co_await peer.OpenLink(SessionOptions());
  link->end_expected = true;
  co_await peer.DoPrologue(*link);
  if (peer.harness_calls()) {
    if (peer.machine().Choose(2, "what comes first") == 0) {
      wire::v1::Handshake lets_go;
      lets_go.mutable_lets_go();
      peer.Send(*link, lets_go, rule);
    } else {
      wire::v1::Message ping;
      ping.mutable_ping()->set_nonce(1);
      peer.Send(*link, ping, rule);
    }
    auto answer = co_await peer.NextInbound(*link, "Sorry", rule);
    const bool sorry = answer && answer->handshake && answer->handshake->has_sorry() &&
                       answer->handshake->sorry().reason() == wire::v1::SORRY_REASON_MALFORMED;
    co_await peer.Require(sorry, rule, "anything but Hello first is answered by Sorry(MALFORMED)");
    co_await peer.AwaitEnd(*link, "session.handshake.sorry");
    peer.Close(*link, How::kFin);
    // The listener is unharmed: another session is opened as if nothing had been.
    Session* next = co_await peer.Establish();
    co_await RequireAlive(peer, *next, rule);
    co_return;
  }
  auto hello = co_await peer.NextInbound(*link, "Hello", rule);
  co_await peer.Require(hello && hello->handshake && hello->handshake->has_hello(), rule,
                        "the prologue is followed by Hello");
  session->ExpectProtocolError();
  wire::v1::Handshake lets_go;
  lets_go.mutable_lets_go();
  peer.Send(*link, lets_go, rule);
  co_await peer.AwaitEnd(*link, rule);
  peer.Close(*link, How::kFin);
  Outcome outcome =
      co_await peer.OutcomeOf(peer.connect_question(), "the Connect command to fail", rule);
  co_await peer.Require(outcome.has_failed(), rule,
                        "a handshake out of order opens no session: Connect fails");
  co_await peer.Settle();
}

// ---------------------------------------------------------------- keepalive_answers_…

Task<> Keepalive(Peer& peer) {
  constexpr uint32_t kLimit = 2;
  SessionOptions options;
  options.harness_limit = kLimit;
  options.subject_limit = kLimit;
  Session* session = co_await peer.Establish(options);
  if (peer.harness_calls()) {
    std::vector<Call*> calls;
    for (uint32_t i = 0; i < kLimit; ++i) {
      calls.push_back(session->StartCall("Echo", WaitingEcho("kept", "gate")));
    }
    for (int i = 0; i < 5; ++i) co_await session->Fence();
    bool answered = false;
    for (const Call* call : calls) answered |= call->response.has_value();
    co_await peer.Require(!answered, "session.keepalive",
                          "Pong comes while every handler waits and no slot is free");
    peer.Release("gate");
    for (Call* call : calls) {
      Response response = co_await session->ResponseTo(*call);
      co_await RequireEcho(peer, response, "kept");
    }
    co_return;
  }
  std::vector<uint32_t> questions;
  std::vector<Incoming*> requests;
  for (uint32_t i = 0; i < kLimit; ++i) {
    questions.push_back(peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(),
                                                "call" + std::to_string(i)));
    requests.push_back(co_await session->NextRequest("the subject's Request"));
  }
  for (int i = 0; i < 5; ++i) co_await session->Fence();
  // And the other way round: the subject pings while its own calls wait.
  control::v1::ExecuteRequest ping;
  ping.mutable_ping()->set_session_id(session->id);
  Outcome pong = co_await peer.Execute(std::move(ping), "the subject's Ping to be answered");
  co_await peer.Require(pong.has_done(), "session.keepalive", "a Ping command ends at the Pong");
  for (uint32_t i = 0; i < kLimit; ++i) {
    session->RespondOk(*requests[i], EchoReply("x"));
    CallOutcome outcome = co_await peer.CallOutcomeOf(questions[i]);
    co_await RequireOk(peer, outcome, EchoReply("x").SerializeAsString());
  }
}

}  // namespace

std::vector<Scenario> SessionScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> resume = {"root_calls", "resume"};
  return {
      {"session_resume_keeps_the_session",
       "session",
       "A link that dies never ends a resumable session: the next link carries it on.",
       both,
       {"session.outlives-conduit", "session.resume.key-rotation"},
       {"session.outlives-conduit", "session.handshake.resume"},
       resume,
       &ResumeKeepsSession},
      {"session_resume_survives_a_cut_handshake",
       "session",
       "A resume handshake that is cut anywhere locks nobody out: the next one succeeds.",
       both,
       {"session.outlives-conduit", "session.resume.key-rotation"},
       {"session.outlives-conduit", "session.resume.key-rotation", "session.handshake.resume"},
       resume,
       &ResumeSurvivesCut},
      {"session_resume_unknown_key",
       "session",
       "A key of no session, or a used one, is refused; a lost session resolves every call.",
       both,
       {"session.resume.unknown", "session.resume.key-rotation"},
       {"session.resume.unknown", "retry.session-lost", "retry.session-lost.policy"},
       {"root_calls", "resume", "operations"},
       &ResumeUnknownKey},
      {"session_resume_supersedes_a_live_link",
       "session",
       "A resume while the old link still looks alive wins, and the old link is closed.",
       {Direction::kHarnessToSubject},
       {"session.resume.supersede", "session.resume.bind"},
       {},
       resume,
       &ResumeSupersedes},
      {"session_resume_backlog_keeps_order",
       "session",
       "What was queued while detached is sent after the resume, in order, each once.",
       {Direction::kSubjectToHarness},
       {},
       {"strict.outbound.sequencer"},
       resume,
       &ResumeBacklog},
      {"session_handshake_order",
       "session",
       "The handshake has one order; anything else is refused and opens no session.",
       both,
       {"session.handshake", "session.handshake.sorry"},
       {"session.handshake"},
       {"bare"},
       &HandshakeOrder},
      {"keepalive_answers_while_calls_block",
       "session",
       "A Ping is answered at once, also while every call waits and no slot is free.",
       both,
       {"session.keepalive"},
       {"session.keepalive"},
       {"root_calls", "keepalive"},
       &Keepalive},
  };
}

}  // namespace counterpart::scenarios
