#include "harness/peer/relay.h"

#include <algorithm>
#include <utility>

#include "harness/peer/leftovers.h"
#include "harness/peer/relay_link.h"
#include "harness/peer/testbed.h"
#include "harness/wire/framing.h"

namespace counterpart::peer {

using effects::Effect;
using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;
using machine::Finding;
using machine::Level;
using machine::Machine;
using machine::Reading;

namespace {

// The one listener of the harness, which the client dials.
constexpr uint32_t kListener = 1;
constexpr uint32_t kLimit = 64;  // max_concurrent_requests, of both
constexpr uint32_t kDials = 3;
// When an ack comes is for whoever sends it to say.
bool IsAck(const ReadPayload& read) { return read.stable_frame && read.stable_frame->has_ack(); }

}  // namespace

std::string DescribeMoment(const Cut& cut) {
  const bool both = cut.ends[Seat::kServer] && cut.ends[Seat::kClient];
  return std::string(!cut.passed        ? "after "
                     : *cut.passed == 0 ? "instead of "
                                        : std::to_string(*cut.passed) + " bytes into ") +
         (cut.kind.empty() ? "payload" : cut.kind) + " " + std::to_string(cut.ordinal) +
         " of the " + Name(cut.from) + " in generation " + std::to_string(cut.generation) +
         (both                      ? ""
          : cut.ends[Seat::kServer] ? ", server only"
                                    : ", client only");
}

Relay::Relay(Machine* machine, BySeat<std::string> ids, BySeat<FrameObserver*> monitors,
             std::function<void(const Finding&)> on_finding)
    : machine_(machine),
      ids_(std::move(ids)),
      monitors_(monitors),
      on_finding_(std::move(on_finding)) {}

Relay::~Relay() = default;

// ---------------------------------------------------------------- judging

void Relay::Blame(Seat who, std::string rule, std::string text, std::string place, uint64_t entry) {
  Finding finding;
  finding.level = Level::kFail;
  finding.rule = std::move(rule);
  finding.text = Called(who) + " " + std::move(text);
  finding.entry = entry;
  finding.place = std::move(place);
  finding.blame = ids_[who];
  machine_->Report(std::move(finding));
}

Task<> Relay::Demand(Seat who, bool holds, std::string rule, std::string wanted) {
  if (holds) {
    if (!rule.empty()) Judged(rule, who);
    co_return;
  }
  std::string place = wanted;
  Blame(who, std::move(rule), "is in the wrong; wanted: " + std::move(wanted), std::move(place), 0);
  co_await machine_->End();
}

Task<> Relay::Until(std::string awaited, std::function<bool()> ready, std::function<Seat()> owed_by,
                    std::string rule) {
  Machine::Wait wait;
  wait.awaited = std::move(awaited);
  wait.ready = std::move(ready);
  wait.rule = std::move(rule);
  wait.owed_by = [this, owed_by = std::move(owed_by)] { return ids_[owed_by()]; };
  co_await machine_->Await(std::move(wait));
}

Task<> Relay::Settle() {
  Machine::Wait wait;
  wait.awaited = "quiescence of both";
  wait.wake_when_quiescent = true;
  co_await machine_->Await(std::move(wait));
}

// ---------------------------------------------------------------- cuts

void Relay::Arm(Cut cut) {
  machine_->Note("fault", "armed " + std::string(Name(cut.how)) + " " + DescribeMoment(cut));
  ArmedCut armed;
  armed.cut = std::move(cut);
  cuts_.push_back(std::move(armed));
}

void Relay::ArmPlan(const std::vector<Fault>& plan, std::function<void()> on_fired) {
  for (const Fault& fault : plan) {
    Cut cut;
    cut.how = fault.how;
    cut.from = fault.seat.value_or(Seat::kServer);
    cut.ordinal = fault.ordinal;
    cut.generation = fault.generation;
    cut.passed = fault.offset;
    cut.planned = true;
    Arm(std::move(cut));
  }
  on_planned_cut_ = std::move(on_fired);
}

void Relay::ForgetScenarioCuts() {
  std::erase_if(cuts_, [](const ArmedCut& armed) { return !armed.cut.planned && !armed.fired; });
}

void Relay::CutNow(How how) {
  for (const Seat seat : kSeats) {
    if (!newest()->gone[seat]) Close(*newest(), seat, how);
  }
}

bool Relay::cut() const {
  return newest() != nullptr && (newest()->gone[Seat::kServer] || newest()->gone[Seat::kClient]);
}

std::vector<FaultReport> Relay::faults() const {
  std::vector<FaultReport> reports;
  for (const ArmedCut& armed : cuts_) {
    FaultReport& report = reports.emplace_back();
    report.at = DescribeMoment(armed.cut);
    report.how = Name(armed.cut.how);
    report.ordinal = armed.cut.ordinal;
    report.fired = armed.fired;
    report.where = armed.where;
    for (const Seat seat : kSeats) {
      if (armed.proof[seat].empty()) continue;
      report.proof +=
          (report.proof.empty() ? "" : "; ") + std::string(Name(seat)) + ": " + armed.proof[seat];
    }
  }
  return reports;
}

Relay::ArmedCut* Relay::Due(Seat from, const Link& link, const std::string& kind) {
  if (stable_ && over_) return nullptr;
  for (ArmedCut& armed : cuts_) {
    const Cut& cut = armed.cut;
    if (armed.fired || cut.from != from || cut.generation != link.number) continue;
    if (!cut.kind.empty() && cut.kind != kind) continue;
    if (++armed.seen == cut.ordinal) return &armed;
  }
  return nullptr;
}

void Relay::Fire(ArmedCut& armed, Link& link, const std::string& label) {
  armed.fired = true;
  armed.where = "link " + std::to_string(link.number) + ", " + label +
                (!armed.cut.passed        ? " passed on"
                 : *armed.cut.passed == 0 ? " read and swallowed"
                                          : " read, and " + std::to_string(*armed.cut.passed) +
                                                " bytes of it passed on");
  machine_->Note("fault",
                 "fired " + std::string(Name(armed.cut.how)) + " " + DescribeMoment(armed.cut));
  for (const Seat seat : kSeats) {
    if (!armed.cut.ends[seat] || link.gone[seat]) continue;
    armed.done[seat] = true;
    Close(link, seat, armed.cut.how, armed.cut.planned);
  }
  armed.link = link.number;
  if (!armed.cut.planned) return;
  planned_cut_ = true;
  on_planned_cut_();
}

void Relay::ReportUnfiredCuts() {
  for (const ArmedCut& armed : cuts_) {
    if (armed.fired && armed.proven()) continue;
    Finding finding;
    finding.level = Level::kInconclusive;
    finding.text =
        armed.fired ? "nothing shows that the fault has taken effect: " : "the fault never fired: ";
    finding.text += std::string(Name(armed.cut.how)) + " " + DescribeMoment(armed.cut) +
                    (armed.fired ? " (" + armed.where + ")" : "");
    finding.place = kUnfiredFault;
    machine_->Report(std::move(finding));
  }
}

// ---------------------------------------------------------------- links

std::string Relay::Edge(const Link& link, Seat seat, bool out) const {
  return "link" + std::to_string(link.number) + "." + Name(seat) + (out ? ".out" : ".in");
}

Relay::Link* Relay::newest() const { return links_.empty() ? nullptr : links_.back().get(); }

uint32_t Relay::generation() const { return newest() == nullptr ? 0 : newest()->number; }

bool Relay::ended(Seat seat, uint32_t generation) const {
  return generation >= 1 && generation <= links_.size() && links_[generation - 1]->gone[seat];
}

Relay::Link* Relay::Find(Seat seat, uint32_t id) {
  for (const auto& link : links_) {
    if (link->id(seat) == id) return link.get();
  }
  return nullptr;
}

void Relay::OnAccepted(uint32_t client_id) {
  auto fresh =
      std::make_unique<Link>(stable_ ? PhaseReader::Of::kStableLink : PhaseReader::Of::kBareLink);
  fresh->number = static_cast<uint32_t>(links_.size()) + 1;
  fresh->client_id = client_id;
  Effect dial{.kind = EffectKind::kDial, .id = fresh->number, .number = server_port_};
  Reading reading;
  reading.edge = Edge(*fresh, Seat::kServer, true);
  reading.label = "dial";
  links_.push_back(std::move(fresh));
  machine_->Request(std::move(dial), std::move(reading));
}

void Relay::OnProof(Seat seat, const Ingress& ingress) {
  for (ArmedCut& armed : cuts_) {
    const bool of_this = armed.done[seat] && ingress.bytes == Name(armed.cut.how) &&
                         links_[armed.link - 1]->id(seat) == ingress.id;
    if (of_this && ingress.number > 0) armed.proof[seat] = ingress.text;
  }
}

void Relay::Close(Link& link, Seat seat, How how, bool prove) {
  Effect effect{.kind = how == How::kFin ? EffectKind::kFin : EffectKind::kRst,
                .id = link.id(seat),
                .number = prove ? 1u : 0u,
                .subject = static_cast<uint8_t>(seat)};
  Reading reading;
  reading.edge = Edge(link, seat, true);
  reading.label = Name(how);
  const uint64_t entry = machine_->Request(std::move(effect), std::move(reading));
  link.gone[seat] = true;
  TellEnd(seat, link, LinkEnd::kCutByHarness, 0, entry);
}

void Relay::TellEnd(Seat seat, const Link& link, LinkEnd end, uint64_t partial, uint64_t entry) {
  monitors_[seat]->OnLinkEnd(link.number, end, partial, entry);
  // A conduit ends with the last link of its session.
  if (link.conduit == 0 || link.conduit != face_ || !over_ || face_ended_[seat]) return;
  face_ended_[seat] = true;
  monitors_[seat]->OnLinkEnd(face_, end, partial, entry);
}

void Relay::Show(Seat judged, Side from, uint32_t number, uint32_t conduit, const ReadPayload& read,
                 size_t bytes, uint64_t entry, bool cut_short) {
  ObservedFrame frame{.from = from};
  frame.link = number;
  frame.conduit = conduit;
  // To the server the harness is the client.
  frame.harness_dialled = judged == Seat::kServer;
  frame.entry = entry;
  frame.payload_bytes = bytes;
  frame.cut_short = cut_short;
  if (read.prologue) frame.prologue = &*read.prologue;
  if (read.handshake) frame.handshake = &*read.handshake;
  if (read.message) frame.message = &*read.message;
  if (read.stable_handshake) frame.stable_handshake = &*read.stable_handshake;
  if (read.stable_frame) frame.stable_frame = &*read.stable_frame;
  frame.malformed = read.malformed;
  monitors_[judged]->OnFrame(frame);
}

void Relay::OnPayload(Seat from, Link& link, const Ingress& ingress, uint64_t entry,
                      Reading& reading) {
  const ReadPayload read = link.reader.Read(from, ingress.bytes, names_);
  reading.label = read.label;
  if (IsAck(read)) reading.edge += ".acks";
  Show(from, Side::kSubject, link.number, link.conduit, read, ingress.bytes.size(), entry);
  if (link.gone[from]) return;  // read, judged, and of no further effect
  if (read.stable_handshake) OnStableHandshake(from, link, *read.stable_handshake, entry);
  std::optional<ReadPayload> item;
  if (read.stable_frame) item = NewItem(from, link, *read.stable_frame, entry);
  const ReadPayload& said = item ? *item : read;
  // Who had no chance to see that the session was begun need not know it.
  const bool unknown = said.kind == "sorry" && planned_cut_ && !server_has_it_;
  OnSaid(from, link, said, entry);
  if (!IsAck(read) && !(stable_ && over_)) {
    moments_.push_back({.from = Side::kSubject,
                        .generation = link.number,
                        .ordinal = ++payloads_[{link.number, from}],
                        .kind = read.kind,
                        .bytes = static_cast<uint32_t>(wire::Frame(ingress.bytes).size()),
                        .seat = from});
  }
  ArmedCut* due = IsAck(read) ? nullptr : Due(from, link, said.kind);
  PassOn(from, link, ingress.bytes, read, due == nullptr ? std::nullopt : due->cut.passed);
  if (due != nullptr) Fire(*due, link, read.label);
  const bool refused = read.kind == "transport_reject" || read.kind == "reject" ||
                       (said.kind == "sorry" && !unknown);
  if (refused || said.kind == "protocol_error") {
    // A violation that the monitors see has ended the run by now.
    Blame(from, "session.protocol-error",
          "sent " + read.label + ", for which its counterpart has given no reason", "refusal",
          entry);
  }
}

void Relay::OnSaid(Seat from, Link& link, const ReadPayload& said, uint64_t entry) {
  if (said.handshake) OnHandshake(from, link, *said.handshake, entry);
  if (said.message) read_.OnMessage(from, session_link(), *said.message);
  NoteEnd(from, said);
}

void Relay::PassOn(Seat from, Link& link, const std::string& bytes, const ReadPayload& read,
                   std::optional<uint32_t> most) {
  const Seat to = Across(from);
  if (link.gone[to] || most == 0u) return;
  std::string frame = wire::Frame(bytes);
  const size_t whole = frame.size();
  if (most) frame.resize(std::min<size_t>(*most, whole));
  const bool cut_short = frame.size() < whole;
  Reading reading;
  reading.edge = Edge(link, to, true) + (IsAck(read) ? ".acks" : "");
  reading.label = read.label;
  if (cut_short) {
    reading.label +=
        " (cut after " + std::to_string(frame.size()) + " of " + std::to_string(whole) + " bytes)";
  }
  Effect write{.kind = EffectKind::kWrite,
               .id = link.id(to),
               .bytes = std::move(frame),
               .subject = static_cast<uint8_t>(to)};
  const uint64_t entry = machine_->Request(std::move(write), std::move(reading));
  Show(to, Side::kHarness, link.number, link.conduit, read, bytes.size(), entry, cut_short);
  if (cut_short) return;
  if (!read.stable_frame) return OnPassed(from, link, read);
  if (!passage_.OnPassed(from, *read.stable_frame)) return;
  const auto kept = kept_[from].extract(read.stable_frame->data().seq());
  if (kept.empty()) return;  // its number was wrong
  Show(to, Side::kHarness, face_, face_, kept.mapped(), read.stable_frame->data().item().size(),
       entry);
  OnPassed(from, link, kept.mapped());
}

void Relay::OnPassed(Seat from, Link& link, const ReadPayload& said) {
  const bool begins = said.kind == "hello" && link.presented.empty();
  if (said.handshake) link.asks_for_session = begins;
  link.reason_given |= said.kind == "goodbye" || said.kind == "protocol_error" ||
                       said.kind == "transport_reject" || said.kind == "sorry" ||
                       said.kind == "reject";
  if (said.message) traffic_.OnMessage(from, session_link(), *said.message);
}

void Relay::NoteEnd(Seat from, const ReadPayload& read) {
  over_ |= read.kind == "goodbye" || read.kind == "sorry";
  server_has_it_ |= from == Seat::kServer && read.message.has_value();
}

// As far as it takes both sides to tell: what the client may present, and that the session stays
// the same.
void Relay::OnHandshake(Seat from, Link& link, const wire::v1::Handshake& handshake,
                        uint64_t entry) {
  static constexpr char kRule[] = "session.handshake.resume";
  if (handshake.has_hello() && from == Seat::kClient) {
    const std::string& key = handshake.hello().resume_key();
    // Whoever had not heard of the session when its link was cut begins another.
    if (planned_cut_ && key.empty() && !session_id_.empty() && !client_has_it_) {
      old_sessions_.push_back(std::exchange(session_id_, {}));
      keys_.clear();
      server_has_it_ = false;
    }
    if (!stable_) OnPresented(link, key, kRule, entry);
  } else if (handshake.has_hello_yourself() && from == Seat::kServer) {
    const auto& yourself = handshake.hello_yourself();
    if (session_id_.empty()) {
      session_id_ = yourself.session_id();
    } else if (yourself.session_id() != session_id_) {
      Blame(from, kRule, "resumed a session under another session_id", "session id", entry);
    } else {
      Judged(kRule, from);
    }
    if (!stable_) OnHandedOut(link, yourself.resume_key());
  } else if (handshake.has_lets_go() && from == Seat::kClient) {
    if (!stable_) OnConfirmed(link);
    client_has_it_ = true;
  }
}

void Relay::OnLinkEnd(Seat seat, Link& link, LinkEnd end, uint64_t partial, uint64_t entry) {
  if (link.gone[seat]) return;
  const Seat other = Across(seat);
  const bool expected = link.gone[other] || link.reason_given || &link != newest();
  link.gone[seat] = true;
  TellEnd(seat, link, end, partial, entry);
  if (end == LinkEnd::kOversize) {
    Blame(seat, "link.limit.announce", "announced too large a payload", "oversize", entry);
    return;
  }
  if (!link.gone[other]) Close(link, other, end == LinkEnd::kEof ? How::kFin : How::kRst);
  if (expected || exited_[seat]) return;
  Blame(seat, "session.outlives-conduit",
        std::string(end == LinkEnd::kEof ? "closed (FIN)" : "reset (RST)") + " link " +
            std::to_string(link.number) + " without a reason on the wire",
        "link end", entry);
}

// ---------------------------------------------------------------- ingress

Reading Relay::OnIngress(const Ingress& ingress, uint64_t entry) {
  Reading reading;
  reading.label = effects::Name(ingress.kind);
  const Seat seat = ingress.subject == 0 ? Seat::kServer : Seat::kClient;
  switch (ingress.kind) {
    case IngressKind::kListening:
      reading.edge = "listener";
      relay_port_ = static_cast<uint16_t>(ingress.number);
      break;
    case IngressKind::kLinkAccepted:
      reading.edge = "link" + std::to_string(links_.size() + 1) + ".client.in";
      OnAccepted(ingress.id);
      break;
    case IngressKind::kLinkUp:
    case IngressKind::kLinkRefused:
    case IngressKind::kPayload:
    case IngressKind::kOversize:
    case IngressKind::kEof:
    case IngressKind::kReset: {
      Link* link = Find(seat, ingress.id);
      if (link == nullptr) break;
      reading.edge = Edge(*link, seat, false);
      if (ingress.kind == IngressKind::kPayload) {
        OnPayload(seat, *link, ingress, entry, reading);
      } else if (ingress.kind == IngressKind::kLinkRefused) {
        link->gone[seat] = true;
        Blame(seat, "", "refuses connections at the host and port that Listen named", "refused",
              entry);
      } else if (ingress.kind != IngressKind::kLinkUp) {
        OnLinkEnd(seat, *link,
                  ingress.kind == IngressKind::kEof     ? LinkEnd::kEof
                  : ingress.kind == IngressKind::kReset ? LinkEnd::kReset
                                                        : LinkEnd::kOversize,
                  ingress.number, entry);
      }
      break;
    }
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
      exited_[seat] = true;
      exit_text_ = ingress.text;
      reading.edge = std::string("process.") + Name(seat);
      reading.label = "exited: " + ingress.text;
      Blame(seat, "", "died: " + ingress.text, "crash", entry);
      break;
    case IngressKind::kExecutions:
      executions_[ingress.id] = ingress.bytes;
      break;
    case IngressKind::kStarted:
    case IngressKind::kOutput:
      break;  // nothing here restarts a subject, or reads its output
    case IngressKind::kProof:
      OnProof(seat, ingress);
      reading.text = ingress.text;
      break;
    case IngressKind::kQuiescent:
    case IngressKind::kUnjudgeable:
    case IngressKind::kContradicted:
      reading.text = ingress.text;
      break;
  }
  return reading;
}

bool Relay::OutsideOpen() const {
  if (!exited_[Seat::kServer] || !exited_[Seat::kClient]) return true;
  for (const auto& [id, question] : questions_) {
    if (!question.answered && !question.lost) return true;
  }
  return std::any_of(executions_.begin(), executions_.end(),
                     [](const auto& lines) { return !lines.second; });
}

// ---------------------------------------------------------------- applications

uint32_t Relay::Ask(Seat seat, control::v1::ControlRequest request) {
  const uint32_t id = next_question_++;
  questions_[id].seat = seat;
  Effect effect{.kind = EffectKind::kAsk,
                .id = id,
                .bytes = request.SerializeAsString(),
                .subject = static_cast<uint8_t>(seat)};
  Reading reading;
  reading.edge = "control." + std::to_string(id);
  reading.label = std::string(Name(seat)) + " " + Read(request);
  machine_->Request(std::move(effect), std::move(reading));
  return id;
}

uint32_t Relay::Start(Seat seat, control::v1::ExecuteRequest command) {
  command.set_command_id(next_command_id_[seat]++);
  command.set_send(1);
  if (command.has_cancel()) cancelled_.insert(command.cancel().handle());
  if (command.has_channel_receive()) {
    receives_.push_back({seat, next_question_, command.channel_receive()});
  }
  control::v1::ControlRequest request;
  *request.mutable_execute() = std::move(command);
  return Ask(seat, std::move(request));
}

Task<> Relay::Answered(uint32_t id, std::string awaited) {
  const Seat seat = questions_.at(id).seat;
  co_await Until(
      std::move(awaited),
      [this, id] { return questions_.at(id).answered || questions_.at(id).lost; },
      [seat] { return seat; });
}

Task<control::v1::Outcome> Relay::OutcomeOf(uint32_t id, std::string awaited,
                                            std::function<Seat()> owed_by, std::string rule) {
  const Seat seat = questions_.at(id).seat;
  if (!owed_by) owed_by = [seat] { return seat; };
  co_await Until(
      std::move(awaited),
      [this, id] { return questions_.at(id).answered || questions_.at(id).lost; },
      std::move(owed_by), std::move(rule));
  const Question& question = questions_.at(id);
  co_await Demand(seat, !question.lost, "", "the control plane answers");
  std::string wanted = "the subject runs the command, and does not refuse it: " +
                       question.reply.execute().refusal().text();
  co_await Demand(seat, !question.reply.execute().has_refusal(), "", std::move(wanted));
  co_return question.reply.execute().outcome();
}

Task<control::v1::Outcome> Relay::Execute(Seat seat, control::v1::ExecuteRequest command,
                                          std::string awaited) {
  const uint32_t id = Start(seat, std::move(command));
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited));
  co_return outcome;
}

