#include "harness/peer/peer.h"

#include <algorithm>
#include <utility>

#include "harness/peer/leftovers.h"
#include "harness/wire/framing.h"
#include "harness/wire/schema_id.h"

namespace counterpart::peer {

using effects::Effect;
using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;
using machine::Level;
using machine::Machine;
using machine::Reading;
using machine::Wake;

namespace {

constexpr uint32_t kMagic = 0x54525043;
constexpr uint32_t kVersion = 1;
constexpr size_t kKeyBytes = 16;
// The one listener of a run, in which role the subject's connects arrive.
constexpr uint32_t kListener = 1;
// Of a planned fault: fewer than the dials that every scenario allows for.
constexpr uint32_t kConnectsRefused = 2;

}  // namespace

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

// ---------------------------------------------------------------- faults

namespace {

// Whether a planned fault has ended the scenario: what that still had in mind is no more.
bool IsOver(const std::vector<ArmedFault>& faults) {
  return std::any_of(faults.begin(), faults.end(), [](const ArmedFault& armed) {
    return armed.planned && armed.fired && EndsScenario(armed.fault.how);
  });
}

}  // namespace

void Peer::Arm(Fault fault) {
  if (IsOver(faults_)) return;
  machine_->Note("fault", "armed " + std::string(Name(fault.how)) + " " + DescribeMoment(fault));
  ArmedFault armed;
  armed.fault = std::move(fault);
  faults_.push_back(std::move(armed));
}

void Peer::ArmPlan(const std::vector<Fault>& faults, std::function<void()> on_fired) {
  for (const Fault& fault : faults) {
    Arm(fault);
    faults_.back().planned = true;
  }
  on_planned_fault_ = std::move(on_fired);
}

void Peer::RefuseConnects(uint32_t count) {
  if (IsOver(faults_)) return;
  Fault fault;
  fault.how = How::kListenerDown;
  fault.ordinal = count;
  fault.generation = 0;
  Arm(std::move(fault));
  faults_.back().refuse = count;
}

void Peer::StopListening() {
  machine_->Request({.kind = EffectKind::kStopListening, .id = kListener, .number = 0, .bytes = ""},
                    {.edge = "listener", .label = "stop listening", .text = ""});
}

Peer::Due Peer::CountFrame(Link& link, Side from, const std::string& kind, size_t frame_bytes) {
  const uint32_t ordinal = ++frames_[{link.generation, from}];
  // What becomes of a cut after that is for the scenario to know.
  const bool may_be_cut = !process_touched_ && (!link.stable || ConduitGoesOn());
  if (may_be_cut) {
    Moment& moment = moments_.emplace_back();
    moment.from = from;
    moment.generation = link.generation;
    moment.ordinal = ordinal;
    moment.kind = kind;
    moment.bytes = static_cast<uint32_t>(frame_bytes);
  }
  Due due;
  ArmedFault* ending = nullptr;
  for (ArmedFault& armed : faults_) {
    const Fault& fault = armed.fault;
    if (armed.fired || armed.refuse > 0 || fault.from != from) continue;
    if (fault.generation != 0 && fault.generation != link.generation) continue;
    if (!fault.kind.empty() && fault.kind != kind) continue;
    if (++armed.seen != fault.ordinal || !may_be_cut) continue;
    if (link.stable && !FitsConduits(fault.how)) continue;
    if (!EndsScenario(fault.how)) {
      due.faults.push_back(&armed);
    } else if (ending == nullptr) {
      ending = &armed;
    }
  }
  if (ending != nullptr) due.faults.push_back(ending);
  return due;
}

const ArmedFault* Peer::Due::Find(How how) const {
  const auto found = std::find_if(faults.begin(), faults.end(), [how](const ArmedFault* armed) {
    return armed->fault.how == how;
  });
  return found == faults.end() ? nullptr : *found;
}

std::optional<uint32_t> Peer::Due::cut() const {
  if (faults.empty() || !EndsScenario(faults.back()->fault.how)) return {};
  if (faults.back()->fault.how == How::kBitFlip) return {};
  return faults.back()->fault.offset;
}

void Peer::FireAll(const Due& due, Link& link, const std::string& where) {
  // The last of them may drop others.
  for (ArmedFault* armed : due.faults) Fire(*armed, link, where);
}

void Peer::Request(Link& link, EffectKind kind, uint64_t number, std::string label) {
  machine_->Request({.kind = kind, .id = link.id, .number = number, .bytes = ""},
                    {.edge = Edge(link, true), .label = std::move(label), .text = ""});
}

ArmedFault& Peer::Apply(How how) {
  ArmedFault& armed = faults_.emplace_back();
  armed.fault.how = how;
  armed.fired = true;
  armed.where = "where the scenario wants it";
  machine_->Note("fault", "fired " + std::string(Name(how)));
  return armed;
}

void Peer::StopProcess() {
  Apply(How::kStop);
  process_touched_ = process_stopped_ = true;
  machine_->Request({.kind = EffectKind::kStopProcess, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "SIGSTOP", .text = ""});
}

void Peer::StopReadingUntilRest(Link& link) {
  Apply(How::kStopReading).link = link.id;
  Request(link, EffectKind::kStopReading, 1, "stop reading until the subject is at rest");
}

Link* Peer::SpoiledLink() {
  for (const auto& [id, link] : links_) {
    if (link->spoiled) return link.get();
  }
  return nullptr;
}

bool Peer::misread() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& entry) {
    const std::optional<Spoiled>& spoiled = entry.second->spoiled;
    return spoiled && spoiled->corruption.reads == Reads::kAsOther;
  });
}

