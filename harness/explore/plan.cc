#include "harness/explore/plan.h"

#include <charconv>
#include <optional>

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Side;

// Reads words off the front of a text.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  std::string_view Next() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    const std::string_view word = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(word.size());
    return word;
  }
  bool Is(std::string_view words) {
    Words wanted(words);
    for (auto word = wanted.Next(); !word.empty(); word = wanted.Next()) {
      if (Next() != word) return false;
    }
    return true;
  }
  std::optional<uint32_t> Number() {
    const std::string_view word = Next();
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number == 0) return {};
    return number;
  }

 private:
  std::string_view rest_;
};

bool Parse(std::string_view text, Fault* fault) {
  Words words(text);
  const std::string_view how = words.Next();
  bool known = false;
  for (const How candidate : kHows) {
    if (how != peer::Name(candidate)) continue;
    fault->how = candidate;
    known = true;
  }
  if (!known) return false;
  Words ahead = words, bit = words;
  if (ahead.Is("after")) {
    words = ahead;
  } else if (fault->how == How::kBitFlip) {
    if (!bit.Is("at bit") || !(fault->offset = bit.Number()) || !bit.Is("of")) return false;
    words = bit;
  } else {
    fault->offset = words.Number();
    if (!fault->offset || !words.Is("bytes into")) return false;
  }
  if (!words.Is("frame")) return false;
  const auto frame = words.Number();
  if (!frame || !words.Is("of the")) return false;
  fault->ordinal = *frame;
  const std::string_view side = words.Next();
  if (side != "harness" && side != "subject") return false;
  fault->from = side == "harness" ? Side::kHarness : Side::kSubject;
  // What the subject writes cannot be cut for it: only what is read of it.
  if (fault->offset && fault->from == Side::kSubject) return false;
  const peer::Places places = peer::PlacesOf(fault->how);
  if (!(fault->offset ? places.inside : places.after)) return false;
  if (fault->from == Side::kSubject && !places.of_subject) return false;
  if (!words.Is("on link")) return false;
  const auto link = words.Number();
  if (!link || !words.Next().empty()) return false;
  fault->generation = *link;
  return true;
}

}  // namespace

std::string HowNames() {
  std::string names;
  for (const How how : kHows) names += (names.empty() ? "" : ", ") + std::string(peer::Name(how));
  return names;
}

std::string ToText(const Fault& fault) {
  return std::string(peer::Name(fault.how)) +
         (!fault.offset                ? " after"
          : fault.how == How::kBitFlip ? " at bit " + std::to_string(*fault.offset) + " of"
                                       : " " + std::to_string(*fault.offset) + " bytes into") +
         " frame " + std::to_string(fault.ordinal) + " of the " +
         (fault.from == Side::kHarness ? "harness" : "subject") + " on link " +
         std::to_string(fault.generation);
}

Result<Fault> ParseFault(std::string_view text) {
  Fault fault;
  if (Parse(text, &fault)) return fault;
  return Error{Error::Kind::kUsage,
               "'" + std::string(text) +
                   "' is no fault; expected, for example, 'rst after frame 7 of the subject on "
                   "link 1', 'split 5 bytes into frame 3 of the harness on link 2' or 'bit_flip at "
                   "bit 37 of frame 3 of the harness on link 1' (" +
                   HowNames() + "; inside a frame only of the harness)"};
}

}  // namespace counterpart::explore
