// Errors as values. An error says for whom it is (which decides the exit code of the program) and
// what is wrong, in a sentence a person can act on.
#ifndef COUNTERPART_RESULT_H_
#define COUNTERPART_RESULT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace counterpart {

struct Error {
  enum class Kind : uint8_t {
    kUsage,    // what was asked for makes no sense
    kSubject,  // a subject could not be started or talked to
    kStarved,  // a subject was given too little CPU time for anything to be said of it
    kHarness,  // our own fault, or the machine's
    kStale,    // an expectation that no longer holds
  };
  Kind kind = Kind::kHarness;
  std::string message;
};

// A value or why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Only if ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // Only if not ok().
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Nothing, or why it could not be done.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit on purpose

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  // Only if not ok().
  const Error& error() const { return error_; }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace counterpart

#endif  // COUNTERPART_RESULT_H_
