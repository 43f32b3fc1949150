// Virtual connections: who opens which id, who answers, what may be said on it before.
#include <map>
#include <set>

#include "harness/judge/judge.h"
#include "harness/peer/reading.h"

namespace counterpart::judge {
namespace {

using wire::v1::Message;

class ConnectionMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.message == nullptr) return;
    const Message& message = *frame.message;
    if (message.has_ping() || message.has_pong() || message.has_goodbye() ||
        message.has_protocol_error()) {
      return;  // r[session.message.connection-id]
    }
    const uint64_t id = message.connection_id();
    const std::string kind = peer::KindOf(message);
    if (id == 0) {
      if (message.has_open_connection() || message.has_accept_connection() ||
          message.has_reject_connection() || message.has_close_connection()) {
        judge.Violation("connection.root", frame.from, "sent " + kind + " on the root connection",
                        &frame);
      }
      return;
    }
    State& state = states_[link.session_id];
    if (message.has_open_connection()) return OnOpen(frame, link, state, judge);
    const auto opening = state.openings.find(id);
    const bool answer = message.has_accept_connection() || message.has_reject_connection();
    if (answer && opening != state.openings.end() && opening->second != frame.from) {
      if (message.has_accept_connection()) state.open.insert(id);
      state.openings.erase(opening);
      return;
    }
    if (!state.open.contains(id)) {
      judge.Violation(
          "connection.open", frame.from,
          "sent " + kind + " on connection " + std::to_string(id) + ", which is not open", &frame);
    }
  }

 private:
  struct State {
    std::map<uint64_t, Side> openings;  // not answered yet, by id: who asked
    std::set<uint64_t> open;
    uint64_t newest[2] = {0, 0};  // by side
  };

  // r[connection.open]
  static void OnOpen(const ObservedFrame& frame, const LinkContext& link, State& state,
                     Judge& judge) {
    const uint64_t id = frame.message->connection_id();
    uint64_t& newest = state.newest[Index(frame.from)];
    if ((id % 2 == 1) != link.odd(frame.from)) {
      return judge.Violation("connection.open", frame.from,
                             "opened connection " + std::to_string(id) + " of the wrong parity",
                             &frame);
    }
    if (id <= newest) {
      return judge.Violation(
          "connection.open", frame.from,
          "opened connection " + std::to_string(id) + " after " + std::to_string(newest), &frame);
    }
    newest = id;
    state.openings[id] = frame.from;
    judge.Held("connection.open");
  }

  std::map<std::string, State> states_;  // by session
};

}  // namespace

std::unique_ptr<Monitor> NewConnectionMonitor() { return std::make_unique<ConnectionMonitor>(); }

}  // namespace counterpart::judge
