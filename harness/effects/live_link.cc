#include "harness/effects/live_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "harness/effects/loopback.h"
#include "harness/effects/tcp_diag.h"

namespace counterpart::effects {

LiveLink::LiveLink(uint32_t id, UniqueFd fd, bool dialling)
    : id_(id), fd_(std::move(fd)), dialling_(dialling) {
  if (!dialling_) path_ = PathOf(fd_.get());
}

void LiveLink::Write(std::string_view bytes, Events& events) {
  if (unsent() > 0) Flush();
  if (closed() || shut_wanted_ || write_broken_) return;
  if (!dialling_ && !holds() && unsent() == 0) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        bytes_written_ += static_cast<uint64_t>(n);
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != EINTR) {
        // Input that came before the break is still read; it says how the link ended.
        write_broken_ = true;
        reset_seen_ = errno == ECONNRESET;
        return;
      }
    }
  }
  Collect(bytes, events);
}

void LiveLink::Collect(std::string_view bytes, Events& events) {
  if (closed() || shut_wanted_ || write_broken_) return;
  if (unsent() + bytes.size() > kLargestWriteQueue) {
    End(IngressKind::kReset, events);
    Reset();
    return;
  }
  const bool second = hold_ == Hold::kOne && unsent() > 0;
  unsent_.append(bytes);
  if (!second) return;
  merged_ = !dialling_;
  Release();
}

void LiveLink::Release() {
  hold_ = Hold::kNone;
  Flush();
}

void LiveLink::Flush() {
  if (closed() || dialling_ || holds()) return;
  while (unsent() > 0 && !write_broken_) {
    const ssize_t n = send(fd_.get(), unsent_.data() + sent_, unsent(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes_written_ += static_cast<uint64_t>(n);
      sent_ += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      write_broken_ = true;
      reset_seen_ = errno == ECONNRESET;
    }
  }
  if (write_broken_ || unsent() == 0) {
    unsent_.clear();
    sent_ = 0;
  } else if (sent_ > (1u << 20)) {
    unsent_.erase(0, sent_);
    sent_ = 0;
  }
  if (unsent() > 0 || !shut_wanted_) return;
  if (!std::exchange(shut_, true)) shutdown(fd_.get(), SHUT_WR);
  if (close_wanted_ && eof_read_) Close();
}

void LiveLink::Fin() {
  if (closed()) return;
  silent_ = true;
  if (dialling_) return Close();
  if (hold_ == Hold::kOne) hold_ = Hold::kNone;  // there is no next write
  shut_wanted_ = close_wanted_ = true;
  reading_stopped_ = stuck_ = false;
  Flush();
}

void LiveLink::HalfClose() {
  if (closed()) return;
  if (hold_ == Hold::kOne) hold_ = Hold::kNone;
  shut_wanted_ = true;
  Flush();
}

void LiveLink::Reset() {
  if (closed()) return;
  silent_ = true;
  CloseByReset(std::move(fd_));
  Close();
}

void LiveLink::Close() {
  fd_.Close();
  unsent_.clear();
  sent_ = 0;
  dialling_ = false;
}

uint32_t LiveLink::Interest() const {
  if (closed()) return 0;
  if (dialling_) return EPOLLOUT;
  uint32_t events = 0;
  if (unsent() > 0 && !holds()) events |= EPOLLOUT;
  if (reading() && !eof_read_) events |= EPOLLIN;
  return events;
}

void LiveLink::OnReady(uint32_t ready, Events& events) {
  if (closed()) return;
  if (dialling_) {
    const int error = DialError(fd_.get());
    if (error == EINPROGRESS || error == ENOTCONN) return;
    dialling_ = false;
    if (error != 0) {
      if (!silent_) {
        events.end =
            Ingress{.kind = IngressKind::kLinkRefused, .id = id_, .text = std::strerror(error)};
      }
      silent_ = true;
      return Close();
    }
    path_ = PathOf(fd_.get());
    events.happened.push_back({.kind = IngressKind::kLinkUp, .id = id_});
  }
  Flush();
  constexpr uint32_t kInput = EPOLLIN | EPOLLERR | EPOLLHUP;
  if (!closed() && (ready & kInput) != 0 && reading() && !eof_read_) Read(events);
}

void LiveLink::Read(Events& events) {
  static thread_local char buffer[64u << 10];
  for (size_t budget = kReadPerTurn; budget > 0 && !closed();) {
    const ssize_t n = recv(fd_.get(), buffer, std::min(sizeof buffer, budget), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0 || (n == 0 && reset_seen_)) {
      End(IngressKind::kReset, events);
      return Close();
    }
    if (n == 0) {
      hold_ = Hold::kNone;
      eof_read_ = true;
      End(IngressKind::kEof, events);
      // r[session.detach]: FIN ends both directions.
      shut_wanted_ = close_wanted_ = true;
      return Flush();
    }
    bytes_read_ += static_cast<uint64_t>(n);
    budget -= static_cast<size_t>(n);
    if (silent_) continue;
    std::string_view bytes(buffer, static_cast<size_t>(n));
    while (std::optional<std::string> payload = decoder_.Next(bytes)) {
      events.bytes += payload->size();
      events.happened.push_back(
          {.kind = IngressKind::kPayload, .id = id_, .bytes = std::move(*payload)});
    }
    if (decoder_.refused_length()) {
      stuck_ = true;
      End(IngressKind::kOversize, events);
      return;
    }
  }
}

void LiveLink::End(IngressKind kind, Events& events) {
  if (std::exchange(silent_, true)) return;
  const uint64_t number =
      kind == IngressKind::kOversize ? *decoder_.refused_length() : decoder_.pending_bytes();
  events.end = Ingress{.kind = kind, .id = id_, .number = number};
}

}  // namespace counterpart::effects
