// Bytes and payloads: the prologue, segments, lengths, ends.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"
#include "harness/wire/framing.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::Fault;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::Session;
using peer::SessionOptions;
using peer::Side;
using wire::v1::Response;

// The smallest limit that may be announced, in bytes.
constexpr uint32_t kSmallestLimit = 64u << 10;

// ---------------------------------------------------------------- transport_prologue_rejects

struct BadHello {
  const char* what;
  uint32_t magic;
  uint32_t version;
  wire::v1::Conduit conduit;
  wire::v1::TransportRejectReason reason;
};

constexpr uint32_t kMagic = 0x54525043;

constexpr BadHello kBadHellos[] = {
    {"magic", 0x12345678, 1, wire::v1::CONDUIT_BARE, wire::v1::TRANSPORT_REJECT_REASON_BAD_MAGIC},
    {"version", kMagic, 99, wire::v1::CONDUIT_BARE,
     wire::v1::TRANSPORT_REJECT_REASON_UNSUPPORTED_VERSION},
    {"conduit", kMagic, 1, static_cast<wire::v1::Conduit>(77),
     wire::v1::TRANSPORT_REJECT_REASON_UNSUPPORTED_CONDUIT},
};

Task<> PrologueRejects(Peer& peer) {
  const std::string rule = "transport.prologue.no-fallback";
  if (!peer.harness_calls()) {
    Link* link = co_await peer.OpenLink(SessionOptions());
    link->end_expected = true;
    auto hello =
        co_await peer.NextInbound(*link, "TransportHello", "transport.prologue.first-payload");
    co_await peer.Require(hello && hello->prologue && hello->prologue->has_hello(),
                          "transport.prologue.first-payload",
                          "the first payload is a TransportHello");
    wire::v1::Prologue reject;
    reject.mutable_reject()->set_reason(wire::v1::TRANSPORT_REJECT_REASON_UNSUPPORTED_CONDUIT);
    peer.Send(*link, reject);
    co_await peer.AwaitEnd(*link, "transport.prologue.reject-close");
    peer.Close(*link, How::kFin);
    Outcome outcome =
        co_await peer.OutcomeOf(peer.connect_question(), "the Connect command to fail", rule);
    co_await peer.Require(outcome.failed().reason() == control::v1::FAILURE_REASON_REJECTED, rule,
                          "a reject ends Connect as rejected");
    // Not dialled again: a reject is an answer, not a lost link. A further link would be left
    // over without a handshake, and be counted.
    co_await peer.Settle();
    co_await peer.Require(peer.links_accepted() == 1, "session.initial-connect-waiting.never-retry",
                          "a rejected dial is not repeated");
    co_return;
  }
  for (const BadHello& bad : kBadHellos) {
    Link* link = co_await peer.OpenLink(SessionOptions());
    link->end_expected = true;
    wire::v1::Prologue hello;
    hello.mutable_hello()->set_magic(bad.magic);
    hello.mutable_hello()->set_version(bad.version);
    hello.mutable_hello()->set_conduit(bad.conduit);
    peer.Send(*link, hello, rule);
    auto answer = co_await peer.NextInbound(*link, "TransportReject", rule);
    const bool rejected = answer && answer->prologue && answer->prologue->has_reject() &&
                          answer->prologue->reject().reason() == bad.reason;
    std::string wanted =
        std::string("a TransportHello with another ") + bad.what + " is rejected for that reason";
    co_await peer.Require(rejected, rule, std::move(wanted));
    co_await peer.AwaitEnd(*link, "transport.prologue.reject-close");
    peer.Close(*link, How::kFin);
  }
  Session* session = co_await peer.Establish();
  co_await RequireAlive(peer, *session, rule);
}

// ---------------------------------------------------------------- link_one_byte_segments

