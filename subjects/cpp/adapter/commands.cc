#include "adapter/commands.h"

#include <algorithm>

#include "counterpart/testbed/v1/testbed.pb.h"

namespace subject {
namespace {

using control::ExecuteRequest;
using control::Outcome;
using Finish = CommandLog::Finish;

control::Refusal Refuse(control::RefusalReason reason, const std::string& text) {
  control::Refusal refusal;
  refusal.set_reason(reason);
  refusal.set_text(text);
  return refusal;
}

Outcome Done() {
  Outcome outcome;
  outcome.mutable_done();
  return outcome;
}

Outcome Fail(const Ending& ending) {
  Outcome outcome;
  outcome.mutable_failed()->set_reason(ending.reason);
  outcome.mutable_failed()->set_text(ending.text);
  outcome.mutable_failed()->set_sorry_or_rule(ending.rule);
  return outcome;
}

Outcome ToOutcome(const Call& call) {
  Outcome outcome;
  control::CallOutcome& out = *outcome.mutable_call();
  out.set_status(call.result.status);
  out.set_value(call.result.value);
  out.set_text(call.result.text);
  out.set_attempts(call.attempts);
  out.set_operation_id(call.operation_id);
  for (const auto& entry : call.result.metadata) {
    auto& to = *out.add_metadata();
    to.set_key(entry.key());
    to.set_value(entry.value());
    to.set_flags(entry.flags());
  }
  return outcome;
}

control::EndStatus ToStatus(EndStatus status) {
  return static_cast<control::EndStatus>(static_cast<int>(status) + 1);
}

// Sends items one by one, as credit comes.
struct Sending : std::enable_shared_from_this<Sending> {
  std::shared_ptr<SendingEnd> end;
  control::ChannelSend command;
  uint32_t accepted = 0;
  Finish finish;

  void Advance() {
    while (accepted < command.count() && end->status() == EndStatus::kOpen) {
      counterpart::testbed::v1::Number number;
      number.set_value(command.first() + accepted);
      if (!end->Send(number.SerializeAsString())) {
        if (end->status() != EndStatus::kOpen) break;
        return end->OnChange([self = shared_from_this()] { self->Advance(); });
      }
      ++accepted;
    }
    Outcome outcome;
    outcome.mutable_sent()->set_accepted(accepted);
    outcome.mutable_sent()->set_status(accepted == command.count() ? control::END_STATUS_OPEN
                                                                   : ToStatus(end->status()));
    finish(outcome);
  }
};

// Takes items one by one, as they come.
struct Receiving : std::enable_shared_from_this<Receiving> {
  std::shared_ptr<ReceivingEnd> end;
  uint32_t count = 0;
  Outcome outcome;
  Finish finish;

