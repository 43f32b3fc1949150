// check: for someone with a half-finished subject: what works, what is missing, in a minute.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/campaign.h"
#include "harness/cli/command.h"
#include "harness/judge/spec_text.h"

namespace counterpart::cli {
namespace {

// Groups in the order in which a runtime is best built, as spec/guide/README.md says. Those that
// are not named here come after them.
constexpr std::string_view kOrder[] = {"link",          "rpc",     "schema",     "session",
                                       "retry",         "channel", "connection", "control",
                                       "channel_retry", "persist", "stable",     "model"};

size_t PlaceInOrder(const std::string& group) {
  return static_cast<size_t>(std::find(std::begin(kOrder), std::end(kOrder), group) -
                             std::begin(kOrder));
}

int Check(Context& context, Selection& selection) {
  selection.own_command = {};
  for (int i = 1; i < static_cast<int>(context.argv.size()); ++i) {
    if (context.argv[static_cast<size_t>(i)] == "--") {
      selection.own_command.assign(context.argv.begin() + i + 1, context.argv.end());
      break;
    }
  }
  if (selection.own_command.empty() && selection.subject_options.empty()) {
    return Complain({Error::Kind::kUsage,
                     "name your subject's command after `--`, as in: counterpart check -- "
                     "./my_subject --flag"});
  }
  Result<std::vector<campaign::Cell>> cells = selection.Resolve(context);
  if (!cells.ok()) return Complain(cells.error());
  Result<std::unique_ptr<effects::LiveWorld>> world =
      effects::LiveWorld::Start(selection.subjects.front());
  if (!world.ok()) {
    std::cout << "✗ it starts and says where it serves\n";
    return Complain(world.error());
  }
  const effects::SubjectInfo& info = (*world)->subject();
  std::cout << "✓ it starts and says where it serves\n✓ it describes itself: " << info.name << " "
            << info.version << " (" << info.language << ")\n  capabilities:";
  for (const std::string& capability : info.capabilities) std::cout << " " << capability;
  std::cout << "\n\n" << std::flush;
  world->reset();

  struct Seen {
    uint32_t passed = 0, red = 0, unsupported = 0;
    std::string first_reason, first_rule, first_cell;
  };
  std::map<std::string, Seen> groups;
  std::mutex mutex;
  campaign::CampaignOptions options;
  options.cells = std::move(cells).value();
  options.jobs = 2;
  options.out = "reports/out/check";
  options.command = context.argv;
  options.program = context.program;
  options.subject_arguments = selection.Arguments();
  options.interrupted = &context.interrupted;
  std::map<std::string, std::string> group_of;
  for (const campaign::Cell& cell : options.cells) group_of[cell.Id()] = cell.scenario->group;
  options.on_line = [&](const report::v1::Line& line) {
    WarnOfWaits(line);
    if (!line.has_exec()) return;
    const report::v1::Exec& exec = line.exec();
    std::lock_guard lock(mutex);
    Seen& seen = groups[group_of[exec.cell()]];
    if (exec.ending() == report::v1::ENDING_UNSUPPORTED) {
      ++seen.unsupported;
    } else if (exec.verdict() == report::v1::VERDICT_PASS) {
      ++seen.passed;
    } else if (++seen.red == 1) {
      seen.first_reason = exec.reason();
      seen.first_rule = exec.rule();
      seen.first_cell = exec.cell();
    }
  };
  Result<campaign::CampaignResult> result = campaign::RunCampaign(std::move(options));
  if (!result.ok()) return Complain(result.error());
  const Seen* next = nullptr;
  std::vector<std::pair<std::string, Seen>> in_order(groups.begin(), groups.end());
  std::ranges::stable_sort(in_order, {}, [](const auto& row) { return PlaceInOrder(row.first); });
  for (const auto& [group, seen] : in_order) {
    std::cout << (seen.red > 0      ? "✗ "
                  : seen.passed > 0 ? "✓ "
                                    : "– ")
              << group << ": " << seen.passed << " passed, " << seen.red << " failed, "
              << seen.unsupported << " not declared\n";
    if (seen.red == 0) continue;
    if (next == nullptr) next = &seen;
    std::cout << "    " << seen.first_cell << "\n    "
              << (seen.first_rule.empty() ? "" : "r[" + seen.first_rule + "] ") << seen.first_reason
              << "\n";
  }
  if (next != nullptr) {
    std::cout << "\nwork on this next: " << next->first_cell << "\n";
    if (const judge::Rule* rule = judge::FindRule(next->first_rule)) {
      std::cout << "  r[" << rule->id << "] " << rule->text << "\n";
    }
    std::cout << "  again: " << context.program << " run '" << next->first_cell << "' "
              << selection.Arguments() << "\n";
  }
  return result->exit_code;
}

}  // namespace

void AddCheck(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "check", "Try a subject you are writing: what works, what is missing, what to do next");
  const auto selection = std::make_shared<Selection>();  // as long as the command line
  const auto rest = std::make_shared<std::vector<std::string>>();
  selection->AddTo(verb, false);
  verb->add_option("command", *rest, "Your subject's command, after --")->type_name("-- CMD…");
  verb->callback([&context, selection, rest] { context.exit_code = Check(context, *selection); });
}

}  // namespace counterpart::cli
