// What a frame with a wrong bit is to the side that reads it. Pure: the bytes and the phase decide.
#ifndef COUNTERPART_PEER_CORRUPTION_H_
#define COUNTERPART_PEER_CORRUPTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace counterpart::peer {

// What a link carries next, in one direction.
enum class Phase : uint8_t { kPrologue, kHandshake, kMessages };

// An interval, like everything that follows a fault: the bytes say what is owed, or leave it open.
enum class Reads : uint8_t {
  kRefused,  // it is no payload of this phase: to be refused  r[wire.envelope] r[link.limit]
  kAwaited,  // it has not ended yet: nothing is owed, and nothing of it may be acted upon
  kAsOther,  // it is a payload, if not the one that was meant: anything may follow but a crash
};

struct Corruption {
  Reads reads = Reads::kRefused;
  bool oversize = false;              // kRefused for its length alone
  std::vector<std::string> payloads;  // kAsOther: what it reads as
};

// `framed`: length field and body, as sent. `limit`: the largest payload that its reader announced.
// Before kMessages a length over 64 KiB may be refused or awaited: then it is kAwaited.
Corruption ReadCorrupted(std::string_view framed, Phase phase, uint32_t limit);

// `framed` with one bit turned over; bits count from 1, the lowest of the first byte first.
std::string FlipBit(std::string framed, uint32_t bit);

const char* Name(Reads reads);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_CORRUPTION_H_
