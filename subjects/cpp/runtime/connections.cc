#include "runtime/connections.h"

#include <algorithm>
#include <utility>

#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {
namespace {

Violation Bad(std::string rule, const std::string& what) {
  return {wire::PROTOCOL_ERROR_CODE_BAD_CONNECTION, std::move(rule), what};
}

uint64_t ParityOf(wire::Parity parity) { return parity == wire::PARITY_ODD ? 1 : 0; }

}  // namespace

Connection* Connections::Find(uint64_t id) {
  if (id == 0) return &root_;
  const auto found = virtual_.find(id);
  return found == virtual_.end() ? nullptr : found->second.get();
}

void Connections::ForEach(const std::function<void(Connection&)>& act) {
  act(root_);
  for (auto& [id, connection] : virtual_) act(*connection);
}

bool Connections::AnotherWaits(Connection& connection) {
  bool waits = false;
  ForEach([&](Connection& other) { waits |= &other != &connection && other.caller().waits(); });
  return waits;
}

Connection& Connections::Add(uint64_t id, uint64_t own_parity, uint32_t own_limit,
                             uint32_t peer_limit) {
  auto& connection = virtual_[id] = std::make_unique<Connection>(session_, id);
  const bool as_the_session = Mutated("takes_the_parity_of_the_session_everywhere");
  connection->Settle(as_the_session ? session_->own_parity() : own_parity, own_limit, peer_limit);
  if (Mutated("mints_ids_of_the_sessions_parity")) {
    connection->requests.GoOnBehind(2 + session_->own_parity());
    connection->channels.GoOnBehind(2 + session_->own_parity());
  }
  session_->attachment()->AddLane(connection.get());
  return *connection;
}

// ------------------------------------------------------------------ opening

void Connections::Open(uint64_t own_parity, uint32_t own_limit, Opened opened) {
  if (session_->attachment() == nullptr) {
    return opened(NotOpened{control::FAILURE_REASON_CONNECTION_CLOSED, "there is no link"});
  }
  const uint64_t id = table_.Open();
  wire::Message message;
  message.set_connection_id(id);
  auto* open = message.mutable_open_connection();
  open->set_parity(own_parity == 1 ? wire::PARITY_ODD : wire::PARITY_EVEN);
  open->mutable_settings()->set_max_concurrent_requests(own_limit);
  openings_[id] = {own_parity, own_limit, std::move(opened)};
  session_->attachment()->Commit(std::move(message));
  if (Mutated("uses_a_connection_before_it_is_accepted")) {
    Connection& early = Add(id, own_parity, own_limit, 0);
    early.lane()->Announce(session_->runtime().methods.begin()->second,
                           wire::BINDING_ROLE_ARGUMENTS);
  }
}

MaybeViolation Connections::OnOpen(uint64_t id, const wire::OpenConnection& open) {
  if (!table_.Announced(id) && !Mutated("opens_any_connection")) {
    return Bad("connection.open", "not a new id of the opener's parity");
  }
  if (Mutated("ignores_open_connection")) return std::nullopt;
  wire::Message reply;
  reply.set_connection_id(id);
  const uint32_t most = session_->settings().max_virtual_connections;
  if (most == 0 || (table_.accepted() >= most && !Mutated("accepts_any_number_of_connections"))) {
    reply.mutable_reject_connection()->set_reason(  // r[connection.open.rejection]
        most == 0 ? "no acceptor registered" : "no more than " + std::to_string(most) + " at once");
    session_->attachment()->Commit(std::move(reply));
    return std::nullopt;
  }
  if (open.parity() != wire::PARITY_ODD && open.parity() != wire::PARITY_EVEN) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "connection.parity", "no parity"};
  }
  const uint32_t own_limit = session_->settings().max_concurrent_requests;
  table_.Accept(id);
  reply.mutable_accept_connection()->mutable_settings()->set_max_concurrent_requests(own_limit);
  session_->attachment()->Commit(std::move(reply));
  Add(id, 1 - ParityOf(open.parity()), own_limit, open.settings().max_concurrent_requests());
  return std::nullopt;
}

MaybeViolation Connections::OnAnswer(const wire::Message& message) {
  const uint64_t id = message.connection_id();
  const bool accepted = message.has_accept_connection();
  if (!table_.Step(id, accepted ? ConnectionEvent::kAccepted : ConnectionEvent::kRejected)) {
    return Bad("connection.open", "an answer to no OpenConnection");
  }
  Opening opening = std::move(openings_.extract(id).mapped());
  if (!accepted) {
    if (Mutated("opens_a_rejected_id_again")) table_.Unmint();
    opening.opened(NotOpened{control::FAILURE_REASON_CONNECTION_REJECTED,
                             message.reject_connection().reason()});
    return std::nullopt;
  }
  Add(id, opening.own_parity, opening.own_limit,
      message.accept_connection().settings().max_concurrent_requests());
  opening.opened(id);
  return std::nullopt;
}

// ------------------------------------------------------------------ traffic

