// Stable conduits: numbers and acks, what is sent again over a new link, keys, and what a session
// does not notice of it. And one cut over both conduits: seen over the one, unseen over the other.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::Conduit;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::Session;
using peer::SessionOptions;
using wire::v1::Response;

constexpr char kSeq[] = "stable.seq";
constexpr char kMonotonic[] = "stable.seq.monotonic";
constexpr char kUntouched[] = "stable.untouched";
constexpr char kKey[] = "stable.resume-key";
constexpr char kGeneration[] = "session.attachment.generation";

constexpr uint32_t kFramesWithoutAck = 256;

// Numbers begin at nought, or so that they wrap within the scenario, or change their sign.
SessionOptions NumberedBySeed(Peer& peer) {
  static constexpr uint32_t kFirst[] = {0xfffffff6, 0, 0xfffffff6, 0x7ffffff6};
  SessionOptions options;
  options.harness_first_seq = kFirst[peer.machine().Choose(4, "first number of the harness")];
  options.subject_first_seq = kFirst[peer.machine().Choose(4, "first number of the subject")];
  return options;
}

// ---------------------------------------------------------------- stable_frames_are_…

Task<> FramesAreNumbered(Peer& peer) {
  constexpr uint32_t kPings = 12;
  constexpr uint64_t kNobody = 1'000'001;  // a request that there never was
  SessionOptions options = NumberedBySeed(peer);
  Session* session = co_await peer.Establish(options);
  session->refusal_rule = kSeq;  // all of it is legal
  Conduit* conduit = &Peer::ConduitOf(*session);
  co_await RequireOneCall(peer, *session, "");
  // At once, so that one ack covers many of the Pongs.
  for (uint32_t i = 0; i < kPings; ++i) session->SendPing();
  for (int i = 0; i < 2; ++i) co_await session->Fence();
  // More than may go without an ack, and none of it asks for an answer that could carry one.
  for (uint32_t i = 0; i < 2 * kFramesWithoutAck; ++i) {
    wire::v1::Message cancel;
    cancel.mutable_cancel_request()->set_request_id(kNobody);
    session->Send(std::move(cancel));
  }
  co_await peer.ReadyBeforeQuiet(
      "an ack", [conduit] { return conduit->end.unacknowledged() < kFramesWithoutAck; });
  co_await peer.Require(conduit->end.unacknowledged() < kFramesWithoutAck, kSeq,
                        "an ack comes at least every 256 frames");
  // What was received already changes nothing when it comes again.
  session->refusal_rule = kMonotonic;
  Call* call = session->StartCall("Echo", Echo("once"));
  Response response = co_await session->ResponseTo(*call);
  co_await RequireEcho(peer, response, "once");
  wire::v1::StableFrame again;
  wire::v1::Message request;
  request.mutable_request()->set_request_id(call->request_id);
  request.mutable_request()->set_operation_id(call->operation_id);
  request.mutable_request()->set_method(call->method_name);
  request.mutable_request()->set_arguments(call->arguments);
  again.mutable_data()->set_seq(conduit->end.next() - 1);
  again.mutable_data()->set_item(request.SerializeAsString());
  for (int i = 0; i < 2; ++i) peer.SendFrame(*conduit->carrier, again, kMonotonic);
  co_await session->Fence(kMonotonic);
  co_await RequireExecutions(peer, call->operation_id, 1, kMonotonic);
}

// ---------------------------------------------------------------- stable_change_of_link_…

// A call in flight and an open channel, which a change of link leaves as they are.
struct Underway {
  Call* call = nullptr;
  Channel* channel = nullptr;  // the harness receives, or sends, depending on the direction
  Incoming* incoming = nullptr;
  Incoming* sum = nullptr;
  uint32_t question = 0, sum_question = 0;
  Call* sum_call = nullptr;
};

