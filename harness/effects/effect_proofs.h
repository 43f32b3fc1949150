// What shows that an effect has taken effect, in words for a report. Pure: what the kernel says of
// the other end, and what our own end has done, is passed in.
#ifndef COUNTERPART_EFFECTS_EFFECT_PROOFS_H_
#define COUNTERPART_EFFECTS_EFFECT_PROOFS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "harness/effects/tcp_account.h"

namespace counterpart::effects {

// ---- proven as soon as it shows; "" while nothing shows it

// A FIN, a reset or a half-close of ours.
struct CutSeen {
  bool connected = true;          // a connection was made by then
  bool addresses_reused = false;  // by a connection after it
  bool far_ends_shown = true;     // by this kernel
  std::optional<TcpEnd> subject;  // nothing: there is no such socket any more
};
std::string ProofOfCut(const CutSeen& seen);

// A part of a frame, the rest of which waits until the part was read.
struct SplitSeen {
  bool open = true;              // our end
  bool end_read = false;         // the subject has ended the connection
  bool nothing_follows = false;  // there is no rest
  uint64_t written = 0;          // bytes so far
  size_t unsent = 0;             // bytes that wait
  std::optional<TcpEnd> subject = {};
};
std::string ProofOfSplit(const SplitSeen& seen);

// Two frames in one segment. `segments`: sent since they were to be written.
std::string ProofOfMerge(bool written_as_one, std::optional<uint32_t> segments);

// ---- told at the end of what lasts a while, whatever shows

struct Shown {
  uint64_t took_effect = 0;  // 0: nothing shows it; 2: and its window has closed, too
  std::string text;
};

// That nothing was read from a link: of the bytes that wait at our end, and the subject's socket.
Shown ShownOfStopReading(size_t unread, const std::optional<TcpEnd>& subject);

// That its process stood still. `threads`: all of them, in state T; nothing: not all were.
Shown ShownOfStop(std::optional<size_t> threads, uint64_t bytes_waiting);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_EFFECT_PROOFS_H_
