// One end of a stable conduit, as numbers and frames alone: what is sent is numbered and kept until
// it is acknowledged, what is received is taken once and in order. Knows no link.  r[stable.seq]
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/wire.h"

namespace subject {

class StableCore {
 public:
  // Numbers of the first frame each way, as the two hellos announced them.
  StableCore(uint32_t first_sent, uint32_t first_received)
      : first_sent_(first_sent), next_sent_(first_sent), next_received_(first_received) {}

  // The next frame; it is kept.  r[stable.seq.monotonic]
  wire::StableFrame Send(std::string_view item);

  // What a frame brings: an item, nothing (an ack, or a number that was received already), or the
  // rule it breaks.
  struct Received {
    std::optional<std::string> item;
    MaybeViolation violation;
  };
  Received Receive(wire::StableFrame frame);

  // A StableAck, where so much was received since the last ack that one is due.
  std::optional<wire::StableFrame> DueAck();

  // A new link: what the counterpart has received by then needs no replay.  r[stable.ack.trim]
  MaybeViolation Resume(std::optional<uint32_t> their_last_received);
  // What is still to be acknowledged, in order.  r[stable.replay-buffer.order]
  std::vector<wire::StableFrame> Unacknowledged();

  uint32_t first_sent() const { return first_sent_; }
  // Nothing, as long as nothing was received.
  std::optional<uint32_t> last_received() const;

 private:
  // Forgets what is acknowledged; false if that was never sent.
  bool Acknowledged(uint32_t seq);
  void Tell(wire::StableData& data);

  const uint32_t first_sent_;
  uint32_t next_sent_, next_received_;
  uint64_t sent_ = 0, received_ = 0;  // frames in all, to tell what was from what never was
  std::deque<wire::StableData> kept_;
  uint32_t untold_ = 0;  // received since the last ack
};

}  // namespace subject
