#include "testbed/session_commands.h"

#include <algorithm>
#include <memory>
#include <variant>

namespace subject {
namespace {

using Finish = CommandLog::Finish;
using Work = CommandLog::Work;
using Held = std::shared_ptr<Session>;

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

Work Ping(const Held& session, const control::Ping&) {
  return [session](const Finish& finish) {
    session->Ping([&session = *session, finish](bool answered) {
      finish(answered ? Done() : Fail(session.ending()));
    });
  };
}

Work Open(const Held& session, const control::OpenConnection& command) {
  if (session->over()) return nullptr;
  return [session, command](const Finish& finish) {
    const auto opened = [finish](const std::variant<uint64_t, NotOpened>& result) {
      if (const auto* why = std::get_if<NotOpened>(&result)) {
        return finish(Failed(why->reason, why->text, ""));
      }
      control::Outcome outcome;
      outcome.mutable_connection_opened()->set_connection_id(std::get<uint64_t>(result));
      finish(outcome);
    };
    session->connections().Open(command.odd_parity() ? 1 : 0, command.max_concurrent_requests(),
                                opened);
  };
}

Work Close(const Held& session, const control::CloseConnection& command) {
  const uint64_t id = command.connection_id();
  // r[connection.root]: the root is not to be closed.
  if (id == 0 || session->connections().Find(id) == nullptr) return nullptr;
  return [session, id](const Finish& finish) {
    session->connections().Close(id, [finish] { finish(Done()); });
  };
}

}  // namespace

Work SessionCommand(Domain& domain, const control::ExecuteRequest& command) {
  const auto on_session = [&domain](const auto& named, const auto& work) -> Work {
    const Held session = domain.FindSession(named.session_id());
    return session ? work(session, named) : nullptr;
  };
  switch (command.command_case()) {
    case control::ExecuteRequest::kListen:
      return Listen(domain, command.listen());
    case control::ExecuteRequest::kStopListening:
      return Just([&domain] { domain.StopListening(); });
    case control::ExecuteRequest::kConnect:
      return Connect(domain, command.connect());
    case control::ExecuteRequest::kPing:
      return on_session(command.ping(), Ping);
    case control::ExecuteRequest::kOpenConnection:
      return on_session(command.open_connection(), Open);
    case control::ExecuteRequest::kCloseConnection:
      return on_session(command.close_connection(), Close);
    case control::ExecuteRequest::kCloseSession:
      return on_session(command.close_session(), [](const Held& session, const auto&) {
        return Just([session] { session->Goodbye(); });
      });
    default:
      return on_session(command.expire_session(), [](const Held& session, const auto&) {
        return Just([session] { session->End({}); });
      });
  }
}

}  // namespace subject
