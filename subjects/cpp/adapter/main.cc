// The C++ subject: serves the control plane over gRPC until stdin closes.
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "adapter/commands.h"
#include "counterpart/control/v1/control.grpc.pb.h"
#include "counterpart/testbed/v1/testbed.pb.h"
#include "runtime/mutation.h"

namespace subject {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

// Every request goes to the loop, in order, and is answered from there.
class ControlService final : public control::Subject::CallbackService {
 public:
  ControlService(Loop& loop, Commands& commands, std::string token)
      : loop_(loop), commands_(commands), token_(std::move(token)) {}

#define COUNTERPART_SERVE(method)                                            \
  Reactor* method(Context* context, const control::method##Request* request, \
                  control::method##Response* response) override {            \
    return OnLoop(context, [this, request, response](Reactor* reactor) {     \
      *response = commands_.method(*request);                                \
      reactor->Finish(grpc::Status::OK);                                     \
    });                                                                      \
  }
  COUNTERPART_SERVE(Describe)
  COUNTERPART_SERVE(Status)
  COUNTERPART_SERVE(Journal)
  COUNTERPART_SERVE(Settle)
  COUNTERPART_SERVE(Reset)
#undef COUNTERPART_SERVE

  Reactor* Execute(Context* context, const control::ExecuteRequest* request,
                   control::ExecuteResponse* response) override {
    return OnLoop(context, [this, request, response](Reactor* reactor) {
      commands_.Execute(*request, [response, reactor](control::ExecuteResponse answer) {
        *response = std::move(answer);
        reactor->Finish(grpc::Status::OK);
      });
    });
  }

 private:
  Reactor* OnLoop(Context* context, std::function<void(Reactor*)> answer) {
    Reactor* reactor = context->DefaultReactor();
    const auto& metadata = context->client_metadata();
    const auto token = metadata.find("counterpart-token");
    if (token == metadata.end() || token->second != grpc::string_ref(token_)) {
      reactor->Finish({grpc::StatusCode::UNAUTHENTICATED, "wrong counterpart-token"});
    } else {
      loop_.Post([reactor, answer = std::move(answer)] { answer(reactor); });
    }
    return reactor;
  }

  Loop& loop_;
  Commands& commands_;
  const std::string token_;
};

int Main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help") {
      std::cout << "usage: subject_cpp [--mutant NAME]\n"
                   "Serves the control plane over gRPC on loopback until stdin closes.\n";
      return 0;
    }
    if (flag == "--mutant" && i + 1 < argc) {
      if (ActivateMutation(argv[++i])) continue;
      std::cerr << "subject_cpp: there is no mutant " << argv[i] << "\n";
      return 2;
    }
    std::cerr << "subject_cpp: unknown flag " << flag << "; see --help\n";
    return 2;
  }
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  Loop loop;
  subject::Journal journal;
  const std::string executions = variable("COUNTERPART_EXECUTIONS");
  Runtime runtime{
      loop, journal,
      MethodsOf(counterpart::testbed::v1::EchoRequest::descriptor()->file()->FindServiceByName(
          "Testbed")),
      Executions(executions.empty() ? nullptr : executions.c_str())};
  Commands commands(runtime);
  ControlService service(loop, commands, variable("COUNTERPART_TOKEN"));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    std::cerr << "subject_cpp: cannot listen on 127.0.0.1\n";
    return 1;
  }
  std::cout << "counterpart-subject 1 grpc 127.0.0.1:" << port << std::endl;
  std::thread([] {
    char ignored[256];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {
    }
    _exit(0);
  }).detach();
  const auto forever = asio::make_work_guard(loop.io());
  loop.io().run();
  return 0;
}

}  // namespace
}  // namespace subject

int main(int argc, char** argv) { return subject::Main(argc, argv); }