void Peer::OnProof(const Ingress& ingress) {
  if (ingress.bytes == Name(How::kStop)) process_stopped_ = false;
  for (ArmedFault& armed : faults_) {
    // A wrong bit is proven by its having been read, like the first part of a split frame.
    const std::string name =
        armed.fault.how == How::kBitFlip ? Name(How::kSplit) : Name(armed.fault.how);
    if (!armed.fired || !armed.proof.empty() || name != ingress.bytes) continue;
    if (armed.link != ingress.id) continue;
    window_was_closed_ |= ingress.number == 2;
    if (ingress.number > 0) {
      armed.proof = ingress.text;
    } else {
      armed.where += ": " + ingress.text;
    }
    return;
  }
}

void Peer::Fire(ArmedFault& armed, Link& link, std::string where) {
  const How how = armed.fault.how;
  armed.fired = true;
  armed.link = how == How::kStop ? 0 : link.id;
  armed.where = "link " + std::to_string(link.id) + ", " + std::move(where);
  machine_->Note("fault", "fired " + std::string(Name(how)) + " " + DescribeMoment(armed.fault));
  firing_plan_ = armed.planned;
  proving_ = true;
  switch (how) {
    case How::kKill:
      Kill();
      break;
    case How::kStop:
      machine_->Request({.kind = EffectKind::kStopProcess, .id = 0, .number = 0, .bytes = ""},
                        {.edge = "process", .label = "SIGSTOP", .text = ""});
      break;
    case How::kStopReading:
      Request(link, EffectKind::kStopReading, 1, "stop reading until the subject is at rest");
      break;
    case How::kSplit:
    case How::kMerge:
    case How::kBitFlip:
      break;  // done with the write
    case How::kListenerDown:
      // What shows it is that connects come and are reset.
      proving_ = false;
      armed.refuse = kConnectsRefused;
      Close(link, How::kRst);
      break;
    default:
      Close(link, how);
      break;
  }
  firing_plan_ = proving_ = false;
  if (!armed.planned || !EndsScenario(how)) return;
  for (auto& [id, listener] : listeners_) std::erase(listener.accepted, link.id);
  if (link.stable) return on_planned_fault_();  // and the scenario goes on
  // The scenario's own faults go with the scenario.  (`armed` is not to be used after this.)
  std::erase_if(faults_, [](const ArmedFault& other) {
    return !other.planned && (!other.fired || other.proof.empty());
  });
  for (const auto& [id, other] : links_) other->end_expected = true;
  on_planned_fault_();
}

