#include "harness/machine/normal_form.h"

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

}  // namespace

NormalForm Normalise(const std::vector<Entry>& entries) {
  NormalForm form;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].reading.edge.empty()) form[entries[i].reading.edge].push_back(i);
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
