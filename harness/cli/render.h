// Everything that is rendered from a run.jsonl, beside it.
#ifndef COUNTERPART_CLI_RENDER_H_
#define COUNTERPART_CLI_RENDER_H_

#include <functional>
#include <string>

#include "harness/report/run.h"

namespace counterpart::cli {

// What a verb has to say of its run before the matrix: it is told of each exec, and then speaks.
struct Conclude {
  report::OnExec on_exec = nullptr;
  std::function<void(const std::string& run_jsonl)> speak = nullptr;
};

// Reads the run, lets `conclude` speak (to people, if it has something to say), writes junit.xml,
// ctrf.json, summary.md, badge.json and report.html into its folder, prints the matrix (or, for
// machines, the run.jsonl itself) and, for people, where the files are. Returns `exit_code`, or
// that of an error on the way, which it has said.
int RenderAll(const std::string& run_jsonl, bool json, int exit_code,
              const Conclude& conclude = {});

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_RENDER_H_