Task<> OneByteSegments(Peer& peer) {
  // From the first byte of a link, or within a session.
  SessionOptions options;
  options.segment = peer.machine().Choose(4, "from the first byte if 0") == 0 ? 1 : 0;
  Session* session = co_await peer.Establish(options);
  session->link->segment = 1;
  for (int i = 0; i < 16; ++i) co_await session->Fence("link.message");
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Echo", Echo("in single bytes"));
    Response response = co_await session->ResponseTo(*call, "link.message");
    co_await RequireEcho(peer, response, "in single bytes");
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(
      *session, "Echo", Echo("in single bytes").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  session->RespondOk(*incoming, EchoReply("in single bytes"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "link.message");
  co_await RequireOk(peer, outcome, EchoReply("in single bytes").SerializeAsString());
}

// ---------------------------------------------------------------- link_oversized_length_…

Task<> OversizedLength(Peer& peer) {
  const std::string rule = "link.limit";
  SessionOptions options;
  options.subject_max_payload = peer.machine().Choose(2, "default limit") == 0 ? kSmallestLimit : 0;
  const uint32_t limit =
      options.subject_max_payload == 0 ? wire::kDefaultMaxPayload : options.subject_max_payload;
  const uint32_t length = peer.machine().Choose(2, "length") == 0 ? 0xffffffff : limit + 1;
  Session* session = co_await peer.Establish(options);
  // The length alone: nothing of the body is ever sent, and none may be waited for.
  session->ExpectProtocolError();
  peer.SendRaw(*session->link, wire::LengthField(length), "length " + std::to_string(length));
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_PAYLOAD_TOO_LARGE, rule);
}

// ---------------------------------------------------------------- link_too_large_fails_locally

Task<> TooLargeFailsLocally(Peer& peer) {
  const std::string rule = "link.limit.announce";
  SessionOptions options;
  options.harness_max_payload = kSmallestLimit;
  Session* session = co_await peer.Establish(options);
  // Within the subject's limit, over the harness's.
  const std::string large(kSmallestLimit, 'x');
  if (peer.harness_calls()) {
    Call* other = session->StartCall("Echo", WaitingEcho("unharmed", "gate"));
    Call* call = session->StartCall("Echo", Echo(large));
    Response response = co_await session->ResponseTo(*call, rule);
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE, rule,
        "a response over the caller's limit is replaced by PAYLOAD_TOO_LARGE");
    peer.Release("gate");
    Response unharmed = co_await session->ResponseTo(*other, rule);
    co_await RequireEcho(peer, unharmed, "unharmed");
    co_return;
  }
  const uint32_t other =
      peer.StartCallBySubject(*session, "Echo", Echo("unharmed").SerializeAsString(), "other");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo(large).SerializeAsString(), "call");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PAYLOAD_TOO_LARGE, rule,
                        "a call over the callee's limit fails locally as PAYLOAD_TOO_LARGE");
  session->RespondOk(*incoming, EchoReply("unharmed"));
  CallOutcome unharmed = co_await peer.CallOutcomeOf(other);
  co_await RequireOk(peer, unharmed, EchoReply("unharmed").SerializeAsString());
  co_await RequireCallWorks(peer, *session, rule);
}

// ---------------------------------------------------------------- link_half_close_…