Task<Underway> Begin(Peer& peer, Session& session) {
  Underway underway;
  if (peer.harness_calls()) {
    underway.call = session.StartCall("Echo", WaitingEcho("kept", "gate"));
    underway.sum_call = session.StartCall("Sum", testbed::v1::SumRequest());
    underway.channel = underway.sum_call->channels.begin()->second;
    co_await underway.channel->Send(1, 2);
    co_await peer.AwaitHandlerStarted(session, underway.call->operation_id);
    co_await session.Fence();
    co_return underway;
  }
  underway.question =
      peer.StartCallBySubject(session, "Echo", Echo("kept").SerializeAsString(), "kept");
  underway.incoming = co_await session.NextRequest("the subject's Request");
  underway.sum_question = peer.StartCallBySubject(session, "Sum", "", "sum");
  underway.sum = co_await session.NextRequest("the subject's second Request");
  underway.channel = underway.sum->channels.begin()->second;
  const uint32_t sending =
      peer.Start(SendItems("sum", underway.sum->channels.begin()->first, 1, 2));
  Outcome sent = co_await peer.OutcomeOf(sending, "the application's sends to be accepted");
  co_await underway.channel->AwaitReceived(2);
  co_return underway;
}

// co_await: it ends as if there had been but one link.
Task<> Complete(Peer& peer, Session& session, Underway underway) {
  if (peer.harness_calls()) {
    peer.Release("gate");
    Response response = co_await session.ResponseTo(*underway.call, kUntouched);
    co_await RequireEcho(peer, response, "kept");
    co_await underway.channel->Send(3, 2);
    underway.channel->Close();
    Response sum = co_await session.ResponseTo(*underway.sum_call, kUntouched);
    testbed::v1::SumResponse added;
    const bool whole = sum.has_ok() && added.ParseFromString(sum.ok()) && added.sum() == 10;
    co_await peer.Require(whole, kUntouched, "a channel goes on over the next link");
    co_await RequireExecutions(peer, underway.call->operation_id, 1, kUntouched);
    co_return;
  }
  co_await peer.Require(session.waiting_requests() == 0, kUntouched,
                        "a change of link makes no new attempt");
  session.RespondOk(*underway.incoming, EchoReply("kept"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(underway.question, kUntouched);
  co_await RequireOk(peer, outcome, EchoReply("kept").SerializeAsString());
  co_await peer.Require(outcome.attempts() == 1, kUntouched,
                        "a change of link makes no new attempt");
  const uint32_t field = underway.sum->channels.begin()->first;
  const uint32_t sending = peer.Start(SendItems("sum", field, 3, 2));
  Outcome sent = co_await peer.OutcomeOf(sending, "the application's sends to end", kUntouched);
  co_await peer.Require(sent.sent().accepted() == 2, kUntouched,
                        "a channel goes on over the next link");
  std::vector<uint64_t> values = co_await underway.channel->Receive(4);
  co_await peer.Require(values == Sequence(1, 4), kUntouched,
                        "every item of a channel arrives once, over whichever link");
  const uint32_t closing = peer.Start(CloseEnd("sum", field));
  Channel* channel = underway.channel;
  co_await peer.Until("CloseChannel", [channel] { return channel->closed_by_subject(); });
  Outcome closed = co_await peer.OutcomeOf(closing, "the close to end");
  testbed::v1::SumResponse reply;
  reply.set_sum(10);
  session.RespondOk(*underway.sum, reply);
  CallOutcome summed = co_await peer.CallOutcomeOf(underway.sum_question, kUntouched);
  co_await RequireOk(peer, summed, reply.SerializeAsString());
}

Task<> ChangeOfLinkReplays(Peer& peer) {
  constexpr uint32_t kLost = 5;
  SessionOptions options = NumberedBySeed(peer);
  Session* session = co_await peer.Establish(options);
  session->refusal_rule = kUntouched;
  Conduit* conduit = &Peer::ConduitOf(*session);
  const std::string replayed_by_subject =
      peer.harness_calls() ? "stable.reconnect.server-replay" : "stable.reconnect.client-replay";
  const std::string first_key = conduit->resume_key;
  Underway underway = co_await Begin(peer, *session);
  for (int i = 0; i < 2; ++i) {
    // Lost on their way to the harness, and on their way to the subject.
    conduit->deaf = true;
    std::vector<uint64_t> pings;
    for (uint32_t k = 0; k < kLost; ++k) pings.push_back(session->SendPing());
    co_await peer.Until(
        "the Pongs that are lost", [conduit] { return conduit->unheard >= kLost; },
        "session.keepalive");
    conduit->mute = true;
    for (uint32_t k = 0; k < kLost; ++k) pings.push_back(session->SendPing());
    peer.Cut(*session, CutBySeed(peer));
    co_await peer.Reconnect(Peer::ConduitOf(*session));
    co_await peer.Until(
        "every Pong, whichever link it was for",
        [session, &pings] {
          for (const uint64_t nonce : pings) {
            if (!session->PongSeen(nonce)) return false;
          }
          return true;
        },
        replayed_by_subject);
  }
  co_await peer.Require(conduit->resume_key != first_key, kKey,
                        "the key of a conduit is rotated at every change of link");
  co_await Complete(peer, *session, underway);
  co_await RequireOneCall(peer, *session, kUntouched);
}

// ---------------------------------------------------------------- stable_cut_is_unseen

// The same cut over both conduits: with a call in flight, and an open channel.
Task<> CutIsUnseen(Peer& peer) {
  Session* session = co_await peer.Establish();
  Underway underway = co_await Begin(peer, *session);
  if (peer.stable()) {
    peer.Cut(*session, CutBySeed(peer));
    co_await peer.Reconnect(Peer::ConduitOf(*session));
    co_await Complete(peer, *session, underway);
    co_await peer.Settle();
    co_await peer.Require(session->waiting_requests() == 0, kUntouched,
                          "no attempt is made again over a stable conduit");
    co_return;
  }
  peer.Cut(*session, CutBySeed(peer));
  co_await peer.Resume(*session);
  co_await peer.Require(underway.channel->ended(), "", "a channel ends with its link");
  if (peer.harness_calls()) {
    Call* again = session->Reattempt(*underway.call);
    peer.Release("gate");
    Response response = co_await session->ResponseTo(*again, "session.outlives-conduit");
    co_await RequireEcho(peer, response, "kept");
    co_await RequireExecutions(peer, underway.call->operation_id, 1, "retry.duplicate.live.attach");
    co_return;
  }
  const uint32_t field = underway.sum->channels.begin()->first;
  const uint32_t sending = peer.Start(SendItems("sum", field, 3, 2));
  Outcome sent = co_await peer.OutcomeOf(sending, "the application's sends to fail");
  co_await peer.Require(sent.sent().status() == control::v1::END_STATUS_DEFUNCT,
                        "retry.channel.disconnect.closes",
                        "link loss ends the channel ends of an attempt, visibly");
  CallOutcome lost = co_await peer.CallOutcomeOf(underway.sum_question);
  co_await peer.Require(lost.status() == control::v1::CALL_STATUS_INDETERMINATE,
                        "retry.channel.recovery.non-idem",
                        "a call with channels that is cut off is indeterminate");
  Incoming* again = co_await session->NextRequest("a new attempt", "session.outlives-conduit");
  session->RespondOk(*again, EchoReply("kept"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(underway.question);
  co_await RequireOk(peer, outcome, EchoReply("kept").SerializeAsString());
}

// ---------------------------------------------------------------- stable_violations_…

// co_await: a session of its own whose subject has a call in flight, if it is who calls.
Task<Session*> FreshSession(Peer& peer, uint32_t* question) {
  peer.ForgetConnect();
  Session* session = co_await peer.Establish();
  co_await RequireOneCall(peer, *session, "");
  if (peer.harness_calls()) co_return session;
  const std::string handle = "pending" + std::to_string(peer.subject_calls().size());
  *question = peer.StartCallBySubject(*session, "Echo", Echo("p").SerializeAsString(), handle);
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  static_cast<void>(incoming);
  co_return session;
}

// co_await: what the subject's application is told of a call whose session died of a violation.
Task<> RequireProtocolError(Peer& peer, uint32_t question) {
  if (question == 0) co_return;
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, kSeq);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PROTOCOL_ERROR, kSeq,
                        "a call in flight ends in the protocol error that its session died of");
}

// co_await: a hello on a new link that claims what cannot be.
Task<> ClaimAtHello(Peer& peer, Session& session, uint32_t claimed) {
  Conduit* conduit = &Peer::ConduitOf(session);
  session.link->end_expected = true;
  peer.Cut(session, How::kFin);
  Link* link = co_await peer.OpenCarrier(Peer::ConduitOf(session));
  link->end_expected = true;
  wire::v1::StableHandshake hello;
  if (conduit->harness_is_client) {
    hello = peer.NewClientHello(*conduit);
    hello.mutable_client_hello()->set_last_received(claimed);
    peer.Send(*link, hello, kSeq);
    auto answer = co_await peer.NextInbound(*link, "StableReject", kSeq);
    const bool rejected =
        answer && answer->stable_handshake && answer->stable_handshake->has_reject();
    co_await peer.Require(rejected, kSeq,
                          "a ClientHello that breaks a rule is answered by StableReject");
  } else {
    link->inbox.clear();
    hello = peer.NewServerHello(*conduit, conduit->resume_key);
    hello.mutable_server_hello()->set_last_received(claimed);
    peer.Send(*link, hello, kSeq);
  }
  co_await peer.AwaitEnd(*link, kSeq);
  peer.Close(*link, How::kFin);
  session.lost = true;
  session.Detach();
}

enum Case : uint8_t { kGap, kUnsent, kUnsentAlone, kBelow, kClaimsUnsent, kCases };

Task<> ViolationsAreRefused(Peer& peer) {
  const uint64_t first = peer.machine().Choose(kCases, "first violation");
  for (uint64_t i = 0; i < kCases; ++i) {
    const Case broken = static_cast<Case>((first + i) % kCases);
    uint32_t question = 0;
    Session* session = co_await FreshSession(peer, &question);
    Conduit* conduit = &Peer::ConduitOf(*session);
    // (Acknowledged by the harness: what it last received, by the Fence.)
    co_await session->Fence();
    const uint32_t unsent = conduit->end.due() + 7;  // of the subject
    if (broken == kBelow || broken == kClaimsUnsent) {
      session->SendPing();  // its frame says what was received
      co_await session->Fence();
      const uint32_t claimed = broken == kBelow ? conduit->end.due() - 6 : unsent;
      co_await ClaimAtHello(peer, *session, claimed);
      co_await RequireProtocolError(peer, question);
      continue;
    }
    wire::v1::StableFrame frame;
    if (broken == kUnsentAlone) {
      frame.mutable_ack()->set_ack(unsent);
    } else {
      wire::v1::Message ping;
      ping.mutable_ping()->set_nonce(1'000'000);
      frame.mutable_data()->set_item(ping.SerializeAsString());
      frame.mutable_data()->set_seq(conduit->end.next() + (broken == kGap ? 1 : 0));
      if (broken == kUnsent) frame.mutable_data()->set_ack(unsent);
    }
    session->ExpectProtocolError();
    session->link->end_expected = true;
    peer.SendFrame(*conduit->carrier, frame, kSeq);
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, kSeq,
                                         wire::v1::PROTOCOL_ERROR_CODE_MALFORMED);
    co_await RequireProtocolError(peer, question);
  }
}

// ---------------------------------------------------------------- stable_unknown_key_…

// co_await: a ClientHello with this key is answered by StableReject, then the link closes.
Task<> RequireUnknownKey(Peer& peer, const Conduit& conduit, std::string key) {
  Link* link = co_await peer.OpenLink(SessionOptions());
  link->end_expected = true;
  co_await peer.DoPrologue(*link);
  wire::v1::StableHandshake hello = peer.NewClientHello(conduit);
  hello.mutable_client_hello()->set_resume_key(std::move(key));
  peer.Send(*link, hello);
  auto answer = co_await peer.NextInbound(*link, "StableReject", kKey);
  const bool rejected =
      answer && answer->stable_handshake && answer->stable_handshake->has_reject();
  co_await peer.Require(rejected, kKey, "a key of no conduit is answered by StableReject");
  co_await peer.AwaitEnd(*link, kKey);
  peer.Close(*link, How::kFin);
}

Task<> UnknownKey(Peer& peer) {
  Session* session = co_await peer.Establish();
  session->refusal_rule = kKey;
  Conduit* conduit = &Peer::ConduitOf(*session);
  co_await RequireUnknownKey(peer, *conduit, peer.MintBytes("no such key", 16));
  co_await RequireAlive(peer, *session, kKey);
  // A link that is lost before its first frame retires no key: it has the same successor again.
  const std::string key = conduit->resume_key;
  conduit->mute = true;
  Link* link = co_await peer.OpenCarrier(Peer::ConduitOf(*session));
  peer.Send(*link, peer.NewClientHello(*conduit));
  auto answer = co_await peer.NextInbound(*link, "ServerHello", kKey);
  const bool known =
      answer && answer->stable_handshake && answer->stable_handshake->has_server_hello();
  co_await peer.Require(known, kKey, "a key that was handed out is known");
  peer.Close(*link, CutBySeed(peer));
  co_await peer.Reconnect(Peer::ConduitOf(*session));
  co_await RequireAlive(peer, *session, kKey);
  // Now it is retired.
  co_await RequireUnknownKey(peer, *conduit, key);
  co_await RequireAlive(peer, *session, kKey);
  // A known key wins over a link that looks alive: nothing more is read of that.
  Link* old = conduit->carrier;
  old->end_expected = true;
  Link* next = co_await peer.OpenLink(SessionOptions());
  co_await peer.DoPrologue(*next);
  co_await peer.Carry(*next, *conduit);
  co_await peer.AwaitEnd(*old, kGeneration);
  peer.Close(*old, How::kFin);
  co_await RequireAlive(peer, *session, kGeneration);
}

// ---------------------------------------------------------------- stable_reject_…

Task<> RejectLosesTheSession(Peer& peer) {
  const std::string rule = "stable.reconnect.failure";
  Session* session = co_await peer.Establish();
  co_await RequireCallWorks(peer, *session, "");
  const uint32_t idem =
      peer.StartCallBySubject(*session, "EchoIdem", Echo("i").SerializeAsString(), "idem");
  co_await session->NextRequest("the idem Request");
  const uint32_t non_idem =
      peer.StartCallBySubject(*session, "Echo", Echo("n").SerializeAsString(), "non-idem");
  co_await session->NextRequest("the non-idem Request");
  session->link->end_expected = true;
  peer.Cut(*session, CutBySeed(peer));
  Link* link = co_await peer.OpenCarrier(Peer::ConduitOf(*session));
  link->end_expected = true;
  wire::v1::StableHandshake reject;
  reject.mutable_reject()->set_text("as the scenario wants it");
  peer.Send(*link, reject);
  co_await RequireLost(peer, non_idem, control::v1::CALL_STATUS_INDETERMINATE, rule, rule);
  co_await RequireLost(peer, idem, control::v1::CALL_STATUS_SESSION_SHUTDOWN, rule, rule);
  peer.Close(*link, How::kFin);
  session->lost = true;
  session->Detach();
}

}  // namespace

