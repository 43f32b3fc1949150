// Each command of the control plane as what the runtime does for it. Used on the loop only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "counterpart/control/v1/control.pb.h"
#include "runtime/command_log.h"
#include "runtime/domain.h"
#include "testbed/program.h"

namespace subject {

inline constexpr const char* kCapabilities[] = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",  "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor"};

class Commands {
 public:
  explicit Commands(Runtime& runtime) : runtime_(runtime), log_(runtime.journal) {}

  void Execute(const control::ExecuteRequest& request, CommandLog::Reply reply);
  control::StatusResponse Status(const control::StatusRequest& request);
  control::ResetResponse Reset(const std::string& scope);

 private:
  struct Scope;
  using Prepared = std::variant<CommandLog::Work, control::Refusal>;

  Prepared Prepare(const control::ExecuteRequest& request);
  Prepared PrepareChannel(Scope& scope, const control::ExecuteRequest& request);
  Scope& FindScope(const std::string& name);

  Runtime& runtime_;
  CommandLog log_;
  std::map<std::string, std::shared_ptr<Scope>> scopes_;
};

}  // namespace subject
