#include "runtime/attachment.h"

#include <iostream>
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

void LogMetadata(const google::protobuf::RepeatedPtrField<wire::MetadataEntry>& entries) {
  if (!Mutated("logs_metadata")) return;
  for (const auto& entry : entries) std::cerr << entry.key() << ": " << entry.value() << "\n";
}

Attachment::Attachment(Session* session, std::shared_ptr<Conduit> link, uint32_t peer_max_payload)
    : link(std::move(link)),
      session_(session),
      record_(session->record()),
      peer_max_payload_(peer_max_payload) {
  AddLane(&session->connections().root());
  this->link->set_on_drained([this] {  // the link drops this before the attachment goes
    for (auto& [connection, lane] : lanes_) {
      for (auto& [id, end] : lane->ends) {
        if (end.sending) end.sending->OnDrained();
      }
    }
  });
}

Attachment::~Attachment() { link->set_on_drained(nullptr); }

Lane& Attachment::AddLane(Connection* connection) {
  return *(lanes_[connection->id()] = std::make_shared<Lane>(this, session_, connection));
}

std::shared_ptr<Lane> Attachment::TakeLane(uint64_t connection) {
  auto lane = lanes_.extract(connection);
  return lane.empty() ? nullptr : std::move(lane.mapped());
}

Lane* Attachment::FindLane(uint64_t connection) {
  const auto lane = lanes_.find(connection);
  return lane == lanes_.end() ? nullptr : lane->second.get();
}

bool Attachment::Fits(const wire::Message& message, size_t added) const {
  return message.ByteSizeLong() + link->overhead() + added <= peer_max_payload_ ||
         Mutated("sends_over_the_limit");
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

void Attachment::OnPayload(const std::string& payload) {
  const auto message = DecodeEnvelope<wire::Message>(payload);
  if (!message) {
    if (Mutated("skips_malformed_payloads")) return;
    if (Mutated(payload.empty() ? "skips_empty_payloads" : "skips_undecodable_payloads")) return;
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

void Attachment::OnViolation(const Violation& violation) { session_->Violated(violation); }

void Attachment::OnLost() { session_->LinkLost(this); }

MaybeViolation Attachment::Apply(const wire::Message& message) {
  if (message.connection_id() != 0) return session_->connections().Apply(message);
  switch (message.payload_case()) {
    case wire::Message::kProtocolError:
      session_->ToldOfViolation(message.protocol_error());
      return std::nullopt;
    case wire::Message::kPing: {  // r[session.keepalive]
      if (Mutated("silent_on_ping_while_calls_block") &&
          !(root().incoming.empty() && root().outgoing.empty())) {
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
    case wire::Message::kCloseConnection:
      if (Mutated("ignores_who_closes_the_root")) return std::nullopt;
      return BadConnection("connection.root", "connection 0 cannot be closed");
    case wire::Message::kOpenConnection:
    case wire::Message::kAcceptConnection:
    case wire::Message::kRejectConnection:
      if (Mutated("ignores_who_opens_the_root")) return std::nullopt;
      return BadConnection("connection.open", "connection 0 cannot be opened");
    default:
      return root().Apply(message);
  }
}

}  // namespace subject
