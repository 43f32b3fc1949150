// run and stress: the same campaign, with other defaults.
#include <memory>

#include "harness/cli/campaign_verb.h"

namespace counterpart::cli {
namespace {

void AddRunOptions(CLI::App* verb, CampaignVerb* options, uint32_t default_runs) {
  options->runs = default_runs;
  auto* runs = verb->add_option("--runs", options->runs, "Runs of each cell")
                   ->capture_default_str()
                   ->check(CLI::Range(1u, 100000000u));
  auto* duration =
      verb->add_option("--for", options->duration, "Instead: rounds until this time has passed")
          ->type_name("90s|10m|2h")
          ->excludes(runs);
  verb->add_option("--confidence", options->confidence,
                   "Instead: as many clean runs as exclude this failure rate (95 %)")
      ->type_name("RATE")
      ->excludes(runs)
      ->excludes(duration);
  verb->add_option("--run-seed", options->run_seed, "Of every run: to drive one run again");
  verb->add_option("--plan", options->plan,
                   "The cell, seed and faults of this file, as explore and shrink write it")
      ->type_name("FILE");
}

}  // namespace

void AddRun(CLI::App& app, Context& context) {
  for (const auto& [name, help, runs] :
       {std::tuple<const char*, const char*, uint32_t>{
            "run", "Run cells, print the matrix, write the report", 1},
        {"stress", "Run cells many times over and say what that proves", 1000}}) {
    auto* verb = app.add_subcommand(name, help);
    const auto options = std::make_shared<CampaignVerb>();  // as long as the command line
    AddCampaignOptions(verb, options.get());
    AddRunOptions(verb, options.get(), runs);
    verb->prefix_command(false);
    verb->footer("A subject of your own: --subject mine='COMMAND'.");
    verb->callback([&context, options] { context.exit_code = RunCampaignVerb(context, *options); });
  }
}

}  // namespace counterpart::cli
