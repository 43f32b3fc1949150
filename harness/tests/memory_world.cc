#include "harness/tests/memory_world.h"

#include <algorithm>
#include <functional>
#include <sstream>
#include <utility>

namespace counterpart::tests {

using effects::Effect;
using effects::EffectKind;
using effects::Ingress;
using effects::IngressKind;
using machine::Step;

namespace {
constexpr uint32_t kListenerPorts = 5000;
}

MemoryWorld::MemoryWorld(Flaw flaw, size_t piece)
    : flaw_(flaw), piece_(piece), peer_(std::make_unique<MemoryPeer>(this, flaw)) {}

void MemoryWorld::Arrived(IngressKind kind, uint32_t id, uint64_t number, std::string bytes,
                          std::string text) {
  Ingress ingress;
  ingress.kind = kind;
  ingress.id = id;
  ingress.number = number;
  ingress.bytes = std::move(bytes);
  ingress.text = std::move(text);
  arrived_.push_back(std::move(ingress));
}

void MemoryWorld::Prove(const Effect& effect) {
  Arrived(IngressKind::kProof, effect.id, 1, effects::Name(effect.kind), "in memory");
}

std::vector<Ingress> MemoryWorld::TakeArrivals() { return std::exchange(arrived_, {}); }

void MemoryWorld::Execute(const Effect& effect) {
  switch (effect.kind) {
    case EffectKind::kListen:
      listeners_[effect.id] = true;
      Arrived(IngressKind::kListening, effect.id, kListenerPorts + effect.id);
      break;
    case EffectKind::kStopListening:
      listeners_[effect.id] = false;
      break;
    case EffectKind::kDial:
      if (peer_ == nullptr || !peer_->listening() || effect.number != MemoryPeer::kPort) {
        Arrived(IngressKind::kLinkRefused, effect.id, 0, "", "nobody listens");
        break;
      }
      links_[effect.id];
      Arrived(IngressKind::kLinkUp, effect.id);
      peer_->OnAccepted(effect.id);
      break;
    case EffectKind::kWrite:
      if (peer_ != nullptr && !links_[effect.id].closed_by_harness) {
        peer_->OnBytes(effect.id, effect.bytes);
      }
      break;
    case EffectKind::kFin:
    case EffectKind::kRst:
    case EffectKind::kHalfClose: {
      Link& link = links_[effect.id];
      if (link.closed_by_harness) break;
      link.closed_by_harness = effect.kind != EffectKind::kHalfClose;
      if (peer_ != nullptr) peer_->OnEnd(effect.id);
      if (effect.number == 1) Prove(effect);
      break;
    }
    case EffectKind::kSplit:
    case EffectKind::kMerge:
    case EffectKind::kStopProcess:
      Prove(effect);  // nothing here is ever late
      break;
    case EffectKind::kStopReading:
      if (effect.number == 1) {
        Prove(effect);
        break;
      }
      links_[effect.id].reading = false;
      break;
    case EffectKind::kResumeReading:
      links_[effect.id].reading = true;
      Read(effect.id, links_[effect.id]);
      break;
    case EffectKind::kLimit:
      links_[effect.id].decoder.set_max_payload(static_cast<uint32_t>(effect.number));
      break;
    case EffectKind::kAsk: {
      control::v1::ControlRequest request;
      request.ParseFromString(effect.bytes);
      unanswered_.push_back(effect.id);
      if (peer_ != nullptr) {
        peer_->OnControl(effect.id, request);
      } else {
        Arrived(IngressKind::kNoAnswer, effect.id, 0, "", "the subject is gone");
      }
      break;
    }
    case EffectKind::kKill:
    case EffectKind::kCloseInput:
      Die("signal 9");
      break;
    case EffectKind::kRestart:
      peer_ = std::make_unique<MemoryPeer>(this, flaw_);
      Arrived(IngressKind::kStarted, 0, ++incarnation_);
      break;
    case EffectKind::kReadExecutions:
      Arrived(IngressKind::kExecutions, effect.id, 0, ExecutionsOf(effect.bytes));
      break;
    case EffectKind::kReadOutput:
      Arrived(IngressKind::kOutput, effect.id);
      break;
  }
}

std::string MemoryWorld::ExecutionsOf(const std::string& sessions) const {
  std::istringstream all(executions_);
  std::string lines;
  for (std::string line; std::getline(all, line);) {
    std::istringstream wanted(sessions);
    for (std::string session; wanted >> session;) {
      if (line.starts_with(session + " ")) lines += line + "\n";
    }
  }
  return lines;
}

uint32_t MemoryWorld::Dial(uint16_t port) {
  const auto listener = listeners_.find(port - kListenerPorts);
  if (listener == listeners_.end() || !listener->second) return 0;
  const uint32_t id = next_accepted_++;
  links_[id];
  Arrived(IngressKind::kLinkAccepted, id, listener->first);
  return id;
}

void MemoryWorld::Write(uint32_t id, std::string_view bytes) {
  Link& link = links_[id];
  if (link.closed_by_harness) return;
  link.unread.append(bytes);
  Read(id, link);
}

void MemoryWorld::Close(uint32_t id) {
  Link& link = links_[id];
  link.eof = true;
  Read(id, link);
}

void MemoryWorld::Read(uint32_t id, Link& link) {
  if (!link.reading || link.closed_by_harness) return;
  std::string_view bytes = link.unread;
  while (!bytes.empty() && !link.decoder.refused_length()) {
    std::string_view piece = piece_ == 0 ? bytes : bytes.substr(0, piece_);
    bytes.remove_prefix(piece.size());
    while (auto payload = link.decoder.Next(piece)) {
      Arrived(IngressKind::kPayload, id, 0, *std::move(payload));
    }
    if (link.decoder.refused_length()) {
      Arrived(IngressKind::kOversize, id, *link.decoder.refused_length());
    }
  }
  link.unread.clear();
  if (link.eof) Arrived(IngressKind::kEof, id, link.decoder.pending_bytes());
}

void MemoryWorld::Answer(uint32_t question, const control::v1::ControlReply& reply) {
  if (peer_ == nullptr) return;
  std::erase(unanswered_, question);
  Arrived(IngressKind::kAnswer, question, 0, reply.SerializeAsString());
}

void MemoryWorld::Die(const std::string& how) {
  if (peer_ == nullptr) return;
  gone_.push_back(std::move(peer_));
  for (const uint32_t question : std::exchange(unanswered_, {})) {
    Arrived(IngressKind::kNoAnswer, question, 0, "", "the subject is gone");
  }
  Arrived(IngressKind::kExited, 0, 0, "", how);
  for (auto& [id, link] : links_) {
    if (!link.closed_by_harness && !link.eof) Arrived(IngressKind::kReset, id);
    link.closed_by_harness = true;
  }
}

namespace {

// `execute` gives an effect to its world, `arrivals` takes what has come of all.
void PlayOut(scenarios::Run& run, const std::function<void(const Effect&)>& execute,
             const std::function<std::vector<Ingress>()>& take_arrivals) {
  while (true) {
    const Step step = run.machine().Run();
    for (const Effect& effect : run.machine().TakeEffects()) execute(effect);
    if (step == Step::kStuck) return run.ConcludeStuck();
    if (step == Step::kAllDone) break;
    std::vector<Ingress> arrivals = take_arrivals();
    if (arrivals.empty()) {
      Ingress calm;
      calm.kind = IngressKind::kQuiescent;
      calm.number = 1;
      calm.text = "nothing in memory moves";
      arrivals.push_back(std::move(calm));
    }
    run.machine().Ingest(std::move(arrivals));
  }
  run.Conclude();
}

}  // namespace

std::unique_ptr<scenarios::Run> Play(const scenarios::Scenario& scenario,
                                     scenarios::Direction direction, uint64_t seed, Flaw flaw,
                                     size_t piece) {
  auto run =
      std::make_unique<scenarios::Run>(scenario, direction, seed, [] { return uint64_t{0}; });
  MemoryWorld world(flaw, piece);
  PlayOut(
      *run, [&world](const Effect& effect) { world.Execute(effect); },
      [&world] { return world.TakeArrivals(); });
  return run;
}

std::unique_ptr<scenarios::Run> PlayBetween(const scenarios::Scenario& scenario, uint64_t seed,
                                            Flaw of_server, Flaw of_client) {
  auto run = std::make_unique<scenarios::Run>(scenario, scenarios::Cast("alpha", "beta"), seed,
                                              [] { return uint64_t{0}; });
  MemoryWorld server(of_server), client(of_client);
  PlayOut(
      *run, [&](const Effect& effect) { (effect.subject == 0 ? server : client).Execute(effect); },
      [&] {
        std::vector<Ingress> arrivals = server.TakeArrivals();
        for (Ingress& ingress : client.TakeArrivals()) {
          ingress.subject = 1;
          arrivals.push_back(std::move(ingress));
        }
        return arrivals;
      });
  return run;
}

}  // namespace counterpart::tests
