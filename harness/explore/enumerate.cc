#include "harness/explore/enumerate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Moment;
using peer::Seat;
using peer::Side;

// Frames of a resume and its first calls, by side: where a second fault can fall on the next link.
constexpr uint32_t kFramesOfAResume = 6;
// At least, of a frame that is not known yet: what is done inside it is done within these.
constexpr uint32_t kBytesOfAFrame = 6;

bool IsHandshake(const std::string& kind) {
  return kind.starts_with("transport_") || kind == "hello" || kind == "hello_yourself" ||
         kind == "lets_go" || kind == "sorry" || kind == "client_hello" || kind == "server_hello";
}

// A place, and the size of the frame it is in.
struct Place {
  Fault fault;
  uint32_t bytes = 0;
};

// The bits that are flipped of a frame: of each byte of its length field one, and of its body the
// first, which says what it is, one in the middle and one at the end.
std::vector<uint32_t> BitsOf(uint32_t bytes) {
  std::vector<uint32_t> bits = {1, 10, 19, 32};
  constexpr uint32_t kHeader = 4;
  if (bytes > kHeader) bits.push_back(8 * kHeader + 1);
  if (bytes > kHeader + 2) bits.push_back(8 * (kHeader + (bytes - kHeader) / 2) + 3);
  if (bytes > kHeader + 1) bits.push_back(8 * bytes);
  return bits;
}

// Where a fault of this kind is done at a place: there, or inside the frame, or nowhere.
std::vector<Fault> At(const Place& place, How how) {
  const peer::Places possible = peer::PlacesOf(how);
  Fault fault = place.fault;
  fault.how = how;
  if (fault.seat) return peer::FitsPairs(how) ? std::vector<Fault>{fault} : std::vector<Fault>{};
  if (fault.from == Side::kSubject && !possible.of_subject) return {};
  if (fault.offset) {
    if (!possible.inside) return {};
    if (how == How::kBitFlip) fault.offset = 8 * *fault.offset + 1 + *fault.offset % 8;
    return {fault};
  }
  if (possible.after) return {fault};
  std::vector<Fault> inside;
  if (how == How::kBitFlip) {
    for (const uint32_t bit : BitsOf(place.bytes)) {
      inside.push_back(fault);
      inside.back().offset = bit;
    }
    return inside;
  }
  // In the length field, behind it, and before the last byte.
  std::set<uint32_t> offsets = {2, 4};
  if (place.bytes > 5) offsets.insert(place.bytes - 1);
  for (const uint32_t offset : offsets) {
    if (offset >= place.bytes) continue;
    inside.push_back(fault);
    inside.back().offset = offset;
  }
  return inside;
}

// Every place of a cut, whatever it is cut by.
std::vector<Place> Places(const std::vector<Moment>& moments, const Options& options) {
  std::vector<Place> places;
  std::map<std::pair<std::string, uint32_t>, uint32_t> messages;  // so far, by speaker and link
  for (const Moment& moment : moments) {
    Fault fault;
    fault.from = moment.from;
    fault.ordinal = moment.ordinal;
    fault.generation = moment.generation;
    fault.seat = moment.seat;
    // What a subject has sent and the other never gets; of the harness, that is the frame before.
    if (moment.seat) {
      fault.offset = 0;
      places.push_back({fault, moment.bytes});
      fault.offset.reset();
    }
    uint32_t& count = messages[{peer::SpeakerOf(moment.from, moment.seat), moment.generation}];
    if (options.cuts == Cuts::kBytes && (moment.from == Side::kHarness || moment.seat) &&
        (IsHandshake(moment.kind) || ++count <= options.messages_by_byte)) {
      for (uint32_t offset = 1; offset < moment.bytes; ++offset) {
        fault.offset = offset;
        places.push_back({fault, moment.bytes});
      }
      fault.offset.reset();
    }
    places.push_back({fault, moment.bytes});
  }
  return places;
}

// The places of a second cut, on the link after this one.
std::vector<Place> PlacesAfter(const Fault& first) {
  std::vector<Place> places;
  // A fault that ends nothing leaves the link there is.
  const uint32_t link = first.generation + (peer::EndsScenario(first.how) ? 1 : 0);
  std::vector<Fault> speakers(2);
  speakers[0].from = first.seat ? Side::kSubject : Side::kHarness;
  speakers[1].from = Side::kSubject;
  if (first.seat) {
    for (const Seat seat : peer::kSeats) speakers[At(seat)].seat = seat;
  }
  for (const Fault& speaker : speakers) {
    for (uint32_t ordinal = 1; ordinal <= kFramesOfAResume; ++ordinal) {
      Fault fault = speaker;
      fault.ordinal = ordinal;
      fault.generation = link;
      places.push_back({fault, kBytesOfAFrame});
    }
  }
  return places;
}

uint64_t Next(uint64_t* state) {  // splitmix64
  uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::vector<Plan> Sample(const std::vector<Place>& places, const Options& options) {
  std::vector<Plan> plans;
  std::set<std::string> seen;
  uint64_t state = options.seed;
  // A place and a kind, until there is a fault of that kind at that place.
  const auto draw = [&](const std::vector<Place>& from) -> std::optional<Fault> {
    for (int tries = 0; tries < 64; ++tries) {
      const Place& place = from[Next(&state) % from.size()];
      const How how = options.faults[Next(&state) % options.faults.size()];
      const std::vector<Fault> there = At(place, how);
      if (!there.empty()) {
        return there[there.size() == 1 ? 0 : Next(&state) % there.size()];
      }
    }
    return std::nullopt;
  };
  // What was drawn before is drawn again; a small space may have fewer plans than are wanted.
  for (uint32_t tries = 0; plans.size() < options.sample && tries < 4 * options.sample; ++tries) {
    Plan plan;
    std::string text;
    while (plan.size() < options.depth) {
      const std::optional<Fault> fault = draw(plan.empty() ? places : PlacesAfter(plan.back()));
      if (!fault) break;
      plan.push_back(*fault);
      text += ToText(plan.back()) + "; ";
    }
    if (plan.size() < options.depth) continue;
    if (seen.insert(std::move(text)).second) plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace

std::vector<Plan> Enumerate(const std::vector<Moment>& moments, const Options& options) {
  const std::vector<Place> places = Places(moments, options);
  if (places.empty() || options.faults.empty()) return {};
  if (options.sample > 0) return Sample(places, options);
  std::vector<Plan> plans;
  for (const Place& place : places) {
    for (const How how : options.faults) {
      for (const Fault& fault : At(place, how)) {
        if (!options.pairs) {
          plans.push_back({fault});
          continue;
        }
        for (const Place& next : PlacesAfter(fault)) {
          for (const Fault& second : At(next, how)) plans.push_back({fault, second});
        }
      }
    }
  }
  return plans;
}

Chance ChanceOf(size_t moments, const Options& options) {
  Chance chance;
  if (moments == 0 || options.faults.empty()) return chance;
  const double hows = static_cast<double>(options.faults.size());
  chance.least = 1.0 / (static_cast<double>(moments) * hows);
  for (uint32_t i = 1; i < options.depth; ++i) {
    chance.least /= 2.0 * kFramesOfAResume * hows;
  }
  chance.runs_for_95 =
      chance.least >= 1
          ? 1
          : static_cast<uint64_t>(std::ceil(std::log(0.05) / std::log1p(-chance.least)));
  return chance;
}

}  // namespace counterpart::explore
