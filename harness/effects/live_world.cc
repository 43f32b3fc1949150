#include "harness/effects/live_world.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/control_translation.h"
#include "harness/effects/effect_proofs.h"
#include "harness/effects/executions.h"
#include "harness/effects/kernel_witness.h"
#include "harness/effects/live_link.h"
#include "harness/effects/loopback.h"
#include "harness/effects/loopback_space.h"
#include "harness/effects/subject.h"
#include "harness/effects/tcp_diag.h"
#include "harness/effects/wait_self_test.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kFirstAcceptedLink = 1001;
constexpr size_t kMostLinksPerLane = 1024;      // more stay in the listener's backlog
constexpr size_t kMostUndelivered = 64u << 20;  // per lane, bytes of payloads
constexpr size_t kMostExecutions = 64u << 20;   // bytes of the executions file, of one lane
constexpr Lane kNobody = 0;
// How long a subject that the kernel calls idle may leave a control question open, or disagree
// with us about what it was asked, before the run is given up as inconclusive, where nothing is on
// its way between: long enough for what has just been woken. Only that: nothing is ever judged by
// it.
constexpr auto kStallCeiling = milliseconds(20);
// The same through gRPC, whose threads look once a second for work that they were not woken for: to
// the kernel they are at rest until then, with a question in their hands.
constexpr auto kGrpcStallCeiling = milliseconds(5000);
// Answers of a subject about itself, each after an instant of rest, that convict it.
constexpr int kAgreeingAnswers = 20;
// How long one check goes on looking by itself before it gives the thread back.
constexpr auto kPatience = milliseconds(50);
constexpr int kEventsPerLook = 128;
constexpr int kMostLooks = 16;

// What an epoll event is about: a kind, and which of it.
enum class Source : uint64_t { kControl, kExit, kStdout, kStderr, kStdin, kListener, kLink };
uint64_t Tag(Source source, uint64_t key = 0) { return static_cast<uint64_t>(source) << 56 | key; }
Source SourceOf(uint64_t tag) { return static_cast<Source>(tag >> 56); }
uint64_t KeyOf(uint64_t tag) { return tag & ((uint64_t{1} << 56) - 1); }

// Why nothing can be said of a run whose question has lapsed.
std::string Lapsed(const ControlCompletion& completion) {
  return "starved: the subject's server let a question of the control plane lapse before the "
         "subject was asked (" +
         completion.failure + ")";
}

uint64_t SizeOf(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 ? static_cast<uint64_t>(about.st_size) : 0;
}

// What `path` holds behind its first `from` bytes, up to `most` bytes of it. Nothing: it cannot be
// read.
std::optional<std::string> ReadFileFrom(const std::string& path, uint64_t from, size_t most) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  const uint64_t size = SizeOf(path);
  if (size <= from) return std::string();
  std::string text(std::min<uint64_t>(most, size - from), '\0');
  in.seekg(static_cast<std::streamoff>(from));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

