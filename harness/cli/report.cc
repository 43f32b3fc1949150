#include <iostream>
#include <memory>

#include "counterpart/report/v1/report.pb.h"
#include "harness/cli/command.h"
#include "harness/cli/render.h"
#include "harness/report/badge.h"
#include "harness/report/ctrf.h"
#include "harness/report/html.h"
#include "harness/report/junit.h"
#include "harness/report/markdown.h"
#include "harness/report/matrix_text.h"
#include "harness/report/perfetto.h"
#include "harness/report/run_file.h"
#include "harness/report/trace_file.h"

namespace counterpart::cli {
namespace {

int Report(const std::string& file, const std::string& format) {
  if (format == "perfetto") {
    Result<std::vector<report::v1::TraceLine>> trace = report::ReadTrace(file);
    if (!trace.ok()) return Complain(trace.error());
    std::cout << report::RenderPerfetto(*trace);
    return kOk;
  }
  Result<std::string> bytes = report::ReadText(file);
  if (!bytes.ok()) return Complain(bytes.error());
  Result<report::Run> run = report::ParseRun(*bytes, file);
  if (!run.ok()) return Complain(run.error());
  if (format == "junit") {
    std::cout << report::RenderJunit(*run);
  } else if (format == "ctrf") {
    std::cout << report::RenderCtrf(*run);
  } else if (format == "markdown") {
    std::cout << report::RenderMarkdown(*run);
  } else if (format == "badge") {
    std::cout << report::RenderBadge(*run);
  } else if (format == "html") {
    std::cout << report::RenderHtml(*bytes);
  } else {
    std::cout << report::RenderMatrix(*run);
  }
  if (!run->complete()) std::cerr << "counterpart: " << run->incomplete() << "\n";
  return run->complete() ? kOk : kHarnessError;
}

}  // namespace

void AddReport(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("report", "Render a run.jsonl, or a trace for Perfetto");
  const auto file = std::make_shared<std::string>();
  const auto format = std::make_shared<std::string>("matrix");
  verb->add_option("file", *file, "run.jsonl (or, with perfetto, a trace file)")->required();
  verb->add_option("--format", *format, "What to print on stdout")
      ->check(CLI::IsMember({"matrix", "junit", "ctrf", "markdown", "badge", "html", "perfetto"}))
      ->capture_default_str();
  verb->callback([&context, file, format] { context.exit_code = Report(*file, *format); });
}

}  // namespace counterpart::cli
