// Everything that is rendered from a run.jsonl, beside it.
#ifndef COUNTERPART_CLI_RENDER_H_
#define COUNTERPART_CLI_RENDER_H_

#include <string>

namespace counterpart::cli {

// Reads the run, writes junit.xml, ctrf.json, summary.md, badge.json and report.html into its
// folder, prints the matrix (or, for machines, the run.jsonl itself) and, for people, where the
// files are. Returns `exit_code`, or that of an error on the way, which it has said.
int RenderAll(const std::string& run_jsonl, bool json, int exit_code);

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_RENDER_H_
