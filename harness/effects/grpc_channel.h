// How the harness connects to a subject over gRPC, whichever of its services it serves. For the
// modules that use gRPC only.
#ifndef COUNTERPART_EFFECTS_GRPC_CHANNEL_H_
#define COUNTERPART_EFFECTS_GRPC_CHANNEL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "harness/effects/control_client.h"

namespace counterpart::effects {

// `address`: "127.0.0.1:PORT". Connects when it is first used.
std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);

// Metadata that shows `token` to be ours, as `credential` says.  r[control.token]
void Identify(Credential credential, const std::string& token, grpc::ClientContext* context);

// How a question that was not answered ended.
ControlCompletion NotAnswered(uint64_t id, const grpc::Status& status);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_GRPC_CHANNEL_H_
