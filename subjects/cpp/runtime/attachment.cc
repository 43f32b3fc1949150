#include "runtime/attachment.h"

#include <utility>

#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {
namespace {

// Name of the member that is set, and the request id, channel id or nonce it is about.
std::pair<std::string, uint64_t> Subject(const wire::Message& message) {
  const auto* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  const auto* member =
      reflection->GetOneofFieldDescriptor(message, type->FindOneofByName("payload"));
  const auto& body = reflection->GetMessage(message, member);
  for (const char* name : {"request_id", "channel_id", "nonce"}) {
    if (const auto* field = body.GetDescriptor()->FindFieldByName(name)) {
      return {member->name(), body.GetReflection()->GetUInt64(body, field)};
    }
  }
  return {member->name(), 0};
}

Violation BadConnection(std::string rule, const std::string& what) {
  return {wire::PROTOCOL_ERROR_CODE_BAD_CONNECTION, std::move(rule), what};
}

}  // namespace

Attachment::Attachment(Session* session, std::shared_ptr<Link> link, uint32_t peer_max_payload)
    : link(std::move(link)),
      tracker(session->runtime().methods),
      session_(session),
      record_(session->record()),
      peer_max_payload_(peer_max_payload) {
  this->link->set_on_drained([this] {  // the link drops this before the attachment goes
    for (auto& [id, end] : ends) {
      if (end.sending) end.sending->OnDrained();
    }
  });
}

Attachment::~Attachment() { link->set_on_drained(nullptr); }

bool Attachment::Congested() const { return link->congested(); }

Loop& Attachment::loop() { return session_->runtime().loop; }

bool Attachment::Fits(const wire::Message& message) const {
  return message.ByteSizeLong() <= peer_max_payload_ || Mutated("sends_over_the_limit");
}

bool Attachment::Commit(wire::Message message) {
  if (sealed_ || !Fits(message)) return false;
  session_->StoreKey();
  const auto [kind, id] = Subject(message);
  if (!message.has_response() || !Mutated("forgets_to_journal_frame")) {
    record_.Frame(true, message.connection_id(), kind, id);  // r[control.journal.write-ahead]
  }
  link->Write(message.SerializeAsString());
  return true;
}

void Attachment::Announce(const Method& method, wire::BindingRole role, uint32_t field) {
  wire::Message message;
  *message.mutable_schema() = announcer_.Missing(method, role, field);
  if (message.schema().bindings_size() > 0) Commit(std::move(message));
}

End Attachment::MakeEnd(const Method& method, const ChannelArgument& argument, uint64_t id,
                        bool sending) {
  End end;
  if (sending) {
    end.sending = std::make_shared<SendingEnd>(this, &method, argument, id);
  } else {
    end.receiving = std::make_shared<ReceivingEnd>(this, &method, argument, id);
  }
  return ends[id] = end;
}

void Attachment::DetachEnds() {
  for (auto& [id, end] : ends) {
    if (end.sending) end.sending->Detach();
    if (end.receiving) end.receiving->Detach();
  }
}

void Attachment::OnPayload(const std::string& payload) {
  const auto message = DecodeEnvelope<wire::Message>(payload);
  if (!message) {
    if (Mutated("skips_malformed_payloads")) return;
    return session_->Violated({wire::PROTOCOL_ERROR_CODE_MALFORMED, "wire.envelope",
                               "not a Message with a known member"});
  }
  const auto [kind, id] = Subject(*message);
  record_.Frame(false, message->connection_id(), kind, id);
  session_->StoreKey();
  session_->callee().Store();
  if (auto violation = Apply(*message)) session_->Violated(*violation);
}

void Attachment::OnOversize() {
  session_->Violated({wire::PROTOCOL_ERROR_CODE_PAYLOAD_TOO_LARGE, "link.limit",
                      "a length above the limit announced"});
}

void Attachment::OnLost() { session_->LinkLost(this); }

