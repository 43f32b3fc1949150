// What run, stress and explore have in common: the options of a campaign, its progress, its report.
#ifndef COUNTERPART_CLI_CAMPAIGN_VERB_H_
#define COUNTERPART_CLI_CAMPAIGN_VERB_H_

#include <chrono>
#include <functional>
#include <string>

#include "harness/campaign/campaign.h"
#include "harness/cli/command.h"
#include "harness/cli/render.h"

namespace counterpart::cli {

struct CampaignVerb {
  Selection selection;
  uint32_t runs = 1;
  std::string duration;
  double confidence = 0;
  uint32_t jobs = 0;
  uint32_t lanes = 64;
  uint64_t seed = 0;
  uint64_t run_seed = 0;
  std::string shard;
  uint32_t load = 0;
  int nice = 0;
  uint32_t watchdog = 60;
  std::string waits = "kernel";
  bool isolate = false;
  bool no_self_check = false;
  bool keep_traces = false;
  bool fail_fast = false;
  std::string expectations;
  std::string plan;
  std::string out;
  std::string resume;
  std::string format = "pretty";
};

// Adds the options that every campaign has.
void AddCampaignOptions(CLI::App* verb, CampaignVerb* options);

// Resolves the options, runs the campaign and renders its report; the exit code. `adjust` sees the
// campaign before it starts.
int RunCampaignVerb(Context& context, CampaignVerb& options,
                    const std::function<Status(campaign::CampaignOptions&)>& adjust = nullptr,
                    const Conclude& conclude = {});

// "90s", "10m", "2h", or seconds; `option` names it in the error.
Result<std::chrono::seconds> ParseDuration(const std::string& option, const std::string& text);

}  // namespace counterpart::cli

#endif  // COUNTERPART_CLI_CAMPAIGN_VERB_H_
