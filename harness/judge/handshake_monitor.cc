// Prologue, session handshake, resume keys, and what may follow what on a fresh link.
#include <map>
#include <set>

#include "harness/judge/judge.h"
#include "harness/peer/reading.h"
#include "harness/wire/schema_id.h"

namespace counterpart::judge {
namespace {

constexpr uint32_t kMagic = 0x54525043;
constexpr uint32_t kSmallestMaxPayload = 64u << 10;
constexpr size_t kKeyBytes = 16;

// What a link may carry next, by side. The initiator speaks first in every pair.
enum class Next : uint8_t {
  kTransportHello,
  kTransportAnswer,
  kHello,
  kHelloAnswer,
  kLetsGo,
  kMessages,
  kNothing,
};

struct Transition {
  Next state;
  bool by_initiator;
  const char* kind;
  Next next;
};

// r[transport.prologue.first-payload] r[session.handshake]
constexpr Transition kOrder[] = {
    {Next::kTransportHello, true, "hello", Next::kTransportAnswer},
    {Next::kTransportAnswer, false, "accept", Next::kHello},
    {Next::kTransportAnswer, false, "reject", Next::kNothing},
    {Next::kHello, true, "hello", Next::kHelloAnswer},
    {Next::kHello, false, "sorry", Next::kNothing},
    {Next::kHelloAnswer, false, "hello_yourself", Next::kLetsGo},
    {Next::kHelloAnswer, false, "sorry", Next::kNothing},
    {Next::kHelloAnswer, true, "sorry", Next::kNothing},  // it read something that was no answer
    {Next::kLetsGo, true, "lets_go", Next::kMessages},
    {Next::kLetsGo, true, "sorry", Next::kNothing},
    {Next::kLetsGo, false, "sorry", Next::kNothing},
};

class HandshakeMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    // A stable conduit has its prologue on the links that carry it.
    const Next first = frame.conduit == 0 ? Next::kTransportHello : Next::kHello;
    Next& state = states_.try_emplace(link.link, first).first->second;
    if (!frame.malformed.empty()) {
      judge.Violation("wire.envelope", frame.from, "sent " + frame.malformed, &frame);
      return;
    }
    if (frame.message != nullptr && state == Next::kMessages) {
      // An acceptor binds when it processes LetsGo, and says nothing on the link before.
      if (frame.from == Side::kSubject) judge.generations(link.session_id).Bound(link.link);
      return;
    }
    const std::string kind = frame.prologue    ? peer::KindOf(*frame.prologue)
                             : frame.handshake ? peer::KindOf(*frame.handshake)
                                               : peer::KindOf(*frame.message);
    const bool prologue_due = state == Next::kTransportHello || state == Next::kTransportAnswer;
    // r[transport.prologue.accept]: who has dialled says nothing before it has read the answer.
    const bool too_early = state == Next::kTransportAnswer && frame.from == link.initiator();
    const std::string rule = too_early      ? "transport.prologue.accept"
                             : prologue_due ? "transport.prologue.first-payload"
                                            : "session.handshake";
    const Transition* step = nullptr;
    for (const Transition& transition : kOrder) {
      const bool right_envelope =
          prologue_due ? frame.prologue != nullptr : frame.handshake != nullptr;
      if (transition.state == state && right_envelope && kind == transition.kind &&
          transition.by_initiator == (frame.from == link.initiator())) {
        step = &transition;
      }
    }
    const bool refusal = kind == "reject" || kind == "sorry";
    if (step == nullptr && refusal && link.deliberate && state != Next::kNothing) {
      // What it refuses was spoiled on its way, and is not among the frames that were seen.
      state = Next::kNothing;
      link.last_sent[Index(frame.from)] = true;
      return;
    }
    if (step == nullptr) {
      if (state == Next::kNothing) {
        judge.Violation("transport.prologue.reject-close", frame.from,
                        "sent " + kind + " on a link that was refused", &frame);
      } else {
        judge.Violation(rule, frame.from, "sent " + kind + " where the handshake does not have it",
                        &frame);
      }
      return;
    }
    judge.Held(rule);
    state = step->next;
    if (state == Next::kNothing) link.last_sent[Index(frame.from)] = true;
    if (frame.prologue != nullptr) OnPrologue(frame, judge);
    if (frame.handshake != nullptr) OnHandshake(frame, link, judge);
  }

 private:
  void OnPrologue(const ObservedFrame& frame, Judge& judge) {
    const auto& prologue = *frame.prologue;
    uint32_t max_payload = 0;
    if (prologue.has_hello()) {
      if (prologue.hello().magic() != kMagic || prologue.hello().version() != 1) {
        judge.Violation("transport.prologue.first-payload", frame.from,
                        "sent a TransportHello with another magic or version", &frame);
      }
      max_payload = prologue.hello().max_payload();
    } else if (prologue.has_accept()) {
      max_payload = prologue.accept().max_payload();
    }
    if (max_payload != 0 && max_payload < kSmallestMaxPayload) {
      judge.Violation("link.limit.announce", frame.from,
                      "announced max_payload " + std::to_string(max_payload), &frame);
    }
  }

