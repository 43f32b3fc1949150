// Virtual connections: who opens which id, who answers, what may be said on it before, and what
// after a close or a resume.
//
// What one side may still say depends on what it has read, which the wire does not show. A Pong
// does: everything sent before its Ping has been applied, a close with its echo.
#include <algorithm>
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
    if (frame.handshake != nullptr) OnHandshake(frame, link, judge);
    if (frame.message == nullptr) return;
    const Message& message = *frame.message;
    if (frame.from == Side::kSubject) bound_.insert(link.link);
    if (message.has_ping()) ++pings_[{link.link, frame.from}];
    if (message.has_pong()) OnPong(frame, link, judge);
    if (message.has_goodbye()) SaidNothingMore(frame.from, link, judge);
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
    if (!frame.deliberate.empty()) return;  // it changes nothing
    if (message.has_open_connection()) return OnOpen(frame, link, judge);
    const std::string what = kind + " on connection " + std::to_string(id);
    Connection* connection = judge.connections(link.session_id).Find(id);
    const bool answer = message.has_accept_connection() || message.has_reject_connection();
    if (answer && connection != nullptr && connection->opener != frame.from &&
        !connection->accepted && !connection->rejected && connection->left_out_on == 0) {
      return OnAnswer(frame, *connection, judge);
    }
    if (connection == nullptr || !connection->accepted || answer) {
      return judge.Violation("connection.open", frame.from, "sent " + what + ", which is not open",
                             &frame);
    }
    OnTraffic(frame, link, id, *connection, what, judge);
  }

 private:
  using OnLink = std::pair<uint32_t, Side>;

  // ---------------------------------------------------------------- opening

  // r[connection.open]
  void OnOpen(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const uint64_t id = frame.message->connection_id();
    uint64_t& newest = newest_[{link.session_id, frame.from}];
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
    const auto& open = frame.message->open_connection();
    if (open.parity() != wire::v1::PARITY_ODD && open.parity() != wire::v1::PARITY_EVEN) {
      return judge.Violation("connection.parity", frame.from,
                             "opened connection " + std::to_string(id) + " without a parity",
                             &frame);
    }
    newest = id;
    Connection& connection = judge.connections(link.session_id).Open(id);
    connection.opener = frame.from;
    connection.opener_odd = open.parity() == wire::v1::PARITY_ODD;
    connection.limit[Index(frame.from)] = open.settings().max_concurrent_requests();
    judge.Held("connection.open");
  }

  static void OnAnswer(const ObservedFrame& frame, Connection& connection, Judge& judge) {
    connection.rejected = frame.message->has_reject_connection();
    connection.accepted = !connection.rejected;
    connection.limit[Index(frame.from)] =
        frame.message->accept_connection().settings().max_concurrent_requests();
    if (connection.rejected && frame.from == Side::kSubject) {
      judge.Held("connection.open.rejection");
    }
  }

  // ---------------------------------------------------------------- traffic and closes

  void OnTraffic(const ObservedFrame& frame, const LinkContext& link, uint64_t id,
                 Connection& connection, const std::string& what, Judge& judge) {
    const int mine = Index(frame.from), theirs = Index(Other(frame.from));
    const bool close = frame.message->has_close_connection();
    if (connection.left_out_on != 0) {
      return judge.Violation("session.resume.connections", frame.from,
                             "sent " + what + ", which a resume has left out", &frame);
    }
    if (connection.closed[mine]) {
      return judge.Violation("connection.close", frame.from,
                             "sent " + what + " after its CloseConnection", &frame);
    }
    if (!close) return;
    connection.closed[mine] = true;
    // Pings of this side beyond these prove, by their Pongs, that the other has applied the close.
    fences_[{link.link, id, Other(frame.from)}] = pings_[{link.link, frame.from}];
    if (connection.closed[theirs] && frame.from == Side::kSubject) {
      judge.Held("connection.close.echo");
    }
  }

  bool Past(uint32_t link, uint64_t id, Side side) const {
    const auto fence = fences_.find({link, id, side});
    const auto pongs = pongs_.find({link, side});
    return fence != fences_.end() && pongs != pongs_.end() && pongs->second > fence->second;
  }

  void OnPong(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    ++pongs_[{link.link, frame.from}];
    const int mine = Index(frame.from), theirs = Index(Other(frame.from));
    for (auto& [id, connection] : judge.connections(link.session_id).all()) {
      if (!connection.accepted || connection.left_out_on != 0) continue;
      if (connection.closed[theirs] && !connection.closed[mine] &&
          Past(link.link, id, frame.from)) {
        return judge.Violation("connection.close.echo", frame.from,
                               "has applied the close of connection " + std::to_string(id) +
                                   " (Pong to a later Ping), and not echoed it",
                               &frame);
      }
    }
    SaidNothingMore(frame.from, link, judge);
  }

  // It says other things, and nothing on what it has closed.  r[connection.close]
  static void SaidNothingMore(Side from, const LinkContext& link, Judge& judge) {
    if (from != Side::kSubject) return;
    for (const auto& [id, connection] : judge.connections(link.session_id).all()) {
      if (connection.closed[Index(from)]) judge.Held("connection.close");
    }
  }

  // ---------------------------------------------------------------- resume

  // r[session.resume.connections]
  void OnHandshake(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    Resume& resume = resumes_[link.link];
    if (frame.handshake->has_hello()) {
      const auto& hello = frame.handshake->hello();
      resume.is = !hello.resume_key().empty();
      resume.listed[Index(frame.from)].insert(hello.open_connections().begin(),
                                              hello.open_connections().end());
    } else if (frame.handshake->has_hello_yourself()) {
      const auto& listed = frame.handshake->hello_yourself().open_connections();
      resume.listed[Index(frame.from)].insert(listed.begin(), listed.end());
      if (resume.is) JudgeList(frame, link, resume, judge);
    } else if (frame.handshake->has_lets_go() && resume.is) {
      for (auto& [id, connection] : judge.connections(link.session_id).all()) {
        const bool both = resume.listed[0].contains(id) && resume.listed[1].contains(id);
        if (!both && connection.left_out_on == 0) connection.left_out_on = link.link;
      }
    }
  }

  struct Resume {
    bool is = false;
    std::set<uint64_t> listed[2];
  };

  // What it lists that it cannot hold open. What it does not list it may have closed, unread: that
  // is for a scenario to judge, which knows.
  void JudgeList(const ObservedFrame& frame, const LinkContext& link, const Resume& resume,
                 Judge& judge) const {
    const int subject = Index(Side::kSubject);
    auto& connections = judge.connections(link.session_id);
    bool any = false;
    for (const auto& [id, connection] : connections.all()) {
      any |= connection.accepted;
      const std::string name = "connection " + std::to_string(id);
      // It may not have taken up the resume that left it out.
      const bool gone = connection.left_out_on != 0 && bound_.contains(connection.left_out_on);
      // An answer of the subject may have been lost with its link.
      const bool taken =
          connection.accepted || (connection.opener == Side::kHarness && !connection.rejected);
      const bool possible = taken && !connection.closed[subject] && !gone;
      const bool listed = resume.listed[subject].contains(id);
      if (listed && !possible) {
        return judge.Violation("session.resume.connections", Side::kSubject,
                               "lists " + name + ", which it does not hold open", &frame);
      }
    }
    for (const uint64_t id : resume.listed[subject]) {
      if (connections.Find(id) == nullptr) {
        return judge.Violation("session.resume.connections", Side::kSubject,
                               "lists connection " + std::to_string(id) + ", which nobody opened",
                               &frame);
      }
    }
    if (any) judge.Held("session.resume.connections");
  }

  std::map<std::pair<std::string, Side>, uint64_t> newest_;  // by session and side
  std::map<OnLink, uint64_t> pings_, pongs_;
  std::map<std::tuple<uint32_t, uint64_t, Side>, uint64_t> fences_;  // who has a close to apply
  std::map<uint32_t, Resume> resumes_;                               // by link
  std::set<uint32_t> bound_;  // links on which the subject has said something
};

}  // namespace

std::unique_ptr<Monitor> NewConnectionMonitor() { return std::make_unique<ConnectionMonitor>(); }

}  // namespace counterpart::judge