class EpollLiveWorld final : public LiveWorld {
 public:
  EpollLiveWorld(SubjectSpec spec, LoopbackSpace* space)
      : spec_(std::move(spec)), space_(space), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Watch(sink_.fd(), EPOLLIN, Tag(Source::kControl));
  }
  ~EpollLiveWorld() override {
    links_.clear();
    lanes_.clear();
    subject_.reset();
  }

  // `legacy`: of the one before, if this one takes its place.
  Status StartSubject(std::shared_ptr<Legacy> legacy = nullptr);

  const SubjectInfo& subject() const override { return info_; }
  uint32_t incarnation() const override { return incarnation_; }
  bool alive() const override { return subject_ != nullptr && !exit_reported_ && !exit_due_; }
  std::string stderr_tail() const override {
    return subject_ == nullptr ? std::string() : subject_->errors().tail();
  }

  Lane OpenLane() override;
  void CloseLane(Lane lane) override;
  void Execute(Lane lane, const Effect& effect) override;
  std::vector<Arrival> Poll(microseconds limit) override;
  int wait_fd() const override { return epoll_.get(); }
  Calm CheckCalm(microseconds horizon, Certainty certainty) override;
  Status Respawn() override;

 private:
  struct HeldListener {
    Listener listener;
    Lane lane;
    uint32_t id;
  };
  struct HeldLink {
    LiveLink link;
    Lane lane;
    uint32_t interest = 0;  // as epoll knows it
  };
  struct LaneState {
    uint32_t address;  // that everything of the lane listens at
    ControlTranslation translation;
    std::map<uint32_t, uint64_t> links = {}, listeners = {};  // by the machine's id: our key
    uint32_t next_accepted = kFirstAcceptedLink;
    size_t undelivered = 0;
    // What the executions file held when the lane opened is of earlier runs: a process serves
    // thousands, and every one of them asks.
    uint64_t executions_from = 0;
  };
  // An effect that is to be proven by what the kernel shows.
  struct Unproven {
    Lane lane;
    EffectKind kind;
    uint32_t id;       // of the link, for the machine
    uint64_t key = 0;  // and for us
    std::optional<TcpPath> path = std::nullopt;
    uint32_t segments = 0;  // that our end had sent before
    bool nothing_follows = false;
  };
  struct Question {
    Lane lane;  // kNobody: a Settle of our own
    uint32_t id;
    bool execute;
  };
  // What a subject says is going on in it.
  struct Settled {
    uint64_t accepted = 0, answered = 0, journal_seq = 0;
    uint32_t runnable = 0;
    std::string timer = {};  // the first one due within the horizon, for people
    microseconds timer_due{0};
    bool operator==(const Settled& other) const {
      return accepted == other.accepted && answered == other.answered &&
             journal_seq == other.journal_seq && runnable == other.runnable;
    }
  };
  enum class Wave { kAnswered, kInterrupted, kUnsupported, kUnjudgeable };
  // What one look took in, sorted only when it is over.
  struct Batch {
    struct OfLink {
      Lane lane;
      std::vector<Ingress> happened = {};
      std::optional<Ingress> end = std::nullopt;
    };
    std::vector<OfLink> links;  // in the order they were first seen
    std::map<uint64_t, size_t> index;
    std::vector<ControlCompletion> completions;
    bool exit_seen = false;
  };

  void Watch(int fd, uint32_t events, uint64_t tag);
  void Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }
  void WatchSubject();
  void UpdateInterest(uint64_t key);
  uint64_t AddLink(Lane lane, uint32_t id, UniqueFd fd, bool dialling);
  void Take(uint64_t key, LiveLink::Events events, Batch& batch);
  void DropIfClosed(uint64_t key);

  void Listen(Lane lane, LaneState& state, uint32_t id);
  void Connect(Lane lane, LaneState& state, const Effect& effect);
  void OnLinkEffect(Lane lane, LaneState& state, const Effect& effect);
  // Remembers that an effect is to be proven. `key`: of its link.
  void Owe(Lane lane, const Effect& effect, uint64_t key);
  void StopProcess(Lane lane);
  void GoOn();
  void Ask(Lane lane, LaneState& state, const Effect& effect);
  void Restart(Lane lane);
  void Kill();
  void CloseInput();

  // Takes in everything there is, after waiting for up to `limit`.
  void Look(microseconds limit);
  void AwaitInput(microseconds limit);
  void LookAtSockets(Batch& batch);
  void OnAcceptable(uint64_t key, Batch& batch);
  bool MustHaveEnded(const Batch& batch) const;
  void Deliver(Batch batch);
  void Deliver(Lane lane, Ingress ingress);
  void DeliverCompletion(ControlCompletion completion);
  void DeliverExit();

  // Delivers the proofs that can be given by now; true if there was one.
  bool Prove();
  void Deliver(const Unproven& owed, uint64_t took_effect, std::string text);
  std::string ProofOf(const Unproven& owed);
  // The stopped subject goes on once it has been sent everything.
  Calm WhileStopped();
  // Ends what lasts until the subject is at rest; true if there was something.
  bool LiftAtRest();

  // One Settle, there and back. Interrupted: something arrived meanwhile.
  Wave AskSettle(microseconds horizon, Settled& settled, std::string& why, Calm* unjudgeable);
  void OnSettle(const ControlCompletion& completion);
  OurEnds Ends();
  // Something was sent, or came.
  void OnActivity() {
    idle_since_.reset();
    delivered_since_.reset();
    contradiction_.reset();
    if (witness_ != nullptr) witness_->OnActivity();
  }
  // Questions of the control plane, and their answers: whether one may be on its way.
  enum class Control { kUnknown, kDelivered };
  KernelView AskKernel(microseconds horizon, Certainty certainty = Certainty::kOneLook,
                       Control* control = nullptr);
  // Whether what it owes will not come any more, by `view` and by what was seen before.
  bool KeepsSilent(const KernelView& view, Control control);
  Calm NotYet(microseconds retry_after) const;
  Calm Owed(microseconds horizon, const std::string& what);
  // What the subject says of itself is not what we see; "" if it is.
  std::string Difference(const Settled& said) const;
  Calm Contradicted(microseconds horizon, const Settled& said, const std::string& how);
  std::string Bytes(KernelView view, const std::string& settle) const;

  const SubjectSpec spec_;
  LoopbackSpace* const space_;
  UniqueFd epoll_;
  ControlSink sink_;
  std::unique_ptr<Subject> subject_;
  SubjectInfo info_;
  uint32_t incarnation_ = 0;
  bool exit_due_ = false;       // killed; to be reported by the next look
  bool exit_reported_ = false;  // of this incarnation
  CommandIds command_ids_;
  std::map<Lane, LaneState> lanes_;
  Lane next_lane_ = 1;
  std::map<uint64_t, HeldLink> links_;
  std::map<uint64_t, HeldListener> listeners_;
  std::vector<TcpPath> departed_;  // links closed, until the subject has been told
  uint64_t next_key_ = 1;
  std::vector<Unproven> unproven_;
  bool stopped_ = false;  // by us
  TcpDiag tcp_;
  std::map<uint64_t, Question> questions_;
  uint64_t next_question_ = 1;
  uint64_t executes_sent_ = 0, executes_answered_ = 0;  // of this incarnation
  std::deque<Arrival> undelivered_;
  std::optional<Clock::time_point> idle_since_;  // by the kernel's word, without a break
  // With a question in its hands: the first instant of rest since it was asked, or anything came.
  std::optional<Clock::time_point> delivered_since_;
  // What the subject says that cannot be, and the instants of rest between equal answers so far.
  struct Contradiction {
    Settled said;
    int rests = 0;
    bool rested = false;  // since the last answer
    KernelView at_rest = {};
  };
  std::optional<Contradiction> contradiction_;
  std::unique_ptr<KernelWitness> witness_;
  uint64_t settle_question_ = 0;  // open; 0: none
  std::optional<control::v1::ControlReply> settle_reply_;
  std::string settle_failure_;
  std::string settle_lapsed_;  // why it cannot be judged by that; "" if it can
};

// ---------------------------------------------------------------- the subject

Status EpollLiveWorld::StartSubject(std::shared_ptr<Legacy> legacy) {
  Result<std::unique_ptr<Subject>> started = Subject::Start(spec_, &sink_, std::move(legacy));
  if (!started) return started.error();
  subject_ = std::move(*started);
  info_ = subject_->info();
  ++incarnation_;
  exit_due_ = exit_reported_ = stopped_ = false;
  executes_sent_ = executes_answered_ = 0;
  WatchSubject();
  witness_ =
      MakeKernelWitness(subject_->process().pid(), subject_->process().token(), spec_.watchdog);
  witness_->OnStarted();
  settle_question_ = 0;
  departed_.clear();
  idle_since_.reset();
  contradiction_.reset();
  return {};
}

void EpollLiveWorld::WatchSubject() {
  Process& process = subject_->process();
  Watch(subject_->stdout_fd(), EPOLLIN, Tag(Source::kStdout));
  Watch(subject_->stderr_fd(), EPOLLIN, Tag(Source::kStderr));
  Watch(process.exit_fd(), EPOLLIN, Tag(Source::kExit));
}

Status EpollLiveWorld::Respawn() {
  subject_.reset();
  questions_.clear();
  sink_.Take();
  undelivered_.clear();
  return StartSubject();
}

void EpollLiveWorld::Kill() {
  if (!alive()) return;
  subject_->Kill();
  exit_due_ = true;
}

void EpollLiveWorld::CloseInput() {
  if (alive()) subject_->CloseInput();
}

