// The verbs of the program. Each file of this folder adds one (or two) to the command line.
#ifndef COUNTERPART_CLI_COMMAND_H_
#define COUNTERPART_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "harness/campaign/cell.h"
#include "harness/result.h"

namespace counterpart::report::v1 {
class Line;
}

namespace counterpart::cli {

// 0 ok · 1 conformance failure · 2 usage · 3 a subject could not start · 4 harness error or
// incomplete · 5 stale expectation
enum ExitCode : int {
  kOk = 0,
  kRed = 1,
  kUsage = 2,
  kNoSubject = 3,
  kHarnessError = 4,
  kStale = 5
};

// Says the error on stderr, in one sentence, and gives the exit code for it.
int Complain(const Error& error);

// Says on stderr, at a run's header, that waits are judged in a lesser tier, and why.
void WarnOfWaits(const report::v1::Line& line);

// What every verb knows.
struct Context {
  std::vector<std::string> argv;
  std::string program;       // as it was called, for commands in reports
  std::string build_folder;  // two above the program
  std::atomic<bool> interrupted{false};
  int interrupt_fd = -1;  // readable once interrupted
  int exit_code = kOk;    // set by the verb that ran
};

// The options that name subjects and cells, shared by several verbs.
struct Selection {
  std::vector<std::string> patterns, skips;
  std::string subjects_file;
  std::vector<std::string> subject_options;  // --subject id=CMD
  std::vector<std::string> own_command;      // -- CMD…
  bool with_listed = false;                  // own subjects beside those of the file

  void AddTo(CLI::App* app, bool with_patterns);
  // As it would be typed again, for commands in reports.
  std::string Arguments() const;

  std::vector<effects::SubjectSpec> subjects;   // filled by Resolve
  std::map<std::string, std::string> left_out;  // id → why a listed subject is not among them
  std::vector<campaign::Cell> all;
  // Reads subjects and selects cells. `@file` patterns are read, one per line, # for comments.
  Result<std::vector<campaign::Cell>> Resolve(const Context& context);
};

void AddList(CLI::App& app, Context& context);
void AddRun(CLI::App& app, Context& context);  // run and stress
void AddExplore(CLI::App& app, Context& context);
void AddShrink(CLI::App& app, Context& context);
void AddCoverage(CLI::App& app, Context& context);
void AddReplay(CLI::App& app, Context& context);
void AddTrace(CLI::App& app, Context& context);
void AddReport(CLI::App& app, Context& context);
void AddCheck(CLI::App& app, Context& context);
void AddServe(CLI::App& app, Context& context);
void AddExplain(CLI::App& app, Context& context);
void AddRules(CLI::App& app, Context& context);
void AddMutants(CLI::App& app, Context& context);

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_COMMAND_H_
