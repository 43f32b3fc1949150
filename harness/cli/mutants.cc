// mutants: run deliberately broken subjects, and see that each is caught by the rule it breaks.
#include "harness/campaign/mutants.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/kill_matrix.h"
#include "harness/campaign/pattern.h"
#include "harness/campaign/trials.h"
#include "harness/cli/command.h"
#include "harness/explore/reduce.h"

namespace counterpart::cli {
namespace {

using campaign::Mutant;

// A plan that reveals a mutant only by more cuts than this is not understood.
constexpr size_t kMostFaults = 2;
constexpr uint64_t kMostRuns = 2000;

struct Outcome {
  uint32_t runs = 0, runs_to_red = 0;
  std::map<std::string, uint32_t> red_by_rule;
  std::string first_reason, first_cell, no_start;
  std::vector<std::string> passed;  // cells of a wreck that some run of passed
  // Of a mutant that is explored: the plan of the first red run, and its rule.
  std::vector<std::string> plan;
  std::string rule;
  bool red_undisturbed = false;  // no cut was needed
};

enum class Fate {
  kKilled,
  kOtherRule,
  kSurvived,
  kCanaryGreen,
  kCanaryRed,
  kNotStarted,
  kNoCutNeeded,
  kNotReduced,
  kGreenNowhere,
  kGreenSomewhere
};

Fate FateOf(const Mutant& mutant, const Outcome& outcome) {
  if (!outcome.no_start.empty()) return Fate::kNotStarted;
  const bool red = !outcome.red_by_rule.empty();
  if (outcome.red_undisturbed) return Fate::kNoCutNeeded;
  if (mutant.wreck) return outcome.passed.empty() ? Fate::kGreenNowhere : Fate::kGreenSomewhere;
  if (mutant.rules.empty()) return red ? Fate::kCanaryRed : Fate::kCanaryGreen;
  if (!red) return Fate::kSurvived;
  for (const std::string& rule : mutant.rules) {
    if (outcome.red_by_rule.contains(rule)) return Fate::kKilled;
  }
  return Fate::kOtherRule;
}

// The cells of one subject alone, or those of pairs that it is one of.
std::vector<campaign::Cell> CellsOf(const std::vector<campaign::Cell>& all, const std::string& id,
                                    bool pairs) {
  std::vector<campaign::Cell> cells;
  for (const campaign::Cell& cell : all) {
    const bool in_it = cell.subject->id == id || (pairs && cell.client && cell.client->id == id);
    if (in_it && (cell.client != nullptr) == pairs) cells.push_back(cell);
  }
  return cells;
}

// Of two subjects the one to blame must be the mutant: else another name tells of it.
std::string RuleOf(const report::v1::Exec& exec, const std::string& mutant) {
  const std::string rule =
      exec.rule().empty() && exec.ending() == report::v1::ENDING_CRASH ? "crash" : exec.rule();
  for (const report::v1::Finding& finding : exec.findings()) {
    if (finding.level() != report::v1::VERDICT_FAIL) continue;
    const bool other = finding.blame() != "subject" && finding.blame() != mutant;
    return other ? rule + ", blamed on " + finding.blame() : rule;
  }
  return rule;
}

// As the mutant's own subject would be started; the others as they are.
std::vector<effects::SubjectSpec> WithMutant(std::vector<effects::SubjectSpec> subjects,
                                             const Mutant& mutant) {
  for (effects::SubjectSpec& subject : subjects) {
    if (subject.id != mutant.subject) continue;
    // It is known to be beyond help: nothing is gained by patience.
    if (mutant.wreck) subject.watchdog.span = std::chrono::seconds(1);
    subject.command.insert(subject.command.end(), {"--mutant", mutant.id});
    if (mutant.control.empty()) continue;
    subject.command.insert(subject.command.end(), {"--control", mutant.control});
  }
  return subjects;
}

Result<Outcome> Try(Context& context, const Mutant& mutant,
                    std::vector<effects::SubjectSpec> subjects, uint32_t runs) {
  subjects = WithMutant(std::move(subjects), mutant);
  campaign::CampaignOptions options;
  const std::vector<campaign::Cell> all = campaign::AllCells(subjects);
  Result<std::vector<campaign::Cell>> cells = campaign::SelectCells(
      CellsOf(all, mutant.subject, mutant.paired), mutant.cells, mutant.except);
  if (!cells.ok()) return cells.error();
  options.cells = std::move(cells).value();
  if (mutant.explore) {
    std::erase_if(options.cells,
                  [](const campaign::Cell& cell) { return !cell.WhyWithoutPlans().empty(); });
  }
  options.runs = mutant.cells.empty() ? 1 : runs;  // of every cell there is
  options.explore = mutant.explore;
  options.stop_at_first_red = mutant.explore.has_value();
  options.most_runs = mutant.explore ? kMostRuns : 0;
  options.seed = 1;
  options.jobs = std::max(1u, std::thread::hardware_concurrency());
  options.lanes = 1;  // a broken subject must not be blamed for a neighbour's run
  options.out = "reports/out/mutants/" +
                (mutant.subject == campaign::kSubjectOfMutants ? "" : mutant.subject + "/") +
                mutant.id + (mutant.paired ? "-pairs" : "");
  options.command = context.argv;
  options.program = context.program;
  options.interrupted = &context.interrupted;
  Outcome outcome;
  std::mutex mutex;
  options.on_line = [&](const report::v1::Line& line) {
    if (!line.has_exec()) return;
    std::lock_guard lock(mutex);
    ++outcome.runs;
    const report::v1::Exec& exec = line.exec();
    if (exec.ending() == report::v1::ENDING_NO_START) outcome.no_start = exec.reason();
    if (mutant.wreck && exec.verdict() == report::v1::VERDICT_INCONCLUSIVE) {
      ++outcome.red_by_rule["not judged"];
    } else if (mutant.wreck && exec.verdict() != report::v1::VERDICT_FAIL) {
      outcome.passed.push_back(exec.cell());
    }
    if (exec.verdict() != report::v1::VERDICT_FAIL) return;
    const std::string rule = RuleOf(exec, mutant.subject);
    if (outcome.red_by_rule.empty()) {
      outcome.first_reason = exec.reason();
      outcome.first_cell = exec.cell();
      outcome.runs_to_red = outcome.runs;
      outcome.rule = rule;
      outcome.plan.assign(exec.plan().begin(), exec.plan().end());
    }
    ++outcome.red_by_rule[rule];
    outcome.red_undisturbed |= mutant.explore && exec.plan_size() == 0;
  };
  Result<campaign::CampaignResult> result = campaign::RunCampaign(std::move(options));
  if (!result.ok()) return result.error();
  return outcome;
}

// The smallest plan found that convicts a mutant by the same rule.
struct Minimum {
  explore::Plan plan;
  uint32_t runs = 0;       // that it took
  bool sound_red = false;  // the subject without the mutant fails by it, too
};

Minimum Shrink(const Context& context, const Mutant& mutant,
               const std::vector<effects::SubjectSpec>& subjects, const Outcome& outcome) {
  const std::vector<effects::SubjectSpec> wrong = WithMutant(subjects, mutant);
  const std::vector<campaign::Cell> all = campaign::AllCells(wrong);
  const campaign::Cell* cell = campaign::FindCell(all, outcome.first_cell);
  const uint64_t seed = campaign::RunSeed(1, outcome.first_cell, 0);
  Minimum minimum;
  for (const std::string& text : outcome.plan) {
    minimum.plan.push_back(*explore::ParseFault(text));
  }
  campaign::Worker::Options worker;
  worker.interrupted = &context.interrupted;
  campaign::Trials trials(cell, worker);
  std::vector<peer::Moment> moments;
  for (const campaign::FinishedRun& run : trials.Run(seed, {}, 1, /*survey=*/true)) {
    moments = campaign::MomentsOf(*run.exec);
  }
  minimum.plan = explore::Reduce(minimum.plan, moments, [&](const explore::Plan& smaller) {
    for (const campaign::FinishedRun& run : trials.Run(seed, smaller, 1)) {
      if (run.exec->verdict() == report::v1::VERDICT_FAIL &&
          RuleOf(*run.exec, mutant.subject) == outcome.rule) {
        return true;
      }
    }
    return false;
  });
  minimum.runs = trials.runs();
  const std::vector<campaign::Cell> sound = campaign::AllCells(subjects);
  campaign::Trials check(campaign::FindCell(sound, outcome.first_cell), worker);
  for (const campaign::FinishedRun& run : check.Run(seed, minimum.plan, 1)) {
    minimum.sound_red = run.exec->verdict() > report::v1::VERDICT_PASS;
  }
  return minimum;
}

int Mutants(Context& context, Selection& selection, const std::string& catalogue,
            const std::vector<std::string>& wanted, uint32_t runs) {
  Result<std::vector<campaign::Cell>> cells = selection.Resolve(context);
  if (!cells.ok()) return Complain(cells.error());
  const std::string path = !catalogue.empty()
                               ? catalogue
                               : (std::filesystem::path(context.build_folder).parent_path() /
                                  "subjects/mutants/catalog.yaml")
                                     .string();
  Result<std::vector<Mutant>> mutants = campaign::ReadMutants(path);
  if (!mutants.ok()) return Complain(mutants.error());
  uint32_t good = 0, bad = 0, skipped = 0;
  campaign::KillMatrix kills;
  for (const Mutant& mutant : *mutants) {
    if (context.interrupted) return kHarnessError;
    if (!wanted.empty() &&
        std::none_of(wanted.begin(), wanted.end(), [&mutant](const std::string& pattern) {
          return campaign::Matches(pattern, mutant.Name());
        })) {
      continue;
    }
    if (selection.left_out.contains(mutant.subject)) {
      std::cout << "· " << mutant.Title() << ": skipped, its subject is left out\n";
      ++skipped;
      continue;
    }
    const auto subject =
        std::find_if(selection.subjects.begin(), selection.subjects.end(),
                     [&mutant](const auto& listed) { return listed.id == mutant.subject; });
    if (subject == selection.subjects.end()) {
      return Complain({Error::Kind::kUsage, "no subject `" + mutant.subject + "` is listed: " +
                                                mutant.Name() + " is made of it"});
    }
    Result<Outcome> outcome =
        Try(context, mutant, selection.subjects, mutant.runs != 0 ? mutant.runs : runs);
    if (!outcome.ok()) return Complain(outcome.error());
    Fate fate = FateOf(mutant, *outcome);
    if (!mutant.rules.empty() && !outcome->red_by_rule.empty()) {
      kills.Add({mutant.Title(), mutant.rules, outcome->rule, outcome->runs_to_red,
                 outcome->red_by_rule});
    }
    std::optional<Minimum> minimum;
    if (fate == Fate::kKilled && mutant.explore) {
      minimum = Shrink(context, mutant, selection.subjects, *outcome);
      if (minimum->plan.size() > kMostFaults || minimum->sound_red) fate = Fate::kNotReduced;
    }
    const bool ok =
        fate == Fate::kKilled || fate == Fate::kCanaryGreen || fate == Fate::kGreenNowhere;
    ++(ok ? good : bad);
    static constexpr const char* kWords[] = {
        "killed",           "killed by another rule", "SURVIVED",          "canary stayed green",
        "CANARY RED",       "did not start",          "RED WITHOUT A CUT", "NOT REDUCED",
        "green in no cell", "GREEN IN SOME CELL"};
    std::cout << (ok ? "✓ " : "✗ ") << mutant.Title() << ": " << kWords[static_cast<int>(fate)];
    for (const auto& [rule, times] : outcome->red_by_rule) {
      std::cout << " · " << (rule.empty() ? "(no rule)" : rule) << " ×" << times;
    }
    std::cout << " in " << outcome->runs << " runs\n";
    if (minimum) {
      std::cout << "    " << outcome->first_cell << "\n";
      for (const peer::Fault& fault : minimum->plan) {
        std::cout << "      - " << explore::ToText(fault) << "\n";
      }
      std::cout << "    reduced in " << minimum->runs << " more"
                << (minimum->sound_red ? "; the sound subject fails by it, too\n" : "\n");
    }
    if (!ok) {
      std::cout << "    " << mutant.wrong << "\n    wanted:";
      for (const std::string& rule : mutant.rules) std::cout << " r[" << rule << "]";
      std::cout << (mutant.wreck           ? " nothing green\n"
                    : mutant.rules.empty() ? " nothing red\n"
                                           : "\n");
      for (const std::string& cell : outcome->passed) std::cout << "    green: " << cell << "\n";
      if (!outcome->first_reason.empty()) {
        std::cout << "    first: " << outcome->first_cell << ": " << outcome->first_reason << "\n";
      }
      if (!outcome->no_start.empty()) std::cout << "    " << outcome->no_start << "\n";
    }
    std::cout << std::flush;
  }
  if (good + bad + skipped == 0) {
    return Complain({Error::Kind::kUsage, "no mutant of the catalogue matches; see " + path});
  }
  const std::string table = "reports/out/mutants/kills.md";
  if (const std::string summary = kills.Summary(); !summary.empty()) {
    std::ofstream(table) << kills.Markdown();
    std::cout << summary << "\nby rule: " << table << "\n";
  }
  std::cout << good << " passed, " << bad << " failed, " << skipped << " skipped\n";
  return bad == 0 ? kOk : kRed;
}

}  // namespace

void AddMutants(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "mutants", "Run deliberately broken subjects: each must be caught by the rule it breaks");
  const auto selection = std::make_shared<Selection>();  // as long as the command line
  const auto catalogue = std::make_shared<std::string>();
  const auto wanted = std::make_shared<std::vector<std::string>>();
  const auto runs = std::make_shared<uint32_t>(4);
  selection->AddTo(verb, false);
  verb->add_option("mutants", *wanted, "Globs on mutant names (id, or subject::id); none: all")
      ->type_name("PATTERN");
  verb->add_option("--catalogue", *catalogue, "Default: subjects/mutants/catalog.yaml")
      ->type_name("FILE");
  verb->add_option(
          "--runs", *runs,
          "Runs of each cell that the catalogue names; where it names none, each is run once")
      ->capture_default_str();
  verb->callback([&context, selection, catalogue, wanted, runs] {
    context.exit_code = Mutants(context, *selection, *catalogue, *wanted, *runs);
  });
}

}  // namespace counterpart::cli
