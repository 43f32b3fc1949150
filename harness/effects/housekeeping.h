// Maintenance threads of the runtimes we know: the one table of them.
//
// Their timers come round for ever and mean nothing for the protocol, so they are left out of
// account. That such a thread runs counts like that of any other.
//
// A name alone proves little: a thread that a runtime starts has that of the thread it was started
// from. So only those that are there before the subject has been asked to do anything are taken for
// housekeeping, but for names that nothing of a runtime can inherit.
#ifndef COUNTERPART_EFFECTS_HOUSEKEEPING_H_
#define COUNTERPART_EFFECTS_HOUSEKEEPING_H_

#include <span>
#include <string_view>

namespace counterpart::effects {

struct HousekeepingThreads {
  std::string_view runtime;
  std::string_view name;  // or how it begins; the kernel keeps 15 characters
  // It is started when it is first needed, and no code but its own ever runs on it.
  bool late = false;
};

std::span<const HousekeepingThreads> HousekeepingTable();

// `early`: it was there before the subject was asked to do anything.
bool IsHousekeeping(std::string_view thread_name, bool early);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_HOUSEKEEPING_H_
