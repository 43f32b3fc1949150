// Faults whose judgement is a story of its own: wrong bits, segments, a closed window, races of two
// attachments, a process that was killed.
#include <algorithm>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/spoiled.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using peer::Call;
using peer::Fault;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::ObservedEnd;
using peer::Reads;
using peer::Session;
using peer::SessionOptions;
using peer::Side;
using wire::v1::Response;

// A fault at the next frame of the harness of this kind.
void ArmAtNext(Peer& peer, How how, const char* kind, uint32_t offset) {
  Fault fault;
  fault.how = how;
  fault.from = Side::kHarness;
  fault.kind = kind;
  fault.generation = 0;
  if (offset > 0) fault.offset = offset;
  peer.Arm(std::move(fault));
}

// co_await: a session after whatever became of the one before; the subject may be dialling yet.
Task<Session*> EstablishAnew(Peer& peer) {
  Session* session = nullptr;
  bool again = false;
  if (!peer.harness_calls()) {
    again = co_await peer.ReadyBeforeQuiet("a redial of the subject",
                                           [&peer] { return peer.has_accepted(); });
  }
  if (again) {
    session = peer.NewSession(SessionOptions());
    Link* link = peer.TakeAccepted();
    co_await peer.DoPrologue(*link);
    co_await peer.DoHandshake(*link, *session, "");
  } else {
    peer.ForgetConnect();
    session = co_await peer.Establish();
  }
  co_return session;
}

// co_await: the subject tells its application that the session died of what was sent to it.
Task<> RequireDied(Peer& peer, uint32_t question, const std::string& rule) {
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PROTOCOL_ERROR ||
                            outcome.status() == control::v1::CALL_STATUS_INDETERMINATE,
                        "session.protocol-error",
                        "a call whose session died of a violation ends with that error");
}

// ---------------------------------------------------------------- link_wrong_bit_in_a_length

// Within the limit, so that its reader waits for a body that never comes.
constexpr uint32_t kLengthBitsAwaited = 15, kLengthBitsRefused = 25;

