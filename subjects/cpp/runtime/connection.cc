#include "runtime/connection.h"

#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {

void Connection::Settle(uint64_t own_parity, uint32_t own_limit, uint32_t peer_limit) {
  if (Mutated("mints_odd_ids_only")) own_parity = 1;  // r[session.parity]
  requests.set_own_parity(own_parity);
  channels.set_own_parity(own_parity);
  own_limit_ = own_limit;
  peer_limit_ = peer_limit;
}

bool Connection::open() const { return session_->connections().open(id_); }

Lane* Connection::lane() {
  return session_->attachment() == nullptr ? nullptr : session_->attachment()->FindLane(id_);
}

uint64_t Connection::next_request_id() const {
  return requests.next() + (Mutated("wrong_parity") ? 1 : 0);
}

}  // namespace subject
