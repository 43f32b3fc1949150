// What is known of every virtual connection of a session: a state each, and what that allows. Pure:
// it sends nothing, and ends nothing.
//
//   state    opened by us: accepted, rejected; then by either side
//   Opening  asked for by us, not answered
//   Open     both may use it
//   Closing  we have closed it, the counterpart has not: what arrives is discarded
//   Closed   for good; no id is used twice  (also: rejected, or lost in a resume)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/id_space.h"

namespace subject {

enum class ConnectionState { kOpening, kOpen, kClosing, kClosed };

enum class ConnectionEvent {
  kAccepted,   // AcceptConnection came
  kRejected,   // RejectConnection came
  kCloseSent,  // CloseConnection of ours, the first one
  kCloseCame,  // CloseConnection of the counterpart, the first one: ours is its echo
  kLost,       // a resume left it out  r[session.resume.connections]
};

// What is to be done with a message on a connection.
enum class Arrival { kApply, kDiscard, kRefuse };

class ConnectionTable {
 public:
  // Of the ids of connections: the parity that the session gave this side.
  void set_own_parity(uint64_t parity) { ids_.set_own_parity(parity); }

  // Ours: a new id, Opening.
  uint64_t Open();
  // The counterpart's: false if it may not use this id.  r[connection.open]
  bool Announced(uint64_t id) { return ids_.See(id); }
  void Accept(uint64_t id) { states_[id] = {ConnectionState::kOpen, false}; }

  // Takes the step; false if the state does not have it.
  bool Step(uint64_t id, ConnectionEvent event);
  // Nothing: there is no such connection.
  std::optional<ConnectionState> Find(uint64_t id) const;
  bool Is(uint64_t id, ConnectionState state) const { return Find(id) == state; }
  // Of anything but an answer to an opening, and a close.  r[connection.close.echo]
  Arrival OnTraffic(uint64_t id) const;

  // Those that are open, and hence listed in a resume.
  std::vector<uint64_t> Listed() const { return Of(ConnectionState::kOpen); }
  // Those that do not survive, given the ids in both lists.
  std::vector<uint64_t> Lost(const std::vector<uint64_t>& in_both) const;
  std::vector<uint64_t> Of(ConnectionState state) const;
  // Opened by the counterpart, and not closed by both.
  uint32_t accepted() const;

  // Mutants only: the newest id of ours is minted again.
  void Unmint();

 private:
  struct Known {
    ConnectionState state;
    bool ours;
  };
  IdSpace ids_;
  std::map<uint64_t, Known> states_;
};

}  // namespace subject
