// The one thread that owns the runtime, its work queue, and its timers.
#pragma once

#include <algorithm>
#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <utility>

#include "runtime/mutation.h"

namespace subject {

// Post may be called from any thread, everything else on the loop only.
class Loop {
 public:
  struct Timer {
    std::string name;
    std::chrono::steady_clock::time_point due;
    asio::steady_timer timer;

    // Zero once it is due.
    std::chrono::milliseconds DueIn() const {
      const auto left = std::max(due - std::chrono::steady_clock::now(), {});
      return std::chrono::duration_cast<std::chrono::milliseconds>(left);
    }
  };

  // Runs `work` at the back of the queue.
  void Post(std::function<void()> work) {
    ++queued_;
    asio::post(io_, [this, work = std::move(work)] {
      work();
      --queued_;
    });
  }

  // Runs `work` once, after `delay`. r[control.time]: only commands name delays.
  void After(std::string name, std::chrono::milliseconds delay, std::function<void()> work) {
    timers_.push_back({std::move(name), std::chrono::steady_clock::now() + delay,
                       asio::steady_timer(io_, delay)});
    auto timer = std::prev(timers_.end());
    timer->timer.async_wait([this, timer, work = std::move(work)](std::error_code error) {
      timers_.erase(timer);
      if (!error) work();
    });
  }

  // Posted work that has not finished, the calling one included.
  uint32_t queued() const { return queued_; }
  const std::list<Timer>& timers() const { return timers_; }
  asio::io_context& io() { return io_; }

  // Makes the calling thread the loop, for good.
  [[noreturn]] void Run() {
    const auto forever = asio::make_work_guard(io_);
    if (Mutated("canary_wakes_for_ever")) Maintain();
    for (;;) io_.run();
  }

 private:
  void Maintain() {
    After("maintenance", std::chrono::milliseconds(5), [this] { Maintain(); });
  }

  asio::io_context io_;
  std::atomic<uint32_t> queued_{0};
  std::list<Timer> timers_;
};

}  // namespace subject