MaybeViolation Connections::Apply(const wire::Message& message) {
  if (Mutated("ignores_other_connections")) return std::nullopt;
  const uint64_t id = message.connection_id();
  switch (message.payload_case()) {
    case wire::Message::kProtocolError:
    case wire::Message::kPing:
    case wire::Message::kPong:
    case wire::Message::kGoodbye:
      if (Mutated("ignores_session_messages_off_the_root")) return std::nullopt;
      return Bad("session.message.connection-id", "only connection 0 carries this");
    case wire::Message::kOpenConnection:
      return OnOpen(id, message.open_connection());
    case wire::Message::kAcceptConnection:
    case wire::Message::kRejectConnection:
      return OnAnswer(message);
    case wire::Message::kCloseConnection:
      return OnClose(id);
    default:
      break;
  }
  switch (table_.OnTraffic(id)) {
    case Arrival::kApply: {
      // A mutant may have dropped it.
      Lane* lane = session_->attachment()->FindLane(id);
      return lane == nullptr ? std::nullopt : lane->Apply(message);
    }
    case Arrival::kDiscard:
      if (Mutated("refuses_what_crosses_its_close")) {
        return Bad("connection.close.echo", "a message on a closed connection");
      }
      session_->record().Discard("message", "connection.close.echo", id);
      return std::nullopt;
    case Arrival::kRefuse:
      break;
  }
  if (table_.Is(id, ConnectionState::kClosed)) {
    if (Mutated("ignores_what_comes_after_both_closes")) return std::nullopt;
    return Bad("connection.close.echo", "a connection that both have closed");
  }
  if (Mutated("ignores_unknown_connections")) return std::nullopt;
  return Bad("connection.unknown", "a connection that is not open");
}

// ------------------------------------------------------------------ closing

void Connections::SendClose(uint64_t id) {
  wire::Message message;
  message.set_connection_id(id);
  message.mutable_close_connection();
  session_->attachment()->Commit(std::move(message));
}

// r[connection.close]: its calls, handlers and channels end, and no other's.
void Connections::EndHere(uint64_t id, const std::string& why) {
  Connection* connection = Find(id);
  if (Mutated("answers_on_a_closed_connection")) return connection->caller().Closed(why);
  if (session_->attachment() != nullptr) {
    if (Mutated("ends_the_channels_of_every_connection")) {
      for (const auto& [other, lane] : session_->attachment()->lanes()) lane->DetachEnds();
    }
    if (const auto lane = session_->attachment()->TakeLane(id)) session_->EndLane(*lane);
  }
  session_->callee().Closed(id);
  connection->caller().Closed(why);
}

void Connections::Close(uint64_t id, std::function<void()> closed) {
  if (!table_.Step(id, ConnectionEvent::kCloseSent)) {  // is, or is about to be, closed
    if (!table_.Is(id, ConnectionState::kClosing)) return closed();
    auto& waiting = closings_[id];
    waiting = [first = std::move(waiting), closed = std::move(closed)] {
      first();
      closed();
    };
    return;
  }
  closings_[id] = std::move(closed);
  if (session_->attachment() != nullptr) SendClose(id);  // else the next one may have to say it
  EndHere(id, "we have closed the connection");
}

MaybeViolation Connections::OnClose(uint64_t id) {
  const bool echo = table_.Is(id, ConnectionState::kClosing);
  if (!table_.Step(id, ConnectionEvent::kCloseCame)) {
    if (table_.Is(id, ConnectionState::kClosed) &&
        Mutated("ignores_what_comes_after_both_closes")) {
      return std::nullopt;
    }
    return Bad(
        table_.Is(id, ConnectionState::kClosed) ? "connection.close.echo" : "connection.unknown",
        "CloseConnection on a connection that is not open");
  }
  if (!echo) {  // r[connection.close.echo]: the last message
    if (!Mutated("does_not_echo_a_close")) SendClose(id);
    EndHere(id, "the counterpart has closed the connection");
  }
  ClosedByBoth(id);
  return std::nullopt;
}

void Connections::ClosedByBoth(uint64_t id) {
  if (auto closing = closings_.extract(id)) closing.mapped()();
}

// ------------------------------------------------------------------ links and session

std::vector<uint64_t> Connections::Listed() const {
  return Mutated("lists_no_connection_in_a_resume") ? std::vector<uint64_t>() : table_.Listed();
}

void Connections::Bound(const std::vector<uint64_t>& in_both) {
  for (const uint64_t id : table_.Lost(in_both)) {
    if (table_.Is(id, ConnectionState::kOpen) &&
        Mutated("keeps_connections_that_only_it_has_open")) {
      continue;
    }
    table_.Step(id, ConnectionEvent::kLost);
    if (auto opening = openings_.extract(id)) {  // r[session.resume.connections]: its id is burnt
      opening.mapped().opened(
          NotOpened{control::FAILURE_REASON_CONNECTION_CLOSED, "lost with its link"});
    } else {
      EndHere(id, "the counterpart does not hold the connection open");
      ClosedByBoth(id);
    }
  }
  for (const uint64_t id : table_.Of(ConnectionState::kOpen)) {
    session_->attachment()->AddLane(Find(id));
  }
  // Closed here while there was no link to say so on.
  for (const uint64_t id : table_.Of(ConnectionState::kClosing)) SendClose(id);
}

void Connections::Ended() {
  for (auto& [id, opening] : std::exchange(openings_, {})) {
    opening.opened(NotOpened{control::FAILURE_REASON_SESSION_ENDED, "the session is over"});
  }
  for (auto& [id, closed] : std::exchange(closings_, {})) closed();
}

}  // namespace subject
