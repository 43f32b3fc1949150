#include "harness/machine/machine.h"

#include <algorithm>
#include <utility>

namespace counterpart::machine {

using effects::Effect;
using effects::Ingress;
using effects::IngressKind;

Machine::Machine(uint64_t seed, std::function<uint64_t()> now_us)
    : seed_(seed), random_state_(seed), now_us_(std::move(now_us)) {}

void Machine::AddRole(std::string name, Task<> body, bool daemon) {
  auto role = std::make_unique<Role>();
  role->name = std::move(name);
  role->resume = body.handle();
  role->body = std::move(body);
  role->daemon = daemon;
  roles_.push_back(std::move(role));
}

void Machine::Supersede(std::string name, Task<> body) {
  for (auto& role : roles_) role->ended = true;
  AddRole(std::move(name), std::move(body));
}

void Machine::Replace(const std::string& name, Task<> body) {
  for (auto& role : roles_) role->ended |= role->name == name;
  AddRole(name, std::move(body));
}

void Machine::Ingest(std::vector<Ingress> batch) {
  ++round_;
  // A batch is looked at whole before anything is given up: quiescence comes last in it.
  std::stable_partition(batch.begin(), batch.end(), [](const Ingress& ingress) {
    return ingress.kind != IngressKind::kQuiescent;
  });
  for (Ingress& ingress : batch) {
    Entry entry{.kind = EntryKind::kIngress, .round = round_, .time_us = now_us_()};
    // A copy: what the observer does may append to the trace.
    const Ingress seen = ingress;
    entry.ingress = std::move(ingress);
    StarOut(entry.effect, entry.ingress);
    const uint64_t index = trace_.Append(std::move(entry));
    Reading reading = observer_->OnIngress(seen, index);
    trace_.at(index).reading = std::move(reading);
    if (seen.kind == IngressKind::kQuiescent) {
      WakeReady();
      OnQuiescent(seen, index);
    } else if (seen.kind == IngressKind::kUnjudgeable) {
      Report({.level = Level::kInconclusive,
              .text = seen.text,
              .entry = index,
              .place = "unjudgeable"});
      stopped_ = true;
    } else if (seen.kind == IngressKind::kContradicted) {
      // r[control.settle]: what it reports of itself is what is so.
      Report({.level = Level::kFail,
              .rule = "control.settle",
              .text = "the witnesses of calm disagree: " + seen.text,
              .entry = index,
              .place = "Settle",
              .stall = true});
    }
  }
  WakeReady();
}

void Machine::WakeReady() {
  for (auto& role : roles_) {
    if (role->ended || !role->waiting || role->ready) continue;
    if (role->wait.ready && role->wait.ready()) {
      role->ready = true;
      role->wake = Wake::kReady;
    }
  }
}

void Machine::OnQuiescent(const Ingress& ingress, uint64_t entry) {
  bool anyone_ready = false;
  for (auto& role : roles_) {
    if (role->ended) continue;
    if (!role->ready && role->waiting && role->wait.wake_when_quiescent) {
      role->ready = true;
      role->wake = Wake::kQuiescent;
    }
    anyone_ready |= role->ready;
  }
  if (anyone_ready) return;
  // The newest first: what it is there for is what the others wait for as well.
  for (auto at = roles_.rbegin(); at != roles_.rend(); ++at) {
    const auto& role = *at;
    if (role->ended || role->daemon || !role->waiting) continue;
    const std::string owed_by = role->wait.owed_by ? role->wait.owed_by() : "";
    Report({.level = Level::kFail,
            .rule = role->wait.rule,
            .text = "awaited " + role->wait.awaited + ", which " +
                    (owed_by.empty() ? "" : "is for " + owed_by + " to bring about and ") +
                    "can no longer happen: " + ingress.text,
            .entry = entry,
            .place = role->wait.awaited,
            .stall = true,
            .blame = owed_by});
    return;
  }
}

bool Machine::CalmFails() const {
  bool anyone_waits = false;
  for (const auto& role : roles_) {
    if (role->ended || !role->waiting) continue;
    if (role->wait.wake_when_quiescent) return false;
    anyone_waits |= !role->daemon;
  }
  return anyone_waits;
}

Step Machine::StepOnce() {
  if (stopped_) return Step::kAllDone;
  WakeReady();
  // Round robin over ready roles: the scenario's own choices are what seeds vary.
  Role* picked = nullptr;
  for (size_t i = 0; i < roles_.size() && picked == nullptr; ++i) {
    Role& role = *roles_[(next_role_ + i) % roles_.size()];
    if (!role.ended && role.ready) {
      picked = &role;
      next_role_ = (next_role_ + i + 1) % roles_.size();
    }
  }
  if (picked == nullptr) return Idle();
  picked->ready = false;
  picked->waiting = false;
  current_ = picked;
  last_wake_ = picked->wake;
  picked->resume.resume();
  current_ = nullptr;
  if (picked->body.done()) picked->ended = true;
  WakeReady();
  if (stopped_) return Step::kAllDone;
  for (auto& role : roles_) {
    if (!role->ended && role->ready) return Step::kContinue;
  }
  return Idle();
}

Step Machine::Idle() const {
  bool all_ended = true;
  for (const auto& role : roles_) all_ended &= role->ended || role->daemon;
  if (all_ended) return Step::kAllDone;
  return observer_->OutsideOpen() ? Step::kWaiting : Step::kStuck;
}

Step Machine::StepRound(int n) {
  Step step = Step::kContinue;
  for (int i = 0; i < n && step == Step::kContinue; ++i) step = StepOnce();
  return step;
}

Step Machine::Run() {
  Step step = Step::kContinue;
  while (step == Step::kContinue) step = StepOnce();
  return step;
}

std::vector<Effect> Machine::TakeEffects() { return std::exchange(committed_, {}); }

std::chrono::microseconds Machine::horizon() const {
  std::chrono::microseconds longest{0};
  for (const auto& role : roles_) {
    if (!role->ended && role->waiting) longest = std::max(longest, role->wait.horizon);
  }
  return longest;
}

std::vector<std::string> Machine::Awaited() const {
  std::vector<std::string> awaited;
  for (const auto& role : roles_) {
    if (!role->ended && role->waiting && !role->daemon) awaited.push_back(role->wait.awaited);
  }
  return awaited;
}

void Machine::StarOut(Effect& effect, Ingress& ingress) const {
  for (const std::string& bytes : concealed_) {
    for (std::string* said : {&effect.bytes, &ingress.bytes, &ingress.text}) {
      for (size_t at = said->find(bytes); at != said->npos; at = said->find(bytes, at)) {
        said->replace(at, bytes.size(), bytes.size(), '*');
      }
    }
  }
}

uint64_t Machine::Request(Effect effect, Reading reading) {
  Entry entry{.kind = EntryKind::kEffect, .round = round_, .time_us = now_us_()};
  entry.effect = effect;
  StarOut(entry.effect, entry.ingress);
  entry.reading = std::move(reading);
  committed_.push_back(std::move(effect));
  return trace_.Append(std::move(entry));
}

uint64_t Machine::Choose(uint64_t n, std::string what) {
  const uint64_t choice = Random() % n;
  Entry entry{.kind = EntryKind::kChoice, .round = round_, .time_us = now_us_()};
  entry.choice = choice;
  entry.ingress.number = n;
  entry.reading = {.edge = "",
                   .label = what + ": " + std::to_string(choice) + " of " + std::to_string(n),
                   .text = ""};
  trace_.Append(std::move(entry));
  return choice;
}

void Machine::Note(std::string edge, std::string label, std::string text) {
  Entry entry{.kind = EntryKind::kNote, .round = round_, .time_us = now_us_()};
  entry.reading = {std::move(edge), std::move(label), std::move(text)};
  trace_.Append(std::move(entry));
}

void Machine::Report(Finding finding) {
  if (finding.level >= Level::kFail) stopped_ = true;
  if (finding.entry == 0 && trace_.size() > 0) finding.entry = trace_.size() - 1;
  if (finding.level > Level::kPass) {
    Note("", (finding.rule.empty() ? "" : "r[" + finding.rule + "] ") + finding.text);
  }
  observer_->OnFinding(finding);
}

void Machine::Suspend(std::coroutine_handle<> handle, Wait wait) {
  current_->resume = handle;
  current_->wait = std::move(wait);
  current_->waiting = true;
  current_->wake = Wake::kReady;
}

Task<size_t> Machine::Alt(std::vector<Branch> branches, std::string rule,
                          std::chrono::microseconds horizon) {
  Wait wait;
  wait.horizon = horizon;
  wait.rule = std::move(rule);
  for (const Branch& branch : branches) {
    wait.awaited += (wait.awaited.empty() ? "" : " or ") + branch.awaited;
    wait.wake_when_quiescent |= !branch.ready;
  }
  const auto first = [&branches] {
    return std::find_if(branches.begin(), branches.end(),
                        [](const Branch& branch) { return branch.ready && branch.ready(); });
  };
  wait.ready = [&branches, first] { return first() != branches.end(); };
  co_await Await(std::move(wait));
  auto taken = first();
  if (taken == branches.end()) {
    taken = std::find_if(branches.begin(), branches.end(),
                         [](const Branch& branch) { return !branch.ready; });
  }
  co_return static_cast<size_t>(taken - branches.begin());
}

void Machine::EndCurrent() { current_->ended = true; }

uint64_t Machine::Random() {  // splitmix64
  uint64_t z = (random_state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace counterpart::machine
