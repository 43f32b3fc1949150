// replay: judge a recorded run again, without a subject.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/exec.h"
#include "harness/cli/command.h"
#include "harness/judge/spec_text.h"
#include "harness/report/timeline.h"
#include "harness/report/trace_file.h"
#include "harness/scenarios/run.h"

namespace counterpart::cli {
namespace {

const char* Word(machine::Level level) {
  static constexpr const char* kWords[] = {"none", "pass", "inconclusive", "fail", "error"};
  return kWords[static_cast<int>(level)];
}

int Replay(const std::string& file, bool json, bool timeline) {
  Result<std::vector<report::v1::TraceLine>> lines = report::ReadTrace(file);
  if (!lines.ok()) return Complain(lines.error());
  Result<campaign::RecordedRun> recorded = campaign::FromTrace(*lines);
  if (!recorded.ok()) {
    return Complain({recorded.error().kind, file + ": " + recorded.error().message});
  }
  Result<campaign::CellName> cell = campaign::ParseCellId(recorded->cell);
  if (!cell.ok()) {
    return Complain({cell.error().kind, "the trace of " + cell.error().message +
                                            "; it was recorded by another version"});
  }
  const scenarios::Rejudged now = scenarios::Rejudge(*cell->scenario, cell->cast, recorded->seed,
                                                     recorded->entries, recorded->plan);
  const std::string hash = machine::HashText(now.hash);
  const auto then = static_cast<machine::Level>(recorded->verdict);
  const bool same = !now.divergence && then == now.level && hash == recorded->trace_hash;
  const bool other_spec = recorded->spec_digest != judge::SpecDigest();
  if (json) {
    nlohmann::json out = {{"cell", recorded->cell},
                          {"verdict", Word(now.level)},
                          {"recorded", Word(then)},
                          {"trace_hash", hash},
                          {"same", same},
                          {"reason", now.reason.text},
                          {"rule", now.reason.rule},
                          {"spec_changed", other_spec}};
    if (now.divergence) {
      out["divergence"] = {{"entry", now.divergence->entry},
                           {"recorded", now.divergence->recorded},
                           {"replayed", now.divergence->replayed}};
    }
    std::cout << out.dump(2) << "\n";
    return same ? kOk : kHarnessError;
  }
  if (timeline) std::cout << report::RenderTimeline(*lines, {.entries = SIZE_MAX, .columns = 160});
  std::cout << recorded->cell << "\n  recorded: " << Word(then)
            << "\n  judged again: " << Word(now.level);
  if (now.level > machine::Level::kPass) {
    std::cout << ": " << (now.reason.rule.empty() ? "" : "r[" + now.reason.rule + "] ")
              << now.reason.text;
  }
  std::cout << "\n";
  if (now.divergence) {
    std::cout << "  first difference at entry " << now.divergence->entry << ": recorded "
              << now.divergence->recorded << ", now " << now.divergence->replayed << "\n";
    if (other_spec) std::cout << "  (the trace was judged by another version of spec/)\n";
  } else {
    std::cout << "  trace hash " << hash << (same ? ", the same\n" : ", another\n");
  }
  return same ? kOk : kHarnessError;
}

}  // namespace

void AddReplay(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "replay", "Judge a kept trace again, without a subject: same verdict, same hash");
  const auto file = std::make_shared<std::string>();
  const auto format = std::make_shared<std::string>("pretty");
  const auto timeline = std::make_shared<bool>(false);
  verb->add_option("trace", *file, "A file of the traces/ folder beside a run.jsonl")->required();
  verb->add_option("--format", *format, "pretty or json")->check(CLI::IsMember({"pretty", "json"}));
  verb->add_flag("--timeline", *timeline, "Print the whole timeline first");
  verb->callback([&context, file, format, timeline] {
    context.exit_code = Replay(*file, *format == "json", *timeline);
  });
}

}  // namespace counterpart::cli
