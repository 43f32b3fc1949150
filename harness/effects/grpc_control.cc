#include "harness/effects/grpc_control.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "counterpart/control/v1/control.grpc.pb.h"
#include "counterpart/control/v1/control.pb.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // One TCP connection per channel, ours alone, straight to the subject.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Nothing is ever sent twice behind our back: r[control.lifecycle.send-ordinal].
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kLargestControlMessage));
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

class GrpcControl final : public ControlClient {
 public:
  GrpcControl(const std::string& address, std::string token, ControlSink* sink)
      : token_(std::move(token)),
        sink_(sink),
        commands_(control::Subject::NewStub(Connect(address))),
        questions_(control::Subject::NewStub(Connect(address))) {}

  ~GrpcControl() override {
    std::vector<std::shared_ptr<grpc::ClientContext>> open;
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      for (const auto& [raw, context] : pending_) open.push_back(context);
    }
    for (const auto& context : open) context->TryCancel();  // unlocked: may call back at once
    std::unique_lock lock(mutex_);
    all_done_.wait(lock, [this] { return pending_.empty(); });
  }

  void Ask(uint64_t id, const std::string& request) override {
    control::ControlRequest parsed;
    if (!parsed.ParseFromString(request)) {
      sink_->Push({.id = id, .failure = "not a ControlRequest"});
      return;
    }
    // Commands can be many and long; the lane for questions never waits behind them.
    // r[control.lifecycle.status-lane]
    auto* commands = commands_->async();
    auto* questions = questions_->async();
    switch (parsed.kind_case()) {
      case control::ControlRequest::kDescribe:
        return Start(id, std::move(*parsed.mutable_describe()),
                     &control::ControlReply::mutable_describe,
                     [=](auto... call) { questions->Describe(std::move(call)...); });
      case control::ControlRequest::kExecute:
        return Start(id, std::move(*parsed.mutable_execute()),
                     &control::ControlReply::mutable_execute,
                     [=](auto... call) { commands->Execute(std::move(call)...); });
      case control::ControlRequest::kStatus:
        return Start(id, std::move(*parsed.mutable_status()),
                     &control::ControlReply::mutable_status,
                     [=](auto... call) { questions->Status(std::move(call)...); });
      case control::ControlRequest::kJournal:
        return Start(id, std::move(*parsed.mutable_journal()),
                     &control::ControlReply::mutable_journal,
                     [=](auto... call) { questions->Journal(std::move(call)...); });
      case control::ControlRequest::kSettle:
        return Start(id, std::move(*parsed.mutable_settle()),
                     &control::ControlReply::mutable_settle,
                     [=](auto... call) { questions->Settle(std::move(call)...); });
      case control::ControlRequest::kReset:
        return Start(id, std::move(*parsed.mutable_reset()), &control::ControlReply::mutable_reset,
                     [=](auto... call) { questions->Reset(std::move(call)...); });
      case control::ControlRequest::KIND_NOT_SET:
        sink_->Push({.id = id, .failure = "an empty ControlRequest"});
        return;
    }
  }

 private:
  template <class Request>
  struct Call {
    grpc::ClientContext context;
    Request request;
    control::ControlReply reply;
  };

  template <class Request, class Response, class Send>
  void Start(uint64_t id, Request request, Response* (control::ControlReply::*slot)(), Send send) {
    auto call = std::make_shared<Call<Request>>();
    call->request = std::move(request);
    call->context.AddMetadata("counterpart-token", token_);
    Response* response = (call->reply.*slot)();
    {
      const std::lock_guard lock(mutex_);
      pending_.emplace(&call->context, std::shared_ptr<grpc::ClientContext>(call, &call->context));
    }
    send(&call->context, &call->request, response, [this, id, call](grpc::Status status) {
      ControlCompletion completion{.id = id, .answered = status.ok()};
      if (status.ok()) {
        completion.reply = call->reply.SerializeAsString();
      } else {
        completion.failure =
            "gRPC status " + std::to_string(status.error_code()) + ": " + status.error_message();
      }
      Finish(&call->context, std::move(completion));
    });
  }

  void Finish(grpc::ClientContext* context, ControlCompletion completion) {
    const std::lock_guard lock(mutex_);
    if (!closing_) sink_->Push(std::move(completion));
    pending_.erase(context);
    if (pending_.empty()) all_done_.notify_all();
  }

  const std::string token_;
  ControlSink* const sink_;
  std::unique_ptr<control::Subject::Stub> commands_, questions_;
  std::mutex mutex_;
  std::condition_variable all_done_;
  std::unordered_map<grpc::ClientContext*, std::shared_ptr<grpc::ClientContext>> pending_;
  bool closing_ = false;
};

}  // namespace

std::unique_ptr<ControlClient> MakeGrpcControl(const std::string& address, std::string token,
                                               ControlSink* sink) {
  return std::make_unique<GrpcControl>(address, std::move(token), sink);
}

}  // namespace counterpart::effects
