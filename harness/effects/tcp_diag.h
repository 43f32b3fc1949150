// The kernel's account of both ends of our connections, asked by address: microseconds each.
#ifndef COUNTERPART_EFFECTS_TCP_DIAG_H_
#define COUNTERPART_EFFECTS_TCP_DIAG_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/effects/tcp_account.h"
#include "harness/effects/unique_fd.h"

namespace counterpart::effects {

// Of a connected IPv4 socket; nothing if it is not, or not any more.
std::optional<TcpPath> PathOf(int fd);

class TcpDiag {
 public:
  TcpDiag();
  // Nothing if there is no such socket, or none any more.
  std::optional<TcpEnd> OwnEnd(int fd) const;
  std::optional<TcpEnd> FarEnd(const TcpPath& path);
  // The inode of the socket that listens there or at that port of all addresses; 0 if there is
  // none. The address is in host byte order.
  uint64_t ListeningInode(uint32_t address, uint16_t port);
  // Every established connection from here to 127.0.0.1:port. Slow: it has the kernel look through
  // its whole table.
  std::vector<TcpPath> ConnectionsTo(uint16_t port);

 private:
  UniqueFd netlink_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_TCP_DIAG_H_
