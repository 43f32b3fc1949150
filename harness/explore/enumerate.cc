#include "harness/explore/enumerate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Moment;
using peer::Side;

// Frames of a resume and its first calls, by side: where a second fault can fall on the next link.
constexpr uint32_t kFramesOfAResume = 6;

bool IsHandshake(const std::string& kind) {
  return kind.starts_with("transport_") || kind == "hello" || kind == "hello_yourself" ||
         kind == "lets_go" || kind == "sorry";
}

// Every place of a cut, whatever it is cut by.
std::vector<Fault> Places(const std::vector<Moment>& moments, const Options& options) {
  std::vector<Fault> places;
  std::map<uint32_t, uint32_t> messages;  // of the harness so far, by link
  for (const Moment& moment : moments) {
    Fault fault;
    fault.from = moment.from;
    fault.ordinal = moment.ordinal;
    fault.generation = moment.generation;
    if (options.cuts == Cuts::kBytes && moment.from == Side::kHarness &&
        (IsHandshake(moment.kind) || ++messages[moment.generation] <= options.messages_by_byte)) {
      for (uint32_t offset = 1; offset < moment.bytes; ++offset) {
        fault.offset = offset;
        places.push_back(fault);
      }
      fault.offset.reset();
    }
    places.push_back(fault);
  }
  return places;
}

// The places of a second cut, on the link after this one.
std::vector<Fault> PlacesAfter(const Fault& first) {
  std::vector<Fault> places;
  for (const Side side : {Side::kHarness, Side::kSubject}) {
    for (uint32_t ordinal = 1; ordinal <= kFramesOfAResume; ++ordinal) {
      Fault fault;
      fault.from = side;
      fault.ordinal = ordinal;
      fault.generation = first.generation + 1;
      places.push_back(fault);
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

std::vector<Plan> Sample(const std::vector<Fault>& places, const Options& options) {
  std::vector<Plan> plans;
  std::set<std::string> seen;
  uint64_t state = options.seed;
  const auto draw = [&](const std::vector<Fault>& from) {
    Fault fault = from[Next(&state) % from.size()];
    fault.how = options.faults[Next(&state) % options.faults.size()];
    return fault;
  };
  // What was drawn before is drawn again; a small space may have fewer plans than are wanted.
  for (uint32_t tries = 0; plans.size() < options.sample && tries < 4 * options.sample; ++tries) {
    Plan plan = {draw(places)};
    std::string text = ToText(plan.back());
    while (plan.size() < options.depth) {
      plan.push_back(draw(PlacesAfter(plan.back())));
      text += "; " + ToText(plan.back());
    }
    if (seen.insert(std::move(text)).second) plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace

std::vector<Plan> Enumerate(const std::vector<Moment>& moments, const Options& options) {
  const std::vector<Fault> places = Places(moments, options);
  if (places.empty() || options.faults.empty()) return {};
  if (options.sample > 0) return Sample(places, options);
  std::vector<Plan> plans;
  for (Fault fault : places) {
    for (const How how : options.faults) {
      fault.how = how;
      if (!options.pairs) {
        plans.push_back({fault});
        continue;
      }
      for (Fault second : PlacesAfter(fault)) {
        second.how = how;
        plans.push_back({fault, second});
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