MaybeViolation Attachment::Apply(const wire::Message& message) {
  const uint64_t connection = message.connection_id();
  if (connection != 0) {
    if (Mutated("ignores_other_connections")) return std::nullopt;
    switch (message.payload_case()) {
      case wire::Message::kProtocolError:
      case wire::Message::kPing:
      case wire::Message::kPong:
      case wire::Message::kGoodbye:
        return BadConnection("session.message.connection-id", "only connection 0 carries this");
      case wire::Message::kOpenConnection:
        break;
      default:
        return BadConnection("connection.unknown", "a connection that was never opened");
    }
    if (!session_->SeeConnectionId(connection) && !Mutated("opens_any_connection")) {
      return BadConnection("connection.open", "not a new id of the opener's parity");
    }
    if (Mutated("ignores_open_connection")) return std::nullopt;
    wire::Message reply;  // r[connection.open.rejection]
    reply.set_connection_id(connection);
    reply.mutable_reject_connection()->set_reason("no acceptor registered");
    Commit(std::move(reply));
    return std::nullopt;
  }
  switch (message.payload_case()) {
    case wire::Message::kProtocolError:
      session_->ToldOfViolation(message.protocol_error());
      return std::nullopt;
    case wire::Message::kPing: {  // r[session.keepalive]
      if (Mutated("silent_on_ping_while_calls_block") && !(incoming.empty() && outgoing.empty())) {
        return std::nullopt;
      }
      wire::Message pong;
      pong.mutable_pong()->set_nonce(message.ping().nonce() + (Mutated("wrong_pong") ? 1 : 0));
      Commit(std::move(pong));
      return std::nullopt;
    }
    case wire::Message::kPong:
      return session_->OnPong(message.pong().nonce());
    case wire::Message::kGoodbye:
      session_->ToldGoodbye();
      return std::nullopt;
    case wire::Message::kSchema: {
      auto violation = tracker.Learn(message.schema());
      if (!violation) session_->callee().OnSchema(*this);
      return violation;
    }
    case wire::Message::kRequest:
      return session_->callee().OnRequest(*this, message.request());
    case wire::Message::kResponse:
      return session_->caller().OnResponse(*this, message.response());
    case wire::Message::kCancelRequest:
      return session_->callee().OnCancel(*this, message.cancel_request().request_id());
    case wire::Message::kChannelItem:
      return ApplyToChannel(message, message.channel_item().channel_id());
    case wire::Message::kCloseChannel:
      return ApplyToChannel(message, message.close_channel().channel_id());
    case wire::Message::kResetChannel:
      return ApplyToChannel(message, message.reset_channel().channel_id());
    case wire::Message::kGrantCredit:
      return ApplyToChannel(message, message.grant_credit().channel_id());
    case wire::Message::kCloseConnection:
      if (Mutated("ignores_who_closes_the_root")) return std::nullopt;
      return BadConnection("connection.root", "connection 0 cannot be closed");
    default:
      if (Mutated("ignores_who_opens_the_root")) return std::nullopt;
      return BadConnection("connection.open", "connection 0 cannot be opened");
  }
}

MaybeViolation Attachment::ApplyToChannel(const wire::Message& message, uint64_t id) {
  const auto found = ends.find(id);
  if (found == ends.end()) {
    if (Mutated("ignores_unknown_channels")) return std::nullopt;
    if (nameless.contains(id)) {
      record_.Discard("channel message", "rpc.unknown-method", id);
      return std::nullopt;
    }
    return Violation{wire::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID, "rpc.channel.unknown",
                     "no channel " + std::to_string(id) + " on this attachment"};
  }
  const End end = found->second;
  switch (message.payload_case()) {
    case wire::Message::kChannelItem:
      if (end.sending) return end.sending->OnForeign("item");
      if (!tracker
               .Mismatch(end.receiving->method().name, wire::BINDING_ROLE_CHANNEL,
                         end.receiving->field_number())
               .empty()) {
        end.receiving->Reset();  // r[schema.errors]: never a value that was not sent
      }
      return end.receiving->OnItem(
          message.channel_item().item(),
          tracker.Bound(end.receiving->method().name, wire::BINDING_ROLE_CHANNEL,
                        end.receiving->field_number()));
    case wire::Message::kCloseChannel:
      if (end.sending) return end.sending->OnForeign("close");
      return end.receiving->OnClose(message.close_channel().aborted());
    case wire::Message::kResetChannel:
      return end.sending ? end.sending->OnReset() : end.receiving->OnForeign("reset");
    default:
      return end.sending ? end.sending->OnCredit(message.grant_credit().credit())
                         : end.receiving->OnForeign("credit");
  }
}

}  // namespace subject
