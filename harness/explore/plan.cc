#include "harness/explore/plan.h"

#include <charconv>
#include <optional>

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Seat;
using peer::Side;

struct Speaker {
  Side from;
  std::optional<Seat> seat;
};
constexpr Speaker kSpeakers[] = {{Side::kHarness, {}},
                                 {Side::kSubject, {}},
                                 {Side::kSubject, Seat::kServer},
                                 {Side::kSubject, Seat::kClient}};

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
  Words instead = words;
  if (ahead.Is("after")) {
    words = ahead;
  } else if (instead.Is("instead of")) {
    words = instead;
    fault->offset = 0;
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
  const std::string_view speaker = words.Next();
  bool named = false;
  for (const Speaker& candidate : kSpeakers) {
    if (speaker != peer::SpeakerOf(candidate.from, candidate.seat)) continue;
    fault->from = candidate.from;
    fault->seat = candidate.seat;
    named = true;
  }
  if (!named) return false;
  // What the subject writes cannot be cut for it: only what is read of it.
  if (fault->offset && fault->from == Side::kSubject && !fault->seat) return false;
  if (fault->offset == 0u && !fault->seat) return false;  // the frame before it, in other words
  if (fault->seat && !peer::FitsPairs(fault->how)) return false;
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
          : *fault.offset == 0         ? " instead of"
          : fault.how == How::kBitFlip ? " at bit " + std::to_string(*fault.offset) + " of"
                                       : " " + std::to_string(*fault.offset) + " bytes into") +
         " frame " + std::to_string(fault.ordinal) + " of the " +
         peer::SpeakerOf(fault.from, fault.seat) + " on link " + std::to_string(fault.generation);
}

Result<Fault> ParseFault(std::string_view text) {
  Fault fault;
  if (Parse(text, &fault)) return fault;
  return Error{Error::Kind::kUsage,
               "'" + std::string(text) +
                   "' is no fault; expected, for example, 'rst after frame 7 of the subject on "
                   "link 1', 'split 5 bytes into frame 3 of the harness on link 2' or 'bit_flip at "
                   "bit 37 of frame 3 of the harness on link 1' (" +
                   HowNames() +
                   "; inside a frame only of the harness), or between two subjects "
                   "'rst instead of frame 3 of the client on link 1' (rst, fin)"};
}

}  // namespace counterpart::explore