void Relay::Release(Seat seat, const std::string& gate) {
  control::v1::ExecuteRequest command;
  command.mutable_release()->set_gate(gate);
  Start(seat, std::move(command));
}

RelayedCall Relay::StartCall(Seat caller, const std::string& method, std::string arguments,
                             std::string handle) {
  RelayedCall call;
  call.caller = caller;
  const Method* known = FindMethod(method);
  call.method = known == nullptr ? method : known->name;
  call.arguments = std::move(arguments);
  call.handle = std::move(handle);
  call.after = traffic_.newest_operation(caller);
  control::v1::ExecuteRequest command;
  command.mutable_call()->set_session_id(session_id_);
  command.mutable_call()->set_method(call.method);
  command.mutable_call()->set_arguments(call.arguments);
  command.mutable_call()->set_handle(call.handle);
  call.question = Start(caller, std::move(command));
  calls_.push_back(call);
  return call;
}

bool Relay::answered(uint32_t question) const {
  return questions_.at(question).answered || questions_.at(question).lost;
}

const control::v1::Outcome& Relay::outcome(uint32_t question) const {
  return questions_.at(question).reply.execute().outcome();
}

const Operation* Relay::Find(const RelayedCall& call) const {
  return traffic_.Find(call.caller, call.method, call.arguments, call.after);
}

