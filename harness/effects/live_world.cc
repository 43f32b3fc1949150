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
#include "harness/effects/calm_check.h"
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
constexpr int kEventsPerLook = 128;
constexpr int kMostLooks = 16;

// What an epoll event is about: a kind, and which of it.
enum class Source : uint64_t { kControl, kExit, kStdout, kStderr, kStdin, kListener, kLink };
uint64_t Tag(Source source, uint64_t key = 0) { return static_cast<uint64_t>(source) << 56 | key; }
Source SourceOf(uint64_t tag) { return static_cast<Source>(tag >> 56); }
uint64_t KeyOf(uint64_t tag) { return tag & ((uint64_t{1} << 56) - 1); }

// Only whole payloads do: whoever writes parts of one wants them to arrive as parts. Large ones are
// not worth the copy.
bool LeavesWithTheNext(std::string_view bytes) {
  constexpr size_t kLargest = 16u << 10;
  return bytes.size() <= kLargest && bytes.size() >= wire::kLengthBytes &&
         bytes.substr(0, wire::kLengthBytes) ==
             wire::LengthField(static_cast<uint32_t>(bytes.size() - wire::kLengthBytes));
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

class EpollLiveWorld final : public LiveWorld, private CalmCheck::Scene {
 public:
  EpollLiveWorld(SubjectSpec spec, LoopbackSpace* space)
      : spec_(std::move(spec)),
        space_(space),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        calm_(this, spec_.watchdog.span) {
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
  // Payloads that follow each other on one link leave together: with whatever comes next, they do.
  void Uncork();
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

  // Something was sent, or came.
  void OnActivity() {
    calm_.OnActivity();
    if (witness_ != nullptr) witness_->OnActivity();
  }

  // What the check for calm needs of us.
  bool TakeIn(microseconds limit) override;
  KernelView AskKernel(microseconds horizon, Certainty certainty, bool* delivered) override;
  void AskSettle() override;
  Commands commands() const override { return commands_; }
  bool asks_directly() const override { return subject_->asks_directly(); }
  const std::string& subject_name() const override { return info_.name; }
  CalmCheck::TimePoint Now() const override { return Clock::now(); }
  OurEnds Ends();

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
  uint64_t corked_ = 0;  // the link whose payloads are to leave; 0: none
  std::vector<Unproven> unproven_;
  bool stopped_ = false;  // by us
  TcpDiag tcp_;
  std::map<uint64_t, Question> questions_;
  uint64_t next_question_ = 1;
  Commands commands_;  // of this incarnation
  std::deque<Arrival> undelivered_;
  std::unique_ptr<KernelWitness> witness_;
  CalmCheck calm_;
};

// ---------------------------------------------------------------- the subject

Status EpollLiveWorld::StartSubject(std::shared_ptr<Legacy> legacy) {
  Result<std::unique_ptr<Subject>> started = Subject::Start(spec_, &sink_, std::move(legacy));
  if (!started) return started.error();
  subject_ = std::move(*started);
  info_ = subject_->info();
  ++incarnation_;
  exit_due_ = exit_reported_ = stopped_ = false;
  commands_ = {};
  WatchSubject();
  witness_ =
      MakeKernelWitness(subject_->process().pid(), subject_->process().token(), spec_.watchdog);
  witness_->OnStarted();
  calm_.OnStarted();
  departed_.clear();
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
  if (effect.kind != EffectKind::kWrite) Uncork();
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

void EpollLiveWorld::Uncork() {
  const auto held = links_.find(std::exchange(corked_, 0));
  if (held == links_.end()) return;
  held->second.link.Flush();
  UpdateInterest(held->first);
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
      if (key->second != corked_) Uncork();
      if (LeavesWithTheNext(effect.bytes) && !link.holds()) {
        link.Collect(effect.bytes, events);
        corked_ = key->second;
        if (!events.end) return;
      } else {
        corked_ = 0;
        link.Write(effect.bytes, events);
      }
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
      return Calm::NotYet(microseconds(200));
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
  return Calm::NotYet(microseconds(0));
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
  if (execute) ++commands_.sent;
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
  Uncork();
  if (subject_ != nullptr) subject_->control().Flush();
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
  // It might go on, and end as if nothing had been said.
  if (alive() && subject_->errors().sanitizer_done()) Kill();
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
  calm_.OnCompletion();
  const Question question = found->second;
  questions_.erase(found);
  if (question.lane == kNobody) return calm_.OnSettle(completion);
  if (question.execute && completion.answered) ++commands_.answered;
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
    ingress = {.kind = IngressKind::kUnjudgeable, .text = LapseText(completion)};
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

bool EpollLiveWorld::TakeIn(microseconds limit) {
  Look(limit);
  return !undelivered_.empty();
}

void EpollLiveWorld::AskSettle() {
  control::v1::ControlRequest request;
  request.mutable_settle();
  const uint64_t question = next_question_++;
  questions_.emplace(question, Question{kNobody, 0, false});
  subject_->control().Ask(question, request.SerializeAsString());
}

KernelView EpollLiveWorld::AskKernel(microseconds horizon, Certainty certainty, bool* delivered) {
  OurEnds ends = Ends();
  ControlDelivery delivery;
  const bool directly = subject_ != nullptr && subject_->asks_directly();
  bool accounted = false;
  if (delivered != nullptr && subject_ != nullptr) {
    accounted = directly ||
                delivery.Begin(subject_->control_paths(), subject_->control().connections(), &ends);
    if (!accounted) ends.control.clear();
  }
  KernelView view = witness_->Look(&ends, horizon, certainty);
  if (delivered != nullptr) {
    *delivered = accounted && (directly || delivery.End()) && sink_.empty();
  }
  departed_ = std::move(ends.departed);
  return view;
}

Calm EpollLiveWorld::CheckCalm(microseconds horizon, Certainty certainty) {
  if (TakeIn(microseconds(0)) || Prove()) return Calm::NotYet(microseconds(0));
  if (stopped_ && alive()) return WhileStopped();
  for (const auto& [key, held] : links_) {
    if (held.link.dialling()) {
      return calm_.Owed(horizon,
                        "a dial of link " + std::to_string(held.link.id()) + " is undecided");
    }
  }
  if (!alive()) {
    if (!questions_.empty()) return Calm::NotYet(milliseconds(1));  // they fail by themselves
    Calm calm;
    calm.state = Calm::State::kQuiescent;
    calm.tier = 1;
    calm.evidence = "the subject has ended";
    return calm;
  }
  // Settle counts commands only. Any other question is answered at once, whatever the subject does:
  // while one is open, something is under way.
  for (const auto& [id, question] : questions_) {
    if (!question.execute && question.lane != kNobody) {
      return calm_.Owed(horizon, "a question of the control plane is not answered");
    }
  }
  Calm calm = calm_.Check(horizon, certainty);
  if (calm.state != Calm::State::kQuiescent) return calm;
  if (TakeIn(microseconds(0)) || Prove() || LiftAtRest()) return Calm::NotYet(microseconds(0));
  for (const auto& [key, held] : links_) {
    if (held.link.unsent() == 0) continue;
    calm.evidence += "; " + std::to_string(held.link.unsent()) + " bytes wait for link " +
                     std::to_string(held.link.id()) + ", which the subject does not read";
  }
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
