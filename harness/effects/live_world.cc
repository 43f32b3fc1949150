#include "harness/effects/live_world.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "harness/effects/control_translation.h"
#include "harness/effects/executions.h"
#include "harness/effects/live_link.h"
#include "harness/effects/loopback.h"
#include "harness/effects/subject.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kFirstAcceptedLink = 1001;
constexpr size_t kMostLinksPerLane = 1024;      // more stay in the listener's backlog
constexpr size_t kMostUndelivered = 64u << 20;  // per lane, bytes of payloads
constexpr size_t kLargestExecutionsFile = 64u << 20;
constexpr int kEventsPerLook = 128;
constexpr int kMostLooks = 16;

// What an epoll event is about: a kind, and which of it.
enum class Source : uint64_t { kControl, kExit, kStdout, kStderr, kStdin, kListener, kLink };
uint64_t Tag(Source source, uint64_t key = 0) { return static_cast<uint64_t>(source) << 56 | key; }
Source SourceOf(uint64_t tag) { return static_cast<Source>(tag >> 56); }
uint64_t KeyOf(uint64_t tag) { return tag & ((uint64_t{1} << 56) - 1); }

std::string ReadFileUpTo(const std::string& path, size_t most) {
  struct stat about = {};
  if (stat(path.c_str(), &about) != 0) return {};
  std::string text(std::min<size_t>(most, static_cast<size_t>(about.st_size)), '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

class EpollLiveWorld final : public LiveWorld {
 public:
  explicit EpollLiveWorld(SubjectSpec spec)
      : spec_(std::move(spec)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Watch(sink_.fd(), EPOLLIN, Tag(Source::kControl));
  }
  ~EpollLiveWorld() override {
    links_.clear();
    lanes_.clear();
    subject_.reset();
  }

  Status StartSubject();

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
  Calm CheckCalm(microseconds horizon) override;
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
    ControlTranslation translation;
    std::map<uint32_t, uint64_t> links = {}, listeners = {};  // by the machine's id: our key
    uint32_t next_accepted = kFirstAcceptedLink;
    size_t undelivered = 0;
  };
  struct Question {
    Lane lane;
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
  void Take(uint64_t key, LiveLink::Events events, Batch& batch);
  void DropIfClosed(uint64_t key);

  void Listen(Lane lane, LaneState& state, uint32_t id);
  void Connect(Lane lane, LaneState& state, const Effect& effect);
  void OnLinkEffect(Lane lane, LaneState& state, const Effect& effect);
  void Ask(Lane lane, LaneState& state, const Effect& effect);
  void Restart(Lane lane);
  void Kill();

  // Takes in everything there is, after waiting for up to `timeout_ms` (-1: for ever).
  void Look(int timeout_ms);
  void LookAtSockets(Batch& batch);
  void OnAcceptable(uint64_t key, Batch& batch);
  bool MustHaveEnded(const Batch& batch) const;
  void Deliver(Batch batch);
  void Deliver(Lane lane, Ingress ingress);
  void DeliverCompletion(ControlCompletion completion);
  void DeliverExit();

  const SubjectSpec spec_;
  UniqueFd epoll_;
  ControlSink sink_;
  std::unique_ptr<Subject> subject_;
  SubjectInfo info_;
  uint32_t incarnation_ = 0;
  std::set<int> watched_outputs_;
  int watched_exit_ = -1;
  bool exit_due_ = false;       // killed; to be reported by the next look
  bool exit_reported_ = false;  // of this incarnation
  CommandIds command_ids_;
  std::map<Lane, LaneState> lanes_;
  Lane next_lane_ = 1;
  std::map<uint64_t, HeldLink> links_;
  std::map<uint64_t, HeldListener> listeners_;
  uint64_t next_key_ = 1;
  std::map<uint64_t, Question> questions_;
  uint64_t next_question_ = 1;
  uint64_t executes_sent_ = 0, executes_answered_ = 0;  // of this incarnation
  std::deque<Arrival> undelivered_;
};

// ---------------------------------------------------------------- the subject

Status EpollLiveWorld::StartSubject() {
  Result<std::unique_ptr<Subject>> started = Subject::Start(spec_, &sink_);
  if (!started) return started.error();
  subject_ = std::move(*started);
  info_ = subject_->info();
  ++incarnation_;
  exit_due_ = exit_reported_ = false;
  executes_sent_ = executes_answered_ = 0;
  WatchSubject();
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
  subject_->process().Kill();
  exit_due_ = true;
}

void EpollLiveWorld::Restart(Lane lane) {
  Kill();
  Look(0);  // what the old incarnation still had to say
  subject_.reset();
  for (ControlCompletion& completion : sink_.Take()) DeliverCompletion(std::move(completion));
  for (const auto& [id, question] : std::exchange(questions_, {})) {
    Deliver(
        question.lane,
        {.kind = IngressKind::kNoAnswer, .id = question.id, .text = "the subject was restarted"});
  }
  if (const Status started = StartSubject(); !started) {
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
  lanes_.emplace(lane, LaneState{.translation = ControlTranslation(&command_ids_,
                                                                   "r" + std::to_string(lane))});
  return lane;
}

void EpollLiveWorld::CloseLane(Lane lane) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
  for (const auto& [id, key] : found->second.links) {
    const auto held = links_.find(key);
    if (held == links_.end()) continue;
    held->second.link.Reset();
    links_.erase(held);
  }
  for (const auto& [id, key] : found->second.listeners) listeners_.erase(key);
  lanes_.erase(found);
  std::erase_if(undelivered_, [lane](const Arrival& arrival) { return arrival.lane == lane; });
}

void EpollLiveWorld::Execute(Lane lane, const Effect& effect) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
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
      return OnLinkEffect(lane, state, effect);
    case EffectKind::kAsk:
      return Ask(lane, state, effect);
    case EffectKind::kKill:
      return Kill();
    case EffectKind::kRestart:
      return Restart(lane);
    case EffectKind::kReadExecutions: {
      std::string file;
      if (subject_ != nullptr) {
        file = ReadFileUpTo(subject_->process().executions_path(), kLargestExecutionsFile);
      }
      return Deliver(lane, {.kind = IngressKind::kExecutions,
                            .id = effect.id,
                            .bytes = ExecutionsOf(file, effect.bytes)});
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
    Result<Listener> opened = Listener::Open();
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
  Result<Dialling> dialled = Dial(static_cast<uint16_t>(effect.number));
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
  if (key == state.links.end()) return;
  const auto held = links_.find(key->second);
  if (held == links_.end()) return;
  LiveLink& link = held->second.link;
  LiveLink::Events events;
  switch (effect.kind) {
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
}

void EpollLiveWorld::Ask(Lane lane, LaneState& state, const Effect& effect) {
  Result<ControlTranslation::Outgoing> out = state.translation.ToSubject(effect.bytes);
  const auto refuse = [&](std::string why) {
    Deliver(lane, {.kind = IngressKind::kNoAnswer, .id = effect.id, .text = std::move(why)});
  };
  if (!out) return refuse(out.error().message);
  if (!alive()) return refuse("the subject is not running");
  const uint64_t question = next_question_++;
  questions_.emplace(question, Question{lane, effect.id, out->execute});
  if (out->execute) ++executes_sent_;
  subject_->control().Ask(question, out->request);
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
  if (found != links_.end() && found->second.link.closed()) links_.erase(found);
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

void EpollLiveWorld::Look(int timeout_ms) {
  epoll_event woken;
  if (undelivered_.empty() && timeout_ms != 0) {
    while (epoll_wait(epoll_.get(), &woken, 1, timeout_ms) < 0 && errno == EINTR) {
    }
  }
  Batch batch;
  // Answers are taken first and told last: whatever reached a link before the subject answered is
  // told before the answer.
  if (subject_ != nullptr) {
    subject_->DrainStdout();
    if (subject_->stdout_fd() < 0) Unwatch(subject_->process().stdout_pipe().get());
    subject_->OnStdinWritable();
  }
  batch.completions = sink_.Take();
  LookAtSockets(batch);
  bool exited = false;
  if (MustHaveEnded(batch)) {
    Process& process = subject_->process();
    exited = process.AwaitExit();
    if (exited) {
      process.Kill();  // what it left behind
      LookAtSockets(batch);
      while (subject_->DrainStderr()) {
      }
      Unwatch(process.exit_fd());
    } else {
      Watch(process.exit_fd(), EPOLLIN, Tag(Source::kExit));  // a wrapper's successor
    }
  }
  if (exited) {
    exit_due_ = true;
  }
  Deliver(std::move(batch));
}

void EpollLiveWorld::Deliver(Lane lane, Ingress ingress) {
  if (!lanes_.contains(lane)) return;
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
  const Question question = found->second;
  questions_.erase(found);
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
  } else {
    ingress.text = std::move(completion.failure);
  }
  Deliver(question.lane, std::move(ingress));
}

std::vector<Arrival> EpollLiveWorld::Poll(microseconds limit) {
  const auto deadline = Clock::now() + limit;
  bool first = true;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (!first && left.count() <= 0) break;
    Look(static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000)));
    first = false;
    if (!undelivered_.empty()) break;
  }
  for (auto& [lane, state] : lanes_) state.undelivered = 0;
  std::vector<Arrival> arrivals(std::make_move_iterator(undelivered_.begin()),
                                std::make_move_iterator(undelivered_.end()));
  undelivered_.clear();
  return arrivals;
}

Calm EpollLiveWorld::CheckCalm(microseconds) {
  Calm calm;
  calm.retry_after = microseconds(5000);
  return calm;
}

}  // namespace

Result<std::unique_ptr<LiveWorld>> LiveWorld::Start(SubjectSpec spec) {
  auto world = std::make_unique<EpollLiveWorld>(std::move(spec));
  if (const Status started = world->StartSubject(); !started) return started.error();
  return std::unique_ptr<LiveWorld>(std::move(world));
}

}  // namespace counterpart::effects
