#include "adapter/commands.h"

#include <set>

#include "runtime/mutation.h"

namespace subject {
namespace {

using control::ExecuteRequest;
using Finish = CommandLog::Finish;
using Work = CommandLog::Work;
using SessionPointer = std::shared_ptr<Session>;

const std::set<std::string> kCapabilities = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",  "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor"};

control::Outcome Fail(const Ending& ending) {
  control::Outcome outcome;
  outcome.mutable_failed()->set_reason(ending.reason);
  outcome.mutable_failed()->set_text(ending.text);
  outcome.mutable_failed()->set_sorry_or_rule(ending.rule);
  return outcome;
}

Work Now(std::function<void()> act) {
  return [act = std::move(act)](Finish finish) { act(), finish(Done()); };
}

Work Connect(Domain& domain, Settings settings, const control::Connect& c) {
  const Dialling dialling{.host = c.host(),
                          .port = static_cast<uint16_t>(c.port()),
                          .max_attempts = std::max(c.max_attempts(), 1u),
                          .backoff_initial_ms = c.backoff_initial_ms(),
                          .backoff_max_ms = c.backoff_max_ms(),
                          .own_parity = c.odd_parity() ? 1u : 0u,
                          .resume = c.resume(),
                          .fresh = c.session_lost() == control::SESSION_LOST_POLICY_FRESH};
  return [&domain, settings, dialling](Finish finish) {
    domain.Connect(settings, dialling, [finish](std::variant<SessionPointer, Ending> result) {
      if (const auto* ending = std::get_if<Ending>(&result)) return finish(Fail(*ending));
      control::Outcome outcome;
      const std::string& id = std::get<SessionPointer>(result)->record().session_id;
      outcome.mutable_connected()->set_session_id(id);
      finish(outcome);
    });
  };
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
  const auto prepare = [this, &request] { return Prepare(request); };
  log_.Execute(request, prepare, [this, reply](const control::ExecuteResponse& response) {
    ++answered_;
    reply(response);
  });
}

std::variant<Work, control::Refusal> Commands::Prepare(const ExecuteRequest& request) {
  control::Refusal refusal;
  if (request.command_case() == ExecuteRequest::COMMAND_NOT_SET ||
      (request.has_probe() && !kCapabilities.contains(request.probe().capability()) &&
       !Mutated("accepts_any_probe"))) {
    refusal.set_reason(control::REFUSAL_REASON_UNSUPPORTED);
    refusal.set_text("no such command or capability");
  } else if (Work work = PrepareKnown(request)) {
    return work;
  } else {
    refusal.set_reason(control::REFUSAL_REASON_INVALID);
    refusal.set_text("it names something that does not exist, or a value out of range");
  }
  return refusal;
}

// Null: the command is invalid.
Work Commands::PrepareKnown(const ExecuteRequest& request) {
  Scope& scope = FindScope(request.scope());
  const auto with_session = [&scope](const auto& command, auto act) -> Work {
    SessionPointer session = scope.domain.FindSession(command.session_id());
    if (!session) return nullptr;
    return [session, act](Finish finish) { act(*session, finish); };
  };
  const auto settings_of = [](const auto& c) -> std::optional<Settings> {
    const auto maximum = AcceptedMaximum(c.max_payload());
    if (!maximum) return std::nullopt;
    return Settings{c.max_concurrent_requests(), *maximum};
  };
  switch (request.command_case()) {
    case ExecuteRequest::kProbe:
      return Now([] {});
    case ExecuteRequest::kListen:
      if (const auto settings = settings_of(request.listen())) {
        return [&scope, settings, resumable = request.listen().resumable()](Finish finish) {
          control::Outcome outcome;
          outcome.mutable_listening()->set_port(scope.domain.Listen(*settings, resumable));
          finish(outcome);
        };
      }
      return nullptr;
    case ExecuteRequest::kConnect:
      if (const auto settings = settings_of(request.connect())) {
        return Connect(scope.domain, *settings, request.connect());
      }
      return nullptr;
    case ExecuteRequest::kCloseSession:
      return with_session(request.close_session(), [](Session& session, const Finish& finish) {
        session.Goodbye(), finish(Done());
      });
    case ExecuteRequest::kExpireSession:
      return with_session(request.expire_session(), [](Session& session, const Finish& finish) {
        session.End({}), finish(Done());
      });
    case ExecuteRequest::kPing:
      return with_session(request.ping(), [](Session& session, const Finish& finish) {
        session.Ping([&session, finish](bool answered) {
          finish(answered ? Done() : Fail(session.ending()));
        });
      });
    case ExecuteRequest::kAwaitEvent:
      return [this, name = request.scope(), wanted = request.await_event()](Finish finish) {
        runtime_.journal.Watch(name, wanted, [finish] { finish(Done()); });
      };
    case ExecuteRequest::kRelease:
      return Now([&scope, gate = request.release().gate()] { scope.gates->Open(gate); });
    case ExecuteRequest::kStopListening:
      return Now([&scope] { scope.domain.StopListening(); });
    case ExecuteRequest::kCall:
      return scope.calls.Make(scope.domain.FindSession(request.call().session_id()),
                              request.call());
    default:
      return scope.calls.Perform(request);
  }
}

control::DescribeResponse Commands::Describe(const control::DescribeRequest&) const {
  control::DescribeResponse response;
  response.set_name("cpp");
  response.set_version("0.1.0");
  response.set_language("C++");
  response.mutable_capabilities()->Assign(kCapabilities.begin(), kCapabilities.end());
  response.set_epoch(runtime_.journal.epoch());
  response.set_mutant(std::string(ActiveMutation()));
  return response;
}

control::StatusResponse Commands::Status(const control::StatusRequest& request) {
  return log_.Status(request.command_id(), request.highest_send());
}

control::JournalResponse Commands::Journal(const control::JournalRequest& request) const {
  return runtime_.journal.Read(request.scope(), request.after_seq());
}

control::SettleResponse Commands::Settle(const control::SettleRequest&) const {
  control::SettleResponse response;
  response.set_accepted(accepted_);
  response.set_answered(answered_);
  response.set_journal_seq(runtime_.journal.seq());
  response.set_runnable(runtime_.loop.queued() - 1);  // this one is not counted
  for (const Loop::Timer& timer : runtime_.loop.timers()) {
    response.add_timers()->set_name(timer.name);
    response.mutable_timers()->rbegin()->set_due_ms(timer.DueIn().count());
  }
  return response;
}

control::ResetResponse Commands::Reset(const control::ResetRequest& request) {
  const control::ResetResponse counts = FindScope(request.scope()).domain.Counts();
  log_.Drop(request.scope());
  scopes_.erase(request.scope());
  runtime_.journal.Retire(request.scope());
  return counts;
}

}  // namespace subject
