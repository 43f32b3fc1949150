// Stable conduits, link by link: how frames are numbered, what is sent again after a change of link
// and in which order, and the keys. What the frames bring is for the other monitors.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "harness/judge/judge.h"
#include "harness/machine/trace.h"
#include "harness/peer/stable_end.h"

namespace counterpart::judge {
namespace {

constexpr size_t kKeyBytes = 16;

std::string Number(uint32_t number) { return "#" + std::to_string(number); }

class StableMonitor : public Monitor {
 public:
  bool OfCarriers() const override { return true; }

  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.stable_handshake != nullptr) OnHandshake(frame, link, judge);
    if (frame.stable_frame != nullptr && frame.conduit != 0) OnStable(frame, link, judge);
  }

 private:
  // What a side said in its hello on a link.
  struct Hello {
    uint32_t first = 0;
    std::optional<uint32_t> last_received;
  };

  // The frames of one side on one link.
  struct OnLink {
    uint32_t start = 0;    // that the counterpart awaits
    uint32_t next = 0;     // that is due
    uint32_t frames = 0;   // so far
    uint32_t replays = 0;  // of them, sent on an older link before
  };

  // The frames of one side, over all links of the conduit.
  struct Flow {
    std::optional<uint32_t> newest;      // seen
    std::map<uint32_t, uint64_t> items;  // by number: what one was used for, as a hash
  };

  void OnHandshake(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const wire::v1::StableHandshake& handshake = *frame.stable_handshake;
    Hello& said = hellos_[{link.link, frame.from}];
    if (handshake.has_client_hello()) {
      const auto& hello = handshake.client_hello();
      said.first = hello.first_seq();
      if (hello.has_last_received()) said.last_received = hello.last_received();
      presented_[link.link] = hello.resume_key();
    } else if (handshake.has_server_hello()) {
      const auto& hello = handshake.server_hello();
      said.first = hello.first_seq();
      if (hello.has_last_received()) said.last_received = hello.last_received();
      OnKey(frame, presented_[link.link], hello.resume_key(), judge);
    }
  }

  // r[stable.resume-key]: one successor per key, and never a key twice.
  void OnKey(const ObservedFrame& frame, const std::string& presented, const std::string& key,
             Judge& judge) {
    static constexpr char kRule[] = "stable.resume-key";
    if (key.empty() && presented.empty()) return;  // a conduit that is not to go on
    const auto known = successors_.find(presented);
    const bool again = !presented.empty() && known != successors_.end();
    if (key.size() < kKeyBytes) {
      judge.Violation(kRule, frame.from,
                      "handed out a resume key of " + std::to_string(key.size()) + " bytes",
                      &frame);
    } else if (again ? known->second != key : !keys_.insert(key).second) {
      judge.Violation(kRule, frame.from,
                      again ? "answered one resume key with two different successors"
                            : "handed out a used resume key",
                      &frame);
    } else if (!presented.empty()) {
      successors_[presented] = key;
      judge.Held(kRule);
    }
  }

  void OnStable(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const wire::v1::StableFrame& stable = *frame.stable_frame;
    if (!frame.deliberate.empty()) return;
    links_[frame.conduit].insert(link.link);
    const bool first_link = *links_[frame.conduit].begin() == link.link;
    if (!stable.has_data()) return;
    const uint32_t number = stable.data().seq();
    Flow& flow = flows_[{frame.conduit, frame.from}];
    auto [place, fresh] = on_link_.try_emplace({link.link, frame.from});
    OnLink& here = place->second;
    if (fresh) {
      const Hello& theirs = hellos_[{link.link, Other(frame.from)}];
      const Hello& ours = hellos_[{link.link, frame.from}];
      here.start = here.next = theirs.last_received ? *theirs.last_received + 1 : ours.first;
    }
    const bool replay = flow.newest && peer::SerialDistance(number, *flow.newest) <= 0;
    const uint64_t item = machine::HashBytes(stable.data().item());
    const auto sent = flow.items.find(number);
    if (replay && sent != flow.items.end() && sent->second != item) {
      judge.Violation("stable.seq.monotonic", frame.from,
                      "sent another frame under the number " + Number(number), &frame);
      return;
    }
    if (number != here.next) {
      Misnumbered(frame, link, here, flow, first_link, judge);
      return;
    }
    ++here.next;
    ++here.frames;
    if (replay) {
      OnReplay(frame, link, ++here.replays, judge);
    } else {
      if (flow.newest) judge.Held("stable.seq.monotonic");
      flow.newest = number;
      flow.items[number] = item;
    }
    // r[stable.ack.trim]: there was something to be left out.
    const auto& last_received = hellos_[{link.link, Other(frame.from)}].last_received;
    if (!first_link && here.frames == 1 && last_received) judge.Held("stable.ack.trim");
  }

  static std::string ReplayRule(const ObservedFrame& frame, const LinkContext& link) {
    return frame.from == link.initiator() ? "stable.reconnect.client-replay"
                                          : "stable.reconnect.server-replay";
  }

  void OnReplay(const ObservedFrame& frame, const LinkContext& link, uint32_t replays,
                Judge& judge) {
    judge.Held(ReplayRule(frame, link));
    judge.Held("stable.seq.monotonic");
    if (replays > 1) judge.Held("stable.replay-buffer.order");
  }

  void Misnumbered(const ObservedFrame& frame, const LinkContext& link, const OnLink& here,
                   const Flow& flow, bool first_link, Judge& judge) {
    const uint32_t number = frame.stable_frame->data().seq();
    const std::string text = "sent frame " + Number(number) + " where " + Number(here.next);
    if (!first_link && peer::SerialDistance(number, here.start) < 0) {
      judge.Violation("stable.ack.trim", frame.from,
                      "sent frame " + Number(number) +
                          " again, which its counterpart has said to have received",
                      &frame);
    } else if (!first_link && here.frames == 0) {
      judge.Violation(ReplayRule(frame, link), frame.from,
                      text + " had to be sent again before anything else", &frame);
    } else if (!first_link && flow.newest && peer::SerialDistance(here.next, *flow.newest) <= 0) {
      judge.Violation("stable.replay-buffer.order", frame.from,
                      text + " was to be sent again first", &frame);
    } else {
      judge.Violation("stable.seq.monotonic", frame.from, text + " was due", &frame);
    }
  }

  std::map<std::pair<uint32_t, Side>, Hello> hellos_;    // by link
  std::map<std::pair<uint32_t, Side>, OnLink> on_link_;  // by link
  std::map<std::pair<uint32_t, Side>, Flow> flows_;      // by conduit
  std::map<uint32_t, std::set<uint32_t>> links_;         // of a conduit, in their order
  std::map<uint32_t, std::string> presented_;            // by link
  std::map<std::string, std::string> successors_;
  std::set<std::string> keys_;
};

}  // namespace

std::unique_ptr<Monitor> NewStableMonitor() { return std::make_unique<StableMonitor>(); }

}  // namespace counterpart::judge