void EpollLiveWorld::Restart(Lane lane) {
  Kill();
  Look(microseconds(0));  // what the old incarnation still had to say
  std::shared_ptr<Legacy> legacy = subject_ == nullptr ? nullptr : subject_->process().legacy();
  subject_.reset();
  for (ControlCompletion& completion : sink_.Take()) DeliverCompletion(std::move(completion));
  for (const auto& [id, question] : std::exchange(questions_, {})) {
    if (question.lane == kNobody) continue;
    Deliver(
        question.lane,
        {.kind = IngressKind::kNoAnswer, .id = question.id, .text = "the subject was restarted"});
  }
  if (const Status started = StartSubject(std::move(legacy)); !started) {
    exit_reported_ = true;
    Deliver(lane, {.kind = IngressKind::kExited,
                   .text = "could not be started again: " + started.error().message});
    return;
  }
  Deliver(lane, {.kind = IngressKind::kStarted, .number = incarnation_});
}

// ---------------------------------------------------------------- lanes and effects

Lane EpollLiveWorld::OpenLane() {
  const Lane lane = next_lane_++;
  const uint32_t address = space_->NextAddress();
  LaneState state{
      .address = address,
      .translation = ControlTranslation(&command_ids_, "r" + std::to_string(lane), HostOf(address),
                                        [this, address] { return space_->FreePort(address); })};
  if (subject_ != nullptr) state.executions_from = SizeOf(subject_->process().executions_path());
  lanes_.emplace(lane, std::move(state));
  return lane;
}

void EpollLiveWorld::CloseLane(Lane lane) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
  for (const auto& [id, key] : found->second.links) {
    const auto held = links_.find(key);
    if (held == links_.end()) continue;
    held->second.link.Reset();
    DropIfClosed(key);
  }
  for (const auto& [id, key] : found->second.listeners) {
    listeners_.at(key).listener.Stop();
    listeners_.erase(key);
  }
  std::erase_if(unproven_, [lane](const Unproven& owed) { return owed.lane == lane; });
  if (stopped_) GoOn();
  lanes_.erase(found);
  std::erase_if(undelivered_, [lane](const Arrival& arrival) { return arrival.lane == lane; });
}

void EpollLiveWorld::Execute(Lane lane, const Effect& effect) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
  OnActivity();
  LaneState& state = found->second;
  switch (effect.kind) {
    case EffectKind::kListen:
      return Listen(lane, state, effect.id);
    case EffectKind::kStopListening: {
      const auto key = state.listeners.find(effect.id);
      if (key == state.listeners.end()) return;
      // What has connected by now has connected; the reset is for those who come later.
      Batch batch;
      OnAcceptable(key->second, batch);
      Deliver(std::move(batch));
      listeners_.at(key->second).listener.Stop();
      return;
    }
    case EffectKind::kDial:
      return Connect(lane, state, effect);
    case EffectKind::kWrite:
    case EffectKind::kFin:
    case EffectKind::kHalfClose:
    case EffectKind::kRst:
    case EffectKind::kStopReading:
    case EffectKind::kResumeReading:
    case EffectKind::kLimit:
    case EffectKind::kSplit:
    case EffectKind::kMerge:
      return OnLinkEffect(lane, state, effect);
    case EffectKind::kAsk:
      return Ask(lane, state, effect);
    case EffectKind::kKill:
      return Kill();
    case EffectKind::kCloseInput:
      return CloseInput();
    case EffectKind::kRestart:
      return Restart(lane);
    case EffectKind::kStopProcess:
      return StopProcess(lane);
    case EffectKind::kReadExecutions: {
      std::optional<std::string> file = std::string();
      if (subject_ != nullptr) {
        file = ReadFileFrom(subject_->process().executions_path(), state.executions_from,
                            kMostExecutions);
      }
      // An empty one would say that nothing was executed.
      if (!file) {
        const std::string why = std::strerror(errno);
        return Deliver(lane, {.kind = IngressKind::kUnjudgeable,
                              .text = "harness: the executions file cannot be read: " + why});
      }
      return Deliver(lane, {.kind = IngressKind::kExecutions,
                            .id = effect.id,
                            .bytes = ExecutionsOf(*file, effect.bytes)});
    }
    case EffectKind::kReadOutput: {
      std::string output;
      if (subject_ != nullptr) output = subject_->OutputSoFar(/*errors=*/effect.number == 1);
      return Deliver(lane, {.kind = IngressKind::kOutput, .id = effect.id, .bytes = output});
    }
  }
}

void EpollLiveWorld::Listen(Lane lane, LaneState& state, uint32_t id) {
  const auto known = state.listeners.find(id);
  uint64_t key = 0;
  Status started;
  if (known != state.listeners.end()) {
    key = known->second;
    Listener& listener = listeners_.at(key).listener;
    if (!listener.listening()) started = listener.StartAgain();
  } else {
    Result<Listener> opened = Listener::Open(state.address, space_->FreePort(state.address));
    if (opened) {
      key = next_key_++;
      listeners_.emplace(key, HeldListener{std::move(*opened), lane, id});
      state.listeners[id] = key;
    } else {
      started = opened.error();
    }
  }
  if (!started) {
    // The machine (in both senses) is out of ports or descriptors: nothing can be judged.
    return Deliver(
        lane, {.kind = IngressKind::kUnjudgeable, .text = "harness: " + started.error().message});
  }
  const Listener& listener = listeners_.at(key).listener;
  Watch(listener.fd(), EPOLLIN, Tag(Source::kListener, key));
  Deliver(lane, {.kind = IngressKind::kListening, .id = id, .number = listener.port()});
}

void EpollLiveWorld::Connect(Lane lane, LaneState& state, const Effect& effect) {
  if (state.links.contains(effect.id)) return;
  Result<Dialling> dialled = Dial(state.address, static_cast<uint16_t>(effect.number));
  if (!dialled) {
    return Deliver(
        lane,
        {.kind = IngressKind::kLinkRefused, .id = effect.id, .text = dialled.error().message});
  }
  // Always decided by the first look, so that one path reports it.
  AddLink(lane, effect.id, std::move(dialled->fd), true);
}

uint64_t EpollLiveWorld::AddLink(Lane lane, uint32_t id, UniqueFd fd, bool dialling) {
  const uint64_t key = next_key_++;
  links_.emplace(key, HeldLink{LiveLink(id, std::move(fd), dialling), lane});
  lanes_.at(lane).links[id] = key;
  UpdateInterest(key);
  return key;
}

