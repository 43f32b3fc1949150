#include "harness/effects/tcp_account.h"

#include <netinet/tcp.h>

namespace counterpart::effects {
namespace {

// Its process has sent a FIN, or closed.
bool HasSentFin(uint8_t state) {
  return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
         state == TCP_LAST_ACK || state == TCP_TIME_WAIT;
}

// It has got the FIN of the other end, or a reset.
bool HasGotEnd(uint8_t state) {
  return state == TCP_CLOSE_WAIT || state == TCP_CLOSING || state == TCP_LAST_ACK ||
         state == TCP_TIME_WAIT || state == TCP_CLOSE;
}

bool Shaking(uint8_t state) { return state == TCP_SYN_SENT || state == TCP_SYN_RECV; }

}  // namespace

std::string InFlight(const LinkAccount& link, const TcpEnd& own,
                     const std::optional<TcpEnd>& subject) {
  const bool awaits_input = link.reading && !link.end_seen;
  constexpr char kEnd[] = "the end of a connection is not dispatched yet";
  if (!subject) return awaits_input ? kEnd : "";
  if (Shaking(own.state) || Shaking(subject->state)) return "a handshake is under way";
  if (awaits_input && (HasSentFin(subject->state) || HasGotEnd(own.state))) return kEnd;
  // Behind bytes that the subject does not read, whatever we send may have to wait for it. That is
  // not under way; the caller sees that it stays so.
  const bool stalled = subject->unread > 0;
  if (HasSentFin(own.state) && !HasGotEnd(subject->state) && !stalled)
    return "our FIN is under way";
  if (!subject->counted) return {};
  if (subject->received < link.written && !stalled) {
    return std::to_string(link.written - subject->received) + " bytes to the subject";
  }
  if (!awaits_input) return {};
  if (subject->sent > link.read) {
    return std::to_string(subject->sent - link.read) + " bytes from the subject";
  }
  // Held back by the sender's TCP until an acknowledgement or a timer of the kernel: nobody runs,
  // every byte sent has arrived, and yet there is more to come.
  if (subject->held_back > 0) return std::to_string(subject->held_back) + " bytes held back by TCP";
  return {};
}

TcpPath Reversed(const TcpPath& path) {
  return {.near_address = path.far_address,
          .far_address = path.near_address,
          .near_port = path.far_port,
          .far_port = path.near_port};
}

std::string InFlightBetween(const std::optional<TcpEnd>& own,
                            const std::optional<TcpEnd>& subject) {
  if (!own || !subject || !own->counted || !subject->counted) {
    return "a connection of the control plane begins or ends";
  }
  // What waits behind bytes that the subject does not read is not under way.
  if (subject->unread == 0 && (own->sent > subject->received || own->held_back > 0)) {
    return "a question is on its way to the subject";
  }
  if (own->unread > 0 || subject->sent > own->received || subject->held_back > 0) {
    return "an answer of the subject is on its way";
  }
  return {};
}

bool HasArrived(const std::optional<TcpEnd>& subject) {
  return !subject || HasGotEnd(subject->state) || subject->unread > 0;
}

std::string HowTold(const std::optional<TcpEnd>& subject) {
  if (!subject) return "the subject's socket is gone";
  if (!HasGotEnd(subject->state)) return "";
  switch (subject->state) {
    case TCP_CLOSE_WAIT:
      return "the subject's socket is in CLOSE_WAIT";
    case TCP_CLOSE:
      return "the subject's socket is closed";
    default:
      return "the subject's socket has got the end, and is closing";
  }
}

}  // namespace counterpart::effects
