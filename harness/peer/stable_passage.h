// A stable conduit that two subjects share, as the harness on their path sees it: which frames
// bring an item that is new, to the reader here and to whom it is passed on, who has yet to send
// again what a link has lost, and which claims to have received something cannot be. Numbers alone.
// r[stable.seq]
#ifndef COUNTERPART_PEER_STABLE_PASSAGE_H_
#define COUNTERPART_PEER_STABLE_PASSAGE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/seat.h"

namespace counterpart::peer {

class StablePassage {
 public:
  // A hello of this side on a link that is to carry the conduit: the client's first, then the
  // server's. As long as nothing was read it may announce another first number: the conduit of
  // before is forgotten. "" or what is wrong with it.
  std::string OnHello(Seat from, uint32_t first_seq, std::optional<uint32_t> last_received);

  // A frame of `from` was read, on the newest link or on one before. "" or what is wrong with its
  // ack; a number that is not due is for the monitors.
  struct Reading {
    bool is_new = false;  // the item was not read before
    std::string wrong;
  };
  Reading OnRead(Seat from, const wire::v1::StableFrame& frame, bool on_newest_link);

  // A frame of `from` was passed on whole. True: its item was not passed on before.
  bool OnPassed(Seat from, const wire::v1::StableFrame& frame);

  // Who has read the other's hello on the newest link, and has frames to send again; the client
  // first if both have.
  std::optional<Seat> OwesReplay() const;

 private:
  // What one side has sent.
  struct Flow {
    uint32_t first = 0;
    bool known = false;   // `first` is
    uint32_t read = 0;    // frames in all, each number once
    uint32_t passed = 0;  // of them
    uint32_t acked = 0;   // of them, by the other's word
    uint32_t again = 0;   // sent on the newest link, or not to be: the next one due is this
  };
  // The other side has received these up to `number`. "" or why that cannot be.
  static std::string OnAck(Flow& flow, uint32_t number, bool in_hello);

  BySeat<Flow> flows_;
  std::optional<uint32_t> client_received_;  // as its hello on the newest link says
  bool hellos_done_ = false;                 // on the newest link
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_STABLE_PASSAGE_H_
