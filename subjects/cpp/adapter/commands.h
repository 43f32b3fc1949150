// The control plane as what the runtime and the testbed's application do for it. On the loop only.
#pragma once

#include "runtime/domain.h"
#include "testbed/caller_ends.h"
#include "testbed/program.h"

namespace subject {

class Commands {
 public:
  explicit Commands(Runtime& runtime) : runtime_(runtime), log_(runtime.journal) {}

  void Execute(const control::ExecuteRequest& request, CommandLog::Reply reply);
  control::DescribeResponse Describe(const control::DescribeRequest&) const;
  control::StatusResponse Status(const control::StatusRequest& request);
  control::JournalResponse Journal(const control::JournalRequest& request) const;
  control::SettleResponse Settle(const control::SettleRequest&) const;
  control::ResetResponse Reset(const control::ResetRequest& request);

 private:
  struct Scope;
  std::variant<CommandLog::Work, control::Refusal> Prepare(const control::ExecuteRequest& request);
  CommandLog::Work PrepareKnown(const control::ExecuteRequest& request);
  Scope& FindScope(const std::string& name);

  Runtime& runtime_;
  CommandLog log_;
  uint64_t accepted_ = 0, answered_ = 0;
  std::map<std::string, std::shared_ptr<Scope>> scopes_;
};

}  // namespace subject
