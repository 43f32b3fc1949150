// What a run leaves at a subject, as it is read at the end.
#ifndef COUNTERPART_PEER_LEFTOVERS_H_
#define COUNTERPART_PEER_LEFTOVERS_H_

#include <string>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "harness/peer/observed.h"

namespace counterpart::peer {

// As session ids stand in the executions file.
std::string HexOf(const std::string& bytes);
std::vector<ObservedEnd::Execution> ParseExecutions(const std::string& lines);

// The journal of the run, as the end is judged by it.
void TakeJournal(const control::v1::JournalResponse& reply, ObservedEnd* end);

// " 1 links 2 channels": all that a finished run must not hold; "" if there is nothing.
// r[control.reset]
std::string DescribeLeaks(const control::v1::ResetResponse& held);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_LEFTOVERS_H_
