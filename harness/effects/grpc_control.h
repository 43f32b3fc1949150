// The control plane over gRPC: of a subject that serves Subject, or SubjectStream.
#ifndef COUNTERPART_EFFECTS_GRPC_CONTROL_H_
#define COUNTERPART_EFFECTS_GRPC_CONTROL_H_

#include <memory>
#include <string>

#include "harness/effects/control_client.h"

namespace counterpart::effects {

// `address`: "127.0.0.1:PORT". `sink` outlives the client; pushes come from gRPC's threads.
//
// A call for each question.
std::unique_ptr<ControlClient> MakeGrpcControl(const std::string& address, std::string token,
                                               ControlSink* sink);
// One stream for all of them, and another for each that carries another credential. Once the
// subject has ended it, nothing more is answered.  r[control.stream]
std::unique_ptr<ControlClient> MakeGrpcStreamControl(const std::string& address, std::string token,
                                                     ControlSink* sink);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_GRPC_CONTROL_H_