  void OnHandshake(const ObservedFrame& frame, LinkContext& link, Judge& judge) {
    static const uint64_t kSchema = wire::SchemaId(*wire::v1::Message::descriptor());
    const auto& handshake = *frame.handshake;
    if (handshake.has_hello()) {
      const auto& hello = handshake.hello();
      if (hello.parity() != wire::v1::PARITY_ODD && hello.parity() != wire::v1::PARITY_EVEN) {
        judge.Violation("session.parity", frame.from, "asked for no parity", &frame);
      }
      link.initiator_odd = hello.parity() == wire::v1::PARITY_ODD;
      link.limit[Index(frame.from)] = hello.settings().max_concurrent_requests();
      OnProtocolSchema(frame, hello.protocol_schema() == kSchema, !hello.resume_key().empty(),
                       judge);
      presented_[link.link] = hello.resume_key();
    } else if (handshake.has_hello_yourself()) {
      const auto& yourself = handshake.hello_yourself();
      link.limit[Index(frame.from)] = yourself.settings().max_concurrent_requests();
      link.session_id = yourself.session_id();
      OnProtocolSchema(frame, yourself.protocol_schema() == kSchema, !presented_[link.link].empty(),
                       judge);
      OnKey(frame, link, yourself.resume_key(), judge);
      OnSessionId(frame, link, yourself, judge);
    }
    CountGeneration(frame, link, judge);
  }

  // r[session.resume.schemas]: also where a session is resumed.
  void OnProtocolSchema(const ObservedFrame& frame, bool right, bool resuming, Judge& judge) {
    if (!right) {
      judge.Violation(resuming ? "session.resume.schemas" : "session.handshake.sorry", frame.from,
                      "named another protocol schema than wire.v1.Message", &frame);
    } else if (resuming && frame.from == Side::kSubject) {
      judge.Held("session.resume.schemas");
    }
  }

  // r[session.handshake.session-id]
  void OnSessionId(const ObservedFrame& frame, const LinkContext& link,
                   const wire::v1::HelloYourself& yourself, Judge& judge) {
    static constexpr char kRule[] = "session.handshake.session-id";
    const std::string& id = yourself.session_id();
    if (id.size() != kKeyBytes) {
      judge.Violation(kRule, frame.from,
                      "sent a session_id of " + std::to_string(id.size()) + " bytes, not 16",
                      &frame);
      return;
    }
    const auto resumed = session_of_key_.find(presented_[link.link]);
    const bool fresh = session_ids_.insert(id).second;
    session_of_key_[yourself.resume_key()] = id;
    session_of_key_.erase("");
    if (frame.from == Side::kHarness) return;
    // (Of a key that was handed out where nobody looked, the session is not known.)
    const bool opened = presented_[link.link].empty();
    if (resumed != session_of_key_.end() ? resumed->second != id : opened && !fresh) {
      judge.Violation(kRule, frame.from,
                      resumed != session_of_key_.end()
                          ? "resumed a session under another session_id"
                          : "opened a session under the session_id of another one",
                      &frame);
    } else if (session_ids_.size() + !fresh > 1) {
      judge.Held(kRule);
    }
  }

  // r[session.resume.bind]: the acceptor binds when it processes LetsGo, the initiator when it
  // sends it, which it does once it has read HelloYourself. What the harness sent may have been
  // lost on its way; what it read is proof.
  void CountGeneration(const ObservedFrame& frame, const LinkContext& link, Judge& judge) {
    const auto& handshake = *frame.handshake;
    Generations& generations = judge.generations(link.session_id);
    if (frame.from == Side::kHarness) {
      if (handshake.has_hello_yourself() || handshake.has_lets_go()) generations.MayBind(link.link);
    } else if (handshake.has_lets_go()) {
      generations.Bound(link.link);
    } else if (handshake.has_sorry()) {
      generations.Refused(link.link);
    }
  }

  // r[session.resume.key-rotation]: one successor per key, and never a key twice.
  void OnKey(const ObservedFrame& frame, const LinkContext& link, const std::string& key,
             Judge& judge) {
    if (key.empty()) return;
    const std::string& presented = presented_[link.link];
    if (key.size() < kKeyBytes) {
      judge.Violation("session.handshake.resume", frame.from,
                      "handed out a resume key of " + std::to_string(key.size()) + " bytes",
                      &frame);
      return;
    }
    const auto known = successors_.find(presented);
    if (!presented.empty() && known != successors_.end()) {
      if (known->second != key) {
        judge.Violation("session.resume.key-rotation", frame.from,
                        "answered one resume key with two different successors", &frame);
        return;
      }
    } else if (!keys_.insert(key).second) {
      judge.Violation("session.resume.key-rotation", frame.from, "handed out a used resume key",
                      &frame);
      return;
    }
    if (!presented.empty()) {
      successors_[presented] = key;
      judge.Held("session.resume.key-rotation");
    }
  }

  std::map<uint32_t, Next> states_;
  std::map<uint32_t, std::string> presented_;
  std::map<std::string, std::string> successors_;
  std::set<std::string> keys_;
  std::map<std::string, std::string> session_of_key_;
  std::set<std::string> session_ids_;
};

}  // namespace

std::unique_ptr<Monitor> NewHandshakeMonitor() { return std::make_unique<HandshakeMonitor>(); }

}  // namespace counterpart::judge
