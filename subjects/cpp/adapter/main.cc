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

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// Every request goes to the loop, in order, and is answered from there.
class ControlService final : public control::Subject::CallbackService {
 public:
  ControlService(Runtime& runtime, Commands& commands, std::string token)
      : runtime_(runtime), commands_(commands), token_(std::move(token)) {}

  ServerUnaryReactor* Describe(CallbackServerContext* context, const control::DescribeRequest*,
                               control::DescribeResponse* response) override {
    return OnLoop(context, [this, response] {
      response->set_name("cpp");
      response->set_version("0.1.0");
      response->set_language("C++");
      for (const char* capability : kCapabilities) response->add_capabilities(capability);
      response->set_epoch(runtime_.journal.epoch());
      response->set_mutant(std::string(ActiveMutation()));
    });
  }

  ServerUnaryReactor* Execute(CallbackServerContext* context,
                              const control::ExecuteRequest* request,
                              control::ExecuteResponse* response) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    if (!Trusted(context, reactor)) return reactor;
    runtime_.loop.Post([this, request, response, reactor] {
      ++accepted_;
      commands_.Execute(*request, [this, response, reactor](control::ExecuteResponse answer) {
        ++answered_;
        *response = std::move(answer);
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }

  ServerUnaryReactor* Status(CallbackServerContext* context, const control::StatusRequest* request,
                             control::StatusResponse* response) override {
    return OnLoop(context, [this, request, response] { *response = commands_.Status(*request); });
  }

  ServerUnaryReactor* Journal(CallbackServerContext* context,
                              const control::JournalRequest* request,
                              control::JournalResponse* response) override {
    return OnLoop(context, [this, request, response] {
      const subject::Journal::Scope& scope = runtime_.journal.scope(request->scope());
      response->set_epoch(runtime_.journal.epoch());
      response->set_gap(scope.gap);
      for (const control::JournalEvent& event : scope.events) {
        if (event.seq() > request->after_seq()) *response->add_events() = event;
      }
    });
  }

  ServerUnaryReactor* Settle(CallbackServerContext* context, const control::SettleRequest*,
                             control::SettleResponse* response) override {
    return OnLoop(context, [this, response] {
      response->set_accepted(accepted_);
      response->set_answered(answered_);
      response->set_journal_seq(runtime_.journal.seq());
      response->set_runnable(runtime_.loop.queued() - 1);
      for (const Loop::Timer& timer : runtime_.loop.timers()) {
        const auto due = timer.due - std::chrono::steady_clock::now();
        control::PendingTimer& out = *response->add_timers();
        out.set_name(timer.name);
        out.set_due_ms(static_cast<uint64_t>(std::max<int64_t>(
            0, std::chrono::duration_cast<std::chrono::milliseconds>(due).count())));
      }
    });
  }

  ServerUnaryReactor* Reset(CallbackServerContext* context, const control::ResetRequest* request,
                            control::ResetResponse* response) override {
    return OnLoop(context,
                  [this, request, response] { *response = commands_.Reset(request->scope()); });
  }

 private:
  bool Trusted(CallbackServerContext* context, ServerUnaryReactor* reactor) const {
    const auto& metadata = context->client_metadata();
    const auto token = metadata.find("counterpart-token");
    if (token != metadata.end() &&
        std::string_view(token->second.data(), token->second.size()) == token_) {
      return true;
    }
    reactor->Finish({grpc::StatusCode::UNAUTHENTICATED, "wrong counterpart-token"});
    return false;
  }

  ServerUnaryReactor* OnLoop(CallbackServerContext* context, std::function<void()> answer) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    if (!Trusted(context, reactor)) return reactor;
    runtime_.loop.Post([reactor, answer = std::move(answer)] {
      answer();
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

  Runtime& runtime_;
  Commands& commands_;
  const std::string token_;
  uint64_t accepted_ = 0, answered_ = 0;  // on the loop
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
  ControlService service(runtime, commands, variable("COUNTERPART_TOKEN"));
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
