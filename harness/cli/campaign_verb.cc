#include "harness/cli/campaign_verb.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/pattern.h"
#include "harness/campaign/plan_file.h"
#include "harness/cli/render.h"
#include "harness/effects/wait_self_test.h"
#include "harness/report/run_file.h"
#include "harness/report/statistics.h"

namespace counterpart::cli {
namespace {

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

// Keeps every n-th cell: shard 2/3 takes the 2nd, 5th, 8th, …
Status Shard(const std::string& text, std::vector<campaign::Cell>* cells) {
  unsigned index = 0, count = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%u/%u%c", &index, &count, &rest) != 2 || index == 0 ||
      index > count) {
    return Usage("--shard '" + text + "': expected i/n with 1 <= i <= n");
  }
  std::vector<campaign::Cell> mine;
  for (size_t i = index - 1; i < cells->size(); i += count) mine.push_back((*cells)[i]);
  if (mine.empty()) {
    return Usage("--shard '" + text + "' has no cell: there are only " +
                 std::to_string(cells->size()));
  }
  *cells = std::move(mine);
  return {};
}

uint64_t DrawSeed() {
  std::random_device device;
  return (uint64_t{device()} << 16) ^ device();
}

// One line while it runs: rewritten on a terminal, now and then elsewhere.
class ProgressLine {
 public:
  ProgressLine() : terminal_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() {
    if (terminal_ && shown_) std::cerr << "\r\033[K";
  }

  void Show(const campaign::Progress& progress) {
    const uint64_t interval = terminal_ ? 200000 : 10000000;
    if (progress.elapsed_us < next_us_) return;
    next_us_ = progress.elapsed_us + interval;
    const uint64_t seconds = progress.elapsed_us / 1000000;
    std::string line = std::to_string(seconds / 60) + "m" + (seconds % 60 < 10 ? "0" : "") +
                       std::to_string(seconds % 60) + "s: " + std::to_string(progress.finished);
    if (progress.planned > 0) line += " of " + std::to_string(progress.planned);
    line += " runs, " + std::to_string(progress.red) + " red (" +
            report::Decimal(100.0 * static_cast<double>(progress.red) /
                                static_cast<double>(std::max<uint64_t>(progress.finished, 1)),
                            2) +
            " %)";
    if (terminal_) {
      std::cerr << "\r\033[K" << line << std::flush;
    } else {
      std::cerr << line << "\n";
    }
    shown_ = true;
  }

 private:
  const bool terminal_;
  bool shown_ = false;
  uint64_t next_us_ = 2000000;  // nothing for what is over in two seconds
};

// A campaign goes on only as what it was.
Status SameCommand(const std::string& folder, const std::vector<std::string>& argv) {
  Result<report::Run> run = report::RunReader::ReadHeader(folder + "/run.jsonl");
  if (!run.ok()) return run.error();
  const auto words = [](const auto& argv) {
    std::vector<std::string> kept;
    for (auto word = std::next(argv.begin()); word != argv.end(); ++word) {
      if ((*word == "--resume" || *word == "--out") && std::next(word) != argv.end()) {
        ++word;
      } else if (!word->starts_with("--resume=") && !word->starts_with("--out=")) {
        kept.push_back(*word);
      }
    }
    return kept;
  };
  const auto& before = run->header->command();
  if (before.size() > 1 && words(before) == words(argv)) return {};
  std::string command;
  for (const std::string& word : before) command += (command.empty() ? "" : " ") + word;
  return Usage("--resume " + folder + ": that campaign was '" + command +
               "'; give the same command, and --resume");
}

// Why this plan cannot be played in a cell; "" if it can.
std::string WhyNot(const campaign::Cell& cell, const explore::Plan& plan) {
  const std::string why = cell.WhyWithoutPlans();
  if (!why.empty() && !plan.empty()) return cell.Id() + " takes no plan: " + why;
  for (const peer::Fault& fault : plan) {
    if (fault.seat.has_value() != (cell.client != nullptr)) {
      return "'" + explore::ToText(fault) + "' is for " +
             (fault.seat ? "two subjects, and " + cell.Id() +
                               " is of one: its frames are of the "
                               "harness or of the subject"
                         : "one subject, and " + cell.Id() +
                               " is of two: its frames are of the "
                               "server or of the client");
    }
    if (!cell.stable || peer::FitsConduits(fault.how)) continue;
    return std::string(peer::Name(fault.how)) + " is not for the links of a stable conduit (" +
           cell.Id() + "); rst, fin, split and merge are";
  }
  return "";
}

// Every run of the cells and seed of a plan file meets its faults. A cell with a * in it stands for
// all that match it: a regression is kept for every subject.
Status TakePlan(const std::string& path, const std::vector<campaign::Cell>& all,
                campaign::CampaignOptions* campaign) {
  Result<campaign::PlanFile> plan = campaign::ReadPlanFile(path);
  if (!plan.ok()) return plan.error();
  campaign->cells.clear();
  campaign->run_seed = plan->seed;
  for (const std::string& text : plan->faults) {
    campaign->plan.push_back(*explore::ParseFault(text));
  }
  std::string refused;
  const bool pattern = plan->cell.find('*') != std::string::npos;
  for (const campaign::Cell& cell : all) {
    if (pattern ? !campaign::Matches(plan->cell, cell.Id()) : cell.Id() != plan->cell) continue;
    const std::string why = WhyNot(cell, campaign->plan);
    if (why.empty()) campaign->cells.push_back(cell);
    if (!why.empty()) refused = why;
  }
  if (!campaign->cells.empty()) return {};
  if (!refused.empty()) return Usage(path + ": " + refused);
  return Usage(path + ": there is no cell " + plan->cell + "; `counterpart list` shows them");
}

}  // namespace

