// The control plane as the live world sees it: questions out, completions in, over any binding.
#ifndef COUNTERPART_EFFECTS_CONTROL_CLIENT_H_
#define COUNTERPART_EFFECTS_CONTROL_CLIENT_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {

// Larger replies break the control plane; smaller ones are the subject's right.
inline constexpr uint32_t kLargestControlMessage = 256u << 20;

// What a question carries to show who asks, where the binding asks for it (r[control.token]).
enum class Credential : uint8_t { kOurs, kNone, kWrong };

// How one question ended.
struct ControlCompletion {
  uint64_t id = 0;  // as given to Ask
  bool answered = false;
  std::string reply = {};    // answered: serialized control.v1.ControlReply, its `id` not filled in
  std::string failure = {};  // not answered: why
  // Not answered: what serves the subject let the question lapse, for want of time to take it. That
  // says nothing of the subject.
  bool lapsed = false;
};

// Why nothing can be said of a run one of whose questions has lapsed.
std::string LapseText(const ControlCompletion& completion);

// Where completions arrive, from any thread; `fd` is readable while there are any.
class ControlSink {
 public:
  ControlSink();
  void Push(ControlCompletion completion);
  void Push(std::vector<ControlCompletion> completions);
  // In the order they were pushed; leaves it empty.
  std::vector<ControlCompletion> Take();
  bool empty() const;
  int fd() const { return event_.get(); }

 private:
  mutable std::mutex mutex_;
  std::vector<ControlCompletion> waiting_;
  UniqueFd event_;
};

class ControlClient {
 public:
  // Once destroyed, nothing is pushed any more.
  virtual ~ControlClient() = default;
  // `request`: serialized control.v1.ControlRequest without `id`. Every question is completed
  // exactly once, unless the client is destroyed before. No deadline: the caller knows better.
  virtual void Ask(uint64_t id, const std::string& request,
                   Credential credential = Credential::kOurs) = 0;
  // Sends what was asked and may have been kept, to go out together. To be called before every wait
  // for an answer.
  virtual void Flush() {}
  // How many TCP connections to the subject carry the questions so far.
  virtual size_t connections() const { return 0; }
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CONTROL_CLIENT_H_
