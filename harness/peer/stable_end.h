// The harness's end of a stable conduit, as numbers and frames alone: it numbers and keeps what is
// sent, tells what is new of what is received, and says of a frame which rule it breaks. No link,
// no clock.  r[stable.seq]
#ifndef COUNTERPART_PEER_STABLE_END_H_
#define COUNTERPART_PEER_STABLE_END_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"

namespace counterpart::peer {

// By serial-number arithmetic: how far `number` is ahead of `from`, negative if it is behind.
inline int32_t SerialDistance(uint32_t number, uint32_t from) {
  return static_cast<int32_t>(number - from);
}

// What a ClientHello or a ServerHello says that its sender has last received.
template <class Hello>
std::optional<uint32_t> LastReceived(const Hello& hello) {
  if (!hello.has_last_received()) return std::nullopt;
  return hello.last_received();
}

class StableEnd {
 public:
  // What both hellos announced for the first frame: ours, and theirs.
  StableEnd(uint32_t first, uint32_t their_first)
      : next_(first), first_(first), due_(their_first) {}

  // Numbers an item and keeps it. The frame carries the newest ack.
  wire::v1::StableFrame Send(std::string item);

  struct Reception {
    std::optional<std::string> item;  // new
    std::string broken;               // what is wrong with the frame; "" if nothing is
  };
  Reception Receive(const wire::v1::StableFrame& frame);

  // A StableAck as soon as enough was received without one.
  std::optional<wire::v1::StableFrame> AckIfDue();

  // Of the other side's hello on a new link: "" or what is wrong with it.
  std::string Resume(const std::optional<uint32_t>& their_last_received);
  // In order, with their numbers.
  std::vector<wire::v1::StableFrame> Unacknowledged() const;

  uint32_t first() const { return first_; }
  uint32_t next() const { return next_; }  // number of the next frame
  uint32_t due() const { return due_; }    // number that is to be received next
  size_t unacknowledged() const { return kept_.size(); }
  std::optional<uint32_t> last_received() const {
    return received_ == 0 ? std::nullopt : std::optional<uint32_t>(due_ - 1);
  }

 private:
  std::string OnAck(uint32_t ack);
  wire::v1::StableFrame Wrap(const wire::v1::StableData& kept) const;

  uint32_t next_, first_, due_;
  uint64_t acknowledged_ = 0, received_ = 0;  // frames in all
  uint32_t since_ack_ = 0;
  std::deque<wire::v1::StableData> kept_;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_STABLE_END_H_
