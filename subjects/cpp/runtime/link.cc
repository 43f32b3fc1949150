#include "runtime/link.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "runtime/mutation.h"
#include "runtime/wire.h"

namespace subject {
namespace {

constexpr size_t kMostDiscarded = 64 << 20;  // bytes read after our last payload

}  // namespace

Link::Link(asio::ip::tcp::socket socket)
    : socket_(std::move(socket)), decoder_(kHandshakeMaxPayload) {
  std::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

void Link::Start() {
  if (Mutated("wreck_closes")) return Lost();
  if (Mutated("wreck_resets")) {
    std::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    return Lost();
  }
  if (!Mutated("wreck_never_reads")) Read();
}

void Link::Read() {
  socket_.async_read_some(asio::buffer(input_),
                          [self = shared_from_this()](std::error_code error, size_t size) {
                            if (!self->open_) return;
                            if (error) return self->ReadFailed(error);
                            if (Mutated("wreck_crashes")) std::abort();
                            if (self->finishing_) {
                              self->discarded_ += size;
                              if (self->discarded_ > kMostDiscarded) return self->Close();
                            } else if (Mutated("wreck_echoes")) {
                              self->output_.append(self->input_.data(), size);
                              self->Flush();
                            } else {
                              self->decoder_.Feed({self->input_.data(), size});
                              self->Deliver();
                            }
                            if (self->open_) self->Read();
                          });
}

void Link::ReadFailed(std::error_code error) {
  if (error == asio::error::eof && Mutated("keeps_half_closed_link")) return;
  if (decoder_.midway() && Mutated("takes_eof_for_the_end_of_a_payload")) {
    decoder_.Feed(std::string(64, '\0'));
    Deliver();
  }
  // A larger one has its buffer at once: the last word is not looked at.
  constexpr size_t kLastWord = 4, kLarger = 32;
  if (decoder_.fragment().size() > kLarger && decoder_.missing() > 0 &&
      decoder_.missing() <= kLastWord && Mutated("accepts_a_half_received_request")) {
    decoder_.Feed(std::string(decoder_.missing(), '\0'));
    Deliver();
  }
  if (decoder_.midway() && !delivered_ && Mutated("leaks_a_link_cut_in_its_prologue")) return;
  if (open_) Lost();
}

void Link::Deliver() {
  while (open_ && !finishing_) {
    const auto payload = decoder_.Next();
    const std::shared_ptr<LinkUser> user = user_;  // it may be replaced by what it reads
    if (payload) {
      delivered_ = true;
      while (Mutated("wreck_spins")) {
      }
      while (Mutated("wreck_hangs")) pause();
      user->OnPayload(*payload);
      if (Mutated("takes_one_payload_per_read")) return;
    } else {
      if (decoder_.oversize()) user->OnOversize();
      return;
    }
  }
}

void Link::Write(std::string_view payload) {
  if (!open_ || finishing_ || Mutated("wreck_mute")) return;
  if (!writing_.empty() && congested() && Mutated("drops_what_does_not_fit_the_window")) return;
  output_ += Framed(payload);
  Flush();
}

void Link::Flush() {
  if (!open_ || !writing_.empty()) return;
  if (output_.empty()) {
    if (finishing_ && !std::exchange(shut_, true)) {
      std::error_code ignored;
      socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    }
    return;
  }
  const bool was_congested = congested();
  writing_.swap(output_);
  if (Mutated("canary_writes_late")) {
    const auto late = std::make_shared<asio::steady_timer>(socket_.get_executor());
    late->expires_after(std::chrono::milliseconds(2));
    late->async_wait([self = shared_from_this(), late](std::error_code) {
      if (self->open_) self->WriteOut();
    });
  } else {
    WriteOut();
  }
  if (was_congested && on_drained_) on_drained_();
}

void Link::WriteOut() {
  if (Mutated("canary_writes_byte_by_byte")) {
    constexpr size_t kOneByOne = 256;  // of what leaves at once; a larger rest follows whole
    std::error_code error;
    const size_t bytes = std::min(writing_.size() - 1, kOneByOne);
    socket_.non_blocking(false, error);
    for (size_t i = 0; i < bytes && !error; ++i)
      socket_.send(asio::buffer(&writing_[i], 1), 0, error);
    writing_.erase(0, bytes);
  }
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](std::error_code error, size_t) {
                      if (!self->open_) return;
                      self->writing_.clear();
                      if (error) return self->Lost();
                      self->Flush();
                    });
}

void Link::Finish() {
  if (!open_ || finishing_) return;
  finishing_ = true;
  Flush();
}

void Link::Close() {
  if (!std::exchange(open_, false)) return;
  std::error_code ignored;
  socket_.close(ignored);
  const auto user = std::exchange(user_, nullptr);
  if (on_closed_) std::exchange(on_closed_, nullptr)();
}

void Link::Lost() {
  const auto user = user_;
  const bool tell = !finishing_;
  Close();
  if (tell && user) user->OnLost();
}

}  // namespace subject