void Peer::ReportUnfiredFaults() {
  for (const ArmedFault& armed : faults_) {
    if (armed.fired && !armed.proof.empty()) continue;
    machine::Finding finding;
    finding.level = Level::kInconclusive;
    finding.text =
        armed.fired ? "nothing shows that the fault has taken effect: " : "the fault never fired: ";
    finding.text += std::string(Name(armed.fault.how)) + " " + DescribeMoment(armed.fault) +
                    (armed.fired ? " (" + armed.where + ")" : "");
    finding.place = kUnfiredFault;
    machine_->Report(std::move(finding));
  }
}

// ---------------------------------------------------------------- control plane

uint32_t Peer::Ask(control::v1::ControlRequest request, effects::Credential credential) {
  const uint32_t id = next_question_++;
  questions_[id];
  Reading reading;
  reading.edge = "control." + std::to_string(id);
  reading.label = Read(request);
  if (credential == effects::Credential::kNone) reading.label += " (without a token)";
  if (credential == effects::Credential::kWrong) reading.label += " (with another token)";
  Effect effect{.kind = EffectKind::kAsk,
                .id = id,
                .number = static_cast<uint64_t>(credential),
                .bytes = request.SerializeAsString()};
  machine_->Request(std::move(effect), std::move(reading));
  return id;
}

uint32_t Peer::Start(control::v1::ExecuteRequest command) {
  if (command.command_id() == 0) command.set_command_id(next_command_id_++);
  if (command.send() == 0) command.set_send(1);
  control::v1::ControlRequest request;
  *request.mutable_execute() = std::move(command);
  if (request.execute().has_channel_receive()) {
    receives_.push_back({next_question_, request.execute().channel_receive()});
  }
  return Ask(std::move(request));
}

Task<> Peer::Answered(uint32_t id, std::string awaited) {
  co_await Until(std::move(awaited),
                 [this, id] { return questions_.at(id).answered || questions_.at(id).lost; });
}

Task<control::v1::Outcome> Peer::OutcomeOf(uint32_t id, std::string awaited, std::string rule) {
  co_await Until(
      std::move(awaited),
      [this, id] { return questions_.at(id).answered || questions_.at(id).lost; }, std::move(rule));
  const Question& question = questions_.at(id);
  if (question.lost) co_await Fail("", "the control plane answers");
  if (question.reply.execute().has_refusal()) {
    std::string text =
        "the subject runs the command; it refused: " + question.reply.execute().refusal().text();
    co_await Fail("", std::move(text));
  }
  co_return question.reply.execute().outcome();
}

Task<control::v1::Outcome> Peer::Execute(control::v1::ExecuteRequest command, std::string awaited) {
  const uint32_t id = Start(std::move(command));
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited));
  co_return outcome;
}

void Peer::Release(const std::string& gate) {
  control::v1::ExecuteRequest command;
  command.mutable_release()->set_gate(gate);
  Start(std::move(command));
}

Task<> Peer::AwaitHandlerStarted(Session& session, uint64_t operation_id, std::string rule) {
  control::v1::ExecuteRequest command;
  command.mutable_await_event()->set_session_id(session.id);
  command.mutable_await_event()->set_handler_started(true);
  command.mutable_await_event()->set_operation_id(operation_id);
  std::string awaited = "the handler of operation " + std::to_string(operation_id) + " to start";
  const uint32_t id = Start(std::move(command));
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited), std::move(rule));
}

uint32_t Peer::StartCallBySubject(
    Session& session, const std::string& method, std::string arguments, std::string handle,
    uint64_t connection, google::protobuf::RepeatedPtrField<control::v1::Metadata> metadata) {
  control::v1::ExecuteRequest command;
  // Where the subject accepts, the command may overtake LetsGo: no session is there to call on yet.
  if (session.harness_initiates && !session.proven) {
    machine_->Report({.level = machine::Level::kError,
                      .text = "the scenario has " + handle +
                              " called on a session that the subject may not have bound yet"});
  }
  command.mutable_call()->set_session_id(session.id);
  command.mutable_call()->set_connection_id(connection);
  const Method* known = FindMethod(method);
  command.mutable_call()->set_method(known == nullptr ? method : known->name);
  command.mutable_call()->set_arguments(std::move(arguments));
  command.mutable_call()->set_handle(handle);
  command.mutable_call()->mutable_metadata()->Swap(&metadata);
  SubjectCall& call = subject_calls_.emplace_back();
  call.session_id = session.id;
  call.connection = connection;
  call.method = command.call().method();
  call.arguments = command.call().arguments();
  call.handle = std::move(handle);
  call.question = Start(std::move(command));
  return call.question;
}