const Operation* Relay::FindRead(const RelayedCall& call) const {
  return read_.Find(call.caller, call.method, call.arguments, call.after);
}

Seat Relay::OwesSession() const {
  const Link* link = newest();
  if (link == nullptr || link->gone[Seat::kServer] || link->gone[Seat::kClient]) {
    return Seat::kClient;  // only the initiator dials
  }
  if (const auto next = link->reader.next_speaker()) return *next;
  if (const auto next = passage_.OwesReplay()) return *next;
  if (items_ != nullptr) return items_->next_speaker().value_or(Seat::kClient);
  return Seat::kClient;
}

bool Relay::established() const {
  const Link* link = newest();
  if (link == nullptr || !link->reader.established()) return false;
  return !stable_ || (items_ != nullptr && items_->established());
}

bool Relay::IsCurrent(const Operation& operation) const {
  return operation.latest().link == session_link();
}

const char* Relay::OutlivesRule() const {
  return stable_ ? "stable.untouched" : "session.outlives-conduit";
}

Seat Relay::OwesOutcome(const RelayedCall& call) const {
  if (cut() || !established() || passage_.OwesReplay()) return OwesSession();
  const Operation* operation = Find(call);
  if (operation == nullptr || !IsCurrent(*operation)) return call.caller;
  return operation->latest().response ? call.caller : call.callee();
}

