// shrink: the smallest plan that still fails in the same way. Fewest faults, as early as they can
// be: what the scenario would have done after its cut is left out. Then a seed by which it draws
// smaller numbers: its counts and payloads.
#include <cctype>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/exec.h"
#include "harness/campaign/plan_file.h"
#include "harness/campaign/trials.h"
#include "harness/cli/command.h"
#include "harness/explore/reduce.h"
#include "harness/report/run_file.h"
#include "harness/report/trace_file.h"

namespace counterpart::cli {
namespace {

struct ShrinkOptions {
  Selection selection;
  std::string file;
  std::string out;
  uint32_t tries = 3;
  uint32_t proof = 20;
  uint32_t seeds = 16;
  std::string format = "pretty";
};

// A plan, and how it failed if the file says so.
struct Failing {
  campaign::PlanFile plan;
  std::string signature;
};

Result<Failing> ReadFailing(const std::string& file) {
  Failing failing;
  if (!file.ends_with(".jsonl")) {
    Result<campaign::PlanFile> plan = campaign::ReadPlanFile(file);
    if (!plan.ok()) return plan.error();
    failing.plan = std::move(plan).value();
    return failing;
  }
  Result<std::vector<report::v1::TraceLine>> lines = report::ReadTrace(file);
  if (!lines.ok()) return lines.error();
  for (const report::v1::TraceLine& line : *lines) {
    if (line.has_header()) {
      failing.plan.cell = line.header().cell();
      failing.plan.seed = line.header().seed();
      failing.plan.faults.assign(line.header().plan().begin(), line.header().plan().end());
    }
    if (line.has_footer()) failing.signature = line.footer().signature();
  }
  return failing;
}

uint32_t Same(const std::vector<campaign::FinishedRun>& runs, const std::string& signature) {
  uint32_t same = 0;
  for (const campaign::FinishedRun& run : runs) same += run.exec->signature() == signature;
  return same;
}

std::string WithoutNumbers(const std::string& text) {
  std::string without;
  for (const char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) without.push_back(c);
  }
  return without;
}

// The signature of the first of these runs that failed in this way, numbers aside: they are of what
// the seed has drawn.
std::string OfThisKind(const std::vector<campaign::FinishedRun>& runs,
                       const std::string& signature) {
  for (const campaign::FinishedRun& run : runs) {
    if (WithoutNumbers(run.exec->signature()) == WithoutNumbers(signature)) {
      return run.exec->signature();
    }
  }
  return "";
}

// The numbers a scenario draws by its seed are its parameters: how often, how much, in which order.
struct Choices {
  std::vector<std::string> text;  // "connects refused: 2 of 4"
  std::vector<uint64_t> numbers;

