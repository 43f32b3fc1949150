#include "harness/effects/tcp_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace counterpart::effects {
namespace {

// TCP_LISTEN, TCP_ESTABLISHED: <netinet/tcp.h> does not go with <linux/tcp.h>.
constexpr uint8_t kListen = 10, kEstablished = 1;

void SetCounters(const tcp_info& info, size_t size, TcpEnd* end) {
  // Older kernels know fewer fields.
  end->counted = size >= offsetof(tcp_info, tcpi_bytes_retrans) + sizeof info.tcpi_bytes_retrans;
  end->received = info.tcpi_bytes_received;
  end->sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
  end->held_back = info.tcpi_notsent_bytes;
  end->segments = info.tcpi_data_segs_out;
  end->window = info.tcpi_snd_wnd;
}

// The IPv4 address in it; nothing if there is none.
std::optional<uint32_t> Ipv4Of(int family, const uint32_t (&address)[4]) {
  if (family == AF_INET) return address[0];
  if (address[0] != 0 || address[1] != 0 || address[2] != htonl(0xffff)) return std::nullopt;
  return address[3];
}

void AddConnections(int family, uint16_t port, std::vector<TcpPath>* found) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = static_cast<uint8_t>(family);
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = 1u << kEstablished;
  message.request.id.idiag_dport = htons(port);
  // A socket of its own: what is left of a dump that was given up would answer the next question.
  const UniqueFd netlink(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (send(netlink.get(), &message, sizeof message, 0) != sizeof message) return;
  alignas(nlmsghdr) char buffer[32 << 10];
  while (true) {
    const ssize_t got = recv(netlink.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return;
    auto left = static_cast<unsigned>(got);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return;  // the end, or an error
      const inet_diag_sockid& id = static_cast<const inet_diag_msg*>(NLMSG_DATA(header))->id;
      const auto near = Ipv4Of(family, id.idiag_src), far = Ipv4Of(family, id.idiag_dst);
      if (id.idiag_dport != htons(port) || !near || far != htonl(INADDR_LOOPBACK)) continue;
      found->push_back({.near_address = *near,
                        .far_address = *far,
                        .near_port = id.idiag_sport,
                        .far_port = id.idiag_dport});
    }
  }
}

// Of the socket with these addresses, whose end is the far one; else of one that listens there.
// Null if there is neither. Valid until `buffer` is used again.
const inet_diag_msg* Find(const UniqueFd& netlink, const TcpPath& path, char* buffer, size_t size) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST;
  message.request.sdiag_family = AF_INET;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  message.request.idiag_states = ~0u;
  message.request.id.idiag_sport = path.far_port;
  message.request.id.idiag_dport = path.near_port;
  message.request.id.idiag_src[0] = path.far_address;
  message.request.id.idiag_dst[0] = path.near_address;
  message.request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  message.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (send(netlink.get(), &message, sizeof message, 0) != sizeof message) return nullptr;
  const ssize_t got = recv(netlink.get(), buffer, size, 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer);
  if (got < static_cast<ssize_t>(sizeof *header) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
    return nullptr;  // an error message: there is no such socket
  }
  return static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
}

}  // namespace

std::optional<TcpEnd> TcpDiag::FarEnd(const TcpPath& path) {
  alignas(nlmsghdr) char buffer[4096];
  const inet_diag_msg* answer = Find(netlink_, path, buffer, sizeof buffer);
  if (answer == nullptr || answer->idiag_state == kListen) return std::nullopt;
  TcpEnd end;
  end.state = answer->idiag_state;
  end.unread = answer->idiag_rqueue;
  auto left = static_cast<ptrdiff_t>(reinterpret_cast<const nlmsghdr*>(buffer)->nlmsg_len) -
              static_cast<ptrdiff_t>(NLMSG_LENGTH(sizeof *answer));
  const char* at = reinterpret_cast<const char*>(answer) + NLMSG_ALIGN(sizeof *answer);
  while (left >= static_cast<ptrdiff_t>(sizeof(nlattr))) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < sizeof(nlattr)) break;
    if (attribute->nla_type == INET_DIAG_INFO) {
      tcp_info info{};
      const size_t size = std::min<size_t>(sizeof info, attribute->nla_len - NLA_HDRLEN);
      std::memcpy(&info, at + NLA_HDRLEN, size);
      SetCounters(info, size, &end);
    }
    at += NLA_ALIGN(attribute->nla_len);
    left -= static_cast<ptrdiff_t>(NLA_ALIGN(attribute->nla_len));
  }
  return end;
}

uint64_t TcpDiag::ListeningInode(uint32_t address, uint16_t port) {
  alignas(nlmsghdr) char buffer[4096];
  const inet_diag_msg* answer = Find(
      netlink_,
      {.near_address = 0, .far_address = htonl(address), .near_port = 0, .far_port = htons(port)},
      buffer, sizeof buffer);
  return answer == nullptr || answer->idiag_state != kListen ? 0 : answer->idiag_inode;
}

std::vector<TcpPath> TcpDiag::ConnectionsTo(uint16_t port) {
  std::vector<TcpPath> found;
  // A socket for 127.0.0.1 may be one of IPv6 that has the address mapped: gRPC's are.
  for (const int family : {AF_INET, AF_INET6}) AddConnections(family, port, &found);
  return found;
}

std::optional<TcpPath> PathOf(int fd) {
  sockaddr_in near{}, far{};
  socklen_t size = sizeof near;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&near), &size) != 0) return std::nullopt;
  size = sizeof far;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&far), &size) != 0) return std::nullopt;
  return TcpPath{near.sin_addr.s_addr, far.sin_addr.s_addr, near.sin_port, far.sin_port};
}

TcpDiag::TcpDiag() : netlink_(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}

std::optional<TcpEnd> TcpDiag::OwnEnd(int fd) const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  TcpEnd end;
  end.state = info.tcpi_state;
  SetCounters(info, size, &end);
  return end;
}

}  // namespace counterpart::effects
