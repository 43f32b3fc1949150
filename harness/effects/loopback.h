// Sockets on addresses of this machine alone, in host byte order: all non-blocking and not
// inherited by subjects.
#ifndef COUNTERPART_EFFECTS_LOOPBACK_H_
#define COUNTERPART_EFFECTS_LOOPBACK_H_

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>

#include "harness/effects/unique_fd.h"
#include "harness/result.h"

namespace counterpart::effects {

sockaddr_in EndpointOf(uint32_t address, uint16_t port);

// A port of ours that can stop and start listening without ever losing it: a second socket stays
// bound to the port and never listens, so the port is refused while nobody listens, and nobody
// else is given it.
class Listener {
 public:
  // Port 0 is none: an error.
  static Result<Listener> Open(uint32_t address, uint16_t port);

  uint16_t port() const { return port_; }
  bool listening() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }

  // Connections not accepted yet are reset.
  void Stop();
  Status StartAgain();
  // The next connection, if there is one.
  std::optional<UniqueFd> Accept();

 private:
  UniqueFd reservation_, socket_;
  uint32_t address_ = 0;
  uint16_t port_ = 0;
};

// A connection being made. `connected`: already done; else writable once it is decided.
struct Dialling {
  UniqueFd fd;
  bool connected = false;
};
Result<Dialling> Dial(uint32_t address, uint16_t port);
// What became of it: 0 or an errno. A socket that met itself, because the kernel gave it the port
// it dialled as its own, was refused.
int DialError(int fd);

void SetNoDelay(int fd);
// Closes by RST.
void CloseByReset(UniqueFd fd);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_LOOPBACK_H_
