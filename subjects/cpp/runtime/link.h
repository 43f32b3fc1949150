// A link: one TCP connection that carries payloads.
#pragma once

#include <array>
#include <asio.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/framing.h"

namespace subject {

// Who reads a link. Called from the link's read callback, in order.
class LinkUser {
 public:
  virtual ~LinkUser() = default;
  virtual void OnPayload(const std::string& payload) = 0;
  // A length above the limit was read; nothing follows.  r[link.limit]
  virtual void OnOversize() = 0;
  // End of stream or an error, once; never after Close.  r[session.detach]
  virtual void OnLost() = 0;
};

// Keeps itself alive while open. All calls on the loop.
class Link : public std::enable_shared_from_this<Link> {
 public:
  explicit Link(asio::ip::tcp::socket socket);

  void Start();
  void set_user(std::shared_ptr<LinkUser> user) { user_ = std::move(user); }
  void set_limit(uint32_t limit) { decoder_.set_limit(limit); }
  void set_on_drained(std::function<void()> drained) { on_drained_ = std::move(drained); }
  void set_on_closed(std::function<void()> closed) { on_closed_ = std::move(closed); }

  // Commits one payload.  r[link.order]
  void Write(std::string_view payload);

  // Writes what was committed, half-closes, discards input to its end or a bound, closes.
  // r[session.protocol-error.delivery]
  void Finish();

  // Closes now; what was not written is lost.
  void Close();

  bool open() const { return open_; }

  // Mutants only: what was read of a payload that is not whole, and what precedes all that is read.
  std::string_view fragment() const { return decoder_.fragment(); }
  void Prepend(std::string_view bytes) { decoder_.Feed(bytes); }

  // More is unsent than a producer that can wait should add to; `on_drained` says when that ends.
  // r[strict.delivery.explicit]
  bool congested() const { return output_.size() > kMostUnsent; }

 private:
  static constexpr size_t kMostUnsent = 256 << 10;

  void Read();
  void ReadFailed(std::error_code error);
  void Deliver();
  void Flush();
  void WriteOut();
  void Lost();

  asio::ip::tcp::socket socket_;
  std::shared_ptr<LinkUser> user_;
  std::function<void()> on_closed_, on_drained_;
  Decoder decoder_;
  std::array<char, 1 << 16> input_;
  std::string output_, writing_;
  size_t discarded_ = 0;
  bool open_ = true, finishing_ = false, shut_ = false;
  bool delivered_ = false;  // a payload
};

}  // namespace subject
