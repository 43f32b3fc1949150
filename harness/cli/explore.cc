// explore: cut every run of a cell everywhere it can be cut.
#include <iostream>
#include <memory>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/coverage.h"
#include "harness/cli/campaign_verb.h"
#include "harness/report/run_file.h"

namespace counterpart::cli {
namespace {

struct ExploreOptions {
  CampaignVerb campaign;
  std::string cuts = "frames";
  std::vector<std::string> faults = {"rst", "fin"};
  uint32_t messages = 3;
  bool pairs = false;
  uint32_t sample = 0, depth = 1;
};

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

Result<explore::Options> Read(const ExploreOptions& options, uint64_t seed) {
  explore::Options read;
  read.cuts = options.cuts == "bytes" ? explore::Cuts::kBytes : explore::Cuts::kFrames;
  read.messages_by_byte = options.messages;
  read.pairs = options.pairs;
  read.sample = options.sample;
  read.depth = options.depth;
  read.seed = seed;
  read.faults.clear();
  for (const std::string& name : options.faults) {
    bool known = false;
    for (const peer::How how : explore::kHows) {
      if (name != peer::Name(how)) continue;
      read.faults.push_back(how);
      known = true;
    }
    if (!known) return Usage("--faults: '" + name + "' is none of " + explore::HowNames());
  }
  return read;
}

void PrintMap(const campaign::Coverage& coverage, const std::string& run_jsonl,
              const explore::Options& options) {
  std::cout << campaign::ToText(coverage, /*map=*/false);
  for (const auto& [id, cell] : coverage.cells) {
    if (options.sample == 0 || cell.moments == 0) continue;
    const explore::Chance chance = explore::ChanceOf(cell.moments, options);
    std::cout << id << ": a bug that needs " << options.depth
              << " given faults is found by a run with a chance of at least 1 in "
              << static_cast<uint64_t>(1 / chance.least) << ", with 95 % after "
              << chance.runs_for_95 << " runs\n";
  }
  std::cout << "\nframe by frame: counterpart coverage " << run_jsonl << "\n\n";
}

}  // namespace

void AddExplore(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "explore", "Cut the runs of a cell everywhere they can be cut, and judge what follows");
  const auto options = std::make_shared<ExploreOptions>();  // as long as the command line
  AddCampaignOptions(verb, &options->campaign);
  verb->add_option("--cuts", options->cuts,
                   "frames: after every frame of both sides; bytes: and after every byte that the "
                   "harness sends of prologue, handshakes and the first messages")
      ->capture_default_str()
      ->check(CLI::IsMember({"frames", "bytes"}));
  verb->add_option("--messages", options->messages,
                   "With --cuts bytes: of each link, the messages that are cut at every byte")
      ->capture_default_str();
  verb->add_option("--faults", options->faults, "Of " + explore::HowNames() + " (default: rst,fin)")
      ->delimiter(',')
      ->type_name("FAULT,…")
      ->allow_extra_args(false);
  auto* pairs = verb->add_flag("--pairs", options->pairs,
                               "Each cut with a second one in the resume that follows");
  verb->add_option("--sample", options->sample, "Instead of all: this many plans, drawn")
      ->type_name("N")
      ->excludes(pairs);
  verb->add_option("--depth", options->depth, "With --sample: faults of each plan")
      ->capture_default_str()
      ->check(CLI::Range(1u, 8u));
  verb->add_option("--budget", options->campaign.duration, "Stop after this time")
      ->type_name("90s|10m|2h");
  verb->footer(
      "A subject of your own: --subject mine='COMMAND'. A red cut is kept as a plan that\n"
      "`counterpart run --plan` takes and `counterpart shrink` reduces.");
  verb->callback([&context, options] {
    auto read = std::make_shared<explore::Options>();
    auto count = std::make_shared<campaign::CoverageCount>();
    context.exit_code = RunCampaignVerb(
        context, options->campaign,
        [options, read](campaign::CampaignOptions& campaign) -> Status {
          Result<explore::Options> result = Read(*options, campaign.seed);
          if (!result.ok()) return result.error();
          *read = *result;
          campaign.explore = *result;
          std::string why;
          std::erase_if(campaign.cells, [&why](const campaign::Cell& cell) {
            std::string of_cell = cell.WhyWithoutPlans();
            const bool without = !of_cell.empty();
            if (why.empty()) why = std::move(of_cell);
            return without;
          });
          if (!campaign.cells.empty()) return {};
          return Usage("there is nothing to explore in any cell that matches; of the first: " +
                       why);
        },
        {.on_exec = [count](const report::v1::Exec& exec) { count->Add(exec); },
         .speak =
             [read, count](const std::string& run_jsonl) {
               PrintMap(std::move(*count).Done(), run_jsonl, *read);
             }});
  });
}

}  // namespace counterpart::cli
