#include "harness/effects/tcp_account.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

namespace counterpart::effects {
namespace {

struct FarEnd {
  uint64_t received = 0, sent = 0, retransmitted = 0;
  uint32_t unread = 0;
};

std::optional<FarEnd> AskFarEnd(int netlink, const sockaddr_in& near, const sockaddr_in& far) {
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
  message.request.id.idiag_sport = far.sin_port;
  message.request.id.idiag_dport = near.sin_port;
  message.request.id.idiag_src[0] = far.sin_addr.s_addr;
  message.request.id.idiag_dst[0] = near.sin_addr.s_addr;
  message.request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  message.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (send(netlink, &message, sizeof message, 0) != sizeof message) return std::nullopt;
  alignas(nlmsghdr) char buffer[4096];
  const ssize_t got = recv(netlink, buffer, sizeof buffer, 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer);
  if (got < static_cast<ssize_t>(sizeof *header) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
    return std::nullopt;  // an error message: there is no such socket
  }
  const auto* answer = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
  FarEnd end;
  end.unread = answer->idiag_rqueue;
  int left = static_cast<int>(header->nlmsg_len) - static_cast<int>(NLMSG_LENGTH(sizeof *answer));
  const char* at = reinterpret_cast<const char*>(answer) + NLMSG_ALIGN(sizeof *answer);
  while (left >= static_cast<int>(sizeof(nlattr))) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < sizeof(nlattr)) break;
    if (attribute->nla_type == INET_DIAG_INFO) {
      tcp_info info{};
      std::memcpy(&info, at + NLA_HDRLEN,
                  std::min<size_t>(sizeof info, attribute->nla_len - NLA_HDRLEN));
      end.received = info.tcpi_bytes_received;
      end.sent = info.tcpi_bytes_sent;
      end.retransmitted = info.tcpi_bytes_retrans;
    }
    at += NLA_ALIGN(attribute->nla_len);
    left -= static_cast<int>(NLA_ALIGN(attribute->nla_len));
  }
  return end;
}

}  // namespace

TcpAccountant::TcpAccountant()
    : netlink_(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}

TcpAccount TcpAccountant::Look(int fd, uint64_t read, uint64_t written, bool reading) {
  TcpAccount account;
  int unread_here = 0;
  if (reading && ioctl(fd, SIOCINQ, &unread_here) == 0 && unread_here > 0) {
    account.in_flight = std::to_string(unread_here) + " bytes arrived and are not dispatched";
    return account;
  }
  sockaddr_in near{}, far{};
  socklen_t size = sizeof near;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&near), &size) != 0) return account;
  size = sizeof far;
  // Not connected any more: nothing can be under way.
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&far), &size) != 0) return account;
  const std::optional<FarEnd> end = AskFarEnd(netlink_.get(), near, far);
  // The other end is gone; that it is has reached us, or is an event of ours about to be read.
  if (!end) return account;
  account.unread = end->unread;
  // Byte counters, not queues: an unacknowledged byte may wait 40 ms for its delayed ACK. What we
  // wrote may be more than fits: then the far end does not read, and says so by `unread`. It may
  // have received one more than was written: our FIN counts as a byte there.
  if (end->received < written && end->unread == 0) {
    account.in_flight = std::to_string(written - end->received) + " bytes to the subject";
  } else if (reading && end->sent - end->retransmitted != read) {
    account.in_flight =
        std::to_string(end->sent - end->retransmitted - read) + " bytes from the subject";
  }
  return account;
}

}  // namespace counterpart::effects
