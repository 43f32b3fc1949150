#include "runtime/channel.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/mutation.h"

namespace subject {

void ChannelEndBase::Changed() {
  for (auto& wake : std::exchange(waiting_, {})) loop_.Post(std::move(wake));
}

Violation ChannelEndBase::Wrong(wire::ProtocolErrorCode code, std::string rule,
                                const std::string& what) const {
  return {code, std::move(rule),
          what + " on channel " + std::to_string(id_) + " in " + std::string(machine_.state())};
}

// ------------------------------------------------------------------ sending end

// Its receiver may have reset it before any handler had it: there is no end left to take then.
void SendingEnd::Bind() {
  if (machine_.Allows("bind") || Mutated("binds_an_end_that_was_reset")) Step("bind");
}

// r[rpc.flow-control.credit.initial]
uint32_t SendingEnd::FirstCredit(const ChannelArgument& argument) {
  return argument.initial_credit / (Mutated("starts_with_half_the_credit") ? 2 : 1);
}

EndStatus SendingEnd::status() const {
  if (late_reset_ && Mutated("forgets_that_it_was_reset")) return EndStatus::kReset;
  if (machine_.Is("Reset")) return EndStatus::kReset;
  if (machine_.Is("Defunct")) return EndStatus::kDefunct;
  return machine_.Is("Closed") ? EndStatus::kClosed : EndStatus::kOpen;
}

Sent SendingEnd::Send(const std::string& item) {
  if (host_ == nullptr || Ended()) return Sent::kOver;
  if (late_reset_ && Mutated("forgets_that_it_was_reset")) return Sent::kOver;
  if (skip_ > 0) {
    --skip_;
    return Sent::kAccepted;
  }
  wire::Message message;
  message.mutable_channel_item()->set_channel_id(id_);
  message.mutable_channel_item()->set_item(item);
  if (!host_->Fits(message)) return Sent::kTooLarge;  // costs nothing: it is never sent
  if (!machine_.Is("Open") || host_->Congested()) return Sent::kNotNow;
  if (credit_ == 0 && Mutated("fails_sends_without_credit")) return Sent::kOver;
  if (credit_ == 0 && !Mutated("over_credit")) return Sent::kNotNow;
  host_->Announce(*method_, wire::BINDING_ROLE_CHANNEL, argument_.field_number);
  if (credit_ > 0) --credit_;  // r[rpc.flow-control.credit.spend]
  ++sent_;
  Step("item");
  host_->Commit(std::move(message));
  return Sent::kAccepted;
}

void SendingEnd::SendClose(bool aborted) {
  Step(aborted ? "abort" : "close");
  wire::Message message;
  message.mutable_close_channel()->set_channel_id(id_);
  message.mutable_close_channel()->set_aborted(aborted);
  host_->Commit(std::move(message));
  if (Mutated("item_after_close")) {
    host_->Announce(*method_, wire::BINDING_ROLE_CHANNEL, argument_.field_number);
    wire::Message late;
    late.mutable_channel_item()->set_channel_id(id_);
    host_->Commit(std::move(late));
  }
  Changed();
}

void SendingEnd::Close() {
  if (credit_ == 0 && Mutated("pays_for_a_close")) return;
  if (late_reset_ && Mutated("forgets_that_it_was_reset")) return;
  if (host_ != nullptr && machine_.Allows("close")) SendClose(false);
}

void SendingEnd::Abort() {
  if (host_ != nullptr && machine_.Allows("abort")) SendClose(true);
}

void SendingEnd::Detach() {
  host_ = nullptr;
  if (!machine_.Allows("detach")) return;
  Step("detach");
  Changed();
}

MaybeViolation SendingEnd::OnCredit(uint32_t credit) {
  if (machine_.Is("Closed")) {  // crossed our close
    Step("late_credit");
    record_.Discard("grant_credit", "rpc.channel.ends", id_);
    return std::nullopt;
  }
  if (!Step("credit")) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends", "credit");
  }
  if (credit > std::numeric_limits<uint32_t>::max() - credit_ && !Mutated("credit_wraps_around")) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_CREDIT_OVERFLOW, "rpc.flow-control.credit.overflow",
                 "credit");
  }
  credit_ += Mutated("takes_every_grant_for_one") ? 1 : credit;
  Changed();
  return std::nullopt;
}

MaybeViolation SendingEnd::OnReset() {
  if (Mutated("ignores_reset")) return std::nullopt;
  if (Mutated("forgets_that_it_was_reset")) {  // stops, and stays Open
    late_reset_ = true;
    Changed();
    return std::nullopt;
  }
  if (machine_.Is("Closed") && !Mutated("refuses_what_has_crossed") &&
      !std::exchange(late_reset_, true)) {
    Step("late_reset");
    record_.Discard("reset_channel", "rpc.channel.ends", id_);
    return std::nullopt;
  }
  if (machine_.Is("Closed") || !Step("reset")) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends", "reset");
  }
  Changed();
  return std::nullopt;
}

MaybeViolation SendingEnd::OnForeign(const char* what) {
  if (Mutated("ignores_messages_towards_the_wrong_end")) return std::nullopt;
  return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends", what);
}

// ------------------------------------------------------------------ receiving end