void Peer::CancelCallBySubject(const std::string& handle) {
  control::v1::ExecuteRequest command;
  command.mutable_cancel()->set_handle(handle);
  Start(std::move(command));
  for (SubjectCall& call : subject_calls_) call.cancelled |= call.handle == handle;
}

Task<control::v1::CallOutcome> Peer::CallOutcomeOf(uint32_t id, std::string rule) {
  std::string awaited = "the subject's call to be resolved";
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited), std::move(rule));
  co_await Require(outcome.has_call(), "", "a Call command ends with the outcome of a call");
  co_return outcome.call();
}

// ---------------------------------------------------------------- process

void Peer::Kill() {
  process_touched_ |= !firing_plan_;
  exit_expected_ = true;
  killed_ = being_killed_ = true;
  machine_->Request({.kind = EffectKind::kKill, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "SIGKILL", .text = ""});
}

void Peer::CloseInput() {
  process_touched_ = exit_expected_ = true;
  killed_ = being_killed_ = true;
  machine_->Request({.kind = EffectKind::kCloseInput, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "close stdin", .text = ""});
}

Task<> Peer::Restart() {
  co_await Until("the subject to be gone", [this] { return subject_exited_; });
  machine_->Request({.kind = EffectKind::kRestart, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "restart", .text = ""});
  const uint32_t starts = starts_;
  restarting_ = true;
  co_await Until("the subject to start again", [this, starts] { return starts_ > starts; });
  exit_expected_ = being_killed_ = false;
  subject_port_ = 0;
  connect_question_ = 0;
}

// ---------------------------------------------------------------- links

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

// ---------------------------------------------------------------- sessions

std::string DescribeInbound(const std::optional<Link::Inbound>& inbound, Names& names) {
  if (!inbound) return "the end of the link";
  if (inbound->prologue) return Read(*inbound->prologue);
  if (inbound->stable_handshake) return Read(*inbound->stable_handshake, names);
  if (inbound->handshake) return Read(*inbound->handshake, names);
  if (inbound->message) return Read(*inbound->message);
  return "an unreadable payload (" + inbound->malformed + ")";
}

std::string Peer::MintBytes(const char* what, size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t hash = machine::HashBytes(what + std::to_string(machine_->seed()) + "/" +
                                             std::to_string(++minted_));
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(hash >> (8 * i)));
  }
  bytes.resize(size);
  return bytes;
}

wire::v1::Prologue Peer::TransportHello() const {
  wire::v1::Prologue prologue;
  prologue.mutable_hello()->set_magic(kMagic);
  prologue.mutable_hello()->set_version(kVersion);
  prologue.mutable_hello()->set_conduit(stable_ ? wire::v1::CONDUIT_STABLE
                                                : wire::v1::CONDUIT_BARE);
  prologue.mutable_hello()->set_max_payload(harness_max_payload_);
  return prologue;
}

wire::v1::Hello Peer::NewHello(const Session& session, std::string resume_key) const {
  wire::v1::Hello hello;
  hello.set_parity(session.odd_parity() ? wire::v1::PARITY_ODD : wire::v1::PARITY_EVEN);
  hello.mutable_settings()->set_max_concurrent_requests(session.harness_limit);
  static const uint64_t schema = wire::SchemaId(*wire::v1::Message::descriptor());
  hello.set_protocol_schema(schema);
  const bool resuming = !resume_key.empty();
  hello.set_resume_key(std::move(resume_key));
  if (resuming) {
    const std::vector<uint64_t> open = session.open_connections();
    hello.mutable_open_connections()->Assign(open.begin(), open.end());
  }
  return hello;
}

Session* Peer::NewSession(const SessionOptions& options) {
  auto session = std::make_unique<Session>(this, harness_calls(), options.harness_limit,
                                           options.subject_limit);
  if (options.initiator_even) session->SwapParities();
  session->resumable = options.resumable && !stable_;  // it is the conduit that goes on
  session->dials = options.dials;
  session->accepts_connections = options.connections;
  sessions_.push_back(std::move(session));
  return sessions_.back().get();
}

