#include "harness/machine/replay.h"

#include <algorithm>

namespace counterpart::machine {
namespace {

std::string Describe(const Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kEffect:
      return std::string(effects::Name(entry.effect.kind)) + " " + entry.reading.label;
    case EntryKind::kIngress:
      return std::string(effects::Name(entry.ingress.kind)) + " " + entry.reading.label;
    default:
      return entry.reading.label;
  }
}

}  // namespace

std::optional<Divergence> RunReplay(Machine& machine, const std::vector<Entry>& recorded) {
  size_t next = 0;
  while (true) {
    machine.Run();
    machine.TakeEffects();
    while (next < recorded.size() && recorded[next].kind != EntryKind::kIngress) ++next;
    if (next == recorded.size()) break;
    const uint32_t round = recorded[next].round;
    std::vector<effects::Ingress> batch;
    for (; next < recorded.size() && recorded[next].round == round; ++next) {
      if (recorded[next].kind == EntryKind::kIngress) batch.push_back(recorded[next].ingress);
    }
    machine.Ingest(std::move(batch));
  }
  const auto& replayed = machine.trace().entries();
  const size_t both = std::min(recorded.size(), replayed.size());
  for (size_t i = 0; i < both; ++i) {
    if (Canonical(recorded[i]) == Canonical(replayed[i]) &&
        recorded[i].round == replayed[i].round) {
      continue;
    }
    return Divergence{i, Describe(recorded[i]), Describe(replayed[i])};
  }
  if (recorded.size() == replayed.size()) return std::nullopt;
  return Divergence{both, both < recorded.size() ? Describe(recorded[both]) : "(nothing)",
                    both < replayed.size() ? Describe(replayed[both]) : "(nothing)"};
}

}  // namespace counterpart::machine
