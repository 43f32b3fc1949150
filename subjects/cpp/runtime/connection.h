// A connection: a namespace of requests and channels in a session. It survives links; what does not
// is its lane.  r[connection.parity]
#pragma once

#include <cstdint>

#include "runtime/caller.h"
#include "runtime/id_space.h"

namespace subject {

class Connection {
 public:
  Connection(Session* session, uint64_t id) : session_(session), id_(id), caller_(session, this) {}

  // As the opening and its answer, or the handshake, say.
  void Settle(uint64_t own_parity, uint32_t own_limit, uint32_t peer_limit);

  uint64_t id() const { return id_; }
  uint32_t own_limit() const { return own_limit_; }
  uint32_t peer_limit() const { return peer_limit_; }
  Caller& caller() { return caller_; }
  bool open() const;
  Lane* lane();  // null while detached

  uint64_t next_request_id() const;
  // Requests of the counterpart so far are of an older generation from now on.
  void BeginGeneration() { last_of_older_generation_ = requests.newest_seen(); }
  bool OfOlderGeneration(uint64_t request_id) const {
    return request_id <= last_of_older_generation_;
  }

  IdSpace requests, channels;

 private:
  Session* session_;
  uint64_t id_;
  uint32_t own_limit_ = 0, peer_limit_ = 0;
  Caller caller_;
  uint64_t last_of_older_generation_ = 0;
};

}  // namespace subject
