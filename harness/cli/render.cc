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

namespace {

// From this size on a file takes a while to read.
constexpr size_t kLarge = 32u << 20;

}  // namespace

int RenderAll(const std::string& run_jsonl, bool json, int exit_code, const Conclude& conclude) {
  Result<std::string> bytes = report::ReadText(run_jsonl);
  if (!bytes.ok()) return Complain(bytes.error());
  if (bytes->size() >= kLarge) {
    std::cerr << "writing the report of " << (bytes->size() >> 20) << " MiB of run.jsonl\n";
  }
  const std::filesystem::path folder = std::filesystem::path(run_jsonl).parent_path();
  const auto write = [&folder](const char* name, const std::string& text) {
    return report::WriteText((folder / name).string(), text);
  };
  std::string matrix, totals;
  {
    Result<report::Run> run =
        report::ParseRun(*bytes, run_jsonl, json ? nullptr : conclude.on_exec);
    if (!run.ok()) return Complain(run.error());
    if (conclude.speak != nullptr && !json) conclude.speak(run_jsonl);
    const std::pair<const char*, std::string> files[] = {
        {"junit.xml", report::RenderJunit(*run)},
        {"ctrf.json", report::RenderCtrf(*run)},
        {"summary.md", report::RenderMarkdown(*run)},
        {"badge.json", report::RenderBadge(*run)},
    };
    for (const auto& [name, text] : files) {
      if (const Status status = write(name, text); !status.ok()) return Complain(status.error());
    }
    report::MatrixTextOptions options;
    options.color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
    matrix = report::RenderMatrix(*run, options);
    totals = report::TotalsLine(*run);
  }  // of a long campaign it is large, and the page is made of the lines
  if (const Status status = write("report.html", report::RenderHtml(*bytes)); !status.ok()) {
    return Complain(status.error());
  }
  if (json) {
    std::cout << *bytes;
    return exit_code;
  }
  // The totals stay the last line; where the files are comes before it.
  if (const size_t at = matrix.rfind(totals); at != std::string::npos) {
    matrix.insert(at, "report: " + (folder / "report.html").string() + "\n        (with " +
                          "run.jsonl, junit.xml, ctrf.json, summary.md, badge.json beside it)\n\n");
  }
  std::cout << matrix << std::flush;
  return exit_code;
}

}  // namespace counterpart::cli