std::vector<Session*> Peer::sessions() {
  std::vector<Session*> all;
  for (const auto& session : sessions_) all.push_back(session.get());
  return all;
}

Task<> Peer::DoPrologue(Link& link) {
  if (link.harness_dialled) {
    Send(link, TransportHello());
    auto answer = co_await NextInbound(link, "TransportAccept", "transport.prologue.first-payload");
    const bool accepted = answer && answer->prologue && answer->prologue->has_accept();
    std::string wanted = "a TransportHello is answered by TransportAccept, not by " +
                         DescribeInbound(answer, names_);
    co_await Require(accepted, "transport.prologue.first-payload", std::move(wanted));
    co_return;
  }
  auto hello = co_await NextInbound(link, "TransportHello", "transport.prologue.first-payload");
  const bool ok = hello && hello->prologue && hello->prologue->has_hello() &&
                  hello->prologue->hello().magic() == kMagic &&
                  hello->prologue->hello().version() == kVersion &&
                  hello->prologue->hello().conduit() ==
                      (stable_ ? wire::v1::CONDUIT_STABLE : wire::v1::CONDUIT_BARE);
  std::string wanted = std::string("the first payload is a TransportHello of version 1 for a ") +
                       (stable_ ? "stable" : "bare") + " conduit, not " +
                       DescribeInbound(hello, names_);
  co_await Require(ok, "transport.prologue.first-payload", std::move(wanted));
  wire::v1::Prologue accept;
  accept.mutable_accept()->set_max_payload(harness_max_payload_);
  Send(link, accept);
}

wire::v1::Handshake Peer::NewHelloYourself(const Session& session, const std::string& presented) {
  wire::v1::Handshake handshake;
  auto& yourself = *handshake.mutable_hello_yourself();
  yourself.mutable_settings()->set_max_concurrent_requests(session.harness_limit);
  static const uint64_t schema = wire::SchemaId(*wire::v1::Message::descriptor());
  yourself.set_protocol_schema(schema);
  yourself.set_session_id(session.id);
  if (!presented.empty()) {
    const std::vector<uint64_t> open = session.open_connections();
    yourself.mutable_open_connections()->Assign(open.begin(), open.end());
  }
  if (!session.resumable) return handshake;
  // r[session.resume.key-rotation]: a key has one successor, however often it is presented.
  std::string key = presented.empty() ? "" : successors_[presented];
  if (key.empty()) key = MintBytes("key", kKeyBytes);
  if (!presented.empty()) successors_[presented] = key;
  yourself.set_resume_key(std::move(key));
  return handshake;
}

Task<> Peer::DoHandshake(Link& link, Session& session, std::string resume_key, std::string or_key) {
  // A handshake that presents a key, or should, is held to the rule about that.
  const std::string rule = session.id.empty() ? "session.handshake" : session.resume_rule;
  if (link.harness_dialled) {
    wire::v1::Handshake hello;
    *hello.mutable_hello() = NewHello(session, resume_key);
    Send(link, hello);
    auto answer = co_await NextInbound(link, "HelloYourself", rule);
    const bool ok = answer && answer->handshake && answer->handshake->has_hello_yourself();
    std::string wanted =
        "a Hello is answered by HelloYourself, not by " + DescribeInbound(answer, names_);
    co_await Require(ok, rule, std::move(wanted));
    co_await TakeHelloYourself(link, session, *answer);
    co_return;
  }
  auto hello = co_await NextInbound(link, "Hello", rule);
  const bool ok = hello && hello->handshake && hello->handshake->has_hello();
  std::string wanted =
      "the prologue is followed by Hello, not by " + DescribeInbound(hello, names_);
  co_await Require(ok, rule, std::move(wanted));
  const auto parity = hello->handshake->hello().parity();
  co_await Require(parity == (session.odd_parity() ? wire::v1::PARITY_EVEN : wire::v1::PARITY_ODD),
                   "session.parity",
                   "a Hello asks for the parity that the initiator was told to mint");
  const std::string& presented = hello->handshake->hello().resume_key();
  if (session.id.empty()) {
    co_await Require(presented.empty(), "session.handshake",
                     "the Hello of a new session carries no resume key");
    session.id = MintBytes("session", kKeyBytes);
  } else {
    const bool newest = presented == resume_key || (!or_key.empty() && presented == or_key);
    co_await Require(newest, "session.handshake.resume",
                     "the Hello of a redial presents the newest resume key it has read");
  }
  co_await AnswerHello(link, session, presented, rule);
}

