// A link: one TCP connection that carries payloads; by itself, a bare conduit.
#pragma once

#include <array>
#include <asio.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/conduit.h"
#include "runtime/framing.h"

namespace subject {

// Keeps itself alive while open. All calls on the loop.
class Link : public Conduit, public std::enable_shared_from_this<Link> {
 public:
  explicit Link(asio::ip::tcp::socket socket);

  void Start();
  void set_user(std::shared_ptr<LinkUser> user) override { user_ = std::move(user); }
  void set_limit(uint32_t limit) override { decoder_.set_limit(limit); }
  void set_on_drained(std::function<void()> drained) override { on_drained_ = std::move(drained); }
  void set_on_closed(std::function<void()> closed) { on_closed_ = std::move(closed); }

  void Write(std::string_view payload) override;
  void Finish() override;
  void Close() override;

  bool open() const override { return open_; }
  bool congested() const override { return output_.size() > kMostUnsent; }

  // Mutants only.
  std::string_view fragment() const override { return decoder_.fragment(); }
  void Prepend(std::string_view bytes) override { decoder_.Feed(bytes); }

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
