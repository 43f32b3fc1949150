// One scope, and each command as what its runtime and its application do. On the loop only.
#pragma once

#include "runtime/domain.h"
#include "testbed/caller_ends.h"
#include "testbed/program.h"
#include "testbed/registration.h"
#include "testbed/session_commands.h"

namespace subject {

extern const std::set<std::string> kCapabilities;  // as spec/rules/control.md names them

struct Scope {
  Scope(Runtime& runtime, const std::string& name)
      : calls(runtime.methods), domain(runtime, name, TestbedHandler(gates)) {}

  // Checks a command; what is returned runs it, while the scope lives.
  CommandLog::Prepared Prepare(const control::ExecuteRequest& request);

  std::shared_ptr<Gates> gates = NewGates();
  CallerEnds calls;
  Domain domain;
};

}  // namespace subject