Task<> WrongBitInLength(Peer& peer) {
  const uint32_t awaited =
      kLengthBitsAwaited + static_cast<uint32_t>(peer.machine().Choose(10, "bit"));
  // Over the limit of 16 MiB: refused on the strength of the length alone.
  const uint32_t refused =
      kLengthBitsRefused + static_cast<uint32_t>(peer.machine().Choose(8, "bit"));
  Session* session = co_await peer.Establish();
  session->resume_rule = "link.rx.eof";
  if (peer.harness_calls()) {
    ArmAtNext(peer, How::kBitFlip, "request", awaited);
    Call* torn = session->StartCall("Echo", Echo("never ends"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await RequireExecutions(peer, torn->operation_id, 0, "link.rx.eof");
    co_await peer.Resume(*session);
    Call* whole = session->Reattempt(*torn);
    Response response = co_await session->ResponseTo(*whole, "link.rx.eof");
    co_await RequireEcho(peer, response, "never ends");
    ArmAtNext(peer, How::kBitFlip, "request", refused);
    Call* over = session->StartCall("Echo", Echo("too long"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await RequireExecutions(peer, over->operation_id, 0, "link.limit");
  } else {
    const uint32_t question =
        peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "torn");
    Incoming* first = co_await session->NextRequest("the subject's Request");
    ArmAtNext(peer, How::kBitFlip, "response", awaited);
    session->RespondOk(*first, EchoReply("x"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await peer.Resume(*session);
    Incoming* again = co_await session->NextRequest("the new attempt", "link.rx.eof");
    session->RespondOk(*again, EchoReply("x"));
    CallOutcome outcome = co_await peer.CallOutcomeOf(question);
    co_await RequireOk(peer, outcome, EchoReply("x").SerializeAsString());
    const uint32_t over =
        peer.StartCallBySubject(*session, "Echo", Echo("y").SerializeAsString(), "over");
    Incoming* second = co_await session->NextRequest("the subject's Request");
    ArmAtNext(peer, How::kBitFlip, "response", refused);
    session->RespondOk(*second, EchoReply("y"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await RequireDied(peer, over, "link.limit");
  }
  Session* next = co_await EstablishAnew(peer);
  co_await RequireOneCall(peer, *next, "link.limit");
}

// ---------------------------------------------------------------- link_wrong_bit_in_a_body

// The wire type of the first field becomes one that there is not: the body decodes to nothing.
constexpr uint32_t kBitOfWireType = 8 * 4 + 3;

constexpr const char* kFramesOfCaller[] = {"transport_hello", "hello", "lets_go", "request"};
constexpr const char* kFramesOfCallee[] = {"transport_accept", "hello_yourself", "response"};

// co_await: prologue and handshake up to the frame with the wrong bit; null. Or the session, if
// they went through.
Task<Session*> UpToTheWrongBit(Peer& peer) {
  Session* session = peer.NewSession(SessionOptions());
  Link* link = co_await peer.OpenLink(SessionOptions());
  const bool dials = peer.harness_calls();
  if (dials) peer.Send(*link, peer.TransportHello());
  if (!link->spoiled) {
    auto prologue = co_await peer.NextInbound(*link, "the prologue of the subject",
                                              "transport.prologue.first-payload");
    co_await peer.Require(prologue && prologue->prologue, "transport.prologue.first-payload",
                          "the first payload is a prologue");
  }
  if (!dials) {
    wire::v1::Prologue accept;
    accept.mutable_accept();
    peer.Send(*link, accept);
  }
  wire::v1::Handshake handshake;
  if (dials && !link->spoiled) {
    *handshake.mutable_hello() = peer.NewHello(*session, "");
    peer.Send(*link, handshake);
  }
  if (!link->spoiled) {
    auto answer =
        co_await peer.NextInbound(*link, "the handshake of the subject", "session.handshake");
    co_await peer.Require(answer && answer->handshake, "session.handshake",
                          "the prologue is followed by the handshake");
    if (dials) {
      co_await peer.TakeHelloYourself(*link, *session, *answer);
    } else {
      session->id = peer.MintBytes("session", 16);
      handshake = peer.NewHelloYourself(*session, "");
      session->resume_key = handshake.hello_yourself().resume_key();
      peer.Send(*link, handshake);
    }
  }
  if (link->spoiled) {
    session->Detach();
    session->lost = true;
    co_await JudgeSpoiled(peer, *link);
    co_return nullptr;
  }
  if (!dials) {
    auto lets_go = co_await peer.NextInbound(*link, "LetsGo", "session.handshake");
    co_await peer.Require(lets_go && lets_go->handshake && lets_go->handshake->has_lets_go(),
                          "session.handshake", "a HelloYourself is answered by LetsGo");
    link->out = peer::Phase::kMessages;
    session->Attach(link, link->generation);
  }
  co_return session;
}

Task<> WrongBitInBody(Peer& peer) {
  const std::string rule = "wire.envelope";
  const char* kind = peer.harness_calls()
                         ? kFramesOfCaller[peer.machine().Choose(4, "frame with the wrong bit")]
                         : kFramesOfCallee[peer.machine().Choose(3, "frame with the wrong bit")];
  ArmAtNext(peer, How::kBitFlip, kind, kBitOfWireType);
  Session* session = co_await UpToTheWrongBit(peer);
  if (session != nullptr && peer.harness_calls()) {
    Call* call = session->StartCall("Echo", Echo("unreadable"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await RequireExecutions(peer, call->operation_id, 0, rule);
  } else if (session != nullptr) {
    const uint32_t question =
        peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    session->RespondOk(*incoming, EchoReply("x"));
    co_await JudgeSpoiled(peer, *session->link);
    co_await RequireDied(peer, question, rule);
  }
  Session* next = co_await EstablishAnew(peer);
  co_await RequireOneCall(peer, *next, rule);
}

// ---------------------------------------------------------------- link_split_and_merged_segments

Task<> SplitAndMerged(Peer& peer) {
  const std::string rule = "link.message";
  constexpr uint32_t kSplits = 4;
  const char* kind = peer.harness_calls() ? "request" : "response";
  Session* session = co_await peer.Establish();
  const auto split = [&peer, kind] {
    ArmAtNext(peer, How::kSplit, kind,
              1 + static_cast<uint32_t>(peer.machine().Choose(12, "split after")));
  };
  if (peer.harness_calls()) {
    for (uint32_t i = 0; i < kSplits; ++i) {
      split();
      Call* call = session->StartCall("Echo", Echo("in two"));
      Response response = co_await session->ResponseTo(*call, rule);
      co_await RequireEcho(peer, response, "in two");
    }
    ArmAtNext(peer, How::kMerge, kind, 0);
    Call* one = session->StartCall("Echo", Echo("one of two"));
    Call* two = session->StartCall("Echo", Echo("two of two"));
    Response first = co_await session->ResponseTo(*one, rule);
    co_await RequireEcho(peer, first, "one of two");
    Response second = co_await session->ResponseTo(*two, rule);
    co_await RequireEcho(peer, second, "two of two");
    co_return;
  }
  for (uint32_t i = 0; i < kSplits; ++i) {
    const uint32_t question = peer.StartCallBySubject(
        *session, "Echo", Echo("in two").SerializeAsString(), "split" + std::to_string(i));
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    split();
    session->RespondOk(*incoming, EchoReply("in two"));
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    co_await RequireOk(peer, outcome, EchoReply("in two").SerializeAsString());
  }
  const std::string echo = Echo("merged").SerializeAsString();
  const uint32_t one = peer.StartCallBySubject(*session, "Echo", echo, "one");
  const uint32_t two = peer.StartCallBySubject(*session, "Echo", echo, "two");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  Incoming* second = co_await session->NextRequest("the subject's Request");
  ArmAtNext(peer, How::kMerge, kind, 0);
  session->RespondOk(*first, EchoReply("merged"));
  session->RespondOk(*second, EchoReply("merged"));
  for (const uint32_t question : {one, two}) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
    co_await RequireOk(peer, outcome, EchoReply("merged").SerializeAsString());
  }
}

// ---------------------------------------------------------------- link_closed_window_…

// More in all than two sockets hold between them: what is over has to wait in the subject.
constexpr uint32_t kLargeCalls = 5;
constexpr size_t kLargeText = 1u << 20;

std::string LargeText(uint32_t call) {
  return std::string(kLargeText, static_cast<char>('a' + call));
}

Task<> ClosedWindow(Peer& peer) {
  const std::string rule = "link.order";
  Session* session = co_await peer.Establish();
  peer.StopReadingUntilRest(*session->link);
  if (peer.harness_calls()) {
    std::vector<Call*> calls;
    for (uint32_t i = 0; i < kLargeCalls; ++i) {
      calls.push_back(session->StartCall("Echo", Echo(LargeText(i))));
    }
    for (uint32_t i = 0; i < kLargeCalls; ++i) {
      Response response = co_await session->ResponseTo(*calls[i], rule);
      co_await RequireEcho(peer, response, LargeText(i));
    }
  } else {
    std::vector<uint32_t> questions;
    for (uint32_t i = 0; i < kLargeCalls; ++i) {
      questions.push_back(peer.StartCallBySubject(
          *session, "Echo", Echo(LargeText(i)).SerializeAsString(), std::to_string(i)));
    }
    for (uint32_t i = 0; i < kLargeCalls; ++i) {
      Incoming* incoming = co_await session->NextRequest("a Request of the subject", rule);
      testbed::v1::EchoRequest asked;
      const bool whole = asked.ParseFromString(incoming->request.arguments()) &&
                         asked.text().size() == kLargeText &&
                         asked.text().find_first_not_of(asked.text().front()) == std::string::npos;
      co_await peer.Require(whole, rule, "what had to wait arrives as it was sent");
      session->RespondOk(*incoming, EchoReply("read"));
    }
    for (const uint32_t question : questions) {
      CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
      co_await RequireOk(peer, outcome, EchoReply("read").SerializeAsString());
    }
  }
  co_await peer.Require(peer.window_was_closed(), "",
                        "more was written than the window and the sockets hold");
  co_await RequireOneCall(peer, *session, rule);
}

// ---------------------------------------------------------------- session_resume_stale_bytes_…

// A link with prologue and Hello behind it: the LetsGo is still to be said.
struct Almost {
  Link* link = nullptr;
  std::string successor;
};

// co_await: a link that presents this key, up to HelloYourself.
Task<Almost> AlmostResumed(Peer& peer, const Session& session, std::string key) {
  Almost almost;
  almost.link = co_await peer.OpenLink(SessionOptions());
  co_await peer.DoPrologue(*almost.link);
  wire::v1::Handshake hello;
  *hello.mutable_hello() = peer.NewHello(session, std::move(key));
  peer.Send(*almost.link, hello);
  auto answer =
      co_await peer.NextInbound(*almost.link, "HelloYourself", "session.handshake.resume");
  const bool ok = answer && answer->handshake && answer->handshake->has_hello_yourself();
  co_await peer.Require(ok, "session.handshake.resume",
                        "a Hello with the resume key is answered by HelloYourself");
  almost.successor = answer->handshake->hello_yourself().resume_key();
  co_return almost;
}

void SayLetsGo(Peer& peer, Link& link) {
  wire::v1::Handshake lets_go;
  lets_go.mutable_lets_go();
  peer.Send(link, lets_go);
  link.in = link.out = peer::Phase::kMessages;
}

Task<> StaleBytes(Peer& peer) {
  const std::string rule = "session.resume.fence";
  Session* session = co_await peer.Establish();
  co_await RequireAlive(peer, *session, "");
  Link* old = session->link;
  old->end_expected = true;
  std::string key = session->resume_key;
  Almost almost = co_await AlmostResumed(peer, *session, std::move(key));
  const bool resume_first = peer.machine().Choose(4, "the old bytes come first if 0") != 0;
  // Stopped, the subject finds both in its receive queues when it goes on, and reads either first.
  peer.StopProcess();
  if (resume_first) SayLetsGo(peer, *almost.link);
  Call* stale = session->StartCall("Echo", Echo("stale"));
  if (!resume_first) SayLetsGo(peer, *almost.link);
  session->Detach();
  session->resume_key = almost.successor;
  session->Attach(almost.link, almost.link->generation);
  const uint64_t ping = session->SendPing();
  co_await peer.Until("the subject to go on", [&peer] { return !peer.process_stopped(); });
  co_await peer.Until(
      "Pong of the new attachment", [session, ping] { return session->PongSeen(ping); },
      "session.resume.bind");
  co_await peer.AwaitEnd(*old, "session.resume.supersede");
  peer.Close(*old, How::kFin);
  // Whether it ran before the new attachment was bound, or not at all: it runs once, and the
  // monitor of the journal sees that nothing was read of the old one afterwards.
  Call* again = session->Reattempt(*stale);
  Response response = co_await session->ResponseTo(*again, rule);
  co_await RequireEcho(peer, response, "stale");
  co_await session->Fence();
  co_await peer.Settle();
  co_await RequireExecutions(peer, stale->operation_id, 1, rule);
  co_await RequireAlive(peer, *session, "session.resume.bind");
}

// ---------------------------------------------------------------- session_resume_race_…

Task<> ResumeRace(Peer& peer) {
  const std::string rule = "session.resume.bind";
  Session* session = co_await peer.Establish();
  co_await RequireAlive(peer, *session, "");
  std::string key = session->resume_key;
  peer.Close(*session->link, peer.machine().Choose(2, "cut by") == 0 ? How::kRst : How::kFin);
  Almost one = co_await AlmostResumed(peer, *session, key);
  Almost two = co_await AlmostResumed(peer, *session, key);
  co_await peer.Require(one.successor == two.successor, "session.resume.key-rotation",
                        "a key has one successor, however often it is presented");
  if (peer.machine().Choose(2, "who is first") == 1) std::swap(one, two);
  one.link->end_expected = two.link->end_expected = true;
  session->resume_key = one.successor;
  Link* loser = two.link;
  if (peer.machine().Choose(2, "at once if 0") == 0) {
    // Both are there when the subject goes on: it takes either, and turns the other away.
    peer.StopProcess();
    SayLetsGo(peer, *one.link);
    SayLetsGo(peer, *two.link);
    co_await peer.Until("the subject to go on", [&peer] { return !peer.process_stopped(); });
    Link *a = one.link, *b = two.link;
    co_await peer.Until(
        "one of two attachments to be turned away",
        [a, b] { return a->end.has_value() || b->end.has_value(); }, rule);
    co_await peer.Settle();
    co_await peer.Require(a->end.has_value() != b->end.has_value(), rule,
                          "of two attachments that present one key exactly one is bound");
    if (a->end) std::swap(one, two);
    loser = two.link;
    session->Attach(one.link, one.link->generation);
  } else {
    SayLetsGo(peer, *one.link);
    session->Attach(one.link, one.link->generation);
    co_await session->Fence(rule);
    // The key is retired by now.
    SayLetsGo(peer, *two.link);
    co_await peer.AwaitEnd(*loser, rule);
  }
  peer.Close(*loser, How::kFin);
  co_await session->Fence(rule);
  one.link->end_expected = false;
  co_await RequireAlive(peer, *session, rule);
}

// ---------------------------------------------------------------- session_killed_initiator_…

Task<> KilledInitiator(Peer& peer) {
  Session* session = co_await peer.Establish();
  // Killed with its Request read, or with the answer on its way.
  const bool answered = peer.machine().Choose(2, "answered") == 1;
  Fault fault;
  fault.how = How::kKill;
  fault.from = answered ? Side::kHarness : Side::kSubject;
  fault.kind = answered ? "response" : "request";
  peer.Arm(std::move(fault));
  peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  if (answered) {
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    session->RespondOk(*incoming, EchoReply("x"));
  }
  co_await peer.Until("the subject to be gone", [&peer] { return peer.subject_exited(); });
  session->TakeRequests();
  session->Detach();
  session->lost = true;
  co_await peer.Restart();
  // A restart ends every session: whoever opens the next one presents no key, and counts anew.
  Session* next = co_await peer.Establish();
  co_await RequireCallWorks(peer, *next, "rpc.id.monotone");
}

}  // namespace

std::vector<Scenario> FaultScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> resume = {"root_calls", "resume", "operations"};
  return {
      // Exclusive, and so not explored: of a cut beside a wrong bit nobody can say what is owed.
      {"link_wrong_bit_in_a_length",
       "link",
       "A length with a wrong bit is refused if too large; else the link's end ends the payload.",
       both,
       {"link.limit", "link.rx.eof"},
       {"link.limit", "link.rx.eof", "session.protocol-error"},
       resume,
       &WrongBitInLength,
       /*exclusive=*/true},
      {"link_wrong_bit_in_a_body",
       "link",
       "A payload that decodes to nothing is refused in every phase, and nothing comes of it.",
       both,
       {"wire.envelope"},
       {"wire.envelope"},
       {"root_calls"},
       &WrongBitInBody,
       /*exclusive=*/true},
      {"link_split_and_merged_segments",
       "link",
       "A payload read in two parts, and two in one segment, are what was sent.",
       both,
       {"link.message"},
       {"link.message"},
       {"root_calls"},
       &SplitAndMerged},
      {"link_closed_window_loses_nothing",
       "link",
       "What a closed window holds back waits with its sender, and arrives whole.",
       both,
       {"link.order"},
       {"link.order"},
       {"root_calls"},
       &ClosedWindow},
      {"session_resume_stale_bytes_change_nothing",
       "session",
       "Bytes of an old link that are read after the resume execute nothing.",
       {Direction::kHarnessToSubject},
       {"session.resume.fence", "session.resume.supersede", "session.resume.bind"},
       {},
       resume,
       &StaleBytes,
       /*exclusive=*/true},
      {"session_resume_race_has_one_winner",
       "session",
       "Of two links that resume with one key exactly one is bound; the other is closed.",
       {Direction::kHarnessToSubject},
       {"session.resume.bind", "session.resume.key-rotation"},
       {},
       resume,
       &ResumeRace,
       /*exclusive=*/true},
      {"session_killed_initiator_starts_anew",
       "session",
       "An initiator that is killed knows no session of before when it is started again.",
       {Direction::kSubjectToHarness},
       {},
       {"session.handshake"},
       {"root_calls"},
       &KilledInitiator,
       /*exclusive=*/true},
  };
}

}  // namespace counterpart::scenarios
