#include "adapter/scope.h"

#include "runtime/mutation.h"

namespace subject {

const std::set<std::string> kCapabilities = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",   "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor", "virtual_connections",
    "stable",    "persist"};

namespace {

using control::ExecuteRequest;
using Finish = CommandLog::Finish;
using Work = CommandLog::Work;

control::Outcome Fail(const Ending& why) { return Failed(why.reason, why.text, why.rule); }

Work Listen(Domain& domain, const control::Listen& c) {
  const auto settings = Settings::Announcing(c);
  if (!settings) return nullptr;
  return [&domain, c, s = *settings](const Finish& finish) {
    control::Outcome outcome;
    outcome.mutable_listening()->set_port(domain.Listen(c.host(), c.port(), s, c.resumable()));
    finish(outcome);
  };
}

Work Connect(Domain& domain, const control::Connect& c) {
  const auto settings = Settings::Announcing(c);
  if (!settings) return nullptr;
  const Dialling dialling{.host = c.host(),
                          .port = static_cast<uint16_t>(c.port()),
                          .max_attempts = std::max(c.max_attempts(), 1u),
                          .backoff_initial_ms = c.backoff_initial_ms(),
                          .backoff_max_ms = c.backoff_max_ms(),
                          .own_parity = c.odd_parity() ? 1u : 0u,
                          .resume = c.resume(),
                          .fresh = c.session_lost() == control::SESSION_LOST_POLICY_FRESH,
                          .stable = c.stable_conduit()};
  return [&domain, settings, dialling](const Finish& finish) {
    domain.Connect(*settings, dialling, [finish](auto result) {
      if (const auto* ending = std::get_if<Ending>(&result)) return finish(Fail(*ending));
      control::Outcome outcome;
      outcome.mutable_connected()->set_session_id(std::get<0>(result)->record().session_id);
      finish(outcome);
    });
  };
}

}  // namespace

CommandLog::Prepared Scope::Prepare(const ExecuteRequest& request) {
  const auto session = [this](const auto& c) { return domain.FindSession(c.session_id()); };
  const auto end = [&session](const auto& c, auto how) -> Work {
    const auto ended = session(c);
    return ended ? Just([ended, how] { how(*ended); }) : nullptr;
  };
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
    case ExecuteRequest::kListen:
      return Listen(domain, request.listen());
    case ExecuteRequest::kStopListening:
      return Just([this] { domain.StopListening(); });
    case ExecuteRequest::kConnect:
      return Connect(domain, request.connect());
    case ExecuteRequest::kPing:
    case ExecuteRequest::kOpenConnection:
    case ExecuteRequest::kCloseConnection:
      return SessionCommand(domain, request);
    case ExecuteRequest::kCloseSession:
      return end(request.close_session(), [](Session& session) { session.Goodbye(); });
    case ExecuteRequest::kExpireSession:
      return end(request.expire_session(), [](Session& session) { session.End({}); });
    case ExecuteRequest::kAwaitEvent:
      return [this, wanted = request.await_event()](const Finish& finish) {
        domain.runtime().journal.Watch(domain.scope(), wanted, [finish] { finish(Done()); });
      };
    case ExecuteRequest::kRelease:
      return Just([this, gate = request.release().gate()] { gates->Open(gate); });
    case ExecuteRequest::kCall:
      return calls.Make(session(request.call()), request.call());
    default:
      return calls.Perform(request);
  }
}

}  // namespace subject
