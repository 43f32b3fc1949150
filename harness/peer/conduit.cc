// What a peer does over stable conduits: opens them, keeps them going over one link after the
// other, and unwraps what they carry. A session sees the face of a conduit, a link for good.
#include "harness/peer/conduit.h"

#include <algorithm>
#include <utility>

#include "harness/peer/peer.h"
#include "harness/wire/framing.h"

namespace counterpart::peer {

using effects::Effect;
using machine::Reading;

namespace {

constexpr size_t kKeyBytes = 16;
constexpr char kKeyRule[] = "stable.resume-key";

template <class Hello>
void SetLastReceived(Hello* hello, const StableEnd& end) {
  if (const auto last = end.last_received()) hello->set_last_received(*last);
}

}  // namespace

// ---------------------------------------------------------------- what is sent

void Peer::Send(Link& link, const wire::v1::StableHandshake& handshake, std::string deliberate) {
  if (link.end || link.half_closed) return;
  broke_rule_ |= !deliberate.empty();
  const std::string bytes = handshake.SerializeAsString();
  ObservedFrame frame{.from = Side::kHarness};
  frame.link = link.id;
  frame.harness_dialled = link.harness_dialled;
  frame.payload_bytes = bytes.size();
  frame.deliberate = std::move(deliberate);
  frame.stable_handshake = &handshake;
  refused_ |= handshake.has_reject();
  if (handshake.has_server_hello()) link.in = Link::Phase::kMessages;
  WriteOfConduit(link, wire::Frame(bytes), KindOf(handshake), Read(handshake, names_), frame);
}

void Peer::WriteOfConduit(Link& link, std::string written, const std::string& kind,
                          std::string label, ObservedFrame& frame) {
  const Due due = CountFrame(link, Side::kHarness, kind, written.size());
  WriteAsDue(link, std::move(written), due, std::move(label), frame);
}

void Peer::SendFrame(Link& carrier, const wire::v1::StableFrame& stable, std::string deliberate) {
  if (carrier.end || carrier.half_closed) return;
  broke_rule_ |= !deliberate.empty();
  const std::string bytes = stable.SerializeAsString();
  ObservedFrame frame{.from = Side::kHarness};
  frame.link = carrier.id;
  frame.harness_dialled = carrier.harness_dialled;
  frame.payload_bytes = bytes.size();
  frame.deliberate = std::move(deliberate);
  frame.stable_frame = &stable;
  frame.conduit = carrier.conduit == nullptr ? 0 : carrier.conduit->id;
  if (stable.has_ack()) {
    // When it is due hangs on how what was read came in: a stream of its own.
    Effect effect{
        .kind = EffectKind::kWrite, .id = carrier.id, .number = 0, .bytes = wire::Frame(bytes)};
    Reading reading{.edge = Edge(carrier, true) + ".acks", .label = Read(stable), .text = ""};
    frame.entry = machine_->Request(std::move(effect), std::move(reading));
    monitors_->OnFrame(frame);
  } else {
    WriteOfConduit(carrier, wire::Frame(bytes), KindOf(stable), Read(stable), frame);
  }
}

bool Peer::SendItem(Link& face, const std::string& bytes, ObservedFrame frame) {
  if (face.end || face.half_closed) return false;
  Conduit& conduit = *face.conduit;
  broke_rule_ |= !frame.deliberate.empty();
  const wire::v1::StableFrame stable = conduit.end.Send(bytes);
  const uint64_t entry = machine_->trace().size();  // of what comes now
  if (conduit.carrier != nullptr && !conduit.mute) {
    SendFrame(*conduit.carrier, stable);
  } else {
    machine_->Note(Edge(face, true), "kept: " + Read(stable));
  }
  frame.from = Side::kHarness;
  frame.link = frame.conduit = face.id;
  frame.harness_dialled = face.harness_dialled;
  frame.payload_bytes = bytes.size();
  frame.entry = std::min<uint64_t>(entry, machine_->trace().size() - 1);
  monitors_->OnFrame(frame);
  return true;
}

// ---------------------------------------------------------------- what is read

void Peer::OnStablePayload(Link& link, const std::string& bytes, uint64_t entry, Reading& reading) {
  reading.edge = Edge(link, false);
  ObservedFrame frame{.from = Side::kSubject};
  frame.link = link.id;
  frame.harness_dialled = link.harness_dialled;
  frame.entry = entry;
  frame.payload_bytes = bytes.size();
  frame.conduit = link.conduit == nullptr ? 0 : link.conduit->id;
  const bool hello_due = link.in == Link::Phase::kHandshake;
  Link::Inbound inbound;
  inbound.entry = entry;
  wire::v1::StableFrame stable;
  std::string kind;
  if (hello_due) {
    inbound.stable_handshake.emplace();
    if (inbound.stable_handshake->ParseFromString(bytes)) kind = KindOf(*inbound.stable_handshake);
    frame.stable_handshake = &*inbound.stable_handshake;
  } else {
    if (stable.ParseFromString(bytes)) kind = KindOf(stable);
    frame.stable_frame = &stable;
  }
  if (kind.empty()) {
    inbound.malformed = "not a payload of this phase, " + std::to_string(bytes.size()) + " bytes";
    inbound.stable_handshake.reset();
    reading.label = frame.malformed = inbound.malformed;
    frame.stable_handshake = nullptr;
    frame.stable_frame = nullptr;
    monitors_->OnFrame(frame);
    return;
  }
  reading.label = hello_due ? Read(*inbound.stable_handshake, names_) : Read(stable);
  if (stable.has_ack()) reading.edge += ".acks";
  monitors_->OnFrame(frame);
  if (link.end) return;  // read, judged, and of no further effect
  if (hello_due) {
    OnStableHello(link, std::move(inbound));
  } else {
    OnStableFrame(link, stable, entry, reading);
  }
  // When an ack comes is for whoever sends it to say. (Counted behind what it brings: a ServerHello
  // is what a conduit begins with.)
  const Due due = stable.has_ack() ? Due() : CountFrame(link, Side::kSubject, kind, 0);
  if (!link.end) FireAll(due, link, reading.label + " read");
}

void Peer::OnStableHello(Link& link, Link::Inbound inbound) {
  if (inbound.stable_handshake->has_reject()) link.end_expected = true;
  if (inbound.stable_handshake->has_server_hello()) link.in = Link::Phase::kMessages;
  if (inbound.stable_handshake->has_server_hello() && link.conduit != nullptr) {
    Conduit& conduit = *link.conduit;
    const wire::v1::ServerHello& hello = inbound.stable_handshake->server_hello();
    if (conduit.face == nullptr) conduit.end = StableEnd(conduit.end.first(), hello.first_seq());
    const std::string wrong = conduit.end.Resume(LastReceived(hello));
    if (!wrong.empty()) {
      Unexpected("stable.seq", "the subject " + wrong, "last_received", inbound.entry);
      return;
    }
    conduit.resume_key = hello.resume_key();
    Begin(link, conduit);
  }
  link.inbox.push_back(std::move(inbound));
}

void Peer::OnStableFrame(Link& link, const wire::v1::StableFrame& frame, uint64_t entry,
                         Reading& reading) {
  Conduit* conduit = link.conduit;
  if (conduit == nullptr || conduit->carrier != &link) return;  // superseded
  conduit->older_key.clear();                                   // it has read the newer one
  if (conduit->deaf) {
    conduit->unheard += frame.has_data();
    reading.text = "counts as never received";
    return;
  }
  StableEnd::Reception reception = conduit->end.Receive(frame);
  if (!reception.broken.empty()) {
    Unexpected("stable.seq", "the subject sent a frame that " + reception.broken, "frame", entry);
    return;
  }
  if (const auto ack = conduit->end.AckIfDue(); ack && !conduit->mute) SendFrame(link, *ack);
  if (!reception.item) {
    if (frame.has_data()) reading.text = "received already";
    return;
  }
  Reading of_item;  // the entry is read as the frame
  OnPayload(*conduit->face, *reception.item, entry, of_item);
}

void Peer::Begin(Link& link, Conduit& conduit) {
  if (conduit.face == nullptr) {
    conduit.id = kFaces + static_cast<uint32_t>(conduits_.size());
    auto face = std::make_unique<Link>();
    face->id = conduit.id;
    face->harness_dialled = link.harness_dialled;
    face->generation = link.generation;
    face->in = face->out = Link::Phase::kHandshake;
    face->stable = true;
    face->conduit = &conduit;
    conduit.face = face.get();
    links_[conduit.id] = std::move(face);
  }
  conduit.carrier = link.end ? nullptr : &link;  // cut with its hello
  conduit.mute = conduit.deaf = false;
  conduit.unheard = 0;
  link.conduit = &conduit;
  link.in = link.out = Link::Phase::kMessages;
  // r[stable.replay-buffer.order]
  for (const wire::v1::StableFrame& frame : conduit.end.Unacknowledged()) SendFrame(link, frame);
}

// ---------------------------------------------------------------- hellos

wire::v1::StableHandshake Peer::NewClientHello(const Conduit& conduit) const {
  wire::v1::StableHandshake handshake;
  wire::v1::ClientHello& hello = *handshake.mutable_client_hello();
  hello.set_resume_key(conduit.resume_key);
  hello.set_first_seq(conduit.end.first());
  SetLastReceived(&hello, conduit.end);
  return handshake;
}

wire::v1::StableHandshake Peer::NewServerHello(Conduit& conduit, const std::string& presented) {
  wire::v1::StableHandshake handshake;
  wire::v1::ServerHello& hello = *handshake.mutable_server_hello();
  // r[stable.resume-key]: a key has one successor, however often it is presented.
  std::string key = presented.empty() ? "" : successors_[presented];
  if (key.empty()) key = MintBytes("stable key", kKeyBytes);
  if (!presented.empty()) successors_[presented] = key;
  conduit.older_key = presented;
  conduit.resume_key = key;
  hello.set_resume_key(std::move(key));
  hello.set_first_seq(conduit.end.first());
  SetLastReceived(&hello, conduit.end);
  return handshake;
}

Task<Link*> Peer::OpenConduit(Link& link, const SessionOptions& options) {
  auto fresh = std::make_unique<Conduit>();
  Conduit* conduit = fresh.get();
  conduits_[static_cast<uint32_t>(conduits_.size())] = std::move(fresh);
  conduit->harness_is_client = link.harness_dialled;
  conduit->dials = options.dials;
  conduit->end = StableEnd(options.harness_first_seq, 0);
  if (link.harness_dialled) {
    link.conduit = conduit;
    Send(link, NewClientHello(*conduit));
    auto answer = co_await NextInbound(link, "ServerHello", "");
    const bool ok = answer && answer->stable_handshake && conduit->face != nullptr;
    std::string wanted =
        "a ClientHello is answered by ServerHello, not by " + DescribeInbound(answer, names_);
    co_await Require(ok, kKeyRule, std::move(wanted));
    co_return conduit->face;
  }
  auto hello = co_await NextInbound(link, "ClientHello", "");
  const bool ok = hello && hello->stable_handshake && hello->stable_handshake->has_client_hello() &&
                  hello->stable_handshake->client_hello().resume_key().empty();
  std::string wanted = "a new conduit is begun by a ClientHello without a key, not by " +
                       DescribeInbound(hello, names_);
  co_await Require(ok, kKeyRule, std::move(wanted));
  const uint32_t theirs = hello->stable_handshake->client_hello().first_seq();
  conduit->end = StableEnd(options.harness_first_seq, theirs);
  Send(link, NewServerHello(*conduit, ""));
  Begin(link, *conduit);
  co_return conduit->face;
}

// ---------------------------------------------------------------- changes of link

void Peer::Cut(Session& session, How how) {
  if (!stable_) return Close(*session.link, how);
  if (Link* carrier = ConduitOf(session).carrier) Close(*carrier, how);
}

Task<Link*> Peer::OpenCarrier(Conduit& of) {
  Conduit* conduit = &of;
  SessionOptions options;
  options.dials = conduit->dials;
  if (conduit->harness_is_client && conduit->carrier != nullptr) {
    Close(*conduit->carrier, How::kFin);
  }
  Link* link = co_await OpenLink(options);
  co_await DoPrologue(*link);
  if (conduit->harness_is_client) co_return link;
  auto hello = co_await NextInbound(*link, "ClientHello", kKeyRule);
  const bool ok = hello && hello->stable_handshake && hello->stable_handshake->has_client_hello();
  std::string wanted =
      "a redial presents the conduit's key in a ClientHello, not " + DescribeInbound(hello, names_);
  co_await Require(ok, kKeyRule, std::move(wanted));
  const std::string presented = hello->stable_handshake->client_hello().resume_key();
  const bool newest = presented == conduit->resume_key ||
                      (!conduit->older_key.empty() && presented == conduit->older_key);
  co_await Require(newest, kKeyRule, "a ClientHello presents the newest key that was read");
  link->inbox.push_front(std::move(*hello));
  co_return link;
}

Task<> Peer::Carry(Link& link, Conduit& conduit) {
  if (conduit.harness_is_client) {
    link.conduit = &conduit;
    Send(link, NewClientHello(conduit));
    auto answer = co_await NextInbound(link, "ServerHello", kKeyRule);
    const bool ok = answer && answer->stable_handshake && conduit.carrier == &link;
    std::string wanted =
        "a ClientHello with a key that is known is answered by ServerHello, not by " +
        DescribeInbound(answer, names_);
    co_await Require(ok, kKeyRule, std::move(wanted));
    co_return;
  }
  const wire::v1::StableHandshake hello = *link.inbox.front().stable_handshake;
  const uint64_t entry = link.inbox.front().entry;
  link.inbox.pop_front();
  const std::string wrong = conduit.end.Resume(LastReceived(hello.client_hello()));
  if (!wrong.empty()) {
    Unexpected("stable.seq", "the subject " + wrong, "last_received", entry);
    co_return;
  }
  Send(link, NewServerHello(conduit, hello.client_hello().resume_key()));
  Begin(link, conduit);
}

Task<> Peer::Reconnect(Conduit& conduit) {
  Link* link = co_await OpenCarrier(conduit);
  co_await Carry(*link, conduit);
}

bool Peer::ConduitGoesOn() const {
  if (broke_rule_) return false;  // the session may be over for the subject
  return std::any_of(conduits_.begin(), conduits_.end(), [](const auto& entry) {
    const Link* face = entry.second->face;
    if (face == nullptr || face->end || face->end_expected) return false;
    return face->session == nullptr || !face->session->ended();
  });
}

Task<> Peer::CarryOn() {
  for (const auto& [id, conduit] : conduits_) {
    const bool on = conduit->face != nullptr && !conduit->face->end;
    if (on && conduit->carrier == nullptr) co_await Reconnect(*conduit);
  }
}

}  // namespace counterpart::peer
