// What a peer judges by itself, and what it makes of all that arrives. Faults, control plane,
// links, sessions and the end of a run have files of their own.
#include "harness/peer/peer.h"

#include <utility>

namespace counterpart::peer {

using effects::Ingress;
using effects::IngressKind;
using machine::Level;
using machine::Machine;
using machine::Reading;

Peer::Peer(Machine* machine, Direction direction, FrameObserver* monitors)
    : machine_(machine), direction_(direction), monitors_(monitors) {}

Peer::~Peer() = default;

// ---------------------------------------------------------------- judging

Task<> Peer::Require(bool holds, std::string rule, std::string wanted) {
  if (!holds) co_await Fail(std::move(rule), std::move(wanted));
  if (!rule.empty()) Judged(rule);
}

Task<> Peer::Fail(std::string rule, std::string text) {
  if (machine_->superseded()) co_await machine_->End();
  machine::Finding finding;
  finding.level = Level::kFail;
  finding.rule = std::move(rule);
  finding.place = text;
  finding.text = "wanted: " + std::move(text);
  machine_->Report(std::move(finding));
  co_await machine_->End();
}

Task<> Peer::Until(std::string awaited, std::function<bool()> ready, std::string rule) {
  Machine::Wait wait;
  wait.awaited = std::move(awaited);
  wait.ready = std::move(ready);
  wait.rule = rule;
  wait.horizon = patience_;
  co_await machine_->Await(std::move(wait));
  if (!rule.empty()) Judged(rule);
}

Task<> Peer::Settle() {
  Machine::Wait wait;
  wait.awaited = "quiescence";
  wait.horizon = patience_;
  wait.wake_when_quiescent = true;
  co_await machine_->Await(std::move(wait));
}

Task<bool> Peer::ReadyBeforeQuiet(std::string awaited, std::function<bool()> ready) {
  std::vector<Machine::Branch> branches(2);
  branches[0].awaited = std::move(awaited);
  branches[0].ready = std::move(ready);
  branches[1].awaited = "quiescence";
  const size_t taken = co_await machine_->Alt(std::move(branches), "", patience_);
  co_return taken == 0;
}

void Peer::Unexpected(std::string rule, std::string text, std::string place, uint64_t entry) {
  machine::Finding finding;
  finding.level = Level::kFail;
  finding.rule = std::move(rule);
  finding.text = std::move(text);
  finding.entry = entry;
  finding.place = std::move(place);
  machine_->Report(std::move(finding));
}

// ---------------------------------------------------------------- ingress

Reading Peer::OnIngress(const Ingress& ingress, uint64_t entry) {
  Reading reading;
  reading.label = effects::Name(ingress.kind);
  switch (ingress.kind) {
    case IngressKind::kListening:
      reading.edge = "listener";
      listeners_[ingress.id].port = static_cast<uint16_t>(ingress.number);
      break;
    case IngressKind::kLinkAccepted: {
      ++links_accepted_;
      ++dials_since_established_;
      auto fresh = std::make_unique<Link>();
      fresh->id = ingress.id;
      fresh->up = true;
      fresh->stable = stable_;
      reading.edge = "link" + std::to_string(ingress.id) + ".in";
      Link* link = fresh.get();
      links_[ingress.id] = std::move(fresh);
      for (ArmedFault& armed : faults_) {
        if (armed.refuse == 0) continue;
        link->end_expected = true;
        // Of a plan it has fired with the cut before.
        if (--armed.refuse == 0 && !armed.planned) {
          armed.fired = true;
          armed.where = std::to_string(armed.fault.ordinal) + " connects reset";
          machine_->Note("fault", "fired " + std::string(Name(armed.fault.how)) + " " +
                                      DescribeMoment(armed.fault));
        }
        ++armed.refused;
        armed.proof = "the subject has connected " + std::to_string(armed.refused) + " times";
        Close(*link, How::kRst);
        return reading;
      }
      link->generation = next_generation_++;
      listeners_[static_cast<uint32_t>(ingress.number)].accepted.push_back(ingress.id);
      break;
    }
    case IngressKind::kLinkUp:
    case IngressKind::kLinkRefused:
      reading.edge = "link" + std::to_string(ingress.id) + ".in";
      if (Link* link = FindLink(ingress.id)) {
        link->up = ingress.kind == IngressKind::kLinkUp;
        link->refused = !link->up;
        if (link->refused) link->end = LinkEnd::kReset;
      }
      break;
    case IngressKind::kPayload:
      if (Link* link = FindLink(ingress.id)) OnPayload(*link, ingress.bytes, entry, reading);
      break;
    case IngressKind::kOversize:
    case IngressKind::kEof:
    case IngressKind::kReset:
      if (Link* link = FindLink(ingress.id)) {
        reading.edge = Edge(*link, false);
        if (ingress.kind == IngressKind::kOversize) {
          reading.text = std::to_string(ingress.number) + " bytes announced";
          OnLinkEnd(*link, LinkEnd::kOversize, 0, entry);
        } else {
          OnLinkEnd(*link, ingress.kind == IngressKind::kEof ? LinkEnd::kEof : LinkEnd::kReset,
                    ingress.number, entry);
        }
      }
      break;
    case IngressKind::kAnswer: {
      Question& question = questions_[ingress.id];
      question.answered = true;
      question.reply.ParseFromString(ingress.bytes);
      reading.edge = "control." + std::to_string(ingress.id);
      reading.label = Read(question.reply);
      break;
    }
    case IngressKind::kNoAnswer:
      questions_[ingress.id].lost = true;
      reading.edge = "control." + std::to_string(ingress.id);
      reading.text = ingress.text;
      break;
    case IngressKind::kExited:
      subject_exited_ = true;
      for (ArmedFault& armed : faults_) {
        if (armed.fired && armed.fault.how == How::kKill) armed.proof = ingress.text;
      }
      exit_text_ = ingress.text;
      restarting_ = false;
      reading.edge = "process";
      reading.label = "exited: " + ingress.text;
      if (!exit_expected_) {
        Unexpected("", "the subject died: " + ingress.text, "crash", entry);
      }
      break;
    case IngressKind::kStarted:
      subject_exited_ = restarting_ = false;
      ++starts_;
      reading.edge = "process";
      break;
    case IngressKind::kExecutions:
      executions_[ingress.id] = ingress.bytes;
      break;
    case IngressKind::kOutput:
      outputs_[ingress.id] = ingress.bytes;
      break;
    case IngressKind::kProof:
      reading.text = ingress.text;
      OnProof(ingress);
      break;
    case IngressKind::kQuiescent:
    case IngressKind::kUnjudgeable:
    case IngressKind::kContradicted:
      reading.text = ingress.text;
      break;
  }
  return reading;
}

void Peer::OnPayload(Link& link, const std::string& bytes, uint64_t entry, Reading& reading) {
  const bool face = link.conduit != nullptr && link.conduit->face == &link;
  if (link.stable && !face && link.in != Link::Phase::kPrologue) {
    return OnStablePayload(link, bytes, entry, reading);
  }
  reading.edge = Edge(link, false);
  Link::Inbound inbound;
  inbound.entry = entry;
  ObservedFrame frame{.from = Side::kSubject};
  frame.link = link.id;
  frame.harness_dialled = link.harness_dialled;
  frame.entry = entry;
  frame.payload_bytes = bytes.size();
  frame.conduit = face ? link.id : 0;
  std::string kind;
  // r[wire.envelope]: a payload is what its phase says, or it is nothing.
  switch (link.in) {
    case Link::Phase::kPrologue:
      inbound.prologue.emplace();
      if (inbound.prologue->ParseFromString(bytes)) kind = KindOf(*inbound.prologue);
      if (!kind.empty()) kind = "transport_" + kind;
      reading.label = Read(*inbound.prologue);
      frame.prologue = &*inbound.prologue;
      link.in = Link::Phase::kHandshake;
      break;
    case Link::Phase::kHandshake:
      inbound.handshake.emplace();
      if (inbound.handshake->ParseFromString(bytes)) kind = KindOf(*inbound.handshake);
      reading.label = Read(*inbound.handshake, names_);
      frame.handshake = &*inbound.handshake;
      if (inbound.handshake->has_lets_go()) link.in = Link::Phase::kMessages;
      if (inbound.handshake->has_lets_go()) dials_since_established_ = 0;
      if (inbound.handshake->has_sorry()) link.asked_for_session = false;
      if (inbound.handshake->has_hello() || inbound.handshake->has_hello_yourself()) {
        const auto& listed = inbound.handshake->has_hello()
                                 ? inbound.handshake->hello().open_connections()
                                 : inbound.handshake->hello_yourself().open_connections();
        link.listed_by_subject.assign(listed.begin(), listed.end());
      }
      break;
    case Link::Phase::kMessages:
      inbound.message.emplace();
      if (inbound.message->ParseFromString(bytes)) kind = KindOf(*inbound.message);
      reading.label = Read(*inbound.message);
      frame.message = &*inbound.message;
      break;
  }
  if (kind.empty() && link.spoiled && link.spoiled->phase == Phase::kPrologue) {
    // Whoever reads no prologue where one is due may refuse it in that phase.
    wire::v1::Prologue refusal;
    if (refusal.ParseFromString(bytes) && refusal.has_reject()) {
      link.spoiled->refusal = "transport_reject";
      reading.label = Read(refusal);
      return;
    }
  }
  if (kind.empty()) {
    inbound.malformed = "not a payload of this phase, " + std::to_string(bytes.size()) + " bytes";
    frame.prologue = nullptr;
    frame.handshake = nullptr;
    frame.message = nullptr;
    frame.malformed = inbound.malformed;
    inbound.prologue.reset();
    inbound.handshake.reset();
    inbound.message.reset();
    reading.label = inbound.malformed;
  }
  monitors_->OnFrame(frame);
  // The reason for the end that follows is on the wire, whether or not that has been read as well.
  if (kind == "transport_reject" || kind == "sorry") link.end_expected = true;
  if (link.end) return;  // read, judged, and of no further effect
  // A refusal is a reason: the link ends after it.  r[session.handshake.sorry]
  if (inbound.prologue && inbound.prologue->has_reject()) link.end_expected = true;
  if (inbound.handshake && inbound.handshake->has_sorry()) link.end_expected = true;
  if (link.spoiled) {
    // What it makes of a wrong bit is between its frames and whoever sent it.
    if (kind == "transport_reject" || kind == "sorry" || kind == "protocol_error") {
      link.spoiled->refusal = kind;
    }
    return;
  }
  // Of a conduit it is the links that are cut.
  const Due due = face ? Due() : CountFrame(link, Side::kSubject, kind, 0);
  if (inbound.message && link.session != nullptr) {
    link.session->OnMessage(*inbound.message, entry);
  } else {
    link.inbox.push_back(std::move(inbound));
  }
  if (!link.end) FireAll(due, link, reading.label + " read");
}

void Peer::OnLinkEnd(Link& link, LinkEnd end, uint64_t partial, uint64_t entry) {
  if (link.end) return;
  link.end = end;
  link.end_partial = partial;
  monitors_->OnLinkEnd(link.id, end, partial, entry);
  if (Conduit* conduit = link.conduit; conduit != nullptr && conduit->carrier == &link) {
    conduit->carrier = nullptr;
    link.end_expected |= conduit->face->end_expected;
    // Whoever awaits the end of the session's link awaits this one.
    if (conduit->face->end_expected) OnLinkEnd(*conduit->face, end, partial, entry);
  }
  if (link.session != nullptr && link.session->link == &link && end != LinkEnd::kOversize) {
    Session* session = link.session;
    if (!link.end_expected) session->Detach();
  }
  if (!link.end_expected && !exit_expected_) {
    const char* how = end == LinkEnd::kEof     ? "closed (FIN)"
                      : end == LinkEnd::kReset ? "reset (RST)"
                                               : "announced too large a payload on";
    Unexpected("session.outlives-conduit",
               std::string("the subject ") + how + " link " + std::to_string(link.id) +
                   " without a reason on the wire",
               "link end", entry);
  }
}

bool Peer::OutsideOpen() const {
  if (!subject_exited_ || restarting_) return true;
  for (const auto& [id, question] : questions_) {
    if (!question.answered && !question.lost) return true;
  }
  for (const auto& [id, lines] : executions_) {
    if (!lines) return true;
  }
  for (const auto& [id, link] : links_) {
    if (link->up && !link->end) return true;
  }
  return false;
}

}  // namespace counterpart::peer
