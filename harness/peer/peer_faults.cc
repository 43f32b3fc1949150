// What a peer does with the faults of a run: which are due at a frame, what is done to the link,
// and what proves that it happened.
#include <algorithm>
#include <utility>

#include "harness/peer/peer.h"

namespace counterpart::peer {

using effects::Ingress;
using machine::Level;

namespace {

// Of a planned fault: fewer than the dials that every scenario allows for.
constexpr uint32_t kConnectsRefused = 2;

}  // namespace

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

}  // namespace counterpart::peer