Seat Relay::OwesItems(const RelayedCall& call, uint32_t field, uint64_t count, bool end) const {
  const Operation* operation = Find(call);
  if (cut() || passage_.OwesReplay() || operation == nullptr || !IsCurrent(*operation)) {
    return OwesOutcome(call);
  }
  const auto found = operation->latest().streams.find(field);
  if (found == operation->latest().streams.end()) return call.caller;
  const Stream& stream = *found->second;
  if (stream.values.size() < count) return stream.blocked() ? stream.receiver() : stream.sender;
  return end && !stream.closed ? stream.sender : stream.receiver();
}

// ---------------------------------------------------------------- session

Task<> Relay::Establish() {
  control::v1::ExecuteRequest listen;
  listen.mutable_listen()->set_max_concurrent_requests(kLimit);
  listen.mutable_listen()->set_resumable(true);
  control::v1::Outcome listening =
      co_await Execute(Seat::kServer, std::move(listen), "the server to listen");
  co_await Demand(Seat::kServer, listening.listening().port() != 0, "",
                  "a Listen command ends with the port");
  server_port_ = static_cast<uint16_t>(listening.listening().port());
  Effect open{.kind = EffectKind::kListen, .id = kListener, .subject = 1};
  Reading reading;
  reading.edge = "listener";
  reading.label = "listen";
  machine_->Request(std::move(open), std::move(reading));
  co_await Until(
      "a listening socket", [this] { return relay_port_ != 0; }, [] { return Seat::kClient; });

  control::v1::ExecuteRequest command;
  control::v1::Connect& connect = *command.mutable_connect();
  connect.set_port(relay_port_);
  connect.set_max_concurrent_requests(kLimit);
  connect.set_max_attempts(kDials);
  connect.set_session_lost(control::v1::SESSION_LOST_POLICY_NONE);
  connect.set_odd_parity(machine_->Choose(2, "odd parity") == 1);
  connect.set_resume(true);
  connect.set_stable_conduit(stable_);
  connect_ = Start(Seat::kClient, std::move(command));
  control::v1::Outcome connected = co_await OutcomeOf(
      connect_, "the Connect command to end", [this] { return OwesSession(); },
      "session.handshake");
  co_await Demand(Seat::kClient, connected.connected().session_id() == session_id_,
                  "session.handshake", "Connect ends with the session_id of HelloYourself");
  co_await Resumed(1);
}