void EpollLiveWorld::OnLinkEffect(Lane lane, LaneState& state, const Effect& effect) {
  const auto key = state.links.find(effect.id);
  const auto held = key == state.links.end() ? links_.end() : links_.find(key->second);
  if (held == links_.end()) {
    const bool cuts = effect.kind == EffectKind::kFin || effect.kind == EffectKind::kRst ||
                      effect.kind == EffectKind::kHalfClose;
    if (cuts && effect.number == 1) {
      Deliver(lane, {.kind = IngressKind::kProof,
                     .id = effect.id,
                     .number = 1,
                     .bytes = Name(effect.kind),
                     .text = "the connection had ended by then"});
    }
    return;
  }
  LiveLink& link = held->second.link;
  LiveLink::Events events;
  const bool lasts = effect.kind == EffectKind::kSplit || effect.kind == EffectKind::kMerge;
  if (lasts || effect.number == 1) Owe(lane, effect, key->second);
  switch (effect.kind) {
    case EffectKind::kSplit:
      if (effect.number == 0) link.HoldBack();
      break;
    case EffectKind::kMerge:
      link.Gather();
      break;
    case EffectKind::kWrite:
      link.Write(effect.bytes, events);
      break;
    case EffectKind::kFin:
      link.Fin();
      break;
    case EffectKind::kHalfClose:
      link.HalfClose();
      break;
    case EffectKind::kRst:
      link.Reset();
      break;
    case EffectKind::kStopReading:
      link.StopReading();
      break;
    case EffectKind::kResumeReading:
      link.ResumeReading();
      break;
    case EffectKind::kLimit:
      link.Limit(static_cast<uint32_t>(effect.number));
      break;
    default:
      break;
  }
  if (events.end) Deliver(lane, std::move(*events.end));
  UpdateInterest(key->second);
  DropIfClosed(key->second);
  Prove();
}

// ---------------------------------------------------------------- proofs

void EpollLiveWorld::Owe(Lane lane, const Effect& effect, uint64_t key) {
  if (effect.kind == EffectKind::kWrite || effect.kind == EffectKind::kLimit) return;
  const LiveLink& link = links_.at(key).link;
  Unproven& owed = unproven_.emplace_back(Unproven{
      .lane = lane, .kind = effect.kind, .id = effect.id, .key = key, .path = link.path()});
  owed.nothing_follows = effect.number == 1;
  if (const auto own = tcp_.OwnEnd(link.fd())) owed.segments = own->segments;
}

void EpollLiveWorld::Deliver(const Unproven& owed, uint64_t took_effect, std::string text) {
  Deliver(owed.lane, {.kind = IngressKind::kProof,
                      .id = owed.id,
                      .number = took_effect,
                      .bytes = Name(owed.kind),
                      .text = std::move(text)});
}

// What shows that it has taken effect; "" if nothing does yet.
std::string EpollLiveWorld::ProofOf(const Unproven& owed) {
  const auto held = links_.find(owed.key);
  const LiveLink* link = held == links_.end() ? nullptr : &held->second.link;
  const auto far_end = [&] { return owed.path ? tcp_.FarEnd(*owed.path) : std::nullopt; };
  switch (owed.kind) {
    case EffectKind::kFin:
    case EffectKind::kRst:
    case EffectKind::kHalfClose: {
      const bool reused = std::any_of(links_.begin(), links_.end(), [&owed](const auto& entry) {
        return entry.first > owed.key && owed.path && entry.second.link.path() == owed.path;
      });
      return ProofOfCut({.connected = owed.path.has_value(),
                         .addresses_reused = reused,
                         .far_ends_shown = WaitSelfTest().trusted,
                         .subject = far_end()});
    }
    case EffectKind::kSplit:
      if (!owed.path) return "";
      return ProofOfSplit({.open = link != nullptr,
                           .end_read = link != nullptr && link->eof_read(),
                           .nothing_follows = owed.nothing_follows,
                           .written = link == nullptr ? 0 : link->bytes_written(),
                           .unsent = link == nullptr ? 0 : link->unsent(),
                           .subject = far_end()});
    case EffectKind::kMerge: {
      if (link == nullptr) return "";
      const auto own = tcp_.OwnEnd(link->fd());
      if (!own) return "";
      return ProofOfMerge(link->merged(), own->segments - owed.segments);
    }
    default:
      return "";
  }
}

bool EpollLiveWorld::Prove() {
  bool proven = false;
  for (size_t i = 0; i < unproven_.size();) {
    std::string text = ProofOf(unproven_[i]);
    if (text.empty()) {
      ++i;
      continue;
    }
    const Unproven owed = std::move(unproven_[i]);
    unproven_.erase(unproven_.begin() + static_cast<std::ptrdiff_t>(i));
    const auto held = links_.find(owed.key);
    if (owed.kind == EffectKind::kSplit && held != links_.end()) {
      held->second.link.Release();
      UpdateInterest(owed.key);
    }
    Deliver(owed, 1, std::move(text));
    proven = true;
  }
  return proven;
}

void EpollLiveWorld::StopProcess(Lane lane) {
  if (!alive() || stopped_) return;
  subject_->process().Stop();
  stopped_ = true;
  unproven_.push_back({.lane = lane, .kind = EffectKind::kStopProcess, .id = 0});
}

void EpollLiveWorld::GoOn() {
  stopped_ = false;
  if (subject_ != nullptr) subject_->process().Continue();
}

Calm EpollLiveWorld::WhileStopped() {
  uint64_t waiting = 0;
  for (const auto& [key, held] : links_) {
    const LiveLink& link = held.link;
    if (link.closed() || !link.path()) continue;
    const auto subject = tcp_.FarEnd(*link.path());
    if (!subject) continue;
    waiting += subject->unread;
    // It will not read; what does not fit has to wait for it.
    if (subject->received < link.bytes_written() && subject->unread == 0) {
      return NotYet(microseconds(200));
    }
  }
  const auto threads = subject_->process().StoppedThreads();
  for (size_t i = 0; i < unproven_.size(); ++i) {
    if (unproven_[i].kind != EffectKind::kStopProcess) continue;
    const Unproven owed = unproven_[i];
    unproven_.erase(unproven_.begin() + static_cast<std::ptrdiff_t>(i));
    Shown shown = ShownOfStop(threads, waiting);
    Deliver(owed, shown.took_effect, std::move(shown.text));
    break;
  }
  GoOn();
  return NotYet(microseconds(0));
}