Task<> HalfCloseIsALostLink(Peer& peer) {
  const std::string rule = "session.detach";
  Session* session = co_await peer.Establish();
  Link* old = session->link;
  Fault fault;
  fault.how = How::kHalfClose;
  fault.kind = "request";
  if (peer.harness_calls()) {
    fault.from = Side::kHarness;
    peer.Arm(std::move(fault));
    Call* first = session->StartCall("Echo", WaitingEcho("once", "gate"));
    // FIN ends both directions: the subject gives the link up, though it could still write.
    co_await peer.AwaitEnd(*old, rule);
    co_await peer.Resume(*session);
    Call* second = session->StartCallRaw(*first->method, first->arguments, first->operation_id);
    peer.Release("gate");
    Response response = co_await session->ResponseTo(*second, rule);
    co_await RequireEcho(peer, response, "once");
    co_return;
  }
  fault.from = Side::kSubject;
  peer.Arm(std::move(fault));
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("once").SerializeAsString(), "call");
  co_await session->NextRequest("the subject's Request");
  co_await peer.AwaitEnd(*old, rule);
  co_await peer.Resume(*session);
  Incoming* again = co_await session->NextRequest("the new attempt", rule);
  session->RespondOk(*again, EchoReply("once"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await RequireOk(peer, outcome, EchoReply("once").SerializeAsString());
}

// ---------------------------------------------------------------- link_eof_inside_a_payload

Task<> EofInsidePayload(Peer& peer) {
  const std::string rule = "link.rx.eof";
  Session* session = co_await peer.Establish();
  session->resume_rule = rule;
  Fault fault;
  fault.how = How::kFin;
  fault.from = Side::kHarness;
  if (peer.harness_calls()) {
    fault.kind = "request";
    fault.offset = static_cast<uint32_t>(1 + peer.machine().Choose(20, "bytes"));
    peer.Arm(std::move(fault));
    Call* torn = session->StartCall("Echo", Echo("never whole"));
    co_await peer.Resume(*session);
    Call* whole = session->StartCallRaw(*torn->method, torn->arguments, torn->operation_id);
    Response response = co_await session->ResponseTo(*whole, rule);
    co_await RequireEcho(peer, response, "never whole");
    co_await session->Fence();
    co_await peer.Settle();
    size_t ran = 0;
    auto executions = co_await peer.ReadExecutions();
    for (const auto& execution : executions) ran += execution.operation_id == torn->operation_id;
    co_await peer.Require(ran == 1, rule, "the fragment of a Request executes nothing");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  fault.kind = "response";
  fault.offset = static_cast<uint32_t>(1 + peer.machine().Choose(8, "bytes"));
  peer.Arm(std::move(fault));
  session->RespondOk(*first, EchoReply("torn"));
  co_await peer.Resume(*session);
  Incoming* second = co_await session->NextRequest("the new attempt", rule);
  co_await peer.Require(second->request.operation_id() == first->request.operation_id(), rule,
                        "the fragment of a Response resolves nothing: the call is attempted again");
  session->RespondOk(*second, EchoReply("whole"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, EchoReply("whole").SerializeAsString());
}

}  // namespace

std::vector<Scenario> LinkScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  return {
      {"transport_prologue_rejects",
       "link",
       "A prologue it does not support is rejected with the reason, and the link closes.",
       both,
       {"transport.prologue.no-fallback", "transport.prologue.reject-close"},
       {"transport.prologue.no-fallback", "transport.prologue.reject-close",
        "session.initial-connect-waiting.never-retry"},
       {"bare"},
       &PrologueRejects},
      {"link_one_byte_segments",
       "link",
       "Payloads survive any split into TCP segments, down to single bytes.",
       both,
       {"link.message"},
       {"link.message"},
       {"root_calls"},
       &OneByteSegments},
      {"link_oversized_length_is_refused",
       "link",
       "A length over the maximum is refused before a byte of the body.",
       both,
       {"link.limit"},
       {"link.limit"},
       {"bare"},
       &OversizedLength},
      {"link_too_large_fails_locally",
       "link",
       "What is larger than the other side takes fails where it was made, and harms nothing else.",
       both,
       {"link.limit.announce"},
       {"link.limit.announce"},
       {"root_calls"},
       &TooLargeFailsLocally},
      {"link_half_close_is_a_lost_link",
       "link",
       "FIN ends both directions: a half-closed link is given up, and the session resumes.",
       both,
       {"session.detach"},
       {"session.detach"},
       {"root_calls", "resume", "operations"},
       &HalfCloseIsALostLink},
      {"link_eof_inside_a_payload",
       "link",
       "An end inside a payload is a lost link, and the fragment is no message.",
       both,
       {"link.rx.eof"},
       {"link.rx.eof"},
       {"root_calls", "resume", "operations"},
       &EofInsidePayload},
  };
}

}  // namespace counterpart::scenarios