Task<> Relay::Resumed(uint32_t generation) {
  co_await Until(
      "the session to be bound to link " + std::to_string(generation),
      [this, generation] { return this->generation() >= generation && established(); },
      [this] { return OwesSession(); }, OutlivesRule());
  // LetsGo is on its way to the server: after the Pong it has been processed.
  control::v1::ExecuteRequest ping;
  ping.mutable_ping()->set_session_id(session_id_);
  const uint32_t pinged = traffic_.Count(Seat::kClient, "ping");
  const uint32_t question = Start(Seat::kClient, std::move(ping));
  const auto owed_by = [this, pinged] {
    const bool asked = traffic_.Count(Seat::kClient, "ping") > pinged;
    const bool answered =
        traffic_.Count(Seat::kServer, "pong") == traffic_.Count(Seat::kClient, "ping");
    return asked && !answered ? Seat::kServer : Seat::kClient;
  };
  control::v1::Outcome pong =
      co_await OutcomeOf(question, "the Pong of the server", owed_by, "session.keepalive");
  co_await Demand(Seat::kClient, pong.has_done(), "session.keepalive",
                  "a Ping command ends at the Pong");
  if (generation == 1) co_return;
  for (const Seat seat : kSeats) Judged(OutlivesRule(), seat);
}

Task<> Relay::ConnectEnded() {
  if (connect_ == 0) co_return;
  co_await Until(
      "the Connect command to end", [this] { return answered(connect_); },
      [this] { return OwesSession(); }, "session.handshake");
}

