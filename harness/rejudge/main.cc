// rejudge: judges kept traces again and says what came of each, one line per trace, in a form that
// two builds of it can be compared by. What `counterpart replay` is to a person, for scripts and
// other compilers: it needs neither gRPC nor a subject.
//
// Exit: 0 all the same · 1 some are not · 2 one could not be read.
#include <cstdio>
#include <filesystem>
#include <string>

#include "harness/campaign/rejudge.h"
#include "harness/report/trace_file.h"

int main(int argc, char** argv) {
  using namespace counterpart;
  int exit_code = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string file = argv[i];
    const auto lines = report::ReadTrace(file);
    const auto now =
        lines.ok() ? campaign::Rejudge(*lines) : Result<campaign::Rejudgement>(lines.error());
    if (!now.ok()) {
      std::fprintf(stderr, "rejudge: %s: %s\n", file.c_str(), now.error().message.c_str());
      return 2;
    }
    const std::string name = std::filesystem::path(file).filename().string();
    std::printf("%s\t%s", name.c_str(), campaign::Canonical(*now).c_str());
    if (now->same()) continue;
    std::fprintf(stderr, "%s\n%s", file.c_str(), campaign::Explain(*now).c_str());
    exit_code = 1;
  }
  return exit_code;
}
