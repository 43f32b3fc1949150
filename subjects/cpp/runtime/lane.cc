#include "runtime/lane.h"

#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {

Lane::Lane(Attachment* attachment, Session* session, Connection* connection)
    : tracker(session->runtime().methods),
      attachment_(attachment),
      session_(session),
      connection_(connection),
      record_(attachment->record()) {
  record_.connection_id = connection->id();
}

Loop& Lane::loop() { return session_->runtime().loop; }

bool Lane::Congested() const { return attachment_->link->congested(); }

bool Lane::Fits(const wire::Message& message) const {
  wire::Message named;
  named.set_connection_id(connection_->id());
  return attachment_->Fits(message, named.ByteSizeLong());
}

bool Lane::Commit(wire::Message message) {
  if (sealed_) return false;
  message.set_connection_id(connection_->id());
  return attachment_->Commit(std::move(message));
}

void Lane::Announce(const Method& method, wire::BindingRole role, uint32_t field) {
  Announcer& announcer =
      Mutated("announces_once_for_all_connections") ? attachment_->root().announcer_ : announcer_;
  wire::Message message;
  *message.mutable_schema() = announcer.Missing(method, role, field);
  if (message.schema().bindings_size() > 0) Commit(std::move(message));
}

End Lane::MakeEnd(const Method& method, const ChannelArgument& argument, uint64_t id,
                  bool sending) {
  End end;
  if (sending) {
    end.sending = std::make_shared<SendingEnd>(this, &method, argument, id);
  } else {
    end.receiving = std::make_shared<ReceivingEnd>(this, &method, argument, id);
  }
  return ends[id] = end;
}

void Lane::DetachEnds() {
  for (auto& [id, end] : ends) {
    if (end.sending) end.sending->Detach();
    if (end.receiving) end.receiving->Detach();
  }
}

MaybeViolation Lane::Apply(const wire::Message& message) {
  switch (message.payload_case()) {
    case wire::Message::kSchema: {
      auto violation = tracker.Learn(message.schema());
      if (!violation) session_->callee().OnSchema(*this);
      return violation;
    }
    case wire::Message::kRequest:
      return session_->callee().OnRequest(*this, message.request());
    case wire::Message::kResponse:
      return connection_->caller().OnResponse(*this, message.response());
    case wire::Message::kCancelRequest:
      return session_->callee().OnCancel(*this, message.cancel_request().request_id());
    case wire::Message::kChannelItem:
      return ApplyToChannel(message, message.channel_item().channel_id());
    case wire::Message::kCloseChannel:
      return ApplyToChannel(message, message.close_channel().channel_id());
    case wire::Message::kResetChannel:
      return ApplyToChannel(message, message.reset_channel().channel_id());
    default:
      return ApplyToChannel(message, message.grant_credit().channel_id());
  }
}

MaybeViolation Lane::ApplyToChannel(const wire::Message& message, uint64_t id) {
  hushed |= message.has_reset_channel() && Mutated("answers_nobody_after_a_reset");
  const auto found = ends.find(id);
  if (found == ends.end()) {
    if (Mutated("ignores_unknown_channels") || Mutated("ignores_names_of_older_links")) {
      return std::nullopt;
    }
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
