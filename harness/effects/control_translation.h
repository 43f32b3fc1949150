// Between the ids a lane's machine chooses and the ones its subject process sees. A machine counts
// commands from 1 and names neither a scope nor a host, so that its trace is the same whatever else
// runs beside it; the process serves many lanes, and command ids must increase over all of them.
// r[control.lifecycle.command-id]
#ifndef COUNTERPART_EFFECTS_CONTROL_TRANSLATION_H_
#define COUNTERPART_EFFECTS_CONTROL_TRANSLATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "harness/result.h"

namespace counterpart::effects {

// Of one subject slot; ids are never used twice, not even after a restart.
class CommandIds {
 public:
  uint64_t Next() { return next_++; }

 private:
  uint64_t next_ = 1;
};

class ControlTranslation {
 public:
  // `ids` outlives it. `scope`, `host`: what the lane's requests are given where theirs is empty.
  // `free_port` names one of that host for each Listen.
  ControlTranslation(CommandIds* ids, std::string scope, std::string host,
                     std::function<uint16_t()> free_port)
      : ids_(ids),
        scope_(std::move(scope)),
        host_(std::move(host)),
        free_port_(std::move(free_port)) {}

  struct Outgoing {
    std::string request;   // serialized ControlRequest, as the subject is to see it
    bool execute = false;  // counts as taken in by the subject
  };
  // A command id met for the first time gets the next global one; later ones, in Execute or
  // Status, the same. 0 stays 0.
  Result<Outgoing> ToSubject(const std::string& request);

  // The reply as the machine is to see it: `question` as its id, and in journal transitions of
  // the command machine the lane's own command ids.
  Result<std::string> ToMachine(uint32_t question, const std::string& reply) const;

 private:
  uint64_t Global(uint64_t local);

  CommandIds* ids_;
  std::string scope_, host_;
  std::function<uint16_t()> free_port_;
  std::map<uint64_t, uint16_t> ports_;  // by the machine's command id: the same of each delivery
  std::map<uint64_t, uint64_t> to_global_, to_local_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CONTROL_TRANSLATION_H_
