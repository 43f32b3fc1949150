// counterpart: plays the peer of an RPC runtime and judges what it does.
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "harness/cli/command.h"
#include "harness/cli/protobuf_log.h"
#include "harness/version.h"

namespace {

std::atomic<bool>* g_interrupted = nullptr;
int g_interrupt_fd = -1;

// The first Ctrl-C ends the run in order: what is finished is kept and the footer is written. The
// second one ends it as it is.
void OnInterrupt(int) {
  if (g_interrupted == nullptr || g_interrupted->exchange(true)) _exit(130);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = write(g_interrupt_fd, &one, sizeof one);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace counterpart::cli;
  Context context;
  context.argv.assign(argv, argv + argc);
  context.program = argv[0];
  std::error_code ignored;
  context.build_folder =
      std::filesystem::canonical("/proc/self/exe", ignored).parent_path().parent_path().string();
  g_interrupt_fd = context.interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_interrupted = &context.interrupted;
  signal(SIGINT, OnInterrupt);
  signal(SIGTERM, OnInterrupt);
  signal(SIGPIPE, SIG_IGN);
  SayOnceWhatProtobufSays();

  CLI::App app{
      "Counterpart plays the peer of an RPC runtime over TCP and judges what it does.\n"
      "Exit: 0 ok, 1 conformance failure, 2 usage, 3 a subject could not start, 4 harness error\n"
      "or incomplete, 5 stale expectation.",
      "counterpart"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("counterpart ") + counterpart::kProgramVersion);
  AddList(app, context);
  AddRun(app, context);
  AddExplore(app, context);
  AddShrink(app, context);
  AddCoverage(app, context);
  AddReplay(app, context);
  AddTrace(app, context);
  AddReport(app, context);
  AddCheck(app, context);
  AddServe(app, context);
  AddExplain(app, context);
  AddRules(app, context);
  AddMutants(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports by exception; it ends here. --help and --version are no errors.
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  return context.exit_code;
}
