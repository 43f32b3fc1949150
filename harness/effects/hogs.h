// Busy processes beside a run: the load under which verdicts must not change.
#ifndef COUNTERPART_EFFECTS_HOGS_H_
#define COUNTERPART_EFFECTS_HOGS_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace counterpart::effects {

// Each spins until this object, or the harness, is gone.
class Hogs {
 public:
  explicit Hogs(uint32_t count);
  ~Hogs();
  Hogs(const Hogs&) = delete;
  Hogs& operator=(const Hogs&) = delete;

 private:
  std::vector<pid_t> pids_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_HOGS_H_
