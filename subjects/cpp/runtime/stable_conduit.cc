#include "runtime/stable_conduit.h"

#include <utility>

#include "runtime/mutation.h"

namespace subject {

void StableConduit::Carry(std::shared_ptr<Link> link, const std::string& presented_key) {
  const bool server = resume_key.empty();
  const bool again = core_.last_received().has_value() || !presented_key.empty();
  link_ = std::move(link);
  presented_ = presented_key;
  unsent_ = 0;
  link_->set_limit(limit_);
  link_->set_user(shared_from_this());
  set_on_drained(on_drained_);
  const bool forgets =
      Mutated(server ? "stable_server_replays_nothing" : "stable_client_replays_nothing");
  if (!forgets || !again) {
    // r[stable.replay-buffer.order]
    for (const wire::StableFrame& frame : core_.Unacknowledged()) {
      link_->Write(frame.SerializeAsString());
    }
  }
  if (again && on_changed) on_changed();
  if (on_drained_ && !congested()) on_drained_();
}

void StableConduit::Drop() {
  if (link_ != nullptr) std::exchange(link_, nullptr)->Close();
}

void StableConduit::Fail(const Violation& violation) {
  if (const auto user = user_) user->OnViolation(violation);
  Close();
}

void StableConduit::set_limit(uint32_t limit) {
  limit_ = limit;
  if (link_ != nullptr) link_->set_limit(limit);
}

void StableConduit::set_on_drained(std::function<void()> drained) {
  on_drained_ = std::move(drained);
  if (link_ == nullptr) return;
  link_->set_on_drained([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->on_drained_) self->on_drained_();
  });
}

void StableConduit::Write(std::string_view payload) {
  if (!open_) return;
  const std::string frame = core_.Send(payload).SerializeAsString();
  if (link_ != nullptr) {
    link_->Write(frame);
  } else {
    unsent_ += frame.size();
  }
}

void StableConduit::Finish() {
  open_ = false;
  when_lost = nullptr;
  const auto user = std::exchange(user_, nullptr);
  if (link_ != nullptr) std::exchange(link_, nullptr)->Finish();
}

void StableConduit::Close() {
  open_ = false;
  when_lost = nullptr;
  const auto user = std::exchange(user_, nullptr);
  Drop();
}

void StableConduit::OnPayload(const std::string& payload) {
  if (!presented_.empty()) {  // r[stable.resume-key]: the first frame retires the key
    presented_.clear();
    current_key = std::exchange(successor_key, "");
  }
  const auto frame = DecodeEnvelope<wire::StableFrame>(payload);
  const auto user = user_;
  if (user == nullptr) return;
  if (!frame) {
    return user->OnViolation({wire::PROTOCOL_ERROR_CODE_MALFORMED, "wire.envelope",
                              "not a StableFrame with a known member"});
  }
  const StableCore::Received received = core_.Receive(*frame);
  if (received.violation) return user->OnViolation(*received.violation);
  if (const auto ack = core_.DueAck(); ack && link_ != nullptr) {
    link_->Write(ack->SerializeAsString());
  }
  if (received.item) user->OnPayload(*received.item);
}

void StableConduit::OnOversize() {
  if (const auto user = user_) user->OnOversize();
}

void StableConduit::OnLost() {
  link_ = nullptr;
  const bool given_up =
      !core_.last_received().has_value() && Mutated("stable_gives_up_a_conduit_nothing_came_over");
  if (when_lost && !given_up) return when_lost();
  open_ = false;
  if (const auto user = std::exchange(user_, nullptr)) user->OnLost();
}

}  // namespace subject
