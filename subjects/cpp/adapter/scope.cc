#include "adapter/scope.h"

#include "runtime/mutation.h"

namespace subject {

const std::set<std::string> kCapabilities = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",   "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor", "virtual_connections",
    "stable",    "persist"};

using control::ExecuteRequest;

CommandLog::Prepared Scope::Prepare(const ExecuteRequest& request) {
  switch (request.command_case()) {
    case ExecuteRequest::kProbe:
      if (kCapabilities.contains(request.probe().capability()) || Mutated("accepts_any_probe")) {
        return Just([] {});
      }
      [[fallthrough]];
    case ExecuteRequest::COMMAND_NOT_SET:
      return Refused(control::REFUSAL_REASON_UNSUPPORTED, "no such command or capability");
    case ExecuteRequest::kRegisterService:
      return Registration(domain.runtime(), request.register_service().service());
    case ExecuteRequest::kAwaitEvent:
      return [this, wanted = request.await_event()](const CommandLog::Finish& finish) {
        domain.runtime().journal.Watch(domain.scope(), wanted, [finish] { finish(Done()); });
      };
    case ExecuteRequest::kRelease:
      return Just([this, gate = request.release().gate()] { gates->Open(gate); });
    case ExecuteRequest::kCall:
      return calls.Make(domain.FindSession(request.call().session_id()), request.call());
    case ExecuteRequest::kCancel:
    case ExecuteRequest::kChannelSend:
    case ExecuteRequest::kChannelReceive:
    case ExecuteRequest::kChannelClose:
    case ExecuteRequest::kChannelReset:
      return calls.Perform(request);
    default:
      return SessionCommand(domain, request);
  }
}

}  // namespace subject
