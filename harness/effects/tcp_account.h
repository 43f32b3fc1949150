// Whether every byte of a connection with the subject has arrived where it was sent. Pure: the
// kernel's counters of both ends are passed in.
//
// Byte counters are compared, never queue lengths: an empty send queue is known only by an
// acknowledgement, and TCP may delay that by 40 ms.
#ifndef COUNTERPART_EFFECTS_TCP_ACCOUNT_H_
#define COUNTERPART_EFFECTS_TCP_ACCOUNT_H_

#include <cstdint>
#include <optional>
#include <string>

namespace counterpart::effects {

// A connection by its addresses, all in network byte order. Near is ours.
struct TcpPath {
  uint32_t near_address = 0, far_address = 0;
  uint16_t near_port = 0, far_port = 0;
  bool operator==(const TcpPath&) const = default;
};
// As the other end has it.
TcpPath Reversed(const TcpPath& path);

// One connection with the subject, as our end of it has been used.
struct LinkAccount {
  int fd = -1;  // our end, connected
  TcpPath path = {};
  uint64_t read = 0, written = 0;  // bytes, from its first one; read ones have been dispatched
  bool reading = true;             // false: input is left in the kernel on purpose
  bool end_seen = false;           // its EOF has been read and dispatched
};

// What the kernel says about one end.
struct TcpEnd {
  uint8_t state = 0;       // TCP_ESTABLISHED, …
  bool counted = false;    // the counters are known (not so in TIME_WAIT)
  uint64_t received = 0;   // in order, into the receive queue; a FIN counts as one byte
  uint64_t sent = 0;       // without retransmissions; a FIN does not count
  uint32_t held_back = 0;  // written by the process and not sent yet (Nagle, cork, window)
  uint32_t unread = 0;     // in the receive queue
  uint32_t segments = 0;   // with data, sent
  uint32_t window = 0;     // that the other end has offered, in bytes
};

// Why something is still under way; empty: nothing is. `subject`: nothing if there is no such
// socket any more.
std::string InFlight(const LinkAccount& link, const TcpEnd& own,
                     const std::optional<TcpEnd>& subject);

// The same between the kernels of both ends, of a connection that a library of ours has. What the
// library itself still holds shows in neither.
std::string InFlightBetween(const std::optional<TcpEnd>& own, const std::optional<TcpEnd>& subject);

// The same of a connection whose end at us is closed: whether the subject has been told.
bool HasArrived(const std::optional<TcpEnd>& subject);

// What the kernel shows of an end that has got our FIN or reset, for people; "" if it has not.
// `subject`: nothing if there is no such socket any more.
std::string HowTold(const std::optional<TcpEnd>& subject);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_TCP_ACCOUNT_H_
