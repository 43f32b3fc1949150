// The engine of one run: roles (coroutines) on a deterministic, seeded, single-threaded scheduler.
// Pure: no clock, socket, file or randomness of its own; the world is asked through effects and
// answers through ingress, and both are recorded.
//
// A round, in this order: ingest a batch of answers (recorded, then shown to the observer, which
// dispatches, judges and applies due faults) → wake the roles whose wait is over → and then, one
// at a time: pick a ready role, run one step, commit what it asked for. Nothing a role asks for
// leaves the machine before its step has ended.
#ifndef COUNTERPART_MACHINE_MACHINE_H_
#define COUNTERPART_MACHINE_MACHINE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/effects/effect.h"
#include "harness/machine/finding.h"
#include "harness/machine/task.h"
#include "harness/machine/trace.h"

namespace counterpart::machine {

enum class Step : uint8_t {
  kContinue,  // a role is ready
  kWaiting,   // every role waits, and the outside may still answer
  kStuck,     // every role waits, and nothing can ever arrive: nothing outside is open
  kAllDone,   // every role has ended, or the run was stopped
};

// Sees everything, in order. Implemented by the peer, which passes frames on to the judge.
class Observer {
 public:
  virtual ~Observer() = default;
  // An answer has been recorded as `entry`; says how it reads.
  virtual Reading OnIngress(const effects::Ingress& ingress, uint64_t entry) = 0;
  virtual void OnFinding(const Finding& finding) = 0;
  // Whether anything outside may still send something by itself.
  virtual bool OutsideOpen() const = 0;
};

// How a wait ended.
enum class Wake : uint8_t {
  kReady,      // what was awaited happened
  kQuiescent,  // nothing more can happen by itself (only for waits that ask to be told)
};

class Machine {
 public:
  // `now_us` stamps entries, for people; the machine decides nothing by it.
  Machine(uint64_t seed, std::function<uint64_t()> now_us);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // ---- for the driver

  void set_observer(Observer* observer) { observer_ = observer; }
  // Adds a role; it takes its first step in the next round. A daemon does not keep the run going.
  void AddRole(std::string name, Task<> body, bool daemon = false);
  // Ends every role there is and goes on with this one. A role in the middle of its step runs on to
  // its next wait, and never wakes from it.
  void Supersede(std::string name, Task<> body);
  // Likewise, of the roles of this name alone.
  void Replace(const std::string& name, Task<> body);
  // One round's answers.
  void Ingest(std::vector<effects::Ingress> batch);
  // One step of one ready role.
  Step StepOnce();
  // Up to n steps; stops early at anything but kContinue.
  Step StepRound(int n);
  // Until no role is ready.
  Step Run();
  // What has been asked for since the last call, in order.
  std::vector<effects::Effect> TakeEffects();
  // The longest protocol delay that anything awaited now may legally take.
  std::chrono::microseconds horizon() const;
  // Whether calm would be a failure now: nobody who waits asks to be told of it.
  bool CalmFails() const;
  // What is awaited now, for people.
  std::vector<std::string> Awaited() const;

  const Trace& trace() const { return trace_; }
  uint64_t seed() const { return seed_; }
  uint32_t round() const { return round_; }

  // ---- for roles and their helpers

  // Asks the world for something. Committed with the step; returns the trace index.
  uint64_t Request(effects::Effect effect, Reading reading);
  // A number below n, by seed; recorded.
  uint64_t Choose(uint64_t n, std::string what);
  void Note(std::string edge, std::string label, std::string text = {});
  // From now on the trace has stars wherever something asked for or answered has these bytes.
  // Whoever compares what was answered with them must know a replay's stars for the same: Reads.
  // r[rpc.metadata.sensitive]
  void Conceal(const std::string& bytes) { concealed_.push_back(bytes); }
  // Whether `read` is `bytes`, or what a trace has in their place.
  static bool Reads(const std::string& read, const std::string& bytes) {
    return read == bytes || read == std::string(bytes.size(), '*');
  }
  // Records a finding; one of kFail or kError also stops the run after this step.
  void Report(Finding finding);
  bool stopped() const { return stopped_; }
  // Whether the role that asks was superseded in this very step: what it claims counts no more.
  bool superseded() const { return current_ != nullptr && current_->ended; }

  struct Wait {
    // No aggregate, on purpose: GCC 12 destroys one built inside a co_await expression twice.
    Wait() = default;
    std::string awaited;                   // "Response to request 3"
    std::function<bool()> ready;           // over state that only answers change
    bool wake_when_quiescent = false;      // else quiescence is a failure: it can no longer happen
    std::string rule;                      // broken when it can no longer happen
    std::chrono::microseconds horizon{0};  // protocol delay it may legally wait for
    // Whose step it is, as a Finding has it; asked only when it can no longer happen.
    std::function<std::string()> owed_by;
  };
  // co_await: suspends until ready (or quiescent). Even when already ready it ends the step, so
  // that every step is one look at one frozen batch.
  auto Await(Wait wait) {
    struct Awaiter {
      Machine* machine;
      Wait wait;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        machine->Suspend(handle, std::move(wait));
      }
      Wake await_resume() const { return machine->last_wake_; }
    };
    return Awaiter{this, std::move(wait)};
  }
  // One of several things a role can go on with. Without `ready`: that nothing more can happen by
  // itself.
  struct Branch {
    std::string awaited;
    std::function<bool()> ready;
  };
  // co_await: the index of the first branch, in the order written, that holds in the frozen batch;
  // one without `ready` is taken only when no other holds. If none ever can, the run fails by
  // `rule`. What is not awaited needs no branch: the observer fails the run for a frame, an end or
  // an exit that nobody allowed.
  Task<size_t> Alt(std::vector<Branch> branches, std::string rule,
                   std::chrono::microseconds horizon = {});
  // co_await: ends this role for good, where a finding made going on pointless.
  auto End() {
    struct Awaiter {
      Machine* machine;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<>) { machine->EndCurrent(); }
      void await_resume() const {}
    };
    return Awaiter{this};
  }

 private:
  struct Role {
    std::string name;
    Task<> body;
    bool daemon = false;
    bool ended = false;
    bool ready = true;
    bool waiting = false;
    Wait wait;
    Wake wake = Wake::kReady;
    std::coroutine_handle<> resume;
  };

  void Suspend(std::coroutine_handle<> handle, Wait wait);
  void EndCurrent();
  void WakeReady();
  void OnQuiescent(const effects::Ingress& ingress, uint64_t entry);
  Step Idle() const;
  uint64_t Random();
  // Of an entry of the trace: what is concealed.
  void StarOut(effects::Effect& effect, effects::Ingress& ingress) const;

  const uint64_t seed_;
  uint64_t random_state_;
  std::function<uint64_t()> now_us_;
  Observer* observer_ = nullptr;
  std::vector<std::unique_ptr<Role>> roles_;
  Role* current_ = nullptr;
  Wake last_wake_ = Wake::kReady;
  size_t next_role_ = 0;
  uint32_t round_ = 0;
  bool stopped_ = false;
  std::vector<std::string> concealed_;
  std::vector<effects::Effect> committed_;
  Trace trace_;
};

}  // namespace counterpart::machine

#endif  // COUNTERPART_MACHINE_MACHINE_H_