bool Relay::session_lives() const {
  if (connect_ == 0 || over_) return false;
  const Question& connect = questions_.at(connect_);
  return connect.answered && connect.reply.execute().outcome().has_connected();
}

Task<> Relay::ExpireOldSessions() {
  std::vector<std::string> ids = old_sessions_;
  if (!session_id_.empty() && !session_lives()) ids.push_back(session_id_);
  for (const std::string& id : ids) {
    for (const Seat seat : kSeats) {
      control::v1::ExecuteRequest command;
      command.mutable_expire_session()->set_session_id(id);
      const uint32_t expiring = Start(seat, std::move(command));
      co_await Answered(expiring, "ExpireSession to be answered");
    }
  }
}

// ---------------------------------------------------------------- the end

Task<std::vector<ObservedEnd::Execution>> Relay::ReadExecutions(Seat seat) {
  const uint32_t id = next_question_++;
  Effect effect{.kind = EffectKind::kReadExecutions,
                .id = id,
                .bytes = HexOf(session_id_),
                .subject = static_cast<uint8_t>(seat)};
  Reading reading;
  reading.label = std::string("read executions of the ") + Name(seat);
  machine_->Request(std::move(effect), std::move(reading));
  executions_[id];
  co_await Until(
      "the executions file", [this, id] { return executions_.at(id).has_value(); },
      [seat] { return seat; });
  co_return ParseExecutions(*executions_.at(id));
}