bool EpollLiveWorld::LiftAtRest() {
  bool lifted = false;
  for (size_t i = 0; i < unproven_.size();) {
    const bool link_is_gone = !links_.contains(unproven_[i].key);
    if (unproven_[i].kind == EffectKind::kStopReading && !link_is_gone) {
      LiveLink& link = links_.at(unproven_[i].key).link;
      const auto subject = tcp_.FarEnd(unproven_[i].path.value_or(TcpPath{}));
      int unread = 0;
      ioctl(link.fd(), FIONREAD, &unread);
      Shown shown = ShownOfStopReading(static_cast<size_t>(unread), subject);
      Deliver(unproven_[i], shown.took_effect, std::move(shown.text));
      link.ResumeReading();
    } else {
      // Of a link that is gone, or it never came to it.
      Deliver(unproven_[i], 0, "nothing shows that it has taken effect");
      if (!link_is_gone) links_.at(unproven_[i].key).link.Release();
    }
    UpdateInterest(unproven_[i].key);
    unproven_.erase(unproven_.begin() + static_cast<std::ptrdiff_t>(i));
    lifted = true;
  }
  return lifted;
}

void EpollLiveWorld::Ask(Lane lane, LaneState& state, const Effect& effect) {
  Result<ControlTranslation::Outgoing> out = state.translation.ToSubject(effect.bytes);
  const auto refuse = [&](std::string why) {
    Deliver(lane, {.kind = IngressKind::kNoAnswer, .id = effect.id, .text = std::move(why)});
  };
  if (!out) return refuse(out.error().message);
  if (!alive()) return refuse("the subject is not running");
  const uint64_t question = next_question_++;
  const auto credential = static_cast<Credential>(effect.number);
  // Settle counts none that was refused at the door.
  const bool execute = out->execute && credential == Credential::kOurs;
  questions_.emplace(question, Question{lane, effect.id, execute});
  if (execute) ++executes_sent_;
  subject_->control().Ask(question, out->request, credential);
}

// ---------------------------------------------------------------- looking

void EpollLiveWorld::Watch(int fd, uint32_t events, uint64_t tag) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  }
}

void EpollLiveWorld::UpdateInterest(uint64_t key) {
  const auto found = links_.find(key);
  if (found == links_.end()) return;
  HeldLink& held = found->second;
  const uint32_t interest = held.link.Interest();
  if (interest == held.interest) return;
  if (interest == 0) {
    if (!held.link.closed()) Unwatch(held.link.fd());
  } else {
    Watch(held.link.fd(), interest, Tag(Source::kLink, key));
  }
  held.interest = interest;
}

void EpollLiveWorld::DropIfClosed(uint64_t key) {
  const auto found = links_.find(key);
  if (found == links_.end() || !found->second.link.closed()) return;
  // That it is closed may not have reached the subject yet.
  if (found->second.link.path()) departed_.push_back(*found->second.link.path());
  links_.erase(found);
}

void EpollLiveWorld::Take(uint64_t key, LiveLink::Events events, Batch& batch) {
  const Lane lane = links_.at(key).lane;
  lanes_.at(lane).undelivered += events.bytes;
  if (events.happened.empty() && !events.end) return;
  const auto [entry, is_new] = batch.index.try_emplace(key, batch.links.size());
  if (is_new) batch.links.push_back({.lane = lane});
  Batch::OfLink& of_link = batch.links[entry->second];
  std::move(events.happened.begin(), events.happened.end(), std::back_inserter(of_link.happened));
  if (events.end) of_link.end = std::move(events.end);
}

void EpollLiveWorld::OnAcceptable(uint64_t key, Batch& batch) {
  const auto found = listeners_.find(key);
  if (found == listeners_.end()) return;
  HeldListener& held = found->second;
  LaneState& state = lanes_.at(held.lane);
  while (state.links.size() < kMostLinksPerLane) {
    std::optional<UniqueFd> fd = held.listener.Accept();
    if (!fd) return;
    const uint32_t id = state.next_accepted++;
    const uint64_t link = AddLink(held.lane, id, std::move(*fd), false);
    LiveLink::Events events;
    events.happened.push_back({.kind = IngressKind::kLinkAccepted, .id = id, .number = held.id});
    Take(link, std::move(events), batch);
  }
  Unwatch(held.listener.fd());
}

void EpollLiveWorld::LookAtSockets(Batch& batch) {
  epoll_event events[kEventsPerLook];
  // More than one pass: an accepted link may hold input already, a dial may be through. Each link
  // is read once, so that a flood on one of them does not hold up the others.
  std::set<uint64_t> read;
  for (int look = 0; look < kMostLooks; ++look) {
    const int n = epoll_wait(epoll_.get(), events, kEventsPerLook, 0);
    bool anything = false;
    for (int i = 0; i < n; ++i) {
      const uint64_t key = KeyOf(events[i].data.u64);
      switch (SourceOf(events[i].data.u64)) {
        case Source::kListener:
          if (!read.insert(key).second) break;
          anything = true;
          OnAcceptable(key, batch);
          break;
        case Source::kLink: {
          const auto found = links_.find(key);
          if (found == links_.end() || !read.insert(key).second) break;
          if (lanes_.at(found->second.lane).undelivered > kMostUndelivered) break;
          anything = true;
          LiveLink::Events happened;
          found->second.link.OnReady(events[i].events, happened);
          Take(key, std::move(happened), batch);
          UpdateInterest(key);
          DropIfClosed(key);
          break;
        }
        case Source::kStderr:
          subject_->DrainStderr();
          if (subject_->stderr_fd() < 0) Unwatch(subject_->process().stderr_pipe().get());
          break;
        case Source::kExit:
          batch.exit_seen = true;
          break;
        default:
          break;
      }
    }
    if (!anything) return;
  }
}

bool EpollLiveWorld::MustHaveEnded(const Batch& batch) const {
  if (subject_ == nullptr || exit_reported_) return false;
  if (batch.exit_seen || exit_due_) return true;
  const bool something_ended =
      std::any_of(batch.links.begin(), batch.links.end(),
                  [](const Batch::OfLink& link) { return link.end.has_value(); }) ||
      std::any_of(batch.completions.begin(), batch.completions.end(),
                  [](const ControlCompletion& completion) { return !completion.answered; });
  // A dying process closes its sockets before it can be waited for. Its end explains theirs.
  return something_ended && subject_->process().Ending();
}

void EpollLiveWorld::AwaitInput(microseconds limit) {
  // Not epoll_wait, which counts in milliseconds.
  pollfd input{epoll_.get(), POLLIN, 0};
  const timespec span{.tv_sec = limit.count() / 1'000'000,
                      .tv_nsec = limit.count() % 1'000'000 * 1000};
  while (ppoll(&input, 1, &span, nullptr) < 0 && errno == EINTR) {
  }
}