  void Advance() {
    auto& received = *outcome.mutable_received();
    received.set_status(control::END_STATUS_OPEN);
    while (count == 0 || static_cast<uint32_t>(received.values_size()) < count) {
      std::string item;
      if (end->Take(item)) {
        counterpart::testbed::v1::Number number;
        number.ParseFromString(item);
        received.add_values(number.value());
        continue;
      }
      if (end->status() == EndStatus::kOpen) {
        return end->OnItemOrEnd([self = shared_from_this()] { self->Advance(); });
      }
      received.set_status(ToStatus(end->status()));
      break;
    }
    finish(outcome);
  }
};

// Gives `use` the ends of an attempt once it exists, or nothing if it never will.
void WithEnds(const std::shared_ptr<Call>& call, size_t attempt,
              std::function<void(const Ends*)> use) {
  if (attempt > 0 && attempt <= call->sets.size()) return use(&call->sets[attempt - 1]);
  if (call->resolved) return use(nullptr);
  const size_t wanted = std::max<size_t>(attempt, 1);
  call->waiting.push_back([call, wanted, use = std::move(use)] { WithEnds(call, wanted, use); });
}

bool Matches(const control::Await& want, const control::JournalEvent& event) {
  if (!want.session_id().empty() && want.session_id() != event.session_id()) return false;
  const auto& step = event.transition();
  if ((want.machine() != 0 || want.key() != 0 || !want.to_state().empty()) &&
      !event.has_transition()) {
    return false;
  }
  if (want.machine() != 0 && want.machine() != step.machine()) return false;
  if (want.key() != 0 && want.key() != step.key()) return false;
  if (!want.to_state().empty() && want.to_state() != step.to_state()) return false;
  const bool started = event.handler().event() == control::HANDLER_EVENT_STARTED;
  if ((want.handler_started() || want.handler_ended() || want.operation_id() != 0) &&
      !event.has_handler()) {
    return false;
  }
  if (want.handler_started() && !started) return false;
  if (want.handler_ended() && started) return false;
  return want.operation_id() == 0 || want.operation_id() == event.handler().operation_id();
}

}  // namespace

struct Commands::Scope {
  Scope(Runtime& runtime, const std::string& name)
      : gates(std::make_shared<Gates>()), domain(runtime, name, TestbedHandler(gates)) {}
  std::shared_ptr<Gates> gates;
  std::map<std::string, std::shared_ptr<Call>> calls;
  Domain domain;
};

Commands::Scope& Commands::FindScope(const std::string& name) {
  auto& scope = scopes_[name];
  if (!scope) scope = std::make_shared<Scope>(runtime_, name);
  return *scope;
}

void Commands::Execute(const ExecuteRequest& request, CommandLog::Reply reply) {
  log_.Execute(
      request, [this, &request] { return Prepare(request); }, std::move(reply));
}

control::StatusResponse Commands::Status(const control::StatusRequest& request) {
  return log_.Status(request.command_id(), request.highest_send());
}

control::ResetResponse Commands::Reset(const std::string& name) {
  const Domain::Counts counts = FindScope(name).domain.counts();
  control::ResetResponse response;
  response.set_listeners(counts.listeners);
  response.set_links(counts.links);
  response.set_sessions(counts.sessions);
  response.set_calls(counts.calls);
  response.set_handlers(counts.handlers);
  response.set_channels(counts.channels);
  log_.Drop(name);
  FindScope(name).domain.Drop();
  scopes_.erase(name);
  runtime_.journal.Retire(name);
  return response;
}

Commands::Prepared Commands::Prepare(const ExecuteRequest& request) {
  Scope& scope = FindScope(request.scope());
  const auto invalid = [](const std::string& text) {
    return Refuse(control::REFUSAL_REASON_INVALID, text);
  };
  const auto now = [](std::function<void()> act) -> CommandLog::Work {
    return [act = std::move(act)](Finish finish) {
      act();
      finish(Done());
    };
  };
  switch (request.command_case()) {
    case ExecuteRequest::kListen:
    case ExecuteRequest::kConnect: {
      const bool listens = request.has_listen();
      const auto maximum = AcceptedMaximum(listens ? request.listen().max_payload()
                                                   : request.connect().max_payload());
      if (!maximum) return invalid("max_payload is under 64 KiB");
      Settings settings{listens ? request.listen().max_concurrent_requests()
                                : request.connect().max_concurrent_requests(),
                        *maximum};
      if (listens) {
        return [&scope, settings, resumable = request.listen().resumable()](Finish finish) {
          Outcome outcome;
          outcome.mutable_listening()->set_port(scope.domain.Listen(settings, resumable));
          finish(outcome);
        };
      }
      const control::Connect& c = request.connect();
      Dialling dialling{c.host(),
                        static_cast<uint16_t>(c.port()),
                        std::max(c.max_attempts(), 1u),
                        c.backoff_initial_ms(),
                        c.backoff_max_ms(),
                        c.odd_parity() ? 1u : 0u,
                        c.resume(),
                        c.session_lost() == control::SESSION_LOST_POLICY_FRESH};
      return [&scope, settings, dialling](Finish finish) {
        scope.domain.Connect(settings, dialling, [finish](auto result) {
          if (const auto* ending = std::get_if<Ending>(&result)) return finish(Fail(*ending));
          Outcome outcome;
          const auto& session = std::get<std::shared_ptr<Session>>(result);
          outcome.mutable_connected()->set_session_id(session->record().session_id);
          finish(outcome);
        });
      };
    }
    case ExecuteRequest::kCall: {
      const control::Call& c = request.call();
      auto session = scope.domain.FindSession(c.session_id());
      if (!session || c.connection_id() != 0 || c.handle().empty() ||
          scope.calls.contains(c.handle())) {
        return invalid("no such session or connection, or the handle is taken");
      }
      auto call = std::make_shared<Call>();
      call->method_name = c.method();
      call->arguments = c.arguments();
      for (const auto& entry : c.metadata()) {
        auto& to = call->metadata.emplace_back();
        to.set_key(entry.key());
        to.set_value(entry.value());
        to.set_flags(entry.flags());
      }
      scope.calls[c.handle()] = call;
      return [session, call](Finish finish) {
        call->done = [finish](const Call& resolved) { finish(ToOutcome(resolved)); };
        session->caller().Start(call);
      };
    }
    case ExecuteRequest::kCancel: {
      const auto call = scope.calls.find(request.cancel().handle());
      if (call == scope.calls.end()) return invalid("no such call");
      return now([call = call->second] {
        if (call->cancel) call->cancel();
      });
    }
    case ExecuteRequest::kPing:
    case ExecuteRequest::kCloseSession:
    case ExecuteRequest::kExpireSession: {
      auto session = scope.domain.FindSession(request.has_ping() ? request.ping().session_id()
                                              : request.has_close_session()
                                                  ? request.close_session().session_id()
                                                  : request.expire_session().session_id());
      if (!session) return invalid("no such session");
      if (request.has_close_session()) return now([session] { session->Goodbye(); });
      if (request.has_expire_session()) return now([session] { session->End({}); });
      return [session](Finish finish) {
        session->Ping([session, finish](bool answered) {
          finish(answered ? Done() : Fail(session->ending()));
        });
      };
    }
    case ExecuteRequest::kRelease:
      return now([&scope, gate = request.release().gate()] { scope.gates->Open(gate); });
    case ExecuteRequest::kAwaitEvent:
      return [this, name = request.scope(), want = request.await_event()](Finish finish) {
        runtime_.journal.Watch(
            name, std::max(want.count(), 1u),
            [want](const control::JournalEvent& event) { return Matches(want, event); },
            [finish] { finish(Done()); });
      };
    case ExecuteRequest::kStopListening:
      return now([&scope] { scope.domain.StopListening(); });
    case ExecuteRequest::kProbe:
      if (std::find(std::begin(kCapabilities), std::end(kCapabilities),
                    request.probe().capability()) == std::end(kCapabilities)) {
        return Refuse(control::REFUSAL_REASON_UNSUPPORTED, "no such capability");
      }
      return now([] {});
    case ExecuteRequest::COMMAND_NOT_SET:
      return Refuse(control::REFUSAL_REASON_UNSUPPORTED, "no command this subject knows");
    default:
      return PrepareChannel(scope, request);
  }
}

Commands::Prepared Commands::PrepareChannel(Scope& scope, const ExecuteRequest& request) {
  const bool sends = request.has_channel_send() || request.has_channel_close();
  const control::ChannelEnd name = request.has_channel_send()      ? request.channel_send().end()
                                   : request.has_channel_receive() ? request.channel_receive().end()
                                   : request.has_channel_close()   ? request.channel_close().end()
                                                                   : request.channel_reset().end();
  const auto found = scope.calls.find(name.handle());
  bool known = false;
  if (found != scope.calls.end()) {
    const auto method = runtime_.methods.find(found->second->method_name);
    if (method != runtime_.methods.end()) {
      for (const ChannelArgument& argument : method->second.channels) {
        known |= argument.field_number == name.field_number() && argument.to_callee == sends;
      }
    }
  }
  if (!known) return Refuse(control::REFUSAL_REASON_INVALID, "no such call or channel end");
  const std::shared_ptr<Call> call = found->second;
  const size_t attempt =
      name.attempt() != 0 ? name.attempt() : std::max<size_t>(call->sets.size(), 1);
  return [call, attempt, name, request](Finish finish) {
    WithEnds(call, attempt, [name, request, finish](const Ends* ends) {
      if (ends == nullptr) {
        return finish(Fail({control::FAILURE_REASON_SESSION_ENDED,
                            "the call was resolved without this attempt", ""}));
      }
      const End& end = ends->at(name.field_number());
      if (request.has_channel_send()) {
        auto sending = std::make_shared<Sending>();
        sending->end = end.sending;
        sending->command = request.channel_send();
        sending->finish = finish;
        sending->Advance();
      } else if (request.has_channel_receive()) {
        auto receiving = std::make_shared<Receiving>();
        receiving->end = end.receiving;
        receiving->count = request.channel_receive().count();
        receiving->finish = finish;
        receiving->Advance();
      } else {
        if (end.sending) end.sending->Close();
        if (end.receiving) end.receiving->Reset();
        finish(Done());
      }
    });
  };
}

}  // namespace subject
