// coverage: what an exploration has tried and reached, from its report.
#include "harness/campaign/coverage.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <utility>

#include "counterpart/report/v1/report.pb.h"
#include "harness/cli/command.h"
#include "harness/report/run_file.h"

namespace counterpart::cli {
namespace {

int ShowCoverage(const std::string& where, const std::string& format) {
  const std::string path = std::filesystem::is_directory(where) ? where + "/run.jsonl" : where;
  campaign::CoverageCount count;
  Result<report::Run> run =
      report::RunReader::Read(path, [&count](const report::v1::Exec& exec) { count.Add(exec); });
  if (!run.ok()) return Complain(run.error());
  const campaign::Coverage coverage = std::move(count).Done();
  std::cout << (format == "json" ? campaign::ToJson(coverage)
                                 : campaign::ToText(coverage, /*map=*/true));
  return kOk;
}

}  // namespace

void AddCoverage(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "coverage", "Show what an exploration has tried at which frame, and what it has reached");
  const auto where = std::make_shared<std::string>("reports/out/latest");
  const auto format = std::make_shared<std::string>("pretty");
  verb->add_option("report", *where, "A folder of explore, or its run.jsonl")
      ->capture_default_str();
  verb->add_option("--format", *format, "pretty or json")
      ->check(CLI::IsMember({"pretty", "json"}))
      ->capture_default_str();
  verb->callback([&context, where, format] { context.exit_code = ShowCoverage(*where, *format); });
}

}  // namespace counterpart::cli