void EpollLiveWorld::Look(microseconds limit) {
  if (subject_ != nullptr && subject_->wants_stdin()) {
    Watch(subject_->stdin_fd(), EPOLLOUT, Tag(Source::kStdin));
  }
  if (undelivered_.empty() && limit.count() > 0) AwaitInput(limit);
  Batch batch;
  // Answers are taken first and told last: whatever reached a link before the subject answered is
  // told before the answer.
  if (subject_ != nullptr) {
    subject_->DrainStdout();
    if (subject_->stdout_fd() < 0) Unwatch(subject_->process().stdout_pipe().get());
    subject_->OnStdinWritable();
    if (!subject_->wants_stdin() && subject_->stdin_fd() >= 0) Unwatch(subject_->stdin_fd());
  }
  batch.completions = sink_.Take();
  LookAtSockets(batch);
  bool exited = false;
  if (MustHaveEnded(batch)) {
    Process& process = subject_->process();
    exited = process.AwaitExit();
    if (exited) {
      subject_->Kill();  // what it left behind, too
      LookAtSockets(batch);
      Unwatch(process.exit_fd());
    } else {
      Watch(process.exit_fd(), EPOLLIN, Tag(Source::kExit));  // a wrapper's successor
    }
  }
  if (exited) exit_due_ = true;
  Deliver(std::move(batch));
}

void EpollLiveWorld::Deliver(Lane lane, Ingress ingress) {
  if (!lanes_.contains(lane)) return;
  OnActivity();
  undelivered_.push_back({lane, std::move(ingress)});
}

void EpollLiveWorld::Deliver(Batch batch) {
  // Links that ended come first. Whoever closes one link and then speaks on another may be seen
  // doing both in one look, and must not seem to have done it the other way round.
  std::stable_sort(batch.links.begin(), batch.links.end(),
                   [](const Batch::OfLink& a, const Batch::OfLink& b) {
                     return a.end.has_value() > b.end.has_value();
                   });
  std::vector<Arrival> ends;
  for (Batch::OfLink& link : batch.links) {
    for (Ingress& ingress : link.happened) Deliver(link.lane, std::move(ingress));
    if (!link.end) continue;
    if (exit_due_) {
      ends.push_back({link.lane, std::move(*link.end)});
    } else {
      Deliver(link.lane, std::move(*link.end));
    }
  }
  if (exit_due_) DeliverExit();
  for (Arrival& end : ends) Deliver(end.lane, std::move(end.ingress));
  for (ControlCompletion& completion : batch.completions) DeliverCompletion(std::move(completion));
}

void EpollLiveWorld::DeliverExit() {
  exit_due_ = false;
  exit_reported_ = true;
  for (const auto& [lane, state] : lanes_) {
    Deliver(lane, {.kind = IngressKind::kExited, .text = subject_->exit_text()});
  }
}

void EpollLiveWorld::DeliverCompletion(ControlCompletion completion) {
  const auto found = questions_.find(completion.id);
  if (found == questions_.end()) return;
  delivered_since_.reset();
  const Question question = found->second;
  questions_.erase(found);
  if (question.lane == kNobody) return OnSettle(completion);
  if (question.execute && completion.answered) ++executes_answered_;
  const auto lane = lanes_.find(question.lane);
  if (lane == lanes_.end()) return;
  Ingress ingress{.kind = IngressKind::kNoAnswer, .id = question.id};
  if (completion.answered) {
    Result<std::string> reply = lane->second.translation.ToMachine(question.id, completion.reply);
    if (reply) {
      ingress.kind = IngressKind::kAnswer;
      ingress.bytes = std::move(*reply);
    } else {
      ingress.text = reply.error().message;
    }
  } else if (completion.lapsed) {
    ingress = {.kind = IngressKind::kUnjudgeable, .text = Lapsed(completion)};
  } else {
    ingress.text = std::move(completion.failure);
  }
  Deliver(question.lane, std::move(ingress));
}

std::vector<Arrival> EpollLiveWorld::Poll(microseconds limit) {
  const auto deadline = Clock::now() + limit;
  bool first = true;
  while (true) {
    const auto left = std::chrono::ceil<microseconds>(deadline - Clock::now());
    if (!first && left.count() <= 0) break;
    Look(left);
    first = false;
    if (!undelivered_.empty()) break;
  }
  for (auto& [lane, state] : lanes_) state.undelivered = 0;
  std::vector<Arrival> arrivals(std::make_move_iterator(undelivered_.begin()),
                                std::make_move_iterator(undelivered_.end()));
  undelivered_.clear();
  return arrivals;
}

// ---------------------------------------------------------------- calm

void EpollLiveWorld::OnSettle(const ControlCompletion& completion) {
  settle_question_ = 0;
  settle_reply_.reset();
  settle_failure_ = completion.failure;
  settle_lapsed_ = completion.lapsed ? Lapsed(completion) : "";
  if (!completion.answered) return;
  settle_reply_.emplace();
  if (!settle_reply_->ParseFromString(completion.reply) || !settle_reply_->has_settle()) {
    settle_reply_.reset();
    settle_failure_ = "an answer to something else";
  }
}

