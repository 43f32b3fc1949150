// Maintenance threads of the runtimes we know: the one table of them.
//
// Their timers come round for ever and mean nothing for the protocol, so they are left out of
// account. That such a thread runs counts like that of any other.
#ifndef COUNTERPART_EFFECTS_HOUSEKEEPING_H_
#define COUNTERPART_EFFECTS_HOUSEKEEPING_H_

#include <span>
#include <string_view>

namespace counterpart::effects {

struct HousekeepingThreads {
  std::string_view runtime;
  std::string_view name;  // or how it begins; the kernel keeps 15 characters
};

std::span<const HousekeepingThreads> HousekeepingTable();

bool IsHousekeeping(std::string_view thread_name);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_HOUSEKEEPING_H_
