#include "harness/machine/normal_form.h"

#include <set>
#include <utility>

namespace counterpart::machine {
namespace {

uint64_t HashNumber(uint64_t number, uint64_t hash) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  return HashBytes({bytes, sizeof bytes}, hash);
}

// With its length, so that neighbours cannot trade bytes.
uint64_t HashField(std::string_view bytes, uint64_t hash) {
  return HashBytes(bytes, HashNumber(bytes.size(), hash));
}

using LinkOfSubject = std::pair<uint8_t, uint32_t>;

std::set<LinkOfSubject> ClosedByFin(const std::vector<Entry>& entries) {
  std::set<LinkOfSubject> links;
  for (const Entry& entry : entries) {
    if (entry.kind == EntryKind::kEffect && entry.effect.kind == effects::EffectKind::kFin) {
      links.emplace(entry.effect.subject, entry.effect.id);
    }
  }
  return links;
}

bool IsFin(const Entry& entry) {
  return entry.kind == EntryKind::kIngress && entry.ingress.kind == effects::IngressKind::kEof;
}

}  // namespace

NormalForm Normalise(const std::vector<Entry>& entries) {
  const std::set<LinkOfSubject> closed = ClosedByFin(entries);
  NormalForm form;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (entry.reading.edge.empty()) continue;
    if (IsFin(entry) && closed.contains({entry.ingress.subject, entry.ingress.id})) continue;
    form[entry.reading.edge].push_back(i);
  }
  return form;
}

uint64_t NormalisedDigest(const std::vector<Entry>& entries) {
  uint64_t hash = HashBytes("");
  for (const auto& [edge, steps] : Normalise(entries)) {
    uint64_t of_edge = HashBytes("");
    for (const size_t step : steps) of_edge = HashField(entries[step].reading.label, of_edge);
    hash = HashNumber(of_edge, HashField(edge, hash));
  }
  return hash;
}

}  // namespace counterpart::machine
