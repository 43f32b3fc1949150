// The coroutine type of everything a role does. Lazy: runs when awaited, on the awaiter's step.
// Nothing here throws; a role that fails is stopped by its machine, which destroys its frames.
//
// No type is declared inside a coroutine: with debug information GCC 12 crashes on the frame of
// such a one, or does not, as the length of a path or another header has it.
#ifndef COUNTERPART_MACHINE_TASK_H_
#define COUNTERPART_MACHINE_TASK_H_

#include <coroutine>
#include <cstdlib>
#include <optional>
#include <utility>

namespace counterpart::machine {

template <class T>
class Task;

namespace internal {

// Gives control back to whoever awaited the finished coroutine, without growing the stack.
struct ReturnToAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
    const auto awaiter = finished.promise().awaiter;
    return awaiter ? awaiter : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> awaiter;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  ReturnToAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() const noexcept { std::abort(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T TakeValue() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void TakeValue() const noexcept {}
};

}  // namespace internal

// Owns its frame: destroying the task destroys what it was in the middle of.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  Handle handle() const { return handle_; }
  bool done() const { return !handle_ || handle_.done(); }

  auto operator co_await() const noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() const noexcept { return handle.done(); }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) const noexcept {
        handle.promise().awaiter = awaiter;
        return handle;
      }
      T await_resume() const { return handle.promise().TakeValue(); }
    };
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

namespace internal {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(Task<T>::Handle::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(Task<void>::Handle::from_promise(*this));
}
}  // namespace internal

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_TASK_H_
