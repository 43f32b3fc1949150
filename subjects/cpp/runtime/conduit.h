// What carries a session: one link (bare), or one link after the other (stable).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/wire.h"

namespace subject {

// Who reads a conduit. Called from its read callback, in order.
class LinkUser {
 public:
  virtual ~LinkUser() = default;
  virtual void OnPayload(const std::string& payload) = 0;
  // A length above the limit was read; nothing follows.  r[link.limit]
  virtual void OnOversize() = 0;
  // The counterpart broke a rule of the conduit itself.  r[stable.seq]
  virtual void OnViolation(const Violation& violation) = 0;
  // It carries nothing any more, once; never after Close.  r[session.detach]
  virtual void OnLost() = 0;
};

class Conduit {
 public:
  virtual ~Conduit() = default;

  virtual void set_user(std::shared_ptr<LinkUser> user) = 0;
  virtual void set_limit(uint32_t limit) = 0;
  virtual void set_on_drained(std::function<void()> drained) = 0;

  // Commits one payload.  r[link.order]
  virtual void Write(std::string_view payload) = 0;
  // Writes what was committed, half-closes, discards input to its end or a bound, closes.
  // r[session.protocol-error.delivery]
  virtual void Finish() = 0;
  // Closes now; what was not written is lost.
  virtual void Close() = 0;
  // Its session is over: once its link is lost it is not carried on.
  virtual void Conclude() {}

  virtual bool open() const = 0;
  // More is unsent than a producer that can wait should add to; `on_drained` says when that ends.
  // r[strict.delivery.explicit]
  virtual bool congested() const = 0;
  // Bytes that it may add to a payload.  r[link.limit.announce]
  virtual size_t overhead() const { return 0; }

  // Mutants only: what was read of a payload that is not whole, and what precedes all that is read;
  // and what is to be done at every change of link.
  virtual std::string_view fragment() const { return {}; }
  virtual void Prepend(std::string_view) {}
  std::function<void()> on_changed;
};

}  // namespace subject
