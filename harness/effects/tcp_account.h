// Whether every byte of a loopback connection has arrived where it was sent.
#ifndef COUNTERPART_EFFECTS_TCP_ACCOUNT_H_
#define COUNTERPART_EFFECTS_TCP_ACCOUNT_H_

#include <cstdint>
#include <string>

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {

struct TcpAccount {
  // Why bytes are still under way; empty: none are.
  std::string in_flight;
  // Bytes that have arrived at the subject's end and that it has not read.
  uint64_t unread = 0;
};

// Asks the kernel about the other end of our connections, by address: microseconds each.
class TcpAccountant {
 public:
  TcpAccountant();
  // `fd`: our end, through which `read` bytes were read and dispatched, and into which `written`
  // were written. `reading`: false if input is left in the kernel on purpose.
  TcpAccount Look(int fd, uint64_t read, uint64_t written, bool reading);

 private:
  UniqueFd netlink_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_TCP_ACCOUNT_H_
