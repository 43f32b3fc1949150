// The ports that this machine gives to whoever asks for any. Who ends a connection keeps its port
// taken for a minute (TIME_WAIT), so that a fast campaign can use all of them up; then neither the
// harness nor a subject gets one, and the runs that need it fail for no fault of anybody's.
#ifndef COUNTERPART_EFFECTS_PORT_SUPPLY_H_
#define COUNTERPART_EFFECTS_PORT_SUPPLY_H_

#include <chrono>
#include <cstdint>
#include <mutex>

namespace counterpart::effects {

// First and last. 0 to 0: not known.
struct PortRange {
  uint16_t first = 0, last = 0;
  uint32_t size() const { return first == 0 ? 0 : uint32_t{last} - first + 1; }
};
// That of this machine.
PortRange EphemeralPorts();

// May be used by any number of threads.
class PortSupply {
 public:
  explicit PortSupply(PortRange range) : range_(range) {}
  // The one of this machine.
  static PortSupply& Here();

  // Whether so few are left that nobody should begin what needs more: fewer than one in eight of a
  // sample, taken anew a few times a second at the most. False where the range is not known.
  bool Scarce();

 private:
  const PortRange range_;
  std::mutex mutex_;
  bool scarce_ = false;
  std::chrono::steady_clock::time_point looked_at_ = {};
};

// How many of `sample` ports at `range` could not be had on 127.0.0.1; all are looked at where the
// range is no larger than that.
uint32_t TakenOf(PortRange range, uint32_t sample);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_PORT_SUPPLY_H_
