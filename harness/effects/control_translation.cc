#include "harness/effects/control_translation.h"

#include <google/protobuf/arena.h>

#include "counterpart/control/v1/control.pb.h"

namespace counterpart::effects {

namespace control = counterpart::control::v1;

uint64_t ControlTranslation::Global(uint64_t local) {
  if (local == 0) return 0;
  const auto [entry, is_new] = to_global_.try_emplace(local, 0);
  if (is_new) {
    entry->second = ids_->Next();
    to_local_[entry->second] = local;
  }
  return entry->second;
}

Result<ControlTranslation::Outgoing> ControlTranslation::ToSubject(const std::string& request) {
  control::ControlRequest parsed;
  if (!parsed.ParseFromString(request)) {
    return Error{Error::Kind::kHarness, "the machine asked something that is no ControlRequest"};
  }
  Outgoing out;
  if (parsed.has_execute()) {
    out.execute = true;
    control::ExecuteRequest& execute = *parsed.mutable_execute();
    if (execute.has_connect() && execute.connect().host().empty()) {
      execute.mutable_connect()->set_host(host_);
    } else if (execute.has_listen() && execute.listen().host().empty()) {
      const auto [port, is_new] = ports_.try_emplace(execute.command_id(), 0);
      if (is_new) port->second = free_port_();
      execute.mutable_listen()->set_host(host_);
      execute.mutable_listen()->set_port(port->second);
    }
    execute.set_command_id(Global(execute.command_id()));
    if (execute.scope().empty()) execute.set_scope(scope_);
  } else if (parsed.has_status()) {
    parsed.mutable_status()->set_command_id(Global(parsed.status().command_id()));
  } else if (parsed.has_journal()) {
    if (parsed.journal().scope().empty()) parsed.mutable_journal()->set_scope(scope_);
  } else if (parsed.has_reset()) {
    if (parsed.reset().scope().empty()) parsed.mutable_reset()->set_scope(scope_);
  }
  parsed.clear_id();
  out.request = parsed.SerializeAsString();
  return out;
}

Result<std::string> ControlTranslation::ToMachine(uint32_t question,
                                                  const std::string& reply) const {
  // A journal is many small messages, made and dropped together.
  google::protobuf::Arena arena;
  control::ControlReply& parsed =
      *google::protobuf::Arena::CreateMessage<control::ControlReply>(&arena);
  if (!parsed.ParseFromString(reply)) {
    return Error{Error::Kind::kSubject, "the subject answered something that is no ControlReply"};
  }
  parsed.set_id(question);
  if (parsed.has_journal()) {
    for (control::JournalEvent& event : *parsed.mutable_journal()->mutable_events()) {
      if (!event.has_transition()) continue;
      control::Transition& transition = *event.mutable_transition();
      if (transition.machine() != control::MACHINE_COMMAND) continue;
      const auto local = to_local_.find(transition.key());
      if (local != to_local_.end()) transition.set_key(local->second);
    }
  }
  return parsed.SerializeAsString();
}

}  // namespace counterpart::effects
