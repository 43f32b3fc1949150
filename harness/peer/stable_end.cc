#include "harness/peer/stable_end.h"

#include <utility>

namespace counterpart::peer {
namespace {

// One is due at least every 256.
constexpr uint32_t kAckEvery = 200;

}  // namespace

wire::v1::StableFrame StableEnd::Wrap(const wire::v1::StableData& kept) const {
  wire::v1::StableFrame frame;
  *frame.mutable_data() = kept;
  if (received_ > 0) frame.mutable_data()->set_ack(due_ - 1);
  return frame;
}

wire::v1::StableFrame StableEnd::Send(std::string item) {
  wire::v1::StableData& kept = kept_.emplace_back();
  kept.set_seq(next_++);
  kept.set_item(std::move(item));
  since_ack_ = 0;
  return Wrap(kept);
}

std::string StableEnd::OnAck(uint32_t ack) {
  const uint32_t oldest = next_ - static_cast<uint32_t>(kept_.size());
  const int64_t covers = int64_t{SerialDistance(ack, oldest)} + 1;
  if (covers <= 0) {  // told before
    const bool sent = static_cast<uint64_t>(-covers) < acknowledged_;
    return sent ? "" : "acknowledges " + std::to_string(ack) + ", which was never sent";
  }
  if (static_cast<uint64_t>(covers) > kept_.size()) {
    return "acknowledges " + std::to_string(ack) + ", which was never sent";
  }
  kept_.erase(kept_.begin(), kept_.begin() + covers);
  acknowledged_ += static_cast<uint64_t>(covers);
  return "";
}

StableEnd::Reception StableEnd::Receive(const wire::v1::StableFrame& frame) {
  Reception reception;
  if (frame.has_ack()) {
    reception.broken = OnAck(frame.ack().ack());
    return reception;
  }
  const wire::v1::StableData& data = frame.data();
  if (data.has_ack()) reception.broken = OnAck(data.ack());
  if (!reception.broken.empty()) return reception;
  const int64_t ahead = SerialDistance(data.seq(), due_);
  if (ahead < 0 && static_cast<uint64_t>(-ahead) <= received_) return reception;
  if (ahead != 0) {
    reception.broken =
        "has number " + std::to_string(data.seq()) + " where " + std::to_string(due_) + " is due";
    return reception;
  }
  ++due_;
  ++received_;
  ++since_ack_;
  reception.item = data.item();
  return reception;
}

std::optional<wire::v1::StableFrame> StableEnd::AckIfDue() {
  if (since_ack_ < kAckEvery) return std::nullopt;
  since_ack_ = 0;
  wire::v1::StableFrame frame;
  frame.mutable_ack()->set_ack(due_ - 1);
  return frame;
}

std::string StableEnd::Resume(const std::optional<uint32_t>& their_last_received) {
  if (!their_last_received) {
    return acknowledged_ == 0 ? "" : "has received nothing, after an ack";
  }
  const uint32_t oldest = next_ - static_cast<uint32_t>(kept_.size());
  if (acknowledged_ > 0 && SerialDistance(*their_last_received, oldest - 1) < 0) {
    return "has last received " + std::to_string(*their_last_received) +
           ", which is below an earlier ack";
  }
  return OnAck(*their_last_received);
}

std::vector<wire::v1::StableFrame> StableEnd::Unacknowledged() const {
  std::vector<wire::v1::StableFrame> frames;
  for (const wire::v1::StableData& kept : kept_) frames.push_back(Wrap(kept));
  return frames;
}

}  // namespace counterpart::peer
