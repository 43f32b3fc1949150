#include "harness/effects/grpc_control.h"

#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "counterpart/control/v1/control.grpc.pb.h"
#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/grpc_channel.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;

// Completions come on one thread and one completion queue of our own, which end with the client:
// gRPC's shared callback queue aborts the program now and then when its last user leaves.
class GrpcControl final : public ControlClient {
 public:
  GrpcControl(const std::string& address, std::string token, ControlSink* sink)
      : in_library_(std::in_place),
        token_(std::move(token)),
        sink_(sink),
        commands_(control::Subject::NewStub(ChannelTo(address))),
        questions_(control::Subject::NewStub(ChannelTo(address))),
        completions_([this] { Complete(); }) {
    in_library_.reset();
  }

  ~GrpcControl() override {
    in_library_.emplace();  // and until all of it is gone
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      for (Call* call : open_) call->context.TryCancel();
    }
    queue_.Shutdown();  // what is open completes first, cancelled
    completions_.join();
  }

  void Ask(uint64_t id, const std::string& request, Credential credential) override {
    control::ControlRequest parsed;
    if (!parsed.ParseFromString(request)) {
      sink_->Push({.id = id, .failure = "not a ControlRequest"});
      return;
    }
    (parsed.has_execute() ? commands_used_ : questions_used_) = true;
    // Commands can be many and long; the lane for questions never waits behind them.
    // r[control.lifecycle.status-lane]
    using Stub = control::Subject::Stub;
    using Reply = control::ControlReply;
    switch (parsed.kind_case()) {
      case control::ControlRequest::kDescribe:
        return Start(id, *questions_, &Stub::AsyncDescribe, *parsed.mutable_describe(), credential,
                     &Reply::mutable_describe);
      case control::ControlRequest::kExecute:
        return Start(id, *commands_, &Stub::AsyncExecute, *parsed.mutable_execute(), credential,
                     &Reply::mutable_execute);
      case control::ControlRequest::kStatus:
        return Start(id, *questions_, &Stub::AsyncStatus, *parsed.mutable_status(), credential,
                     &Reply::mutable_status);
      case control::ControlRequest::kJournal:
        return Start(id, *questions_, &Stub::AsyncJournal, *parsed.mutable_journal(), credential,
                     &Reply::mutable_journal);
      case control::ControlRequest::kSettle:
        return Start(id, *questions_, &Stub::AsyncSettle, *parsed.mutable_settle(), credential,
                     &Reply::mutable_settle);
      case control::ControlRequest::kReset:
        return Start(id, *questions_, &Stub::AsyncReset, *parsed.mutable_reset(), credential,
                     &Reply::mutable_reset);
      case control::ControlRequest::KIND_NOT_SET:
        sink_->Push({.id = id, .failure = "an empty ControlRequest"});
        return;
    }
  }

  size_t connections() const override { return size_t{commands_used_} + size_t{questions_used_}; }

 private:
  // One question on its way. Owned by whoever takes its tag off the queue.
  struct Call {
    virtual ~Call() = default;

    uint64_t id = 0;
    grpc::ClientContext context;
    grpc::Status status;
    control::ControlReply reply;
  };

  template <class Response>
  struct TypedCall final : Call {
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  };

  template <class Response>
  using Reader = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>;

  template <class Request, class Response>
  void Start(uint64_t id, control::Subject::Stub& stub,
             Reader<Response> (control::Subject::Stub::*send)(grpc::ClientContext*, const Request&,
                                                              grpc::CompletionQueue*),
             const Request& request, Credential credential,
             Response* (control::ControlReply::*slot)()) {
    auto* call = new TypedCall<Response>;
    call->id = id;
    Identify(credential, token_, &call->context);
    const InLibrary in_library;
    // Held to the end: whoever takes the tag off the queue takes the call over only then.
    const std::lock_guard lock(mutex_);
    open_.insert(call);
    call->reader = (stub.*send)(&call->context, request, &queue_);
    call->reader->Finish((call->reply.*slot)(), &call->status, static_cast<Call*>(call));
  }

  void Complete() {
    pthread_setname_np(pthread_self(), "control_answers");
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      {
        const std::lock_guard lock(mutex_);
        open_.erase(call.get());
      }
      ControlCompletion completion =
          call->status.ok() ? ControlCompletion{.id = call->id,
                                                .answered = true,
                                                .reply = call->reply.SerializeAsString()}
                            : NotAnswered(call->id, call->status);
      const std::lock_guard lock(mutex_);
      if (!closing_) sink_->Push(std::move(completion));
    }
  }

  std::optional<InLibrary> in_library_;  // first: while the rest is made and unmade
  const std::string token_;
  ControlSink* const sink_;
  std::unique_ptr<control::Subject::Stub> commands_, questions_;
  grpc::CompletionQueue queue_;
  std::mutex mutex_;
  std::unordered_set<Call*> open_;
  bool closing_ = false;
  bool commands_used_ = false, questions_used_ = false;  // each has its connection from then on
  std::thread completions_;                              // last: it uses all of the above
};

}  // namespace

std::unique_ptr<ControlClient> MakeGrpcControl(const std::string& address, std::string token,
                                               ControlSink* sink) {
  return std::make_unique<GrpcControl>(address, std::move(token), sink);
}

}  // namespace counterpart::effects