Task<size_t> Relay::TimesExecuted(const RelayedCall& call) {
  const Operation* operation = Find(call);
  const uint64_t id = operation == nullptr ? 0 : operation->id;
  std::vector<ObservedEnd::Execution> executions = co_await ReadExecutions(call.callee());
  co_return static_cast<size_t>(
      std::count_if(executions.begin(), executions.end(),
                    [id](const auto& execution) { return execution.operation_id == id; }));
}

Task<> Relay::Epilogue() {
  co_await Settle();
  if (!session_id_.empty() && !cut()) {
    control::v1::ExecuteRequest command;
    command.mutable_close_session()->set_session_id(session_id_);
    const uint32_t closing = Start(Seat::kClient, std::move(command));
    const auto owed_by = [this] {
      const bool asked = traffic_.Count(Seat::kClient, "goodbye") > 0;
      const bool answered = traffic_.Count(Seat::kServer, "goodbye") > 0;
      return asked && !answered ? Seat::kServer : Seat::kClient;
    };
    control::v1::Outcome closed = co_await OutcomeOf(closing, "the session to be closed by Goodbye",
                                                     owed_by, "session.goodbye");
    co_await Demand(Seat::kClient, closed.has_done(), "session.goodbye",
                    "a CloseSession command ends once the session is gone");
    co_await Until(
        "the server's Goodbye",
        [this] { return traffic_.Count(Seat::kServer, "goodbye") > 0 || cut(); },
        [] { return Seat::kServer; }, "session.goodbye");
    for (const Seat seat : kSeats) Judged("session.goodbye", seat);
  }
  co_await Settle();
  bool closed = false;
  for (const auto& link : links_) {
    for (const Seat seat : kSeats) {
      if (link->gone[seat]) continue;
      Close(*link, seat, How::kFin);
      closed = true;
    }
  }
  if (closed) co_await Settle();
  for (const Seat seat : kSeats) co_await Finish(seat);
  ReportUnfiredCuts();
  for (const Seat seat : kSeats) co_await CheckLeaks(seat);
}

