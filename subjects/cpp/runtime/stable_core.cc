#include "runtime/stable_core.h"

#include <algorithm>
#include <utility>

#include "runtime/mutation.h"

namespace subject {
namespace {

// Half of what is allowed between two acks, and less than that.
constexpr uint32_t kFramesPerAck = 100;

// How far `seq` is ahead of `from`, by serial-number arithmetic; negative if behind.
int64_t Ahead(uint32_t seq, uint32_t from) {
  if (Mutated("stable_compares_numbers_plainly")) return int64_t{seq} - int64_t{from};
  return static_cast<int32_t>(seq - from);
}

Violation Broken(std::string text) {
  return {wire::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "stable.seq", std::move(text)};
}

}  // namespace

wire::StableFrame StableCore::Send(std::string_view item) {
  wire::StableData& data = kept_.emplace_back();
  data.set_seq(next_sent_++);
  data.set_item(std::string(item));
  ++sent_;
  if (Mutated("stable_skips_a_number") && sent_ == 5) ++next_sent_;
  wire::StableFrame frame;
  *frame.mutable_data() = data;
  Tell(*frame.mutable_data());
  return frame;
}

void StableCore::Tell(wire::StableData& data) {
  if (received_ == 0 || Mutated("stable_never_acknowledges")) return;
  data.set_ack(next_received_ - 1);
  untold_ = 0;
}

StableCore::Received StableCore::Receive(wire::StableFrame frame) {
  Received result;
  const bool acks = frame.has_ack() || frame.data().has_ack();
  const uint32_t ack = frame.has_ack() ? frame.ack().ack() : frame.data().ack();
  if (acks && !Acknowledged(ack) && !Mutated("stable_takes_acks_of_the_unsent")) {
    result.violation = Broken("an ack of " + std::to_string(ack) + ", which was never sent");
    return result;
  }
  if (!frame.has_data()) return result;
  wire::StableData& data = *frame.mutable_data();
  const int64_t ahead = Ahead(data.seq(), next_received_);
  const bool known = ahead < 0 && static_cast<uint64_t>(-ahead) <= received_;
  if (known) {
    if (Mutated("stable_delivers_duplicates")) result.item = std::move(*data.mutable_item());
    return result;  // r[stable.seq.monotonic]
  }
  if (ahead != 0 && !(ahead > 0 && Mutated("stable_takes_gaps"))) {
    result.violation = Broken("frame " + std::to_string(data.seq()) + " where " +
                              std::to_string(next_received_) + " was due");
    return result;
  }
  next_received_ = data.seq() + 1;
  ++received_;
  ++untold_;
  result.item = std::move(*data.mutable_item());
  return result;
}

std::optional<wire::StableFrame> StableCore::DueAck() {
  if (untold_ < kFramesPerAck || Mutated("stable_never_acknowledges")) return std::nullopt;
  untold_ = 0;
  wire::StableFrame frame;
  frame.mutable_ack()->set_ack(next_received_ - 1);
  return frame;
}

bool StableCore::Acknowledged(uint32_t seq) {
  const uint32_t oldest = next_sent_ - static_cast<uint32_t>(kept_.size());
  const int64_t ahead = Ahead(seq, oldest);
  if (ahead < 0) return static_cast<uint64_t>(-ahead) <= sent_ - kept_.size();  // told before
  if (static_cast<uint64_t>(ahead) >= kept_.size()) return false;
  if (!Mutated("stable_replays_what_was_acknowledged")) {
    kept_.erase(kept_.begin(), kept_.begin() + ahead + 1);
  }
  return true;
}

MaybeViolation StableCore::Resume(std::optional<uint32_t> their_last_received) {
  const bool acknowledged = sent_ > kept_.size();
  if (!their_last_received) {
    if (!acknowledged || Mutated("stable_takes_any_last_received")) return std::nullopt;
    return Broken("no last_received after an ack");
  }
  const uint32_t newest_acknowledged = next_sent_ - static_cast<uint32_t>(kept_.size()) - 1;
  const bool below = acknowledged && Ahead(*their_last_received, newest_acknowledged) < 0;
  if ((below || !Acknowledged(*their_last_received)) &&
      !Mutated("stable_takes_any_last_received")) {
    return Broken("last_received " + std::to_string(*their_last_received) +
                  (below ? " is below an earlier ack" : " was never sent"));
  }
  return std::nullopt;
}

std::vector<wire::StableFrame> StableCore::Unacknowledged() {
  if (Mutated("stable_numbers_anew_per_link")) {
    next_sent_ = first_sent_;
    for (wire::StableData& data : kept_) data.set_seq(next_sent_++);
  }
  std::vector<wire::StableFrame> frames;
  for (const wire::StableData& data : kept_) {
    wire::StableFrame& frame = frames.emplace_back();
    *frame.mutable_data() = data;
    Tell(*frame.mutable_data());
  }
  if (Mutated("stable_replays_out_of_order") && frames.size() > 2) {
    std::swap(frames[frames.size() - 1], frames[frames.size() - 2]);
  }
  if (Mutated("stable_takes_a_replay_for_received")) kept_.clear();
  return frames;
}

std::optional<uint32_t> StableCore::last_received() const {
  if (received_ == 0) return std::nullopt;
  return next_received_ - 1;
}

}  // namespace subject
