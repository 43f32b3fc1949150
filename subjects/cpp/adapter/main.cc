// The C++ subject: serves the control plane over gRPC on loopback until stdin closes.
#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <iostream>
#include <limits>
#include <thread>

#include "adapter/scope.h"
#include "counterpart/control/v1/control.grpc.pb.h"
#include "runtime/mutation.h"

namespace subject {
namespace {
using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

// Every request goes to the loop, in order, and is answered from there.
class Control final : public control::Subject::CallbackService {
 public:
  Control(Runtime& runtime, const char* token)
      : runtime_(runtime), log_(runtime.journal, runtime.loop), token_(token ? token : "") {}

#define COUNTERPART_ANSWER(method, answer)                                   \
  Reactor* method(Context* context, const control::method##Request* request, \
                  control::method##Response* response) override {            \
    return OnLoop(context, [=, this](Reactor* reactor) {                     \
      *response = answer(*request);                                          \
      reactor->Finish(grpc::Status::OK);                                     \
    });                                                                      \
  }
  COUNTERPART_ANSWER(Describe, Described)
  COUNTERPART_ANSWER(Status, log_.Status)
  COUNTERPART_ANSWER(Journal, runtime_.journal.Read)
  COUNTERPART_ANSWER(Settle, log_.Settle)
  COUNTERPART_ANSWER(Reset, ResetScope)
#undef COUNTERPART_ANSWER

  Reactor* Execute(Context* context, const control::ExecuteRequest* request,
                   control::ExecuteResponse* response) override {
    return OnLoop(context, [=, this](Reactor* reactor) {
      const auto prepare = [=, this] { return FindScope(request->scope()).Prepare(*request); };
      log_.Execute(*request, prepare, [=](control::ExecuteResponse answer) {
        *response = std::move(answer);
        reactor->Finish(grpc::Status::OK);
      });
    });
  }

 private:
  control::DescribeResponse Described(const control::DescribeRequest&) const {
    control::DescribeResponse response;
    response.set_name("cpp");
    response.set_version("0.1.0");
    response.set_language("C++");
    response.mutable_capabilities()->Assign(kCapabilities.begin(), kCapabilities.end());
    response.set_epoch(runtime_.journal.epoch());
    response.set_mutant(std::string(ActiveMutation()));
    return response;
  }

  control::ResetResponse ResetScope(const control::ResetRequest& request) {
    const control::ResetResponse counts = FindScope(request.scope()).domain.Counts();
    log_.Drop(request.scope());
    scopes_.erase(request.scope());
    runtime_.journal.Retire(request.scope());
    return counts;
  }

  // r[control.token]
  Reactor* OnLoop(Context* context, std::function<void(Reactor*)> answer) {
    Reactor* reactor = context->DefaultReactor();
    const auto& sent = context->client_metadata();
    const auto token = sent.find("counterpart-token");
    const bool none = token == sent.end();
    if ((none || token->second != token_) && !Mutated(none ? "asks_no_token" : "takes_any_token")) {
      reactor->Finish({grpc::StatusCode::UNAUTHENTICATED, "wrong counterpart-token"});
    } else {
      runtime_.loop.Post([reactor, answer = std::move(answer)] { answer(reactor); });
    }
    return reactor;
  }

  Scope& FindScope(const std::string& name) {
    return scopes_.try_emplace(name, runtime_, name).first->second;
  }

  Runtime& runtime_;
  CommandLog log_;
  std::map<std::string, Scope> scopes_;
  const std::string token_;
};

int Main(const std::vector<std::string_view>& flags) {
  const bool mutant = flags.size() == 2 && flags[0] == "--mutant" && ActivateMutation(flags[1]);
  if (!flags.empty() && !mutant) {
    std::cerr << "usage: subject_cpp [--mutant NAME]\n";
    return 2;
  }
  Runtime runtime{.methods = OfferedMethods(),
                  .executions = Executions(std::getenv("COUNTERPART_EXECUTIONS")),
                  .store = OperationStore(std::getenv("COUNTERPART_STATE"))};
  Control control(runtime, std::getenv("COUNTERPART_TOKEN"));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&control);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    std::cerr << "subject_cpp: cannot listen on 127.0.0.1\n";
    return 1;
  }
  std::cout << "counterpart-subject 1 grpc 127.0.0.1:" << port << std::endl;  // r[control.start]
  if (Mutated("says_two_lines")) std::cout << "ready" << std::endl;
  std::thread([] {
    std::cin.ignore(std::numeric_limits<std::streamsize>::max());
    if (!Mutated("outlives_its_input")) std::_Exit(0);
  }).detach();
  runtime.loop.Run();
}

}  // namespace
}  // namespace subject

int main(int argc, char** argv) { return subject::Main({argv + 1, argv + argc}); }
