// Frames written as text, for tests of monitors: "S ping { nonce: 7 }" is the subject's Ping.
//
//   [LINK]SIDE[!] TEXT
//
// LINK is a number, 1 if left out. SIDE is H (harness) or S (subject). "!" marks what the harness
// breaks on purpose. TEXT is protobuf text of a Message; of a Prologue after "prologue ", of a
// Handshake after "handshake "; "malformed" stands for a payload that could not be read.
#ifndef COUNTERPART_TESTS_FRAME_SCRIPT_H_
#define COUNTERPART_TESTS_FRAME_SCRIPT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/observed.h"

namespace counterpart::tests {

// Calls `use` with the frame while what it points to lives. False if `line` is no such text.
bool WithFrame(const std::string& line, const std::function<void(peer::ObservedFrame&)>& use);

}  // namespace counterpart::tests

#endif  // COUNTERPART_TESTS_FRAME_SCRIPT_H_
