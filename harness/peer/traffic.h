// What two subjects have said to each other in the session they share, as far as the harness on
// their path has passed it on. Nothing is judged here: the books tell whose step it is when nothing
// goes on, and whose word it was when an application was told something wrong.
#ifndef COUNTERPART_PEER_TRAFFIC_H_
#define COUNTERPART_PEER_TRAFFIC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/seat.h"

namespace counterpart::peer {

// One direction of items, on the link its attempt was made on.
struct Stream {
  Seat sender = Seat::kServer;
  uint64_t credit = 0;           // granted in all
  std::vector<uint64_t> values;  // sent
  bool closed = false, aborted = false, reset = false;

  Seat receiver() const { return Across(sender); }
  bool blocked() const { return values.size() >= credit; }
};

struct Attempt {
  uint64_t request_id = 0;
  uint32_t link = 0;
  std::map<uint32_t, std::shared_ptr<Stream>> streams;  // by field number
  std::optional<wire::v1::Response> response;
  bool cancelled = false;
};

struct Operation {
  uint64_t id = 0;
  std::string method, arguments;
  std::vector<Attempt> attempts;  // never empty

  const Attempt& latest() const { return attempts.back(); }
};

class Traffic {
 public:
  void OnMessage(Seat from, uint32_t link, const wire::v1::Message& message);

  // The first operation of this caller with this method and these bytes that is newer than `after`;
  // null if none has been passed on.
  const Operation* Find(Seat caller, const std::string& method, const std::string& arguments,
                        uint64_t after) const;
  uint64_t newest_operation(Seat caller) const;
  // Messages of this kind and side so far, as KindOf names them.
  uint32_t Count(Seat from, const std::string& kind) const;

 private:
  Stream* FindStream(uint32_t link, uint64_t channel);

  BySeat<std::map<uint64_t, Operation>> operations_;                          // by caller, then id
  std::map<std::pair<uint32_t, uint64_t>, std::shared_ptr<Stream>> streams_;  // by link, channel
  std::map<std::pair<Seat, std::string>, uint32_t> counts_;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_TRAFFIC_H_
