// What a subject owes to a message of the harness, by the rules and by the state tables of
// spec/machines/: pure. A message is legal here, or it is answered by a ProtocolError of one of
// some codes and by which rule.
#ifndef COUNTERPART_SCENARIOS_MESSAGE_ORACLE_H_
#define COUNTERPART_SCENARIOS_MESSAGE_ORACLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"

namespace counterpart::scenarios {

// The end of a channel that the subject has, as far as messages of the harness can tell.
struct SubjectEnd {
  bool receives = false;
  std::string state = "Open";  // of spec/machines/channel_{receiver,sender}.yaml
  uint64_t credit = 0;         // receiving: granted and not used; sending: what it may still send
  bool late_close = false;     // of a reset end: the one close that may cross has been read
};

// What the subject knows when the message arrives.
struct Ground {
  bool harness_odd = true;                          // the ids that the harness mints
  uint64_t newest_request = 0, newest_channel = 0;  // of the harness, over all generations
  uint64_t stale_requests = 0;      // ids of the harness up to this one are of an older generation
  std::set<std::string> announced;  // methods whose arguments are
  std::set<uint64_t> in_flight;     // requests of the subject
  bool response_announced = false;  // of their method
  bool error_announced = false;
  std::map<uint64_t, SubjectEnd> ends;  // of this generation, by channel id
};

struct Owed {
  std::string rule;                             // that is broken, or that says it is legal
  std::set<wire::v1::ProtocolErrorCode> codes;  // accepted; none: the message is legal
  bool legal() const { return codes.empty(); }
};

// Of a payload that decoded to this; null: of one that did not.
Owed Judged(const Ground& ground, const wire::v1::Message* message);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_MESSAGE_ORACLE_H_