std::vector<Scenario> StableScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> calls = {"root_calls", "stable"};
  const std::vector<std::string> channels = {"root_calls", "channels", "stable"};
  std::vector<Scenario> all = {
      {"stable_frames_are_numbered_and_acknowledged",
       "stable",
       "Frames have one number each, wherever it begins; acks come, and a number counts once.",
       both,
       {kSeq, kMonotonic},
       {kSeq, kMonotonic},
       calls,
       &FramesAreNumbered},
      {"stable_change_of_link_replays_what_was_lost",
       "stable",
       "What a link did not bring is sent again over the next, in order, before anything new.",
       both,
       {kMonotonic, "stable.ack.trim", "stable.replay-buffer.order",
        "stable.reconnect.server-replay", kKey, kUntouched},
       {kMonotonic, "stable.ack.trim", "stable.replay-buffer.order",
        "stable.reconnect.client-replay", kKey, kUntouched},
       channels,
       &ChangeOfLinkReplays},
      {"stable_cut_is_seen_over_a_bare_conduit_alone",
       "stable",
       "The same cut makes a new attempt over a bare conduit, and nothing over a stable one.",
       both,
       {"session.outlives-conduit", "retry.duplicate.live.attach"},
       {"session.outlives-conduit", "retry.channel.disconnect.closes"},
       {"root_calls", "channels", "resume", "operations"},
       &CutIsUnseen},
      {"stable_violations_are_protocol_errors",
       "stable",
       "A gap, an ack of what was never sent and an impossible last_received end the session.",
       both,
       {kSeq},
       {kSeq},
       calls,
       &ViolationsAreRefused},
      {"stable_unknown_key_is_rejected",
       "stable",
       "A key of no conduit, or a retired one, is rejected; one that is not retired is known.",
       {Direction::kHarnessToSubject},
       {kKey, kGeneration},
       {},
       calls,
       &UnknownKey},
      {"stable_reject_loses_the_session",
       "stable",
       "A conduit that cannot go on is the end of its session: every call is resolved.",
       {Direction::kSubjectToHarness},
       {},
       {"stable.reconnect.failure"},
       calls,
       &RejectLosesTheSession},
  };
  for (Scenario& scenario : all) scenario.conduits = Conduits::kStable;
  for (Scenario& scenario : all) scenario.changes_links = true;
  all[2].conduits = Conduits::kBoth;
  all[2].rules_over_stable = {kUntouched};
  return all;
}

}  // namespace counterpart::scenarios