Task<> Peer::TakeHelloYourself(Link& link, Session& session, const Link::Inbound& answer) {
  const auto& yourself = answer.handshake->hello_yourself();
  if (!session.id.empty()) {
    co_await Require(yourself.session_id() == session.id, "session.handshake.resume",
                     "a resumed session keeps its session_id");
  }
  if (stable_) {
    co_await Require(yourself.resume_key().empty(), "session.attachment.generation",
                     "a session over a stable conduit hands out no key of its own");
  }
  session.id = yourself.session_id();
  session.resume_key = yourself.resume_key();
  session.subject_limit = yourself.settings().max_concurrent_requests();
  wire::v1::Handshake lets_go;
  lets_go.mutable_lets_go();
  Send(link, lets_go);
  if (link.spoiled) co_return;  // the handshake has not ended for the subject
  link.in = link.out = Link::Phase::kMessages;
  if (!link.end || machine_->superseded()) session.Attach(&link, link.generation);
}

Task<> Peer::AnswerHello(Link& link, Session& session, const std::string& presented,
                         std::string rule) {
  const wire::v1::Handshake yourself = NewHelloYourself(session, presented);
  session.older_key = presented;
  session.resume_key = yourself.hello_yourself().resume_key();
  Send(link, yourself);
  auto lets_go = co_await NextInbound(link, "LetsGo", rule);
  const bool went = lets_go && lets_go->handshake && lets_go->handshake->has_lets_go();
  std::string go =
      "a HelloYourself is answered by LetsGo, not by " + DescribeInbound(lets_go, names_);
  co_await Require(went, rule, std::move(go));
  session.older_key.clear();
  session.proven = true;
  link.out = Link::Phase::kMessages;
  if (!link.end || machine_->superseded()) session.Attach(&link, link.generation);
}

Task<Session*> Peer::Establish(SessionOptions options) {
  Session* session = NewSession(options);
  Link* link = co_await OpenLink(options);
  co_await DoPrologue(*link);
  if (stable_) link = co_await OpenConduit(*link, options);
  co_await DoHandshake(*link, *session, "");
  if (!harness_calls()) {
    control::v1::Outcome outcome =
        co_await OutcomeOf(connect_question_, "the Connect command to end", "session.handshake");
    co_await Require(outcome.has_connected() && outcome.connected().session_id() == session->id,
                     "session.handshake", "Connect ends with the session_id of HelloYourself");
  }
  co_return session;
}

