#include "adapter/commands.h"

#include <algorithm>

#include "runtime/mutation.h"

namespace subject {
namespace {

using control::ExecuteRequest;
using control::Outcome;
using Finish = CommandLog::Finish;
using Work = CommandLog::Work;

constexpr const char* kCapabilities[] = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",  "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor"};

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

Work Now(std::function<void()> act) {
  return [act = std::move(act)](Finish finish) {
    act();
    finish(Done());
  };
}

// A value that was not asked for matches anything; an event without the part asked for has none.
bool Matches(const control::Await& want, const control::JournalEvent& event) {
  const auto fits = [](const auto& wanted, const auto& is) {
    return wanted == is || !(wanted > 0);
  };
  const auto says = [](const auto& wanted, const auto& is) {
    return wanted.empty() || wanted == is;
  };
  const bool started = event.handler().event() == control::HANDLER_EVENT_STARTED;
  return says(want.session_id(), event.session_id()) &&
         says(want.to_state(), event.transition().to_state()) &&
         fits(want.machine(), event.transition().machine()) &&
         fits(want.key(), event.transition().key()) &&
         fits(want.operation_id(), event.handler().operation_id()) &&
         (!want.handler_started() || started) &&
         (!want.handler_ended() || (event.has_handler() && !started));
}

// What Listen and Connect both announce.
template <typename Command>
std::optional<Settings> SettingsOf(const Command& command) {
  const auto maximum = AcceptedMaximum(command.max_payload());
  if (!maximum) return std::nullopt;
  return Settings{command.max_concurrent_requests(), *maximum};
}

}  // namespace

struct Commands::Scope {
  Scope(Runtime& runtime, const std::string& name)
      : gates(std::make_shared<Gates>()),
        calls(runtime.methods),
        domain(runtime, name, TestbedHandler(gates)) {}
  std::shared_ptr<Gates> gates;
  CallerEnds calls;
  Domain domain;
};

Commands::Scope& Commands::FindScope(const std::string& name) {
  auto& scope = scopes_[name];
  if (!scope) scope = std::make_shared<Scope>(runtime_, name);
  return *scope;
}

void Commands::Execute(const ExecuteRequest& request, CommandLog::Reply reply) {
  ++accepted_;
  log_.Execute(
      request, [this, &request] { return Prepare(request); },
      [this, reply = std::move(reply)](control::ExecuteResponse response) {
        ++answered_;
        reply(std::move(response));
      });
}

std::variant<Work, control::Refusal> Commands::Prepare(const ExecuteRequest& request) {
  const auto& names = kCapabilities;
  control::Refusal refusal;
  refusal.set_reason(control::REFUSAL_REASON_UNSUPPORTED);
  refusal.set_text("no such command or capability");
  if (request.command_case() == ExecuteRequest::COMMAND_NOT_SET) return refusal;
  if (request.has_probe()) {
    if (std::ranges::find(names, request.probe().capability()) == std::end(names)) return refusal;
    return Now([] {});
  }
  if (Work work = PrepareKnown(request)) return work;
  refusal.set_reason(control::REFUSAL_REASON_INVALID);
  refusal.set_text("it names something that does not exist, or a value out of range");
  return refusal;
}

// Null: the command is invalid.
Work Commands::PrepareKnown(const ExecuteRequest& request) {
  Scope& scope = FindScope(request.scope());
  const auto session_of = [&](const auto& c) { return scope.domain.FindSession(c.session_id()); };
  switch (request.command_case()) {
    case ExecuteRequest::kListen: {
      const auto settings = SettingsOf(request.listen());
      if (!settings) return nullptr;
      return [&scope, settings, resumable = request.listen().resumable()](Finish finish) {
        Outcome outcome;
        outcome.mutable_listening()->set_port(scope.domain.Listen(*settings, resumable));
        finish(outcome);
      };
    }
    case ExecuteRequest::kConnect: {
      const control::Connect& c = request.connect();
      const auto settings = SettingsOf(c);
      if (!settings) return nullptr;
      const Dialling dialling{.host = c.host(),
                              .port = static_cast<uint16_t>(c.port()),
                              .max_attempts = std::max(c.max_attempts(), 1u),
                              .backoff_initial_ms = c.backoff_initial_ms(),
                              .backoff_max_ms = c.backoff_max_ms(),
                              .own_parity = c.odd_parity() ? 1u : 0u,
                              .resume = c.resume(),
                              .fresh = c.session_lost() == control::SESSION_LOST_POLICY_FRESH};
      return [&scope, settings, dialling](Finish finish) {
        scope.domain.Connect(*settings, dialling, [finish](auto result) {
          if (const auto* ending = std::get_if<Ending>(&result)) return finish(Fail(*ending));
          const auto& session = std::get<std::shared_ptr<Session>>(result);
          Outcome outcome;
          outcome.mutable_connected()->set_session_id(session->record().session_id);
          finish(outcome);
        });
      };
    }
    case ExecuteRequest::kCloseSession:
      if (auto session = session_of(request.close_session())) {
        return Now([session] { session->Goodbye(); });
      }
      return nullptr;
    case ExecuteRequest::kExpireSession:
      if (auto session = session_of(request.expire_session())) {
        return Now([session] { session->End({}); });
      }
      return nullptr;
    case ExecuteRequest::kPing:
      if (auto session = session_of(request.ping())) {
        return [session](Finish finish) {
          session->Ping([session, finish](bool answered) {
            finish(answered ? Done() : Fail(session->ending()));
          });
        };
      }
      return nullptr;
    case ExecuteRequest::kAwaitEvent:
      return [this, name = request.scope(), want = request.await_event()](Finish finish) {
        runtime_.journal.Watch(
            name, std::max(want.count(), 1u),
            [want](const control::JournalEvent& event) { return Matches(want, event); },
            [finish] { finish(Done()); });
      };
    case ExecuteRequest::kRelease:
      return Now([&scope, gate = request.release().gate()] { scope.gates->Open(gate); });
    case ExecuteRequest::kStopListening:
      return Now([&scope] { scope.domain.StopListening(); });
    case ExecuteRequest::kCall:
      return scope.calls.Make(session_of(request.call()), request.call());
    case ExecuteRequest::kCancel:
      return scope.calls.Cancel(request.cancel());
    case ExecuteRequest::kChannelSend:
      return scope.calls.Send(request.channel_send());
    case ExecuteRequest::kChannelReceive:
      return scope.calls.Receive(request.channel_receive());
    case ExecuteRequest::kChannelClose:
      return scope.calls.Close(request.channel_close());
    case ExecuteRequest::kChannelReset:
      return scope.calls.Reset(request.channel_reset());
    default:
      return nullptr;
  }
}

void Commands::Describe(const control::DescribeRequest&, control::DescribeResponse& response) {
  response.set_name("cpp");
  response.set_version("0.1.0");
  response.set_language("C++");
  for (const char* capability : kCapabilities) response.add_capabilities(capability);
  response.set_epoch(runtime_.journal.epoch());
  response.set_mutant(std::string(ActiveMutation()));
}

void Commands::Status(const control::StatusRequest& request, control::StatusResponse& response) {
  response = log_.Status(request.command_id(), request.highest_send());
}

void Commands::Journal(const control::JournalRequest& request, control::JournalResponse& response) {
  const auto& scope = runtime_.journal.scope(request.scope());
  response.set_epoch(runtime_.journal.epoch());
  response.set_gap(scope.gap);
  for (const control::JournalEvent& event : scope.events) {
    if (event.seq() > request.after_seq()) *response.add_events() = event;
  }
}

void Commands::Settle(const control::SettleRequest&, control::SettleResponse& response) {
  response.set_accepted(accepted_);
  response.set_answered(answered_);
  response.set_journal_seq(runtime_.journal.seq());
  response.set_runnable(runtime_.loop.queued() - 1);
  for (const Loop::Timer& timer : runtime_.loop.timers()) {
    const auto due = std::chrono::duration_cast<std::chrono::milliseconds>(
        timer.due - std::chrono::steady_clock::now());
    control::PendingTimer& out = *response.add_timers();
    out.set_name(timer.name);
    out.set_due_ms(static_cast<uint64_t>(std::max<int64_t>(0, due.count())));
  }
}

void Commands::Reset(const control::ResetRequest& request, control::ResetResponse& response) {
  Domain& domain = FindScope(request.scope()).domain;
  const Domain::Counts counts = domain.counts();
  response.set_listeners(counts.listeners);
  response.set_links(counts.links);
  response.set_sessions(counts.sessions);
  response.set_calls(counts.calls);
  response.set_handlers(counts.handlers);
  response.set_channels(counts.channels);
  log_.Drop(request.scope());
  domain.Drop();
  scopes_.erase(request.scope());
  runtime_.journal.Retire(request.scope());
}

}  // namespace subject
