#include "harness/judge/generations.h"

#include <algorithm>

namespace counterpart::judge {
namespace {

// 2 to the power of this many readings are looked at.
constexpr uint32_t kMostInDoubt = 12;

}  // namespace

void Generations::MayBind(uint32_t link) { links_.push_back({.link = link, .proven = false}); }

void Generations::Bound(uint32_t link) {
  for (Handshake& handshake : links_) {
    if (handshake.link == link) handshake.proven = true;
  }
}

void Generations::Refused(uint32_t link) {
  std::erase_if(links_, [link](const Handshake& handshake) {
    return handshake.link == link && !handshake.proven;
  });
}

uint32_t Generations::proven() const {
  return static_cast<uint32_t>(
      std::count_if(links_.begin(), links_.end(), [](const auto& h) { return h.proven; }));
}

std::vector<Generations::Reading> Generations::Readings(uint32_t count) const {
  std::vector<Handshake> links = links_;
  std::vector<size_t> in_doubt;
  for (size_t i = 0; i < links.size(); ++i) {
    if (!links[i].proven) in_doubt.push_back(i);
  }
  const size_t too_many = in_doubt.size() > kMostInDoubt ? in_doubt.size() - kMostInDoubt : 0;
  for (size_t i = 0; i < too_many; ++i) links[in_doubt[i]].proven = true;
  in_doubt.erase(in_doubt.begin(), in_doubt.begin() + static_cast<std::ptrdiff_t>(too_many));

  std::vector<Reading> readings;
  for (uint32_t bound = 0; bound < (1u << in_doubt.size()); ++bound) {
    Reading reading;
    size_t doubtful = 0;
    for (const Handshake& handshake : links) {
      if (!handshake.proven && (bound >> doubtful++ & 1) == 0) continue;
      reading[static_cast<uint32_t>(reading.size()) + 1] = handshake.link;
    }
    if (reading.size() == count) readings.push_back(std::move(reading));
  }
  return readings;
}

}  // namespace counterpart::judge