Task<> Peer::Resume(Session& session) {
  SessionOptions options;
  options.resumable = session.resumable;
  options.dials = session.dials;
  // r[session.resume.bind]: the initiator closes its previous link before each Hello.
  if (session.link != nullptr && harness_calls()) Close(*session.link, How::kFin);
  for (const auto& call : session.calls()) {
    if (!call->response) happenings_.insert(std::string(kResumedUnanswered));
  }
  std::string key = session.resume_key;
  Link* link = co_await OpenLink(options);
  co_await DoPrologue(*link);
  co_await DoHandshake(*link, session, std::move(key));
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

// ---------------------------------------------------------------- the end

Task<std::vector<ObservedEnd::Execution>> Peer::ReadExecutions() {
  std::string wanted;
  for (const auto& session : sessions_) wanted += (wanted.empty() ? "" : " ") + HexOf(session->id);
  const uint32_t id = next_question_++;
  machine_->Request({.kind = EffectKind::kReadExecutions, .id = id, .number = 0, .bytes = wanted},
                    {.edge = "", .label = "read executions", .text = ""});
  executions_[id];
  co_await Until("the executions file", [this, id] { return executions_.at(id).has_value(); });
  co_return ParseExecutions(*executions_.at(id));
}

Task<std::string> Peer::ReadOutput(bool errors) {
  const uint32_t id = next_question_++;
  Effect effect{.kind = EffectKind::kReadOutput,
                .id = id,
                .number = errors ? uint64_t{1} : uint64_t{0},
                .bytes = ""};
  machine_->Request(
      std::move(effect),
      {.edge = "", .label = errors ? "read stdout and stderr" : "read stdout", .text = ""});
  outputs_[id];
  co_await Until("its output", [this, id] { return outputs_.at(id).has_value(); });
  co_return *outputs_.at(id);
}

Task<std::vector<control::v1::JournalEvent>> Peer::JournalSoFar() {
  control::v1::ControlRequest request;
  request.mutable_journal();
  const uint32_t question = Ask(std::move(request));
  co_await Answered(question, "the journal");
  const auto& events = questions_.at(question).reply.journal().events();
  co_return std::vector<control::v1::JournalEvent>(events.begin(), events.end());
}

Task<std::vector<uint64_t>> Peer::PlannedDelays() {
  std::vector<control::v1::JournalEvent> journal = co_await JournalSoFar();
  std::vector<uint64_t> delays;
  for (const auto& event : journal) {
    if (event.has_planned_delay()) delays.push_back(event.planned_delay().delay_ms());
  }
  co_return delays;
}

Task<> Peer::Epilogue() {
  ObservedEnd end;
  end.subject_killed = killed_;
  if (!subject_exited_) {
    co_await Settle();
    for (const auto& session : sessions_) {
      co_await Require(session->waiting_requests() == 0, "",
                       "no Request arrives that nobody asked for");
    }
    for (const auto& session : sessions_) {
      if (session->attached()) {
        co_await session->SayGoodbye();
      } else if (!session->id.empty() && !session->ended() && harness_calls()) {
        control::v1::ExecuteRequest command;
        command.mutable_expire_session()->set_session_id(session->id);
        const uint32_t expiring = Start(std::move(command));
        // Refused where the subject has dropped the session already: both are fine here.
        co_await Answered(expiring, "ExpireSession to be answered");
      }
    }
    for (auto& [id, link] : links_) {
      if (!link->end && link->up) Close(*link, How::kFin);
    }
    co_await Settle();
    control::v1::ControlRequest request;
    request.mutable_journal();
    const uint32_t journal = Ask(std::move(request));
    co_await Answered(journal, "the journal");
    if (questions_.at(journal).answered) {
      const auto& reply = questions_.at(journal).reply.journal();
      end.journal.assign(reply.events().begin(), reply.events().end());
      end.journal_gap = reply.gap();
      end.journal_read = true;
    }
  }
  end.executions = co_await ReadExecutions();
  end.executions_read = true;
  monitors_->OnEnd(end);
  ReportUnfiredFaults();
  if (!subject_exited_) co_await CheckLeaks();
}

void Peer::NoteSessions() {
  for (const auto& session : sessions_) {
    const bool has_key = session->resumable && !session->resume_key.empty();
    const char* over = session->goodbye_received() ? "ended by Goodbye"
                       : session->protocol_error() ? "ended by a protocol error"
                       : !has_key                  ? "over with its link, for want of a resume key"
                                                   : "the subject was told to let it expire";
    machine_->Note("sessions", names_.Of("S", session->id) + ": " + over);
  }
}

Task<> Peer::CheckLeaks() {
  control::v1::ControlRequest request;
  request.mutable_reset();
  const uint32_t reset = Ask(std::move(request));
  co_await Answered(reset, "Reset to be answered");
  control::v1::ResetResponse held = questions_.at(reset).reply.reset();
  // A Hello that was cut off from its answer may have made a session that nobody can name: whether
  // its acceptor keeps that for a redial is its own affair.
  uint32_t unnamed = 0;
  for (const auto& [id, link] : links_) {
    unnamed += link->asked_for_session && link->end == LinkEnd::kCutByHarness;
  }
  if (held.sessions() <= unnamed) held.clear_sessions();
  const std::string leaked = DescribeLeaks(held);
  if (held.sessions() > 0) NoteSessions();
  std::string wanted = "after the run the subject holds nothing of it, not" + leaked;
  co_await Require(leaked.empty(), "control.reset", std::move(wanted));
}

}  // namespace counterpart::peer
