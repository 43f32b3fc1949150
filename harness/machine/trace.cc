#include "harness/machine/trace.h"

#include <set>

#include "harness/machine/normal_form.h"

namespace counterpart::machine {
namespace {

uint64_t HashNumber(uint64_t number, uint64_t hash) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  return HashBytes({bytes, sizeof bytes}, hash);
}

void PutNumber(std::string& out, uint64_t number) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}

void PutField(std::string& out, std::string_view bytes) {
  PutNumber(out, bytes.size());
  out.append(bytes);
}

// Only where there is more than one, so that the bytes of all other runs stay what they were.
void PutSubject(std::string& out, uint8_t subject) {
  if (subject != 0) out.push_back(static_cast<char>(subject));
}

// Reads what Put* wrote; past the end it gives zeros and remembers.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}
  uint8_t Byte() {
    if (bytes_.empty()) {
      ok_ = false;
      return 0;
    }
    const uint8_t byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  uint64_t Number() {
    uint64_t number = 0;
    for (int i = 0; i < 8; ++i) number |= uint64_t{Byte()} << (8 * i);
    return number;
  }
  std::string Field() {
    const uint64_t size = Number();
    if (size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    std::string field(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return field;
  }
  bool empty() const { return bytes_.empty(); }
  bool ok_and_empty() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace

std::optional<std::string> FirstDifference(const Trace& first, const Trace& second) {
  NormalForm one = Normalise(first.entries()), two = Normalise(second.entries());
  std::set<std::string_view> edges;
  for (const auto* form : {&one, &two}) {
    for (const auto& [edge, entries] : *form) edges.insert(edge);
  }
  std::optional<std::string> text;
  size_t earliest = 0;
  for (const std::string_view edge : edges) {
    const std::vector<size_t>&here = one[edge], &there = two[edge];
    const auto label = [](const Trace& trace, size_t entry) -> const std::string& {
      return trace.entries()[entry].reading.label;
    };
    size_t at = 0;
    while (at < here.size() && at < there.size() &&
           label(first, here[at]) == label(second, there[at])) {
      ++at;
    }
    if (at == here.size() && at == there.size()) continue;
    // What only the second has stands behind everything of the first.
    const size_t place = at < here.size() ? here[at] : first.size();
    if (text && place >= earliest) continue;
    earliest = place;
    const auto quoted = [&](const Trace& trace, const std::vector<size_t>& of) {
      return at < of.size() ? "\"" + label(trace, of[at]) + "\"" : std::string("nothing more");
    };
    text = "entry " + std::to_string(at + 1) + " of " + std::string(edge) + ": first " +
           quoted(first, here) + ", then " + quoted(second, there);
  }
  return text;
}

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

std::string Canonical(const Entry& entry) {
  std::string out(1, static_cast<char>(entry.kind));
  switch (entry.kind) {
    case EntryKind::kEffect:
      out.push_back(static_cast<char>(entry.effect.kind));
      PutNumber(out, entry.effect.id);
      PutNumber(out, entry.effect.number);
      PutField(out, entry.effect.bytes);
      PutSubject(out, entry.effect.subject);
      break;
    case EntryKind::kIngress:
      out.push_back(static_cast<char>(entry.ingress.kind));
      PutNumber(out, entry.ingress.id);
      PutNumber(out, entry.ingress.number);
      PutField(out, entry.ingress.bytes);
      PutField(out, entry.ingress.text);
      PutSubject(out, entry.ingress.subject);
      break;
    case EntryKind::kNote:
      PutField(out, entry.reading.label);
      break;
    case EntryKind::kChoice:
      PutNumber(out, entry.choice);
      PutField(out, entry.reading.label);
      break;
  }
  return out;
}

bool DecodeCanonical(std::string_view bytes, Entry* entry) {
  Decoder in(bytes);
  entry->kind = static_cast<EntryKind>(in.Byte());
  switch (entry->kind) {
    case EntryKind::kEffect:
      entry->effect.kind = static_cast<effects::EffectKind>(in.Byte());
      entry->effect.id = static_cast<uint32_t>(in.Number());
      entry->effect.number = in.Number();
      entry->effect.bytes = in.Field();
      if (!in.empty() && (entry->effect.subject = in.Byte()) == 0) return false;
      break;
    case EntryKind::kIngress:
      entry->ingress.kind = static_cast<effects::IngressKind>(in.Byte());
      entry->ingress.id = static_cast<uint32_t>(in.Number());
      entry->ingress.number = in.Number();
      entry->ingress.bytes = in.Field();
      entry->ingress.text = in.Field();
      if (!in.empty() && (entry->ingress.subject = in.Byte()) == 0) return false;
      break;
    case EntryKind::kNote:
      entry->reading.label = in.Field();
      break;
    case EntryKind::kChoice:
      entry->choice = in.Number();
      entry->reading.label = in.Field();
      break;
    default:
      return false;
  }
  return in.ok_and_empty();
}

uint64_t Digest(const Entry& entry) { return HashBytes(Canonical(entry)); }

uint64_t Trace::ExactHash() const {
  uint64_t hash = HashBytes("");
  for (const Entry& entry : entries_) {
    hash = HashNumber(entry.round, HashNumber(Digest(entry), hash));
  }
  return hash;
}

uint64_t Trace::NormalisedHash() const { return NormalisedDigest(entries_); }

}  // namespace counterpart::machine
