// The C++ subject: serves the control plane over a gRPC stream on loopback until stdin closes.
#include <cstdlib>
#include <iostream>
#include <limits>
#include <thread>

#include "adapter/conversation.h"
#include "adapter/scope.h"
#include "runtime/mutation.h"

namespace subject {
namespace {

class Control final : public control::SubjectStream::CallbackService {
 public:
  Control(Runtime& runtime, const char* token)
      : runtime_(runtime), log_(runtime.journal, runtime.loop), token_(token ? token : "") {}

  Conversation* Converse(grpc::CallbackServerContext* context) override {
    const auto& sent = context->client_metadata();
    const auto token = sent.find("counterpart-token");
    const bool none = token == sent.end();
    Conversation::Answer answer;  // r[control.token]
    if ((!none && token->second == token_) || Mutated(none ? "asks_no_token" : "takes_any_token")) {
      answer = [this](const auto& request, const auto& say) { Answer(request, say); };
    }
    return new Conversation(runtime_.loop, std::move(answer));
  }

 private:
  // On the loop.
  void Answer(const control::ControlRequest& request, const Conversation::Say& say) {
    control::ControlReply reply;
    reply.set_id(request.id() + (request.has_status() && Mutated("names_another_request")));
    if (request.has_execute()) {
      const auto prepare = [&, this] {
        return FindScope(request.execute().scope()).Prepare(request.execute());
      };
      return log_.Execute(request.execute(), prepare, [reply, say](auto response) mutable {
        *reply.mutable_execute() = std::move(response);
        say(reply);
      });
    }
    if (request.has_describe()) {
      control::DescribeResponse& who = *reply.mutable_describe();
      who.set_name("cpp");
      who.set_version("0.1.0");
      who.set_language("C++");
      who.mutable_capabilities()->Assign(kCapabilities.begin(), kCapabilities.end());
      who.set_epoch(runtime_.journal.epoch());
      who.set_mutant(std::string(ActiveMutation()));
    }
    if (request.has_status()) *reply.mutable_status() = log_.Status(request.status());
    if (request.has_journal()) *reply.mutable_journal() = runtime_.journal.Read(request.journal());
    if (request.has_settle()) *reply.mutable_settle() = log_.Settle(request.settle());
    if (request.has_reset()) *reply.mutable_reset() = Reset(request.reset().scope());
    say(reply);
  }

  control::ResetResponse Reset(const std::string& scope) {
    const control::ResetResponse counts = FindScope(scope).domain.Counts();
    log_.Drop(scope);
    scopes_.erase(scope);
    runtime_.journal.Retire(scope);
    return counts;
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
  // r[control.start]
  std::cout << "counterpart-subject 1 grpc-stream 127.0.0.1:" << port << std::endl;
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
