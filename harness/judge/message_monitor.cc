// What holds for every Message: where it may be said, last words, Ping and Pong.
#include <deque>
#include <map>

#include "harness/judge/judge.h"
#include "harness/peer/reading.h"

namespace counterpart::judge {
namespace {

using wire::v1::Message;

class MessageMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.message == nullptr) return;
    const Message& message = *frame.message;
    const std::string kind = peer::KindOf(message);
    bool& last_sent = link.last_sent[Index(frame.from)];
    if (last_sent) {
      judge.Violation(last_rule_[link.link * 2 + Index(frame.from)], frame.from,
                      "sent " + kind + " after its last message", &frame);
      return;
    }
    // r[session.message.connection-id]
    if (message.has_ping() || message.has_pong() || message.has_protocol_error() ||
        message.has_goodbye()) {
      if (message.connection_id() != 0) {
        judge.Violation(
            "session.message.connection-id", frame.from,
            "sent " + kind + " on connection " + std::to_string(message.connection_id()), &frame);
      } else {
        judge.Held("session.message.connection-id");
      }
    }
    if (message.has_goodbye() || message.has_protocol_error()) {
      last_sent = true;
      last_rule_[link.link * 2 + Index(frame.from)] =
          message.has_goodbye() ? "session.goodbye" : "session.protocol-error.delivery";
    }
    std::deque<uint64_t>& pings = pings_[link.link * 2 + Index(Other(frame.from))];
    if (message.has_ping()) {
      pings_[link.link * 2 + Index(frame.from)].push_back(message.ping().nonce());
    } else if (message.has_pong()) {
      if (pings.empty() || pings.front() != message.pong().nonce()) {
        judge.Violation(
            "session.keepalive", frame.from,
            "sent Pong " + std::to_string(message.pong().nonce()) +
                (pings.empty() ? " to no Ping" : ", not " + std::to_string(pings.front())),
            &frame);
        return;
      }
      pings.pop_front();
      judge.Held("session.keepalive");
    }
  }

 private:
  std::map<uint32_t, std::string> last_rule_;
  std::map<uint32_t, std::deque<uint64_t>> pings_;  // unanswered, by link and side
};

}  // namespace

std::unique_ptr<Monitor> NewMessageMonitor() { return std::make_unique<MessageMonitor>(); }

}  // namespace counterpart::judge
