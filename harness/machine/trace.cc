#include "harness/machine/trace.h"

#include <map>

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

uint64_t HashBytes(std::string_view bytes, uint64_t hash) {
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ull;
  }
  return hash;
}

std::string HashText(uint64_t hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4) text[static_cast<size_t>(i)] = kDigits[hash & 15];
  return text;
}

uint64_t Digest(const Entry& entry) {
  uint64_t hash = HashNumber(static_cast<uint64_t>(entry.kind), HashBytes(""));
  switch (entry.kind) {
    case EntryKind::kEffect:
      hash = HashNumber(static_cast<uint64_t>(entry.effect.kind), hash);
      hash = HashNumber(entry.effect.id, hash);
      hash = HashNumber(entry.effect.number, hash);
      return HashField(entry.effect.bytes, hash);
    case EntryKind::kIngress:
      hash = HashNumber(static_cast<uint64_t>(entry.ingress.kind), hash);
      hash = HashNumber(entry.ingress.id, hash);
      hash = HashNumber(entry.ingress.number, hash);
      hash = HashField(entry.ingress.bytes, hash);
      return HashField(entry.ingress.text, hash);
    case EntryKind::kNote:
      return HashField(entry.reading.label, hash);
    case EntryKind::kChoice:
      return HashNumber(entry.choice, HashField(entry.reading.label, hash));
  }
  return hash;
}

uint64_t Trace::ExactHash() const {
  uint64_t hash = HashBytes("");
  for (const Entry& entry : entries_) {
    hash = HashNumber(entry.round, HashNumber(Digest(entry), hash));
  }
  return hash;
}

uint64_t Trace::NormalisedHash() const {
  std::map<std::string_view, uint64_t> edges;
  for (const Entry& entry : entries_) {
    if (entry.reading.edge.empty()) continue;
    uint64_t& hash = edges.try_emplace(entry.reading.edge, HashBytes("")).first->second;
    hash = HashField(entry.reading.label, hash);
  }
  uint64_t hash = HashBytes("");
  for (const auto& [edge, edge_hash] : edges) hash = HashNumber(edge_hash, HashField(edge, hash));
  return hash;
}

}  // namespace counterpart::machine
