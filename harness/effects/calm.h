#ifndef COUNTERPART_EFFECTS_CALM_H_
#define COUNTERPART_EFFECTS_CALM_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace counterpart::effects {

// The answer to "can anything still arrive by itself?".
struct Calm {
  enum class State {
    kNo,
    kQuiescent,
    kUnjudgeable,
    kContradicted,  // the subject says of itself what the kernel shows to be wrong
  } state = State::kNo;
  int tier = 0;                              // with kQuiescent: 1-3
  std::string evidence;                      // with all but kNo
  std::string fixpoint;                      // see ToBytes(Fixpoint); empty: nothing fails by this
  uint8_t subject = 0;                       // with kContradicted: whose word it is
  std::chrono::microseconds retry_after{0};  // with kNo: look again then, or at the next arrival

  static Calm NotYet(std::chrono::microseconds retry_after) {
    Calm calm;
    calm.retry_after = retry_after;
    return calm;
  }
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CALM_H_