  uint64_t total() const { return std::accumulate(numbers.begin(), numbers.end(), uint64_t{0}); }
};

// Of the first of these runs that tells.
Choices ChoicesOf(const std::vector<campaign::FinishedRun>& runs) {
  Choices choices;
  for (const campaign::FinishedRun& run : runs) {
    for (const report::v1::TraceLine& line : run.trace) {
      machine::Entry entry{.kind = machine::EntryKind::kNote};
      if (line.entry().kind() != "choice" ||
          !machine::DecodeCanonical(line.entry().data(), &entry)) {
        continue;
      }
      choices.text.push_back(line.entry().label());
      choices.numbers.push_back(entry.choice);
    }
    if (!run.trace.empty()) break;
  }
  return choices;
}

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

int Shrink(Context& context, ShrinkOptions& options) {
  Result<Failing> failing = ReadFailing(options.file);
  if (!failing.ok()) return Complain(failing.error());
  Result<std::vector<campaign::Cell>> cells = options.selection.Resolve(context);
  if (!cells.ok()) return Complain(cells.error());
  const campaign::Cell* cell = campaign::FindCell(options.selection.all, failing->plan.cell);
  if (cell == nullptr) {
    return Complain(Usage(options.file + ": there is no cell called " + failing->plan.cell +
                          "; `counterpart list` shows them, --subject adds one"));
  }
  explore::Plan plan;
  for (const std::string& text : failing->plan.faults) {
    Result<peer::Fault> fault = explore::ParseFault(text);
    if (!fault.ok()) return Complain(fault.error());
    plan.push_back(*fault);
  }
  campaign::Worker::Options worker;
  worker.interrupted = &context.interrupted;
  worker.keep_all_traces = true;  // they tell the choices
  campaign::Trials trials(cell, std::move(worker));
  uint64_t& seed = failing->plan.seed;
  const std::vector<campaign::FinishedRun> before = trials.Run(seed, plan, options.tries);
  std::string& signature = failing->signature;
  for (const campaign::FinishedRun& run : before) {
    if (signature.empty()) signature = run.exec->signature();
  }
  if (signature.empty() || Same(before, signature) == 0) {
    std::cout << failing->plan.cell << "\n  the plan did not fail "
              << (signature.empty() ? "" : "as '" + signature + "' ") << "in " << options.tries
              << " runs: nothing to shrink\n";
    return context.interrupted ? kHarnessError : kRed;
  }
  std::vector<peer::Moment> moments;
  for (const campaign::FinishedRun& run : trials.Run(seed, {}, 1, /*survey=*/true)) {
    moments = campaign::MomentsOf(*run.exec);
  }
  const explore::Plan smallest = explore::Reduce(plan, moments, [&](const explore::Plan& smaller) {
    if (context.interrupted) return false;
    return Same(trials.Run(seed, smaller, options.tries), signature) > 0;
  });
  Choices choices = ChoicesOf(before);
  for (uint64_t other = 1; other <= options.seeds && choices.total() > 0 && !context.interrupted;
       ++other) {
    const std::vector<campaign::FinishedRun> runs = trials.Run(other, smallest, options.tries);
    const std::string kind = OfThisKind(runs, signature);
    if (kind.empty() || ChoicesOf(runs).total() >= choices.total()) continue;
    choices = ChoicesOf(runs);
    signature = kind;
    seed = other;
  }
  const uint32_t searched = trials.runs();
  const std::vector<campaign::FinishedRun> proof = trials.Run(seed, smallest, options.proof);
  const uint32_t again = Same(proof, signature);

  campaign::PlanFile kept{
      .cell = failing->plan.cell, .seed = failing->plan.seed, .faults = {}, .why = signature};
  for (const peer::Fault& fault : smallest) kept.faults.push_back(explore::ToText(fault));
  const std::string path = options.out.empty() ? "plan.yaml" : options.out;
  if (Status written = report::WriteText(path, campaign::ToText(kept)); !written.ok()) {
    return Complain(written.error());
  }
  if (options.format == "json") {
    std::cout << nlohmann::json({{"cell", kept.cell},
                                 {"seed", std::to_string(kept.seed)},
                                 {"signature", signature},
                                 {"faults", kept.faults},
                                 {"choices", choices.text},
                                 {"reproduced", again},
                                 {"of", proof.size()},
                                 {"runs", searched},
                                 {"plan", path}})
                     .dump(2)
              << "\n";
  } else {
    std::cout << campaign::ToText(kept);
    for (const std::string& choice : choices.text)
      std::cout << "# drawn by the seed: " << choice << "\n";
    std::cout << "\nfound in " << searched << " runs; it failed in " << again << " of "
              << proof.size() << " more\nkept as " << path << "; again: " << context.program
              << " run --plan " << path
              << (options.selection.Arguments().empty() ? "" : " " + options.selection.Arguments())
              << "\n";
  }
  return context.interrupted ? kHarnessError : kOk;
}

}  // namespace

void AddShrink(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "shrink", "Reduce a plan that fails to the smallest that fails in the same way");
  const auto options = std::make_shared<ShrinkOptions>();  // as long as the command line
  verb->add_option("file", options->file, "A kept trace (.jsonl) or a plan (.yaml) that is red")
      ->required();
  options->selection.AddTo(verb, false);
  verb->add_option("--tries", options->tries, "Runs of each plan before it counts as passing")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  verb->add_option("--seeds", options->seeds,
                   "Seeds from 1 up that are tried for smaller parameters of the scenario")
      ->capture_default_str();
  verb->add_option("--proof", options->proof,
                   "Runs of the smallest plan, to say how often it fails")
      ->capture_default_str();
  verb->add_option("--out", options->out, "Where the plan goes (default: plan.yaml)")
      ->type_name("FILE");
  verb->add_option("--format", options->format, "pretty or json")
      ->check(CLI::IsMember({"pretty", "json"}));
  verb->callback([&context, options] { context.exit_code = Shrink(context, *options); });
}

}  // namespace counterpart::cli
