// What a peer does on links: opens them, writes frames as the faults that are due leave them,
// closes them.
#include <algorithm>
#include <utility>

#include "harness/peer/peer.h"
#include "harness/wire/framing.h"

namespace counterpart::peer {

using effects::Effect;
using machine::Machine;

std::string Peer::Edge(const Link& link, bool out) const {
  if (link.conduit != nullptr && link.conduit->face == &link) {
    return "conduit" + std::to_string(link.id % 1000) + (out ? ".out" : ".in");
  }
  return "link" + std::to_string(link.id) + (out ? ".out" : ".in");
}

std::string Peer::SuccessorOf(const std::string& key) const {
  const auto found = successors_.find(key);
  return found == successors_.end() ? "" : found->second;
}

bool Peer::has_accepted() const {
  const auto found = listeners_.find(kListener);
  return found != listeners_.end() && !found->second.accepted.empty();
}

Link* Peer::TakeAccepted() {
  if (!has_accepted()) return nullptr;
  Link* link = links_.at(listeners_[kListener].accepted.front()).get();
  listeners_[kListener].accepted.pop_front();
  return link;
}

std::vector<Link*> Peer::links() {
  std::vector<Link*> all;
  for (const auto& [id, link] : links_) all.push_back(link.get());
  return all;
}

Link* Peer::FindLink(uint32_t id) {
  const auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second.get();
}

Task<> Peer::EnsureSubjectListens(const SessionOptions& options) {
  if (subject_port_ != 0) co_return;
  control::v1::ExecuteRequest command;
  command.mutable_listen()->set_max_concurrent_requests(options.subject_limit);
  command.mutable_listen()->set_resumable(options.resumable);
  command.mutable_listen()->set_max_payload(options.subject_max_payload);
  command.mutable_listen()->set_max_virtual_connections(options.connections);
  command.mutable_listen()->set_first_seq(options.subject_first_seq);
  control::v1::Outcome outcome = co_await Execute(std::move(command), "the subject to listen");
  co_await Require(outcome.has_listening() && outcome.listening().port() != 0, "",
                   "a Listen command ends with the port");
  subject_port_ = static_cast<uint16_t>(outcome.listening().port());
}

Task<> Peer::EnsureHarnessListens() {
  if (listeners_.contains(kListener)) co_return;
  listeners_[kListener].id = kListener;
  machine_->Request({.kind = EffectKind::kListen, .id = kListener, .number = 0, .bytes = ""},
                    {.edge = "listener", .label = "listen", .text = ""});
  co_await Until("a listening socket", [this] { return listeners_[kListener].port != 0; });
}

Task<Link*> Peer::OpenLink(const SessionOptions& options) {
  if (options.harness_max_payload != 0) harness_max_payload_ = options.harness_max_payload;
  if (options.subject_max_payload != 0) subject_max_payload_ = options.subject_max_payload;
  patience_ = std::max(patience_, std::chrono::milliseconds(options.backoff_max_ms));
  if (direction_ == Direction::kHarnessToSubject) {
    co_await EnsureSubjectListens(options);
    auto fresh = std::make_unique<Link>();
    Link* link = fresh.get();
    link->id = next_link_++;
    link->harness_dialled = true;
    link->generation = next_generation_++;
    link->segment = options.segment;
    link->stable = stable_;
    links_[link->id] = std::move(fresh);
    machine_->Request(
        {.kind = EffectKind::kDial, .id = link->id, .number = subject_port_, .bytes = ""},
        {.edge = Edge(*link, true), .label = "dial", .text = ""});
    co_await Until("the connection to the subject", [link] { return link->up || link->refused; });
    co_await Require(!link->refused, "",
                     "the subject accepts connections at the host and port that Listen named");
    co_return link;
  }
  co_await EnsureHarnessListens();
  if (connect_question_ == 0) {
    control::v1::ExecuteRequest command;
    control::v1::Connect& connect = *command.mutable_connect();
    connect.set_port(listeners_[kListener].port);
    connect.set_max_concurrent_requests(options.subject_limit);
    connect.set_max_attempts(options.dials);
    connect.set_max_payload(options.subject_max_payload);
    connect.set_backoff_initial_ms(options.backoff_initial_ms);
    connect.set_backoff_max_ms(options.backoff_max_ms);
    connect.set_session_lost(options.session_lost);
    connect.set_odd_parity(!options.initiator_even);
    connect.set_resume(options.resumable);
    connect.set_max_virtual_connections(options.connections);
    connect.set_stable_conduit(stable_);
    connect.set_first_seq(options.subject_first_seq);
    connect_question_ = Start(std::move(command));
    dials_allowed_ = options.dials;
  }
  // Whatever it was that should have made it dial.
  const bool refusing = std::any_of(faults_.begin(), faults_.end(), [](const ArmedFault& armed) {
    return armed.fault.how == How::kListenerDown && !armed.planned;
  });
  Machine::Wait connects;
  connects.rule = refusing              ? "session.initial-connect-waiting.retry"
                  : links_accepted_ > 0 ? "session.outlives-conduit"
                                        : "session.initial-connect-waiting";
  connects.awaited = "the subject to connect";
  connects.ready = [this] { return !listeners_[kListener].accepted.empty(); };
  connects.horizon = patience_;
  co_await machine_->Await(std::move(connects));
  Link* link = TakeAccepted();
  link->segment = options.segment;
  co_return link;
}

uint64_t Peer::Write(Link& link, const std::string& bytes, const Due& due,
                     const std::string& label) {
  const ArmedFault* split = due.Find(How::kSplit);
  size_t piece = link.segment == 0 ? std::max<size_t>(bytes.size(), 1) : link.segment;
  if (split != nullptr) piece = *split->fault.offset;
  if (due.Find(How::kMerge) != nullptr) {
    Request(link, EffectKind::kMerge, 0, "with the next frame in one segment");
  }
  uint64_t entry = 0;
  for (size_t at = 0; at < bytes.size();) {
    Effect effect{
        .kind = EffectKind::kWrite, .id = link.id, .number = 0, .bytes = bytes.substr(at, piece)};
    entry = machine_->Request(
        std::move(effect), {.edge = Edge(link, true), .label = at == 0 ? label : "…", .text = ""});
    at += piece;
    if (split == nullptr || at != piece) continue;
    Request(link, EffectKind::kSplit, 0, "the rest once that has been read");
    piece = bytes.size();
  }
  if (due.Find(How::kBitFlip) != nullptr) Request(link, EffectKind::kSplit, 1, "nothing more");
  return entry;
}

bool Peer::SendPayload(Link& link, const std::string& bytes, ObservedFrame frame, std::string kind,
                       std::string label) {
  if (link.conduit != nullptr && link.conduit->face == &link) {
    return SendItem(link, bytes, std::move(frame));
  }
  if (link.end || link.half_closed || link.spoiled) return false;
  broke_rule_ |= !frame.deliberate.empty();
  std::string written = wire::Frame(bytes);
  const Due due = CountFrame(link, Side::kHarness, kind, written.size());
  frame.from = Side::kHarness;
  frame.link = link.id;
  frame.harness_dialled = link.harness_dialled;
  frame.payload_bytes = bytes.size();
  if (const ArmedFault* flip = due.Find(How::kBitFlip)) {
    written = FlipBit(std::move(written), *flip->fault.offset);
    Spoiled& spoiled = link.spoiled.emplace();
    spoiled.phase = frame.prologue    ? Phase::kPrologue
                    : frame.handshake ? Phase::kHandshake
                                      : Phase::kMessages;
    spoiled.session = link.session;
    spoiled.corruption =
        ReadCorrupted(written, spoiled.phase,
                      subject_max_payload_ == 0 ? wire::kDefaultMaxPayload : subject_max_payload_);
    label += " (with a wrong bit, so that it " + std::string(Name(spoiled.corruption.reads)) + ")";
  }
  WriteAsDue(link, std::move(written), due, std::move(label), frame);
  return !frame.cut_short && !link.spoiled;
}

void Peer::WriteAsDue(Link& link, std::string written, const Due& due, std::string label,
                      ObservedFrame& frame) {
  const size_t whole = written.size();
  if (due.cut()) written.resize(std::min<size_t>(*due.cut(), whole));
  frame.cut_short = written.size() < whole;
  if (frame.cut_short) {
    label += " (cut after " + std::to_string(written.size()) + " of " + std::to_string(whole) +
             " bytes)";
  }
  frame.entry = Write(link, written, due, label);
  if (link.spoiled) {
    ObserveSpoiled(link, frame);
  } else {
    monitors_->OnFrame(frame);
  }
  if (frame.cut_short && !written.empty()) happenings_.insert(std::string(kCutInsideAFrame));
  FireAll(due, link,
          frame.cut_short ? std::to_string(written.size()) + " of " + std::to_string(whole) +
                                " bytes of " + label + " written"
                          : label + " written");
}

void Peer::ObserveSpoiled(Link& link, ObservedFrame frame) {
  const Spoiled& spoiled = *link.spoiled;
  link.end_expected = true;
  if (link.session != nullptr) link.session->ExpectProtocolError();
  // From then on the subject owes nothing to what was meant.
  broke_rule_ |= spoiled.corruption.reads != Reads::kAwaited;
  frame.deliberate = "wire.envelope";
  frame.cut_short = true;
  monitors_->OnFrame(frame);
  frame.cut_short = false;
  for (const std::string& payload : spoiled.corruption.payloads) {
    wire::v1::Prologue prologue;
    wire::v1::Handshake handshake;
    wire::v1::Message message;
    frame.prologue = nullptr;
    frame.handshake = nullptr;
    frame.message = nullptr;
    switch (spoiled.phase) {
      case Phase::kPrologue:
        prologue.ParseFromString(payload);
        frame.prologue = &prologue;
        break;
      case Phase::kHandshake:
        handshake.ParseFromString(payload);
        frame.handshake = &handshake;
        // It may open another session than was meant, and nobody can name it.
        link.asked_for_session |= handshake.has_hello();
        break;
      case Phase::kMessages:
        message.ParseFromString(payload);
        frame.message = &message;
        break;
    }
    frame.payload_bytes = payload.size();
    monitors_->OnFrame(frame);
  }
}

bool Peer::Send(Link& link, const wire::v1::Prologue& prologue, std::string deliberate) {
  ObservedFrame frame{.from = Side::kHarness};
  frame.prologue = &prologue;
  frame.deliberate = std::move(deliberate);
  refused_ |= prologue.has_reject();
  link.out = Link::Phase::kHandshake;
  return SendPayload(link, prologue.SerializeAsString(), std::move(frame),
                     "transport_" + KindOf(prologue), Read(prologue));
}

bool Peer::Send(Link& link, const wire::v1::Handshake& handshake, std::string deliberate) {
  ObservedFrame frame{.from = Side::kHarness};
  frame.handshake = &handshake;
  frame.deliberate = std::move(deliberate);
  if (handshake.has_hello()) link.asked_for_session = handshake.hello().resume_key().empty();
  // From then on the session has a name that the harness knows.
  if (handshake.has_lets_go()) link.asked_for_session = false;
  refused_ |= handshake.has_sorry();
  return SendPayload(link, handshake.SerializeAsString(), std::move(frame), KindOf(handshake),
                     Read(handshake, names_));
}

bool Peer::Send(Link& link, const wire::v1::Message& message, std::string deliberate) {
  ObservedFrame frame{.from = Side::kHarness};
  frame.message = &message;
  frame.deliberate = std::move(deliberate);
  return SendPayload(link, message.SerializeAsString(), std::move(frame), KindOf(message),
                     Read(message));
}

void Peer::SendRaw(Link& link, std::string bytes, std::string label) {
  broke_rule_ = true;
  if (link.session != nullptr) link.session->off_the_books = true;
  machine_->Request(
      {.kind = EffectKind::kWrite, .id = link.id, .number = 0, .bytes = std::move(bytes)},
      {.edge = Edge(link, true), .label = std::move(label), .text = ""});
}

void Peer::SendShown(Link& link, std::string_view payload, std::string label, ObservedFrame frame) {
  if (link.end || link.half_closed || link.spoiled) return;
  SendRaw(link, wire::Frame(payload), std::move(label));
  frame.link = link.id;
  frame.harness_dialled = link.harness_dialled;
  frame.entry = machine_->trace().size() - 1;
  frame.payload_bytes = payload.size();
  monitors_->OnFrame(frame);
}

void Peer::Close(Link& link, How how) {
  if (link.end == LinkEnd::kCutByHarness) return;  // by a fault, in this very step
  if (Conduit* conduit = link.conduit; conduit != nullptr && conduit->face == &link) {
    for (const auto& [id, carrier] : links_) {
      if (carrier->conduit == conduit && carrier.get() != &link) Close(*carrier, how);
    }
    if (!link.end) {
      link.end = LinkEnd::kCutByHarness;
      monitors_->OnLinkEnd(link.id, LinkEnd::kCutByHarness, 0, machine_->trace().size() - 1);
    }
    if (link.session != nullptr && link.session->link == &link) link.session->Detach();
    return;
  }
  if (link.conduit != nullptr && link.conduit->carrier == &link) link.conduit->carrier = nullptr;
  const EffectKind kind = how == How::kFin         ? EffectKind::kFin
                          : how == How::kHalfClose ? EffectKind::kHalfClose
                                                   : EffectKind::kRst;
  Request(link, kind, proving_ ? 1 : 0, Name(how));
  if (how == How::kHalfClose) {
    link.half_closed = link.end_expected = true;
  } else if (!link.end) {
    link.end = LinkEnd::kCutByHarness;
    monitors_->OnLinkEnd(link.id, LinkEnd::kCutByHarness, 0, machine_->trace().size() - 1);
  }
  // A scenario in the middle of a step need not know yet that a plan has cut its link.
  if (firing_plan_) return;
  if (link.session != nullptr && link.session->link == &link) link.session->Detach();
}

void Peer::DetachCut() {
  for (const auto& session : sessions_) {
    const Link* link = session->link;
    if (link == nullptr) continue;
    if (link->end || link->half_closed || link->spoiled) session->Detach();
  }
}

void Peer::StopReading(Link& link) {
  machine_->Request({.kind = EffectKind::kStopReading, .id = link.id, .number = 0, .bytes = ""},
                    {.edge = Edge(link, true), .label = "stop reading", .text = ""});
}

void Peer::ResumeReading(Link& link) {
  machine_->Request({.kind = EffectKind::kResumeReading, .id = link.id, .number = 0, .bytes = ""},
                    {.edge = Edge(link, true), .label = "resume reading", .text = ""});
}

Task<std::optional<Link::Inbound>> Peer::NextInbound(Link& link, std::string awaited,
                                                     std::string rule) {
  Link* from = &link;
  std::vector<Machine::Branch> branches(2);
  branches[0].awaited = std::move(awaited);
  branches[0].ready = [from] { return !from->inbox.empty(); };
  branches[1].awaited = "the end of the link";
  branches[1].ready = [from] { return from->end.has_value(); };
  const size_t taken = co_await machine_->Alt(std::move(branches), rule, patience_);
  if (!rule.empty()) Judged(rule);
  if (taken == 1) co_return std::nullopt;
  Link::Inbound inbound = std::move(from->inbox.front());
  from->inbox.pop_front();
  co_return inbound;
}

Task<> Peer::AwaitEnd(Link& link, std::string rule) {
  Link* from = &link;
  from->end_expected = true;
  co_await Until(
      "the end of link " + std::to_string(link.id), [from] { return from->end.has_value(); },
      std::move(rule));
}

}  // namespace counterpart::peer
