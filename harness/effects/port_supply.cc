#include "harness/effects/port_supply.h"

#include <algorithm>
#include <fstream>
#include <random>

#include "harness/effects/loopback.h"

namespace counterpart::effects {
namespace {

constexpr uint32_t kSample = 64;  // some 200 us
constexpr uint32_t kLeast = kSample / 8;
// A port that was asked for a moment ago will not be free by now.
constexpr auto kAnew = std::chrono::milliseconds(100);

}  // namespace

PortRange EphemeralPorts() {
  PortRange range;
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  if (!(file >> range.first >> range.last) || range.last < range.first) return {};
  return range;
}

uint32_t TakenOf(PortRange range, uint32_t sample) {
  // Nothing is judged by which of them are looked at.
  static thread_local std::minstd_rand chance(std::random_device{}());
  uint32_t taken = 0;
  for (uint32_t i = 0; i < std::min(sample, range.size()); ++i) {
    const uint32_t at = range.size() <= sample ? i : static_cast<uint32_t>(chance() % range.size());
    if (!IsFree(static_cast<uint16_t>(range.first + at))) ++taken;
  }
  return taken;
}

PortSupply& PortSupply::Here() {
  static PortSupply supply(EphemeralPorts());
  return supply;
}

bool PortSupply::Scarce() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (range_.size() == 0 || now - looked_at_ < kAnew) return scarce_;
  looked_at_ = now;
  const uint32_t sample = std::min(kSample, range_.size());
  scarce_ = (sample - TakenOf(range_, sample)) * kSample < kLeast * sample;
  return scarce_;
}

}  // namespace counterpart::effects
