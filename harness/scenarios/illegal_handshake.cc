// Every payload that a phase before the messages does not allow: the members of all envelopes, as
// the descriptors have them, sent in each phase of a link. Each is refused in the words of that
// phase, and nobody is worse off for it afterwards.
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "harness/scenarios/malformed.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using peer::How;
using peer::Link;
using peer::ObservedFrame;
using peer::Session;
using peer::SessionOptions;
using peer::Side;

constexpr char kFirst[] = "transport.prologue.first-payload";
constexpr char kOrder[] = "session.handshake";

// What the subject waits for.
enum class Waits : uint8_t { kTransportHello, kHello, kLetsGo };

struct Phase {
  Waits waits;
  const char* what;
  // Members that are legal there, or that have a meaning of their own, by full name of their type.
  std::vector<std::string> legal;
};

std::vector<Phase> Phases() {
  const std::string wire = "counterpart.wire.v1.";
  return {{Waits::kTransportHello, "where TransportHello is due", {wire + "TransportHello"}},
          {Waits::kHello, "where Hello is due", {wire + "Hello"}},
          {Waits::kLetsGo, "where LetsGo is due", {wire + "LetsGo", wire + "Sorry"}}};
}

// One member of an envelope, with nothing in it.
struct Member {
  std::string type;
  std::string bytes;
};

std::vector<Member> AllMembers() {
  std::vector<Member> all;
  const auto add = [&all](const google::protobuf::Message& prototype) {
    const auto* oneof = prototype.GetDescriptor()->oneof_decl(0);
    for (int i = 0; i < oneof->field_count(); ++i) {
      std::unique_ptr<google::protobuf::Message> envelope(prototype.New());
      envelope->GetReflection()->MutableMessage(envelope.get(), oneof->field(i));
      all.push_back({oneof->field(i)->message_type()->full_name(), envelope->SerializeAsString()});
    }
  };
  add(wire::v1::Prologue());
  add(wire::v1::StableHandshake());
  add(wire::v1::Handshake());
  add(wire::v1::StableFrame());
  add(wire::v1::Message());
  return all;
}

void SendMember(Peer& peer, Link& link, const Member& member, const std::string& text,
                const std::string& rule) {
  ObservedFrame frame{.from = Side::kHarness};
  frame.malformed = text;
  frame.deliberate = rule;
  peer.SendShown(link, member.bytes, text, std::move(frame));
}

// co_await: the link has come to this phase.
Task<> Reach(Peer& peer, Link& link, Session& session, Waits waits) {
  if (waits == Waits::kTransportHello) co_return;
  co_await peer.DoPrologue(link);
  if (waits == Waits::kHello) co_return;
  wire::v1::Handshake hello;
  *hello.mutable_hello() = peer.NewHello(session, "");
  peer.Send(link, hello);
  auto answer = co_await peer.NextInbound(link, "the handshake of the subject", kOrder);
  co_await peer.Require(answer && answer->handshake, kOrder, "the prologue leads to a handshake");
}

// co_await: it is refused in the words of the phase, and the link ends.
Task<> AwaitRefusal(Peer& peer, Link& link, bool prologue, const std::string& text) {
  const std::string rule = prologue ? kFirst : kOrder;
  std::string awaited = "a refusal of " + text;
  auto answer = co_await peer.NextInbound(link, std::move(awaited), rule);
  const bool rejected =
      answer && answer->prologue && answer->prologue->has_reject() &&
      answer->prologue->reject().reason() == wire::v1::TRANSPORT_REJECT_REASON_MALFORMED;
  const bool sorry = answer && answer->handshake && answer->handshake->has_sorry() &&
                     answer->handshake->sorry().reason() == wire::v1::SORRY_REASON_MALFORMED;
  std::string wanted = text + ": it is refused as malformed";
  co_await peer.Require(prologue ? rejected : sorry, rule, std::move(wanted));
  co_await peer.AwaitEnd(link, rule);
  peer.Close(link, How::kFin);
}

Task<> PlayPhases(Peer& peer) {
  const SessionOptions options;
  const std::vector<Member> members = AllMembers();
  const std::vector<Phase> phases = Phases();
  for (const Phase& phase : phases) {
    for (const Member& member : members) {
      if (std::find(phase.legal.begin(), phase.legal.end(), member.type) != phase.legal.end()) {
        continue;
      }
      const std::string text = member.type + " " + phase.what;
      peer.machine().Note("variant", text);
      Session* session = peer.NewSession(options);
      session->lost = true;
      Link* link = co_await peer.OpenLink(options);
      link->end_expected = true;
      co_await Reach(peer, *link, *session, phase.waits);
      const bool prologue = phase.waits == Waits::kTransportHello;
      SendMember(peer, *link, member, text, prologue ? kFirst : kOrder);
      co_await AwaitRefusal(peer, *link, prologue, text);
    }
  }
  Session* next = co_await peer.Establish();
  co_await RequireOneCall(peer, *next, kOrder);
}

}  // namespace

std::vector<Scenario> IllegalHandshakeScenarios() {
  return {{"illegal_in_a_handshake",
           "session",
           "Each phase before the messages refuses every payload but its own, in its own words.",
           {Direction::kHarnessToSubject},
           {kFirst, kOrder},
           {},
           {"bare", "root_calls"},
           &PlayPhases}};
}

}  // namespace counterpart::scenarios
