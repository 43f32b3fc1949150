// What holds for every Message: where it may be said, last words, Ping and Pong, and what a Pong
// says of the requests before its Ping.
#include <deque>
#include <map>
#include <set>

#include "harness/judge/judge.h"
#include "harness/peer/reading.h"

namespace counterpart::judge {
namespace {

using wire::v1::Message;

// Whether an attempt that is answered so was refused when it was read. (A mismatch may be found
// later, when what follows the Request announces the type.)
bool IsRefusal(const wire::v1::Response& response) {
  switch (response.runtime_error().code()) {
    case wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD:
    case wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD:
    case wire::v1::RUNTIME_ERROR_CODE_OPERATION_CONFLICT:
    case wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED:
      return true;
    default:
      return false;
  }
}

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
    if (frame.from == Side::kSubject) {
      if (message.has_response()) OnResponse(frame, link, judge);
    } else if (message.has_request()) {
      requests_[link.link].insert(message.request().request_id());
    }
    std::deque<uint64_t>& pings = pings_[link.link * 2 + Index(Other(frame.from))];
    if (message.has_ping()) {
      pings_[link.link * 2 + Index(frame.from)].push_back(message.ping().nonce());
      if (frame.from == Side::kHarness) {
        fenced_[link.link].insert(requests_[link.link].begin(), requests_[link.link].end());
      }
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
      if (frame.from == Side::kSubject && pings.empty()) {
        passed_[link.link].merge(fenced_[link.link]);
      }
    }
  }

 private:
  // r[session.keepalive.fence]: of what came before a Ping the refusals come before its Pong.
  void OnResponse(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const uint64_t id = frame.message->response().request_id();
    requests_[link.link].erase(id);
    const bool fenced = fenced_[link.link].erase(id) > 0;
    if (!IsRefusal(frame.message->response())) return;
    if (passed_[link.link].contains(id)) {
      judge.Violation("session.keepalive.fence", frame.from,
                      "refused request " + std::to_string(id) +
                          " after the Pong to a Ping that had followed it",
                      &frame);
    } else if (fenced) {
      judge.Held("session.keepalive.fence");
    }
  }

  std::map<uint32_t, std::string> last_rule_;
  std::map<uint32_t, std::deque<uint64_t>> pings_;  // unanswered, by link and side
  // Requests of the harness that are not answered, by link: all; those with a Ping behind them; and
  // those with its Pong.
  std::map<uint32_t, std::set<uint64_t>> requests_, fenced_, passed_;
};

}  // namespace

std::unique_ptr<Monitor> NewMessageMonitor() { return std::make_unique<MessageMonitor>(); }

}  // namespace counterpart::judge
