// The state machines of spec/machines/, as tables to judge transitions by.
#ifndef COUNTERPART_JUDGE_MACHINE_TABLE_H_
#define COUNTERPART_JUDGE_MACHINE_TABLE_H_

#include <map>
#include <set>
#include <string>

#include "counterpart/control/v1/control.pb.h"

namespace counterpart::judge {

struct MachineTable {
  std::string name;
  std::string rule;  // that the table makes precise
  std::string initial;
  std::set<std::string> final_states;
  std::map<std::pair<std::string, std::string>, std::string> next;  // (state, event) → state
};

// Every one that the spec describes, by name.
const std::map<std::string, MachineTable>& AllMachines();
// As reports name a step of a machine, by `side` ("subject" or "harness").
std::string TransitionText(const std::string& side, const MachineTable& table,
                           const std::string& from, const std::string& event,
                           const std::string& to);

// Null for a machine the spec does not describe.
const MachineTable* FindMachine(control::v1::Machine machine);

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_MACHINE_TABLE_H_
