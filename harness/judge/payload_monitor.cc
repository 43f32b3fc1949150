// Sizes: no payload is larger than the side that reads it announced.  r[link.limit.announce]
#include <map>

#include "harness/judge/judge.h"

namespace counterpart::judge {
namespace {

constexpr uint32_t kDefaultMaximum = 16u << 20;
constexpr uint32_t kHandshakeMaximum = 64u
                                       << 10;  // of prologue and handshake, whatever is announced
constexpr char kRule[] = "link.limit.announce";

class PayloadMonitor : public Monitor {
 public:
  bool OfCarriers() const override { return true; }

  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    const uint32_t here = link.link * 2 + static_cast<uint32_t>(Index(frame.from));
    const uint32_t there = link.link * 2 + static_cast<uint32_t>(Index(Other(frame.from)));
    const bool message = frame.message != nullptr || frame.stable_frame != nullptr;
    const auto read_by = announced_.find(there);
    const uint32_t maximum = !message                      ? kHandshakeMaximum
                             : read_by == announced_.end() ? kDefaultMaximum
                                                           : read_by->second;
    if (frame.payload_bytes > maximum) {
      judge.Violation(kRule, frame.from,
                      "sent a payload of " + std::to_string(frame.payload_bytes) +
                          " bytes to a side that takes " + std::to_string(maximum),
                      &frame);
    } else if (message && maximum != kDefaultMaximum) {
      judge.Held(kRule);  // there was something to keep to
    }
    if (frame.prologue != nullptr) {
      const uint32_t said = frame.prologue->has_hello() ? frame.prologue->hello().max_payload()
                                                        : frame.prologue->accept().max_payload();
      announced_[here] = said == 0 ? kDefaultMaximum : said;
    }
    if (frame.handshake != nullptr && frame.handshake->has_hello_yourself()) {
      OnSession(frame, link, judge);
    }
  }

 private:
  // What a side once took of a session it takes for the rest of it.
  void OnSession(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    for (const Side side : {Side::kHarness, Side::kSubject}) {
      const auto announced = announced_.find(link.link * 2 + static_cast<uint32_t>(Index(side)));
      if (announced == announced_.end()) continue;
      uint32_t& before = taken_[{link.session_id, side}];
      if (announced->second < before) {
        judge.Violation(kRule, side,
                        "resumed a session with a max_payload of " +
                            std::to_string(announced->second) + ", which was " +
                            std::to_string(before),
                        &frame);
      }
      before = announced->second;
    }
  }

  std::map<uint32_t, uint32_t> announced_;                  // by link and side
  std::map<std::pair<std::string, Side>, uint32_t> taken_;  // by session and side
};

}  // namespace

std::unique_ptr<Monitor> NewPayloadMonitor() { return std::make_unique<PayloadMonitor>(); }

}  // namespace counterpart::judge
