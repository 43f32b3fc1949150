// The journal's view of commands: which are known, how far they came, what they answered.
// r[control.lifecycle]
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "runtime/machine.h"

namespace subject {

// The outcome of a command that did its work and has nothing to tell.
control::Outcome Done();

class CommandLog {
 public:
  using Reply = std::function<void(control::ExecuteResponse)>;
  using Finish = std::function<void(control::Outcome)>;
  using Work = std::function<void(Finish)>;
  // Judges a command before it is accepted: what runs it, or a refusal.
  using Prepare = std::function<std::variant<Work, control::Refusal>()>;

  explicit CommandLog(Journal& journal) : journal_(journal) {}

  void Execute(const control::ExecuteRequest& request, const Prepare& prepare, Reply reply);
  // The tombstones it makes are the only thing it changes.  r[control.lifecycle.status-lane]
  control::StatusResponse Status(uint64_t id, uint32_t highest_send);
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

  void Record(uint64_t id, control::Outcome outcome);
  void Answer(Command& command);
  void Evict();

  Journal& journal_;
  std::map<uint64_t, Command> commands_;
  std::map<uint64_t, Tombstone> tombstones_;  // by id
  uint64_t watermark_ = 0;
};

}  // namespace subject
