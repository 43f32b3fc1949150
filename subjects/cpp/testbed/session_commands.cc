#include "testbed/session_commands.h"

#include <memory>
#include <variant>

namespace subject {
namespace {

using Finish = CommandLog::Finish;
using Work = CommandLog::Work;
using Held = std::shared_ptr<Session>;

Work Ping(const Held& session) {
  return [session](const Finish& finish) {
    session->Ping([&session = *session, finish](bool answered) {
      const Ending& ending = session.ending();
      finish(answered ? Done() : Failed(ending.reason, ending.text, ending.rule));
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

Work Close(const Held& session, uint64_t id) {
  // r[connection.root]: the root is not to be closed.
  if (id == 0 || session->connections().Find(id) == nullptr) return nullptr;
  return [session, id](const Finish& finish) {
    session->connections().Close(id, [finish] { finish(Done()); });
  };
}

}  // namespace

Work SessionCommand(const Domain& domain, const control::ExecuteRequest& command) {
  const Held session =
      domain.FindSession(command.has_ping()              ? command.ping().session_id()
                         : command.has_open_connection() ? command.open_connection().session_id()
                                                         : command.close_connection().session_id());
  if (!session) return nullptr;
  if (command.has_ping()) return Ping(session);
  if (command.has_open_connection()) return Open(session, command.open_connection());
  return Close(session, command.close_connection().connection_id());
}

}  // namespace subject
