// A stable conduit: carries payloads over one link after the other, so that its user does not
// notice a change of link.  r[stable.untouched]
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/link.h"
#include "runtime/stable_core.h"

namespace subject {

class StableConduit : public Conduit,
                      public LinkUser,
                      public std::enable_shared_from_this<StableConduit> {
 public:
  StableConduit(uint32_t first_sent, uint32_t first_received, uint32_t peer_max_payload)
      : peer_max_payload(peer_max_payload), core_(first_sent, first_received) {}

  // A link carries it from now on, in place of the one before: what was not acknowledged is sent
  // again first. The server says ServerHello before, the client has read it.
  void Carry(std::shared_ptr<Link> link, const std::string& presented_key);
  // Nothing more is read from the link of now: what was received is settled.
  void Drop();
  // What the counterpart's hello on a new link says it has received.
  MaybeViolation Heard(std::optional<uint32_t> last_received) {
    return core_.Resume(last_received);
  }
  // The counterpart broke a rule: its user is told, and it carries nothing more.
  void Fail(const Violation& violation);
  const StableCore& core() const { return core_; }

  // As a Conduit
  void set_user(std::shared_ptr<LinkUser> user) override { user_ = std::move(user); }
  void set_limit(uint32_t limit) override;
  void set_on_drained(std::function<void()> drained) override;
  void Write(std::string_view payload) override;
  void Finish() override;
  void Close() override;
  void Conclude() override { when_lost = nullptr; }
  bool open() const override { return open_; }
  bool congested() const override {
    return link_ == nullptr ? unsent_ > kMostUnsent : link_->congested();
  }
  size_t overhead() const override { return kMostOverhead; }

  // As the user of its link
  void OnPayload(const std::string& payload) override;
  void OnOversize() override;
  void OnViolation(const Violation&) override {}  // a link has no rules of its own
  void OnLost() override;

  // Who gets it a new link; without, the loss of its link is its end.
  std::function<void()> when_lost;
  // The client's: the newest key it has read.  r[stable.resume-key]
  std::string resume_key;
  // The server's.
  std::string current_key, successor_key;
  const uint32_t peer_max_payload;

 private:
  static constexpr size_t kMostOverhead = 32;     // of a StableData around its item
  static constexpr size_t kMostUnsent = 1 << 20;  // while there is no link

  StableCore core_;
  std::shared_ptr<Link> link_;  // null while it has none
  std::shared_ptr<LinkUser> user_;
  std::function<void()> on_drained_;
  uint32_t limit_ = kHandshakeMaxPayload;
  size_t unsent_ = 0;      // bytes written since the link was lost
  std::string presented_;  // the key this link was opened with, until its first frame
  bool open_ = true;
};

}  // namespace subject