Result<std::chrono::seconds> ParseDuration(const std::string& option, const std::string& text) {
  size_t used = 0;
  unsigned long number = 0;
  try {
    number = std::stoul(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const unsigned long scale = unit.empty() || unit == "s" ? 1
                              : unit == "m"               ? 60
                              : unit == "h"               ? 3600
                                                          : 0;
  if (used == 0 || number == 0 || scale == 0) {
    return Usage(option + " '" + text + "': expected a time such as 90s, 10m or 2h");
  }
  return std::chrono::seconds(number * scale);
}

int RunCampaignVerb(Context& context, CampaignVerb& options,
                    const std::function<Status(campaign::CampaignOptions&)>& adjust,
                    const Conclude& conclude) {
  if (!options.plan.empty() && !options.selection.patterns.empty()) {
    return Complain(Usage("--plan names its own cell; leave the pattern out"));
  }
  Result<std::vector<campaign::Cell>> cells = options.selection.Resolve(context);
  if (!cells.ok()) return Complain(cells.error());
  if (!options.shard.empty()) {
    if (Status status = Shard(options.shard, &*cells); !status.ok()) {
      return Complain(status.error());
    }
  }
  for (effects::SubjectSpec& subject : options.selection.subjects) {
    subject.nice = options.nice;
    subject.watchdog.span = std::chrono::seconds(options.watchdog);
  }
  if (options.waits == "settle") effects::DistrustKernel("--waits settle was asked for");

  campaign::CampaignOptions campaign;
  campaign.cells = std::move(cells).value();
  campaign.runs = options.runs;
  if (options.confidence > 0) {
    campaign.runs = static_cast<uint32_t>(report::RunsForBound95(options.confidence));
    if (campaign.runs == 0) {
      return Complain(Usage("--confidence must be a failure rate between 0 and 1, as 0.01"));
    }
  }
  if (!options.duration.empty()) {
    Result<std::chrono::seconds> duration = ParseDuration("--for", options.duration);
    if (!duration.ok()) return Complain(duration.error());
    campaign.duration = *duration;
  }
  campaign.seed = options.seed != 0 ? options.seed : DrawSeed();
  if (options.run_seed != 0) campaign.run_seed = options.run_seed;
  campaign.jobs =
      options.jobs != 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  campaign.lanes = std::max(1u, options.lanes);
  campaign.isolate = options.isolate;
  campaign.load = options.load;
  campaign.keep_all_traces = options.keep_traces;
  campaign.stop_at_first_red = options.fail_fast;
  if (!options.expectations.empty()) {
    Result<std::vector<campaign::Expectation>> read =
        campaign::ReadExpectations(options.expectations, options.selection.all);
    if (!read.ok()) return Complain(read.error());
    campaign.expectations = std::move(read).value();
  }
  if (!options.plan.empty()) {
    const Status taken = TakePlan(options.plan, options.selection.all, &campaign);
    if (!taken.ok()) return Complain(taken.error());
  }
  campaign.out = options.out.empty() ? "reports/out/latest" : options.out;
  if (!options.resume.empty()) {
    const Status same = SameCommand(options.resume, context.argv);
    if (!same.ok()) return Complain(same.error());
    campaign.out = options.resume;
    campaign.resume = true;
  }
  if (adjust != nullptr) {
    const Status adjusted = adjust(campaign);
    if (!adjusted.ok()) return Complain(adjusted.error());
  }
  // Where a fault of a plan strikes, what is on its way at that moment is up to chance.
  campaign.self_check =
      !options.no_self_check && !campaign.explore && campaign.plan.empty() && !campaign.run_seed;
  campaign.command = context.argv;
  campaign.program = context.program;
  campaign.subject_arguments = options.selection.Arguments();
  campaign.interrupted = &context.interrupted;
  ProgressLine progress;
  campaign.on_progress = [&progress](const campaign::Progress& now) { progress.Show(now); };

  std::string not_started;  // why the first subject that could not be started could not
  campaign.on_line = [&not_started](const report::v1::Line& line) {
    WarnOfWaits(line);
    if (line.exec().ending() != report::v1::ENDING_NO_START || !not_started.empty()) return;
    not_started = "a subject of " + line.exec().cell() +
                  " could not be started: " + line.exec().reason() +
                  "; see --subject and matrix/subjects.yaml";
  };

  Result<campaign::CampaignResult> result = campaign::RunCampaign(std::move(campaign));
  if (!result.ok()) return Complain(result.error());
  const int code =
      RenderAll(result->run_jsonl, options.format == "json", result->exit_code, conclude);
  if (!not_started.empty()) std::cerr << "counterpart: " << not_started << "\n";
  return code;
}

void AddCampaignOptions(CLI::App* verb, CampaignVerb* options) {
  options->selection.AddTo(verb, true);
  verb->add_option("--jobs", options->jobs,
                   "Workers, each with subject processes of its own "
                   "(default: one per core)");
  verb->add_option("--lanes", options->lanes,
                   "Runs at once on one subject process; one that moves tens of MiB counts "
                   "as 16")
      ->capture_default_str();
  verb->add_option("--seed", options->seed, "Of the campaign (default: drawn, and reported)");
  verb->add_option("--shard", options->shard, "Only every n-th cell, from the i-th")
      ->type_name("i/n");
  verb->add_option("--load", options->load, "Busy processes beside the run")->type_name("HOGS");
  verb->add_option("--nice", options->nice, "Of the subjects' processes")->check(CLI::Range(0, 19));
  verb->add_option("--waits", options->waits,
                   "What says that nothing can happen any more: the kernel (and the subject's own "
                   "Settle), or Settle and silence alone, as where the kernel cannot be read")
      ->check(CLI::IsMember({"kernel", "settle"}))
      ->capture_default_str();
  verb->add_option("--watchdog", options->watchdog,
                   "Seconds until a subject that neither rests nor gets on is given up as "
                   "inconclusive; a sixth of it of CPU time; ten times it in all")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  verb->add_flag("--isolate", options->isolate, "A subject process of its own for each run");
  verb->add_flag(
      "--no-self-check", options->no_self_check,
      "Leave out driving one run of 20 again, to see that its seed makes the same trace");
  verb->add_flag("--keep-traces", options->keep_traces, "Of passed runs too");
  verb->add_flag("--fail-fast", options->fail_fast, "Stop after the first red run");
  verb->add_option("--expect", options->expectations,
                   "Cells known not to pass, see matrix/expectations.yaml; exit 5 if one is green")
      ->type_name("FILE");
  verb->add_option("--out", options->out, "Folder of the report (default: reports/out/latest)")
      ->type_name("DIR");
  verb->add_option("--resume", options->resume,
                   "Go on with the campaign of this folder; give its command again")
      ->type_name("DIR");
  verb->add_option("--format", options->format, "pretty, or json: run.jsonl on stdout")
      ->check(CLI::IsMember({"pretty", "json"}));
}

}  // namespace counterpart::cli
