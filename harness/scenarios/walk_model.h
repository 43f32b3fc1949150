// What may legally happen next, as a random walk through the protocol sees it: pure, no network.
//
// The model holds what is open at present: calls with the ends of their channels, each in a state
// of spec/machines/, the credit left, who waits for what, whether there is an attachment. From that
// it enumerates the actions that are legal now, with weights. What it has not been told of, it does
// not know: a driver tells it what was seen whenever both sides are at rest, so that what is drawn
// depends on the choices and on where both sides have come to rest, and on no timing.
#ifndef COUNTERPART_SCENARIOS_WALK_MODEL_H_
#define COUNTERPART_SCENARIOS_WALK_MODEL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/peer/testbed.h"

namespace counterpart::scenarios::walk {

// What somebody does. kApp…: a command to the subject's application.
enum class Act : uint8_t {
  kCall,       // whoever calls in this direction
  kRelease,    // the gate that a handler of the subject waits at
  kAnswer,     // with the value, by the harness
  kAnswerErr,  // with the user error
  kCancel,     // by whoever calls
  kSend,       // items, by the harness
  kTake,       // of what has arrived at the harness
  kGrant,
  kClose,
  kAbort,
  kReset,
  kAppSend,
  kAppTake,
  kAppClose,
  kAppReset,
  kPing,
  kAppPing,
  kStatus,  // of a command that has completed
  kRest,    // both sides go on until nothing happens by itself
  kCutFin,
  kCutRst,
  kResume,
};
const char* Name(Act act);

struct Action {
  Act act = Act::kRest;
  size_t call = 0;     // index among calls()
  uint32_t field = 0;  // of the channel
  uint32_t amount = 0;
  std::string Text() const;
};

struct Weighted {
  Action action;  // its amount is still open
  uint32_t weight = 0;
  uint32_t most = 0;  // of the amount, from 1; 0: there is none
};

// What one call is asked to do. The same seen as a program for a handler of the subject.
struct Errand {
  const peer::Method* method = nullptr;
  uint64_t first = 0;                              // of the numbers streamed to the caller
  uint32_t before = 0, after = 0;                  // as many before the gate, and after it
  uint32_t consume = 0;                            // of what the caller streams; 0: all
  bool gate = false;                               // the handler waits
  bool fail = false, panic = false;                // instead of returning a value
  bool close_output = false, reset_input = false;  // before the gate
  std::string name;                                // of the gate, and of the call
  // Arguments of that method.
  std::string Arguments() const;
  // All that is streamed to the caller by a handler that nothing stops.
  std::vector<uint64_t> Stream() const;
  bool streams() const { return !method->channels.empty(); }
};

// One end of a channel: a state of its machine, and what may be done from there.
class EndState {
 public:
  EndState() = default;
  explicit EndState(bool sends);
  bool Allows(std::string_view event) const;
  void Step(std::string_view event);  // stays where it is if the table has no such row
  bool ended() const;
  const std::string& state() const { return state_; }

 private:
  bool sends_ = false;
  std::string state_;
};

struct Channel {
  uint32_t field = 0;
  bool harness_sends = false;
  EndState own;            // of the harness
  EndState app;            // of the subject's application, by the commands it was given
  uint64_t credit = 0;     // left to the harness
  uint64_t available = 0;  // arrived at the harness and not taken
  bool sender_closed = false;
  uint32_t commands = 0;  // of the application on this end that have not ended
};

struct Call {
  Errand errand;
  std::vector<Channel> channels;
  bool arrived = false;   // an attempt on this attachment is known to whoever executes it
  bool released = false;  // its gate is open
  bool cancelled = false;
  bool answered = false;  // as far as the caller can know
  bool again = false;     // this is a further attempt
  bool over = false;      // nothing of it is left to do
  Channel* Find(uint32_t field);
};

// What is seen of a channel at rest.
struct SeenChannel {
  uint32_t field = 0;
  uint64_t credit = 0, available = 0;
  bool closed = false, reset = false;  // by the subject
  uint32_t commands = 0;
};

class Model {
 public:
  // Numbers below n, each with a word on what it is for.
  using Chooser = std::function<uint64_t(uint64_t n, const char* what)>;

  explicit Model(bool harness_calls) : harness_calls_(harness_calls) {}

  // All that is legal now, in a fixed order.
  std::vector<Weighted> Enabled() const;
  // One of them, by weight, and its amount.
  Action Draw(const Chooser& choose) const;
  // A call to make, of any kind.
  Errand DrawErrand(const Chooser& choose) const;

  // It is done. kCall adds the call that `errand` asks for.
  void Apply(const Action& action, const Errand* errand = nullptr);
  // What both sides have come to, at rest.
  void SeeCall(size_t call, bool arrived, bool answered, bool over);
  void SeeChannel(size_t call, const SeenChannel& seen);
  // A further attempt was made, with channels of its own.
  void SeeAttempt(size_t call);

  const std::vector<Call>& calls() const { return calls_; }
  bool attached() const { return attached_; }
  // Moments that a campaign looks out for, as they come about.
  const std::set<std::string>& moments() const { return moments_; }

 private:
  void AddCalls(std::vector<Weighted>& all) const;
  void AddChannels(std::vector<Weighted>& all, size_t call) const;
  void Cut(bool fin);
  void Resume();
  size_t OpenCalls() const;
  void Met(std::string_view moment) { moments_.insert(std::string(moment)); }

  bool harness_calls_;
  bool attached_ = true;
  uint32_t since_rest_ = 0;  // actions
  bool resumed_just_now_ = false;
  std::vector<Call> calls_;
  std::set<std::string> moments_;
};

// Of a direction, every moment that there is.
std::vector<std::string> AllMoments(bool harness_calls);

}  // namespace counterpart::scenarios::walk

#endif  // COUNTERPART_SCENARIOS_WALK_MODEL_H_
