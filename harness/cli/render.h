// Everything that is rendered from a run.jsonl, beside it.
#ifndef COUNTERPART_CLI_RENDER_H_
#define COUNTERPART_CLI_RENDER_H_

#include <functional>
#include <string>

#include "harness/report/run.h"

namespace counterpart::cli {

// What a verb has to say of its run before the matrix.
using Conclude = std::function<void(const report::Run& run, const std::string& run_jsonl)>;

// Reads the run, lets `conclude` speak (to people, unless it is null), writes junit.xml, ctrf.json,
// summary.md, badge.json and report.html into its folder, prints the matrix (or, for machines, the
// run.jsonl itself) and, for people, where the files are. Returns `exit_code`, or that of an error
// on the way, which it has said.
int RenderAll(const std::string& run_jsonl, bool json, int exit_code,
              const Conclude& conclude = nullptr);

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_RENDER_H_