EpollLiveWorld::Wave EpollLiveWorld::AskSettle(microseconds horizon, Settled& settled,
                                               std::string& why, Calm* unjudgeable) {
  const auto await = [&]() -> Wave {
    while (settle_question_ != 0) {
      Look(milliseconds(20));
      if (!undelivered_.empty()) return Wave::kInterrupted;
      if (settle_question_ == 0) break;
      // Idle, with the question in its hands and no answer on its way: it will not be answered.
      // Where that cannot be shown, idle for a long time means the same.
      Control control = Control::kUnknown;
      KernelView view = AskKernel(horizon);
      if (view.state == KernelView::State::kQuiescent) {
        view = AskKernel(horizon, Certainty::kSustained, &control);
      }
      if (view.state == KernelView::State::kUnjudgeable) {
        unjudgeable->evidence = view.evidence;
        unjudgeable->fixpoint = Bytes(view, "");
        return Wave::kUnjudgeable;
      }
      if (KeepsSilent(view, control)) {
        unjudgeable->evidence =
            "stalled: the subject is idle and has not answered Settle; " + view.evidence;
        unjudgeable->fixpoint = Bytes(view, "not answered");
        return Wave::kUnjudgeable;
      }
    }
    return Wave::kAnswered;
  };
  // An answer still open from an interrupted check tells of a moment that is over.
  if (const Wave old = await(); old != Wave::kAnswered) return old;
  control::v1::ControlRequest request;
  request.mutable_settle();
  delivered_since_.reset();
  settle_question_ = next_question_++;
  questions_.emplace(settle_question_, Question{kNobody, 0, false});
  subject_->control().Ask(settle_question_, request.SerializeAsString());
  if (const Wave wave = await(); wave != Wave::kAnswered) return wave;
  if (!settle_lapsed_.empty()) {
    unjudgeable->evidence = settle_lapsed_;
    return Wave::kUnjudgeable;
  }
  if (!settle_reply_) {
    why = "no Settle: " + settle_failure_;
    return Wave::kUnsupported;
  }
  const control::v1::SettleResponse& said = settle_reply_->settle();
  settled = {.accepted = said.accepted(),
             .answered = said.answered(),
             .journal_seq = said.journal_seq(),
             .runnable = said.runnable()};
  for (const control::v1::PendingTimer& timer : said.timers()) {
    const microseconds due = milliseconds(std::min<uint64_t>(timer.due_ms(), uint64_t{1} << 40));
    if (timer.periodic() || due > horizon) continue;
    if (!settled.timer.empty() && due >= settled.timer_due) continue;
    settled.timer = timer.name();
    settled.timer_due = due;
  }
  return Wave::kAnswered;
}

OurEnds EpollLiveWorld::Ends() {
  OurEnds ends{.links = {}, .inputs = {}, .departed = std::move(departed_), .control = {}};
  for (const auto& [key, held] : links_) {
    const LiveLink& link = held.link;
    if (link.closed() || link.dialling()) continue;
    ends.links.push_back({.fd = link.fd(),
                          .path = link.path().value_or(TcpPath{}),
                          .read = link.bytes_read(),
                          .written = link.bytes_written(),
                          .reading = link.reading(),
                          .end_seen = link.eof_read()});
  }
  // Where there is a new one with its addresses, an old one is over for both ends.
  std::erase_if(ends.departed, [&ends](const TcpPath& old) {
    return std::any_of(ends.links.begin(), ends.links.end(),
                       [&old](const LinkAccount& link) { return link.path == old; });
  });
  for (const auto& [key, held] : listeners_) {
    if (held.listener.listening() && lanes_.at(held.lane).links.size() < kMostLinksPerLane) {
      ends.inputs.push_back(held.listener.fd());
    }
  }
  if (subject_ == nullptr) return ends;
  // One that waits for us to read its output is not at rest.
  for (const int fd : {subject_->stdout_fd(), subject_->stderr_fd()}) {
    if (fd >= 0) ends.inputs.push_back(fd);
  }
  return ends;
}

KernelView EpollLiveWorld::AskKernel(microseconds horizon, Certainty certainty, Control* control) {
  OurEnds ends = Ends();
  ControlDelivery delivery;
  bool delivered = false;
  if (control != nullptr && subject_ != nullptr) {
    delivered = subject_->asks_directly() ||
                delivery.Begin(subject_->control_paths(), subject_->control().connections(), &ends);
    if (!delivered) ends.control.clear();
  }
  KernelView view = witness_->Look(&ends, horizon, certainty);
  if (delivered && (subject_->asks_directly() || delivery.End()) && sink_.empty()) {
    *control = Control::kDelivered;
  }
  departed_ = std::move(ends.departed);
  if (view.state != KernelView::State::kQuiescent) {
    idle_since_.reset();
  } else if (!idle_since_) {
    idle_since_ = Clock::now();
  }
  return view;
}

bool EpollLiveWorld::KeepsSilent(const KernelView& view, Control control) {
  if (view.state != KernelView::State::kQuiescent) return false;
  const Clock::time_point now = Clock::now();
  if (!view.needs_settle && control == Control::kDelivered) {
    if (!delivered_since_) delivered_since_ = now;
    // That threads of gRPC's look for work once a second is no progress.
    const milliseconds ceiling = subject_->asks_directly() ? kStallCeiling : kGrpcStallCeiling;
    return now - *delivered_since_ > std::min<milliseconds>(ceiling, spec_.watchdog.span);
  }
  // Silent, and perhaps starved; or threads of our own may be, that have the question.
  return idle_since_ && now - *idle_since_ > spec_.watchdog.span;
}

Calm EpollLiveWorld::NotYet(microseconds retry_after) const {
  Calm calm;
  calm.retry_after = retry_after;
  return calm;
}

std::string EpollLiveWorld::Bytes(KernelView view, const std::string& settle) const {
  if (!view.fixpoint) return {};
  view.fixpoint->subject = info_.name;
  view.fixpoint->settle = settle;
  return ToBytes(*view.fixpoint);
}

// Something is owed that an idle subject cannot bring about. A busy one may yet.
Calm EpollLiveWorld::Owed(microseconds horizon, const std::string& what) {
  Control control = Control::kUnknown;
  const KernelView view = AskKernel(horizon, Certainty::kSustained, &control);
  Calm calm = NotYet(std::max(view.retry_after, microseconds(1000)));
  if (view.state == KernelView::State::kUnjudgeable) {
    calm.state = Calm::State::kUnjudgeable;
    calm.evidence = view.evidence;
  } else if (KeepsSilent(view, control)) {
    calm.state = Calm::State::kUnjudgeable;
    calm.evidence = "stalled: the subject is idle, and yet " + what + "; " + view.evidence;
  }
  if (calm.state == Calm::State::kUnjudgeable) calm.fixpoint = Bytes(view, what);
  return calm;
}

std::string EpollLiveWorld::Difference(const Settled& said) const {
  if (said.accepted != executes_sent_ || said.answered != executes_answered_) {
    return "the subject counts " + std::to_string(said.accepted) + " commands and " +
           std::to_string(said.answered) + " answers, the harness " +
           std::to_string(executes_sent_) + " and " + std::to_string(executes_answered_);
  }
  if (said.runnable > 0) {
    return "the subject says that " + std::to_string(said.runnable) +
           (said.runnable == 1 ? " unit of work is" : " units of work are") + " runnable";
  }
  return {};
}

