// The virtual connections of one session, as the frames of both sides tell: who asked for each,
// what both announced, and who has closed it. Facts only; what they break is the monitors' to say.
#ifndef COUNTERPART_JUDGE_CONNECTIONS_H_
#define COUNTERPART_JUDGE_CONNECTIONS_H_

#include <cstdint>
#include <map>

#include "harness/peer/observed.h"

namespace counterpart::judge {

using peer::Side;

inline int Index(Side side) { return side == Side::kHarness ? 0 : 1; }
inline Side Other(Side side) { return side == Side::kHarness ? Side::kSubject : Side::kHarness; }

struct Connection {
  Side opener = Side::kHarness;
  bool opener_odd = false;     // the ids that the opener mints on it
  uint32_t limit[2] = {0, 0};  // max_concurrent_requests announced by harness, by subject
  bool accepted = false, rejected = false;
  bool closed[2] = {false, false};  // CloseConnection was sent by harness, by subject
  uint32_t left_out_on = 0;         // the link whose resume did not list it on both sides; 0: none

  // r[connection.parity]
  bool Odd(Side side) const { return (side == opener) == opener_odd; }
  bool open() const { return accepted && !closed[0] && !closed[1] && left_out_on == 0; }
};

class Connections {
 public:
  // Null: nobody ever asked for it; so it is for the root.
  Connection* Find(uint64_t id) {
    const auto found = all_.find(id);
    return found == all_.end() ? nullptr : &found->second;
  }
  Connection& Open(uint64_t id) { return all_[id] = Connection(); }
  std::map<uint64_t, Connection>& all() { return all_; }

 private:
  std::map<uint64_t, Connection> all_;
};

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_CONNECTIONS_H_
