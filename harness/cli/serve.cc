// serve: the Runner service, for other programs (the pytest plugin is one). Until stdin closes.
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <condition_variable>
#include <iostream>
#include <list>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "counterpart/runner/v1/runner.grpc.pb.h"
#include "harness/campaign/campaign.h"
#include "harness/cli/command.h"
#include "harness/effects/control_delivery.h"

namespace counterpart::cli {
namespace {

grpc::Status Failed(const Error& error) {
  return {error.kind == Error::Kind::kUsage ? grpc::StatusCode::INVALID_ARGUMENT
                                            : grpc::StatusCode::INTERNAL,
          error.message};
}

// List is answered on gRPC's threads. Run is asynchronous, because only so does gRPC tell that a
// client has gone before something is written to it.
class RunnerService final
    : public runner::v1::Runner::WithAsyncMethod_Run<runner::v1::Runner::Service> {
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
      for (const std::string& rule : cell.Rules()) listed.add_rules(rule);
      for (const std::string& need : cell.Needs()) listed.add_needs(need);
    }
    return grpc::Status::OK;
  }

  // Runs to the end, or until `interrupted`. `write` blocks; false: nobody listens any more.
  grpc::Status RunAll(const runner::v1::RunRequest& request, std::atomic<bool>& interrupted,
                      const std::function<bool(const runner::v1::RunResponse&)>& write) {
    Selection selection = selection_;
    Result<std::vector<campaign::Cell>> cells = Select(selection, request.patterns());
    if (!cells.ok()) return Failed(cells.error());
    campaign::CampaignOptions options;
    options.cells = std::move(cells).value();
    options.runs = std::max(1u, request.runs());
    options.seed = request.seed() != 0 ? request.seed() : std::random_device{}();
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
      if (!write(response)) interrupted = true;
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

  Context& context_;
  const Selection selection_;
  const std::string out_;
  std::atomic<int> runs_{0};
};

// The calls of Run, each with a thread of its own for the campaign, over one completion queue.
class RunCalls {
 public:
  RunCalls(RunnerService* service, std::unique_ptr<grpc::ServerCompletionQueue> queue)
      : service_(*service), queue_(std::move(queue)) {}

  ~RunCalls() {
    if (started_) return;
    queue_->Shutdown();
    void* tag = nullptr;
    for (bool ok = false; queue_->Next(&tag, &ok);) {
    }
  }

  void Start() {
    started_ = true;
    AwaitCall();
    loop_ = std::thread([this] { Loop(); });
  }

  // Ends every campaign in order. The server has been shut down: all calls are cancelled.
  void Stop() {
    {
      std::unique_lock lock(mutex_);
      closing_ = true;
      for (Call& call : calls_) call.interrupted = true;
      changed_.wait(lock, [this] { return running_ == 0; });
    }
    queue_->Shutdown();
    loop_.join();
    for (Call& call : calls_) {
      if (call.thread.joinable()) call.thread.join();
    }
  }

 private:
  struct Call;
  enum class Event : uint8_t { kArrived, kOver, kWritten, kFinished };
  struct Tag {
    Call* call;
    Event event;
  };
  struct Call {
    grpc::ServerContext context;
    runner::v1::RunRequest request;
    grpc::ServerAsyncWriter<runner::v1::RunResponse> writer{&context};
    std::thread thread;
    std::atomic<bool> interrupted{false};  // by a client that has gone, or by Ctrl-C
    bool over = false, finished = false;   // as seen by the loop
    int write = 0;                         // 0: under way, 1: done, -1: failed; mutex_
    Tag arrived{this, Event::kArrived}, is_over{this, Event::kOver}, written{this, Event::kWritten},
        is_finished{this, Event::kFinished};
  };

  void AwaitCall() {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    Call& call = calls_.emplace_back();
    call.context.AsyncNotifyWhenDone(&call.is_over);
    service_.RequestRun(&call.context, &call.request, &call.writer, queue_.get(), queue_.get(),
                        &call.arrived);
  }

  void Loop() {
    void* at = nullptr;
    bool ok = false;
    while (queue_->Next(&at, &ok)) {
      const Tag& tag = *static_cast<Tag*>(at);
      Call& call = *tag.call;
      switch (tag.event) {
        case Event::kArrived:
          if (ok) Begin(call);
          continue;
        case Event::kOver:
          if (call.context.IsCancelled()) call.interrupted = true;
          call.over = true;
          break;
        case Event::kWritten: {
          std::lock_guard lock(mutex_);
          call.write = ok ? 1 : -1;
          changed_.notify_all();
          continue;
        }
        case Event::kFinished:
          call.thread.join();
          call.finished = true;
          break;
      }
      if (!call.over || !call.finished) continue;
      std::lock_guard lock(mutex_);
      calls_.remove_if([&call](const Call& other) { return &other == &call; });
    }
  }

  void Begin(Call& call) {
    {
      std::lock_guard lock(mutex_);
      if (closing_) return;  // cancelled; forgotten with the queue
      ++running_;
    }
    call.thread = std::thread([this, &call] {
      const grpc::Status status = service_.RunAll(
          call.request, call.interrupted,
          [this, &call](const runner::v1::RunResponse& response) { return Write(call, response); });
      call.writer.Finish(status, &call.is_finished);
      std::lock_guard lock(mutex_);
      --running_;
      changed_.notify_all();
    });
    AwaitCall();
  }

  bool Write(Call& call, const runner::v1::RunResponse& response) {
    if (call.interrupted) return false;
    std::unique_lock lock(mutex_);
    call.write = 0;
    {
      const effects::InLibrary in_library;
      call.writer.Write(response, &call.written);
    }
    changed_.wait(lock, [&call] { return call.write != 0; });
    return call.write > 0;
  }

  RunnerService& service_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Call> calls_;
  int running_ = 0;
  bool started_ = false, closing_ = false;
};

// Until stdin is at its end, or Ctrl-C.
void AwaitEnd(const Context& context) {
  char ignored[256];
  while (!context.interrupted) {
    pollfd wait[] = {{STDIN_FILENO, POLLIN, 0}, {context.interrupt_fd, POLLIN, 0}};
    if (poll(wait, 2, -1) < 0 || wait[0].revents == 0) continue;
    const ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

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
  RunCalls calls(&service, builder.AddCompletionQueue());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    return Complain({Error::Kind::kUsage, "port " + std::to_string(port) +
                                              " of 127.0.0.1 cannot be bound (in use?); leave "
                                              "--port out to have a free one"});
  }
  std::cout << "counterpart serve 127.0.0.1:" << bound << std::endl;
  calls.Start();
  AwaitEnd(context);
  context.interrupted = true;
  server->Shutdown(std::chrono::system_clock::now());
  calls.Stop();
  return kOk;
}

}  // namespace

void AddServe(CLI::App& app, Context& context) {
  auto* verb =
      app.add_subcommand("serve", "Serve list and run over gRPC on loopback until stdin closes");
  const auto selection = std::make_shared<Selection>();  // as long as the command line
  const auto port = std::make_shared<uint16_t>(0);
  const auto out = std::make_shared<std::string>("reports/out");
  selection->AddTo(verb, false);
  verb->add_option("--port", *port, "0: a free one, printed")->capture_default_str();
  verb->add_option("--out", *out, "Folder for the runs' files")->capture_default_str();
  verb->callback([&context, selection, port, out] {
    context.exit_code = Serve(context, *selection, *port, *out);
  });
}

}  // namespace counterpart::cli
