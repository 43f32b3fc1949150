#include "harness/effects/grpc_channel.h"

namespace counterpart::effects {
namespace {

// How long a subject may take until it has answered a connection, however starved it is. That it
// never will is found out otherwise.
constexpr int kLongestConnectMs = 60 * 60 * 1000;

}  // namespace

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  grpc::ChannelArguments arguments;
  // One TCP connection per channel, ours alone, straight to the subject.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Nothing is ever sent twice behind our back: r[control.lifecycle.send-ordinal].
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // No probes of a bandwidth that is not there: a ping with every answer.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // The least time there is between two attempts to connect is what one of them is given.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kLongestConnectMs);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kLargestControlMessage));
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void Identify(Credential credential, const std::string& token, grpc::ClientContext* context) {
  if (credential == Credential::kNone) return;
  context->AddMetadata("counterpart-token",
                       credential == Credential::kOurs ? token : "not " + token);
}

ControlCompletion NotAnswered(uint64_t id, const grpc::Status& status) {
  ControlCompletion completion{.id = id};
  completion.failure =
      "gRPC status " + std::to_string(status.error_code()) + ": " + status.error_message();
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    completion.failure +=
        "not served; who says \"grpc\" in its first line serves Subject, who says \"grpc-stream\" "
        "serves SubjectStream";
  }
  // Nobody here cancels what is awaited. A server of gRPC's own does, after 30 s by default, when
  // it got no time to hand the call over.
  completion.lapsed = status.error_code() == grpc::StatusCode::CANCELLED;
  return completion;
}

}  // namespace counterpart::effects