Task<> Relay::Finish(Seat seat) {
  ObservedEnd end;
  control::v1::ControlRequest request;
  request.mutable_journal();
  const uint32_t journal = Ask(seat, std::move(request));
  co_await Answered(journal, "the journal");
  const Question& answer = questions_.at(journal);
  if (answer.answered) TakeJournal(answer.reply.journal(), &end);
  end.executions = co_await ReadExecutions(seat);
  end.executions_read = true;
  monitors_[seat]->OnEnd(end);
}

Task<> Relay::CheckLeaks(Seat seat) {
  control::v1::ControlRequest request;
  request.mutable_reset();
  const uint32_t reset = Ask(seat, std::move(request));
  co_await Answered(reset, "Reset to be answered");
  control::v1::ResetResponse held = questions_.at(reset).reply.reset();
  // As with one subject: a session that nobody can name, for whoever asked has never heard of it.
  const auto unnamed = std::count_if(links_.begin(), links_.end(), [](const auto& link) {
    return link->asks_for_session && link->gone[Seat::kServer];
  });
  if (seat == Seat::kServer && static_cast<std::ptrdiff_t>(held.sessions()) <= unnamed)
    held.clear_sessions();
  std::string leaked = DescribeLeaks(held);
  const bool clean = leaked.empty();
  std::string wanted = "after the run it holds nothing of it, not" + std::move(leaked);
  co_await Demand(seat, clean, "control.reset", std::move(wanted));
}

}  // namespace counterpart::peer
