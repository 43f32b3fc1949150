#include "harness/effects/pipe_end.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <string>

namespace counterpart::effects {
namespace {

constexpr int kMostMilliseconds = 10'000;

}  // namespace

void CloseWritingEnd(UniqueFd* end) {
  if (!*end) return;
  // Opened while there is a writer: only then does it tell when there is none any more.
  const std::string itself = "/proc/self/fd/" + std::to_string(end->get());
  const UniqueFd reader(open(itself.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  end->Close();
  if (!reader) return;
  pollfd hangup{reader.get(), 0, 0};
  while (poll(&hangup, 1, kMostMilliseconds) < 0 && errno == EINTR) {
  }
}

}  // namespace counterpart::effects
