// Where the sockets of runs listen. Who ends a connection keeps its address and port taken for a
// minute (TIME_WAIT): on one address a fast campaign has no port left before that minute is over,
// and the fewer are left, the longer the kernel looks for one, for milliseconds in the end. So each
// run has an address of 127.0.0.0/8 to itself, and on it ports that the kernel gives to nobody who
// asks for any: from a port that was listened on, wherever, no connection goes out in that minute.
#ifndef COUNTERPART_EFFECTS_LOOPBACK_SPACE_H_
#define COUNTERPART_EFFECTS_LOOPBACK_SPACE_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "harness/effects/tcp_diag.h"

namespace counterpart::effects {

// First and last.
struct PortRange {
  uint16_t first = 0, last = 0;
  uint32_t size() const { return uint32_t{last} - first + 1; }
};
// Those to listen on where the kernel gives `ephemeral` to whoever asks for any: below them, or
// else above; all, where neither has a thousand.
PortRange PortsBeside(PortRange ephemeral);

// May be used by any number of threads.
class LoopbackSpace {
 public:
  // `count` addresses from `first` on, in host byte order; the first to be given is number `begin`.
  LoopbackSpace(uint32_t first, uint32_t count, uint32_t begin, PortRange ports)
      : first_(first), count_(count), ports_(ports), next_address_(begin) {}
  // The one of this machine. It begins anywhere, for there may be other campaigns.
  static LoopbackSpace& Here();

  // In host byte order; the same again only when all have been given.
  uint32_t NextAddress();
  // One of this address at which nobody listens, nor on all addresses at once. 0: there is none.
  // It is asked for, not tried: the child of another thread that is about to become a subject would
  // have the socket as well, for a moment too long.
  uint16_t FreePort(uint32_t address);

 private:
  const uint32_t first_, count_;
  const PortRange ports_;
  std::atomic<uint32_t> next_address_;
  std::mutex mutex_;
  TcpDiag tcp_;
  uint32_t next_port_ = 0;
};

// As people write it: "127.64.0.1".
std::string HostOf(uint32_t address);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_LOOPBACK_SPACE_H_