// The witnesses disagree. While the subject is at work, or anything is on its way, that is as it
// should be. But equal answers around an instant of rest cannot all be true: its count is wrong, or
// work of it is ready and nobody will ever take it up. Many of them, because work that an answer
// itself now and then sets in motion may be counted in it and is no fault.
Calm EpollLiveWorld::Contradicted(microseconds horizon, const Settled& said,
                                  const std::string& how) {
  if (!contradiction_ || !(contradiction_->said == said)) contradiction_ = Contradiction{said};
  contradiction_->rests += std::exchange(contradiction_->rested, false) ? 1 : 0;
  if (contradiction_->rests >= kAgreeingAnswers) {
    Calm calm;
    calm.state = Calm::State::kContradicted;
    calm.evidence = how + ", and said so again after each of " + std::to_string(kAgreeingAnswers) +
                    " instants at which it was at rest, the last one with " +
                    contradiction_->at_rest.evidence;
    calm.fixpoint = Bytes(contradiction_->at_rest, how);
    return calm;
  }
  // What the question itself set in motion comes to rest first.
  Control control = Control::kUnknown;
  KernelView view;
  for (const auto began = Clock::now();;) {
    view = AskKernel(horizon, Certainty::kSustained, &control);
    if (view.state != KernelView::State::kBusy || view.retry_after > kPatience) break;
    if (Clock::now() - began > kPatience) break;
    Look(view.retry_after);
    if (!undelivered_.empty()) return NotYet(microseconds(0));
  }
  // By what was seen of its threads, and without a doubt.
  if (view.state == KernelView::State::kQuiescent && view.tier == 1 &&
      control == Control::kDelivered && sink_.empty()) {
    contradiction_->rested = true;
    contradiction_->at_rest = view;
    return NotYet(microseconds(0));
  }
  Calm calm = NotYet(std::max(view.retry_after, microseconds(1000)));
  if (view.state == KernelView::State::kUnjudgeable) {
    calm.state = Calm::State::kUnjudgeable;
    calm.evidence = view.evidence;
  } else if (KeepsSilent(view, Control::kUnknown)) {
    calm.state = Calm::State::kUnjudgeable;
    calm.evidence = "stalled: the subject is idle, and yet " + how + "; " + view.evidence;
  }
  if (calm.state == Calm::State::kUnjudgeable) calm.fixpoint = Bytes(view, how);
  return calm;
}

Calm EpollLiveWorld::CheckCalm(microseconds horizon, Certainty certainty) {
  constexpr microseconds kSoon(1000);
  Look(microseconds(0));
  if (!undelivered_.empty() || Prove()) return NotYet(microseconds(0));
  if (stopped_ && alive()) return WhileStopped();
  for (const auto& [key, held] : links_) {
    if (held.link.dialling()) {
      return Owed(horizon, "a dial of link " + std::to_string(held.link.id()) + " is undecided");
    }
  }
  Calm calm;
  if (!alive()) {
    if (!questions_.empty()) return NotYet(kSoon);  // they fail by themselves
    calm.state = Calm::State::kQuiescent;
    calm.tier = 1;
    calm.evidence = "the subject has ended";
    return calm;
  }
  calm.state = Calm::State::kUnjudgeable;  // what AskSettle may make of it

  // Settle counts commands only. Any other question is answered at once, whatever the subject does:
  // while one is open, something is under way.
  for (const auto& [id, question] : questions_) {
    if (!question.execute && question.lane != kNobody) {
      return Owed(horizon, "a question of the control plane is not answered");
    }
  }

  // The first wave: whatever we asked for has been taken in, and every answer is here.
  Settled first, second;
  std::string why;
  const Wave wave = AskSettle(horizon, first, why, &calm);
  if (wave == Wave::kInterrupted) return NotYet(microseconds(0));
  if (wave == Wave::kUnjudgeable) return calm;
  const bool settles = wave == Wave::kAnswered;
  if (settles) {
    const std::string difference = Difference(first);
    if (!difference.empty()) return Contradicted(horizon, first, difference);
    contradiction_.reset();
    if (!first.timer.empty()) return NotYet(std::max(first.timer_due, kSoon));
  }

  // The snapshot. What the wave itself set in motion in the subject comes to rest first.
  KernelView view;
  for (const auto began = Clock::now();;) {
    view = AskKernel(horizon, certainty);
    if (view.state == KernelView::State::kUnjudgeable) {
      calm.evidence = view.evidence;
      const std::string said = "nothing is runnable";
      if (settles) {
        calm.evidence += "; the witnesses disagree: its Settle says that " + said;
      }
      calm.fixpoint = Bytes(view, settles ? said : why);
      return calm;
    }
    if (view.state == KernelView::State::kQuiescent) break;
    if (view.retry_after > kPatience || Clock::now() - began > kPatience) {
      return NotYet(view.retry_after);
    }
    Look(view.retry_after);
    if (!undelivered_.empty()) return NotYet(microseconds(0));
  }

  // The second wave: the same counts, so nothing happened around the snapshot either.
  if (settles) {
    const Wave again = AskSettle(horizon, second, why, &calm);
    if (again == Wave::kUnjudgeable) return calm;
    if (again != Wave::kAnswered) return NotYet(microseconds(0));
    if (!(first == second)) return NotYet(kSoon);
  } else if (view.needs_settle) {
    calm.evidence = "stalled: " + view.evidence + "; and the subject itself says nothing, " + why;
    return calm;
  }
  Look(microseconds(0));
  if (!undelivered_.empty() || Prove() || LiftAtRest()) return NotYet(microseconds(0));
  calm.state = Calm::State::kQuiescent;
  calm.tier = view.tier;
  const std::string said = settles ? std::to_string(first.accepted) + " commands taken in, " +
                                         std::to_string(first.answered) + " answered, journal at " +
                                         std::to_string(first.journal_seq)
                                   : why;
  calm.evidence = view.evidence + (settles ? "; settled twice: " + said
                                           : "; " + said + ", so this is the kernel's word alone");
  for (const auto& [key, held] : links_) {
    if (held.link.unsent() == 0) continue;
    calm.evidence += "; " + std::to_string(held.link.unsent()) + " bytes wait for link " +
                     std::to_string(held.link.id()) + ", which the subject does not read";
  }
  calm.fixpoint = Bytes(view, said);
  return calm;
}

}  // namespace

Result<std::unique_ptr<LiveWorld>> LiveWorld::Start(SubjectSpec spec, LoopbackSpace* space) {
  auto world = std::make_unique<EpollLiveWorld>(std::move(spec),
                                                space == nullptr ? &LoopbackSpace::Here() : space);
  if (const Status started = world->StartSubject(); !started) return started.error();
  return std::unique_ptr<LiveWorld>(std::move(world));
}

}  // namespace counterpart::effects
