#include "harness/effects/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace counterpart::effects {
namespace {

constexpr int kBacklog = 256;

Error Failed(const char* what) {
  return Error{Error::Kind::kHarness, std::string(what) + ": " + std::strerror(errno)};
}

UniqueFd Socket() {
  return UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool Bind(const UniqueFd& fd, uint32_t address, uint16_t port) {
  const sockaddr_in at = EndpointOf(address, port);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
}

// Lets the reservation and the listening socket share the port, and lets it be listened on again
// while old connections of it are still known to the kernel.
void Share(const UniqueFd& fd) {
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

}  // namespace

sockaddr_in EndpointOf(uint32_t address, uint16_t port) {
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(address);
  return at;
}

Result<Listener> Listener::Open(uint32_t address, uint16_t port) {
  if (port == 0) return Error{Error::Kind::kHarness, "no port of a loopback address is free"};
  Listener listener;
  listener.reservation_ = Socket();
  if (!listener.reservation_ || !Bind(listener.reservation_, address, port)) {
    return Failed("no loopback port");
  }
  listener.address_ = address;
  listener.port_ = port;
  Share(listener.reservation_);
  if (const Status started = listener.StartAgain(); !started) return started.error();
  return listener;
}

Status Listener::StartAgain() {
  UniqueFd socket = Socket();
  if (socket) Share(socket);
  if (!socket || !Bind(socket, address_, port_)) return Failed("cannot bind a reserved port");
  if (listen(socket.get(), kBacklog) != 0) return Failed("cannot listen on a reserved port");
  socket_ = std::move(socket);
  return {};
}

void Listener::Stop() {
  // At once, whoever has the descriptor as well: the child of another thread, for a moment.
  if (socket_) shutdown(socket_.get(), SHUT_RD);
  socket_.Close();
}

std::optional<UniqueFd> Listener::Accept() {
  while (socket_) {
    UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      SetNoDelay(fd.get());
      return fd;
    }
    if (errno != EINTR && errno != ECONNABORTED) break;
  }
  return std::nullopt;
}

Result<Dialling> Dial(uint32_t address, uint16_t port) {
  Dialling dialling{Socket(), false};
  if (!dialling.fd) return Failed("no socket to dial with");
  SetNoDelay(dialling.fd.get());
  const sockaddr_in there = EndpointOf(address, port);
  if (connect(dialling.fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0) {
    dialling.connected = DialError(dialling.fd.get()) == 0;
  } else if (errno != EINPROGRESS && errno != EINTR) {
    return Failed("connect");
  }
  return dialling;
}

int DialError(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  if (error != 0) return error;
  sockaddr_in here = {}, there = {};
  size = sizeof here;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) != 0) return errno;
  size = sizeof there;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&there), &size) != 0) return errno;
  const bool itself =
      here.sin_port == there.sin_port && here.sin_addr.s_addr == there.sin_addr.s_addr;
  return itself ? ECONNREFUSED : 0;
}

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void CloseByReset(UniqueFd fd) {
  const linger now{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace counterpart::effects
