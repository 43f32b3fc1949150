#include "harness/cli/render.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "counterpart/report/v1/report.pb.h"
#include "harness/cli/command.h"
#include "harness/report/badge.h"
#include "harness/report/ctrf.h"
#include "harness/report/html.h"
#include "harness/report/junit.h"
#include "harness/report/markdown.h"
#include "harness/report/matrix_text.h"
#include "harness/report/run_file.h"

namespace counterpart::cli {

int RenderAll(const std::string& run_jsonl, bool json, int exit_code) {
  Result<std::string> bytes = report::ReadText(run_jsonl);
  if (!bytes.ok()) return Complain(bytes.error());
  Result<report::Run> run = report::ParseRun(*bytes, run_jsonl);
  if (!run.ok()) return Complain(run.error());
  const std::filesystem::path folder = std::filesystem::path(run_jsonl).parent_path();
  const std::pair<const char*, std::string> files[] = {
      {"junit.xml", report::RenderJunit(*run)},     {"ctrf.json", report::RenderCtrf(*run)},
      {"summary.md", report::RenderMarkdown(*run)}, {"badge.json", report::RenderBadge(*run)},
      {"report.html", report::RenderHtml(*bytes)},
  };
  for (const auto& [name, text] : files) {
    if (Status status = report::WriteText((folder / name).string(), text); !status.ok()) {
      return Complain(status.error());
    }
  }
  if (json) {
    std::cout << *bytes;
    return exit_code;
  }
  report::MatrixTextOptions options;
  options.color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  std::string text = report::RenderMatrix(*run, options);
  // The totals stay the last line; where the files are comes before it.
  const std::string totals = report::TotalsLine(*run);
  if (const size_t at = text.rfind(totals); at != std::string::npos) {
    text.insert(at, "report: " + (folder / "report.html").string() + "\n        (with " +
                        "run.jsonl, junit.xml, ctrf.json, summary.md, badge.json beside it)\n\n");
  }
  std::cout << text << std::flush;
  return exit_code;
}

}  // namespace counterpart::cli
