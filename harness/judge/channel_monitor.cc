// Channels on the wire: allocation, credit, closing, resetting, and nothing across generations.
//
// What one side may still send depends on what it has read, which the wire does not show. A Pong
// does: everything sent before its Ping has been applied. So "at once" is judged after that fence.
#include <map>
#include <set>
#include <tuple>

#include "harness/judge/judge.h"
#include "harness/peer/testbed.h"

namespace counterpart::judge {
namespace {

struct Channel {
  uint32_t link = 0;
  Side sender = Side::kHarness;
  uint64_t credit = 0;  // granted in all, as the sender can know it at most
  uint64_t items = 0;
  bool closed = false;
  bool reset = false;
  // Pongs of that side beyond this count prove that it has applied the close or the reset.
  uint64_t close_fence = 0, reset_fence = 0;
};

class ChannelMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.message == nullptr) return;
    const auto& message = *frame.message;
    const uint32_t here = link.link * 2 + Index(frame.from);
    if (message.has_ping()) ++pings_[here];
    if (message.has_pong()) ++pongs_[here];
    if (message.has_request()) OnRequest(frame, link, judge);
    if (message.has_channel_item()) {
      if (Channel* channel = Find(frame, link, message.channel_item().channel_id(), judge)) {
        OnItem(frame, *channel, message.channel_item().channel_id(), judge);
      }
    }
    if (message.has_close_channel()) {
      if (Channel* channel = Find(frame, link, message.close_channel().channel_id(), judge)) {
        OnClose(frame, link, *channel, message.close_channel().channel_id(), judge);
      }
    }
    if (message.has_reset_channel()) {
      if (Channel* channel = Find(frame, link, message.reset_channel().channel_id(), judge)) {
        OnReset(frame, link, *channel, message.reset_channel().channel_id(), judge);
      }
    }
    if (message.has_grant_credit()) {
      if (Channel* channel = Find(frame, link, message.grant_credit().channel_id(), judge)) {
        OnCredit(frame, link, *channel, message.grant_credit(), judge);
      }
    }
  }

 private:
  void OnRequest(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const auto& request = frame.message->request();
    const peer::Method* method = peer::FindMethod(request.method());
    if (method == nullptr) return;
    const uint64_t connection = frame.message->connection_id();
    uint64_t& last = last_id_[{link.session_id, frame.from, connection}];
    const char* parity = connection == 0 ? "rpc.channel.allocation" : "connection.parity";
    uint32_t last_field = 0;
    for (const auto& ref : request.channels()) {
      const peer::ChannelArgument* argument = method->Channel(ref.field_number());
      const uint64_t id = ref.channel_id();
      if (argument == nullptr || ref.field_number() <= last_field) {
        judge.Violation("rpc.channel.allocation", frame.from,
                        "bound channel " + std::to_string(id) + " to field " +
                            std::to_string(ref.field_number()) +
                            ", out of order or no channel argument",
                        &frame);
        continue;
      }
      last_field = ref.field_number();
      if (id == 0 || (id % 2 == 1) != judge.Odd(link, frame.from, connection)) {
        judge.Violation(parity, frame.from,
                        "allocated channel id " + std::to_string(id) + " of the wrong parity",
                        &frame);
      } else if (id <= last) {
        judge.Violation(
            "rpc.id.monotone", frame.from,
            "allocated channel id " + std::to_string(id) + " after " + std::to_string(last),
            &frame);
      } else {
        judge.Held("rpc.channel.allocation");
        judge.Held(parity);
      }
      last = std::max(last, id);
      Channel& channel = channels_[{link.session_id, connection, id}];
      channel = Channel{};
      channel.link = link.link;
      channel.sender = argument->to_callee ? frame.from : Other(frame.from);
      channel.credit = argument->initial_credit;
    }
    if (request.channels_size() != static_cast<int>(method->channels.size())) {
      judge.Violation("rpc.channel.allocation", frame.from,
                      "sent a Request with " + std::to_string(request.channels_size()) +
                          " channels for a method of " + std::to_string(method->channels.size()),
                      &frame);
    }
  }

  Channel* Find(const ObservedFrame& frame, const LinkContext& link, uint64_t id, Judge& judge) {
    const auto found = channels_.find({link.session_id, frame.message->connection_id(), id});
    if (found == channels_.end()) {
      judge.Violation("rpc.channel.unknown", frame.from,
                      "named channel " + std::to_string(id) + ", which was never allocated",
                      &frame);
      return nullptr;
    }
    if (found->second.link != link.link) {
      judge.Violation("session.resume.discard", frame.from,
                      "named channel " + std::to_string(id) + " of an older attachment", &frame);
      return nullptr;
    }
    return &found->second;
  }

  // Whether `side` has certainly applied what was fenced at `fence`.
  bool Past(uint64_t fence, Side side, const Channel& channel) const {
    const auto pongs = pongs_.find(channel.link * 2 + Index(side));
    return pongs != pongs_.end() && pongs->second > fence;
  }
  uint64_t FenceNow(Side pinger, uint32_t link) { return pings_[link * 2 + Index(pinger)]; }

  bool SenderMayStillSend(const ObservedFrame& frame, const Channel& channel, uint64_t id,
                          const char* what, Judge& judge) {
    const std::string name = "channel " + std::to_string(id);
    if (frame.from != channel.sender) {
      judge.Violation("rpc.channel.ends", frame.from,
                      std::string("sent ") + what + " on " + name + ", whose receiver it is",
                      &frame);
      return false;
    }
    if (channel.closed) {
      judge.Violation("rpc.channel.close", frame.from,
                      std::string("sent ") + what + " on " + name + " after its CloseChannel",
                      &frame);
      return false;
    }
    if (channel.reset) {
      if (Past(channel.reset_fence, frame.from, channel)) {
        judge.Violation("rpc.channel.reset", frame.from,
                        std::string("sent ") + what + " on " + name +
                            " after it had applied its reset (Pong to a later Ping)",
                        &frame);
        return false;
      }
    }
    return true;
  }

  void OnItem(const ObservedFrame& frame, Channel& channel, uint64_t id, Judge& judge) {
    if (!SenderMayStillSend(frame, channel, id, "an item", judge)) return;
    if (++channel.items > channel.credit) {
      judge.Violation("rpc.flow-control.credit", frame.from,
                      "sent item " + std::to_string(channel.items) + " on channel " +
                          std::to_string(id) + " with credit for " + std::to_string(channel.credit),
                      &frame);
      return;
    }
    judge.Held("rpc.flow-control.credit.spend");
    if (channel.items == channel.credit) judge.Held("rpc.flow-control.credit");
  }

  void OnClose(const ObservedFrame& frame, const LinkContext& link, Channel& channel, uint64_t id,
               Judge& judge) {
    if (!SenderMayStillSend(frame, channel, id, "CloseChannel", judge)) return;
    channel.closed = true;
    channel.close_fence = FenceNow(frame.from, link.link);
    judge.Held("rpc.channel.close");
  }

  void OnReset(const ObservedFrame& frame, const LinkContext& link, Channel& channel, uint64_t id,
               Judge& judge) {
    if (!ReceiverMaySpeak(frame, channel, id, "ResetChannel", judge)) return;
    channel.reset = true;
    channel.reset_fence = FenceNow(frame.from, link.link);
    judge.Held("rpc.channel.reset");
  }

  bool ReceiverMaySpeak(const ObservedFrame& frame, const Channel& channel, uint64_t id,
                        const char* what, Judge& judge) {
    const std::string name = "channel " + std::to_string(id);
    if (frame.from == channel.sender) {
      judge.Violation("rpc.channel.ends", frame.from,
                      std::string("sent ") + what + " on " + name + ", whose sender it is", &frame);
      return false;
    }
    if (channel.reset) {
      judge.Violation("rpc.channel.ends", frame.from,
                      std::string("sent ") + what + " on " + name + " after its ResetChannel",
                      &frame);
      return false;
    }
    if (channel.closed && Past(channel.close_fence, frame.from, channel)) {
      judge.Violation("rpc.channel.ends", frame.from,
                      std::string("sent ") + what + " on " + name +
                          " after it had applied the close (Pong to a later Ping)",
                      &frame);
      return false;
    }
    return true;
  }

  void OnCredit(const ObservedFrame& frame, const LinkContext&, Channel& channel,
                const wire::v1::GrantCredit& grant, Judge& judge) {
    if (!ReceiverMaySpeak(frame, channel, grant.channel_id(), "GrantCredit", judge)) return;
    channel.credit += grant.credit();
    if (channel.credit - channel.items > UINT32_MAX) {
      judge.Violation(
          "rpc.flow-control.credit.overflow", frame.from,
          "granted more than a u32 of credit on channel " + std::to_string(grant.channel_id()),
          &frame);
      return;
    }
    judge.Held("rpc.flow-control.credit.grant");
  }

  std::map<std::tuple<std::string, uint64_t, uint64_t>, Channel> channels_;  // session, connection
  std::map<std::tuple<std::string, Side, uint64_t>, uint64_t> last_id_;      // and connection
  std::map<uint32_t, uint64_t> pings_, pongs_;                               // by link and side
};

}  // namespace

std::unique_ptr<Monitor> NewChannelMonitor() { return std::make_unique<ChannelMonitor>(); }

}  // namespace counterpart::judge
