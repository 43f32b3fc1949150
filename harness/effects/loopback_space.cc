#include "harness/effects/loopback_space.h"

#include <fstream>
#include <random>

namespace counterpart::effects {
namespace {

constexpr uint16_t kLowest = 10'000, kHighest = 65'535;
constexpr uint32_t kEnough = 1'000;
// Of 127.0.0.0/8, without those that people give to services of theirs.
constexpr uint32_t kFirst = 0x7f400000, kCount = 0x00400000;  // 127.64.0.0 to 127.127.255.255

// What Linux does if it is not told otherwise, where that cannot be read.
PortRange EphemeralPorts() {
  PortRange range;
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  if (!(file >> range.first >> range.last) || range.last < range.first) return {32'768, 60'999};
  return range;
}

}  // namespace

PortRange PortsBeside(PortRange ephemeral) {
  if (ephemeral.first >= kLowest + kEnough) {
    return {kLowest, static_cast<uint16_t>(ephemeral.first - 1)};
  }
  if (ephemeral.last <= kHighest - kEnough) {
    return {static_cast<uint16_t>(ephemeral.last + 1), kHighest};
  }
  return {kLowest, kHighest};
}

LoopbackSpace& LoopbackSpace::Here() {
  // Nothing is judged by where it begins.
  static LoopbackSpace space(kFirst, kCount, std::random_device{}(), PortsBeside(EphemeralPorts()));
  return space;
}

uint32_t LoopbackSpace::NextAddress() { return first_ + next_address_++ % count_; }

uint16_t LoopbackSpace::FreePort(uint32_t address) {
  const std::lock_guard lock(mutex_);
  for (uint32_t tried = 0; tried < ports_.size(); ++tried) {
    const auto port = static_cast<uint16_t>(ports_.first + next_port_++ % ports_.size());
    if (tcp_.ListeningInode(address, port) == 0) return port;
  }
  return 0;
}

std::string HostOf(uint32_t address) {
  std::string text;
  for (const int shift : {24, 16, 8, 0}) {
    text += (text.empty() ? "" : ".") + std::to_string(address >> shift & 0xff);
  }
  return text;
}

}  // namespace counterpart::effects
