// The journal's view of commands: which are known, how far they came, what they answered.
// r[control.lifecycle]
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "runtime/loop.h"
#include "runtime/machine.h"

namespace subject {

// The outcome of a command that did its work and has nothing to tell, and of one that could not.
control::Outcome Done();
control::Outcome Failed(control::FailureReason reason, std::string text, std::string rule = "");
control::Refusal Refused(control::RefusalReason reason, std::string text);

class CommandLog {
 public:
  using Reply = std::function<void(control::ExecuteResponse)>;
  using Finish = std::function<void(control::Outcome)>;
  using Work = std::function<void(Finish)>;
  // Judges a command before it is accepted: what runs it, null if it is invalid; or a refusal.
  using Prepared = std::variant<Work, control::Refusal>;
  using Prepare = std::function<Prepared()>;

  CommandLog(Journal& journal, Loop& loop) : journal_(journal), loop_(loop) {}

  void Execute(const control::ExecuteRequest& request, const Prepare& prepare, Reply reply);
  // The tombstones it makes are the only thing it changes.  r[control.lifecycle.status-lane]
  control::StatusResponse Status(const control::StatusRequest& request);
  // What is still going on, to be asked from the loop.  r[control.settle]
  control::SettleResponse Settle(const control::SettleRequest&) const;
  // Ends the scope's commands, held ones included.  r[control.reset]
  void Drop(const std::string& scope);

 private:
  struct Command {
    Machine machine;
    std::string scope, payload;
    control::HoldAt hold = control::HOLD_AT_UNSPECIFIED;
    bool has_outcome = false;
    control::Outcome outcome;
    std::vector<Reply> waiting;
  };

  // Of an id that Status found unknown: in no scope, since no command has it yet.
  struct Tombstone {
    Machine machine;
    uint32_t refused = 0;  // the highest send that is
  };

  void Enter(const control::ExecuteRequest& request, const Prepare& prepare, Reply reply);
  void Record(uint64_t id, control::Outcome outcome);
  void Answer(Command& command);
  void Evict();

  Journal& journal_;
  Loop& loop_;
  uint64_t accepted_ = 0, answered_ = 0;
  std::map<uint64_t, Command> commands_;
  std::map<uint64_t, Tombstone> tombstones_;  // by id
  uint64_t watermark_ = 0;
};

// What runs a command that is over at once.
CommandLog::Work Just(std::function<void()> act);

}  // namespace subject
