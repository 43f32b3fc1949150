#include <sys/eventfd.h>

#include <iterator>
#include <utility>

#include "harness/effects/control_client.h"

namespace counterpart::effects {

std::string LapseText(const ControlCompletion& completion) {
  return "starved: the subject's server let a question of the control plane lapse before the "
         "subject was asked (" +
         completion.failure + ")";
}

ControlSink::ControlSink() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void ControlSink::Push(ControlCompletion completion) {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) eventfd_write(event_.get(), 1);  // else it is readable already
  waiting_.push_back(std::move(completion));
}

void ControlSink::Push(std::vector<ControlCompletion> completions) {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty() && !completions.empty()) eventfd_write(event_.get(), 1);
  std::move(completions.begin(), completions.end(), std::back_inserter(waiting_));
}

std::vector<ControlCompletion> ControlSink::Take() {
  const std::lock_guard lock(mutex_);
  eventfd_t ignored = 0;
  eventfd_read(event_.get(), &ignored);  // under the lock: readable exactly while not empty
  return std::exchange(waiting_, {});
}

bool ControlSink::empty() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

}  // namespace counterpart::effects
