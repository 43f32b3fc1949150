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
  SessionOptions options;
  options.segment = 1;
  Session* session = co_await peer.Establish(options);
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
  Session* session = co_await peer.Establish();
  // The length alone: nothing of the body is ever sent, and none may be waited for.
  constexpr uint32_t kLengths[] = {0xffffffff, wire::kDefaultMaxPayload + 1};
  const uint32_t length = kLengths[peer.machine().Choose(2, "length")];
  session->ExpectProtocolError();
  peer.SendRaw(*session->link, wire::LengthField(length), "length " + std::to_string(length));
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_PAYLOAD_TOO_LARGE, rule);
}

// ---------------------------------------------------------------- link_eof_inside_a_payload

Task<> EofInsidePayload(Peer& peer) {
  const std::string rule = "link.rx.eof";
  Session* session = co_await peer.Establish();
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