bool ReceivingEnd::Take(std::string& item) {
  if (machine_.Is("Reserved") || machine_.Is("ReservedClosing")) return false;  // not bound
  if (items_.empty() || machine_.Is("Reset")) return false;
  item = std::move(items_.front());
  items_.pop_front();
  ++taken_;
  DeliveredAll();
  // Granted anew once half of the initial credit is used up.
  const uint32_t enough =
      Mutated("canary_grants_one_by_one") ? argument_.initial_credit : argument_.initial_credit / 2;
  if (host_ != nullptr && machine_.Is("Open") && outstanding_ <= enough &&
      argument_.initial_credit > 0) {
    Grant(taken_);
  }
  return true;
}

EndStatus ReceivingEnd::status() const {
  if (machine_.Is("Reset") || let_go_) return EndStatus::kReset;
  if (!items_.empty()) return EndStatus::kOpen;
  if (closed_) return aborted_ ? EndStatus::kAborted : EndStatus::kClosed;
  if (machine_.Is("Defunct") && !any_ && Mutated("takes_a_cut_for_the_end_of_an_empty_stream")) {
    return EndStatus::kClosed;
  }
  return machine_.Is("Defunct") ? EndStatus::kDefunct : EndStatus::kOpen;
}

void ReceivingEnd::OnItemOrEnd(std::function<void()> wake) {
  OnChange(std::move(wake));
  if (host_ != nullptr && machine_.Is("Open") && items_.empty() && outstanding_ == 0 &&
      !Mutated("grants_nothing_to_who_waits")) {
    Grant(std::max<uint32_t>(taken_, 1));
  }
}

void ReceivingEnd::Grant(uint32_t credit) {
  taken_ = 0;
  outstanding_ += credit;
  Step("credit");
  wire::Message message;
  message.mutable_grant_credit()->set_channel_id(id_);
  message.mutable_grant_credit()->set_credit(credit);
  host_->Commit(std::move(message));
}

void ReceivingEnd::DeliveredAll() {
  if (machine_.Is("Closing") && items_.empty()) Step("delivered_all");
}

void ReceivingEnd::LetGo(const char* rule) {
  let_go_ = true;
  if (items_.empty()) return;
  record_.Discard("channel_item", rule, id_, items_.size());
  items_.clear();
}

void ReceivingEnd::Abandon() {
  if (host_ != nullptr || !machine_.Allows("reset")) return;
  Step("reset");
  LetGo("rpc.channel.abandon");
  Changed();
}

void ReceivingEnd::Reset() {
  if (machine_.Is("Defunct")) {  // nobody to tell, and no state to go to: only what is kept here
    LetGo("rpc.channel.detach.buffered");
    Changed();
    return;
  }
  if (!machine_.Allows("reset")) return;
  // r[rpc.channel.reset]: after its close, nothing is sent; nor where the link is gone.
  const bool tell = !closed_ && host_ != nullptr;
  Step("reset");
  LetGo("rpc.channel.reset");
  if (tell) {
    wire::Message message;
    message.mutable_reset_channel()->set_channel_id(id_);
    host_->Commit(std::move(message));
  }
  Changed();
}

void ReceivingEnd::Detach() {
  host_ = nullptr;
  if (!machine_.Allows("detach")) return;
  Step("detach");  // r[rpc.channel.detach.buffered]: items_ stay
  Changed();
}

MaybeViolation ReceivingEnd::OnItem(const std::string& item, bool bound) {
  const bool late = machine_.Is("Reset");
  if (closed_ && Mutated("accepts_item_after_close")) return std::nullopt;
  if (closed_ || late_close_ || !machine_.Allows(late ? "late_item" : "item")) {
    Step("item");  // r[rpc.channel.data-after-close]
    return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.data-after-close", "item");
  }
  if (!bound) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required", "item");
  }
  if (outstanding_ == 0 && !Mutated("accepts_over_credit")) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED, "rpc.flow-control.credit.exceeded",
                 "item");
  }
  if (outstanding_ > 0) --outstanding_;
  Step(late ? "late_item" : "item");
  if (late) {
    record_.Discard("channel_item", "rpc.channel.ends", id_);
    return std::nullopt;
  }
  if (Mutated("drops_item_when_queue_is_full") && items_.size() > argument_.initial_credit / 2) {
    return std::nullopt;
  }
  if (Mutated("drops_items_before_binding") && machine_.Is("Reserved")) return std::nullopt;
  items_.push_back(item);
  any_ = true;
  if (!Mutated("wakes_consumer_at_the_end_only")) Changed();
  return std::nullopt;
}

MaybeViolation ReceivingEnd::OnClose(bool aborted) {
  const bool late = machine_.Is("Reset") && !closed_;
  if (late && !Mutated("refuses_what_has_crossed") && !std::exchange(late_close_, true)) {
    Step("late_close");
    record_.Discard("close_channel", "rpc.channel.ends", id_);
    return std::nullopt;
  }
  if (closed_ && Mutated("ignores_second_close")) return std::nullopt;
  if (late || closed_ || !Step("close")) {
    return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends", "close");
  }
  closed_ = true;
  aborted_ = aborted && !Mutated("takes_aborted_for_the_end");
  DeliveredAll();
  Changed();
  return std::nullopt;
}

MaybeViolation ReceivingEnd::OnForeign(const char* what) {
  if (Mutated("ignores_messages_towards_the_wrong_end")) return std::nullopt;
  return Wrong(wire::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends", what);
}

}  // namespace subject
