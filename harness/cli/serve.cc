// serve: the Runner service, for other programs (the pytest plugin is one). Until stdin closes.
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "counterpart/runner/v1/runner.grpc.pb.h"
#include "harness/campaign/campaign.h"
#include "harness/cli/command.h"

namespace counterpart::cli {
namespace {

class RunnerService final : public runner::v1::Runner::Service {
 public:
  RunnerService(Context& context, Selection selection, std::string out)
      : context_(context), selection_(std::move(selection)), out_(std::move(out)) {}

  grpc::Status List(grpc::ServerContext*, const runner::v1::ListRequest* request,
                    runner::v1::ListResponse* response) override {
    Selection selection = selection_;
    Result<std::vector<campaign::Cell>> cells = Select(selection, request->patterns());
    if (!cells.ok()) return Failed(cells.error());
    for (const campaign::Cell& cell : *cells) {
      runner::v1::ListedCell& listed = *response->add_cells();
      listed.set_id(cell.Id());
      listed.set_group(cell.scenario->group);
      listed.set_summary(cell.scenario->summary);
      for (const std::string& rule : cell.scenario->Rules(cell.direction)) listed.add_rules(rule);
      for (const std::string& need : cell.scenario->needs) listed.add_needs(need);
    }
    return grpc::Status::OK;
  }

  grpc::Status Run(grpc::ServerContext* call, const runner::v1::RunRequest* request,
                   grpc::ServerWriter<runner::v1::RunResponse>* writer) override {
    Selection selection = selection_;
    Result<std::vector<campaign::Cell>> cells = Select(selection, request->patterns());
    if (!cells.ok()) return Failed(cells.error());
    std::atomic<bool> interrupted{false};
    campaign::CampaignOptions options;
    options.cells = std::move(cells).value();
    options.runs = std::max(1u, request->runs());
    options.seed = request->seed() != 0 ? request->seed() : std::random_device{}();
    options.jobs = std::max(1u, std::thread::hardware_concurrency());
    options.out = out_ + "/serve-" + std::to_string(getpid()) + "-" + std::to_string(++runs_);
    options.command = context_.argv;
    options.program = context_.program;
    options.subject_arguments = selection.Arguments();
    options.interrupted = &interrupted;
    std::mutex mutex;
    options.on_line = [&](const report::v1::Line& line) {
      std::lock_guard lock(mutex);
      runner::v1::RunResponse response;
      *response.mutable_line() = line;
      // A client that has gone ends the run.
      if (call->IsCancelled() || context_.interrupted || !writer->Write(response)) {
        interrupted = true;
      }
    };
    Result<campaign::CampaignResult> result = campaign::RunCampaign(std::move(options));
    return result.ok() ? grpc::Status::OK : Failed(result.error());
  }

 private:
  template <class Patterns>
  Result<std::vector<campaign::Cell>> Select(Selection& selection, const Patterns& patterns) {
    selection.patterns.assign(patterns.begin(), patterns.end());
    return selection.Resolve(context_);
  }

  static grpc::Status Failed(const Error& error) {
    return {error.kind == Error::Kind::kUsage ? grpc::StatusCode::INVALID_ARGUMENT
                                              : grpc::StatusCode::INTERNAL,
            error.message};
  }

  Context& context_;
  const Selection selection_;
  const std::string out_;
  std::atomic<int> runs_{0};
};

int Serve(Context& context, const Selection& selection, uint16_t port, const std::string& out) {
  {
    Selection tried = selection;  // a broken subjects file is said now, not at the first call
    Result<std::vector<campaign::Cell>> cells = tried.Resolve(context);
    if (!cells.ok()) return Complain(cells.error());
  }
  RunnerService service(context, selection, out);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &bound);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    return Complain({Error::Kind::kUsage, "port " + std::to_string(port) +
                                              " of 127.0.0.1 cannot be bound (in use?); leave "
                                              "--port out to have a free one"});
  }
  std::cout << "counterpart serve 127.0.0.1:" << bound << std::endl;
  char ignored[256];
  while (!context.interrupted) {
    const ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  context.interrupted = true;
  server->Shutdown(std::chrono::system_clock::now());
  return kOk;
}

}  // namespace

void AddServe(CLI::App& app, Context& context) {
  auto* verb =
      app.add_subcommand("serve", "Serve list and run over gRPC on loopback until stdin closes");
  auto* selection = new Selection;  // lives as long as the command line
  auto* port = new uint16_t(0);
  auto* out = new std::string("reports/out");
  selection->AddTo(verb, false);
  verb->add_option("--port", *port, "0: a free one, printed")->capture_default_str();
  verb->add_option("--out", *out, "Folder for the runs' files")->capture_default_str();
  verb->callback([&context, selection, port, out] {
    context.exit_code = Serve(context, *selection, *port, *out);
  });
}

}  // namespace counterpart::cli
