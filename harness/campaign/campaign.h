// Which runs, in what order, on which subject processes, and what they add up to.
#ifndef COUNTERPART_CAMPAIGN_CAMPAIGN_H_
#define COUNTERPART_CAMPAIGN_CAMPAIGN_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/campaign/cell.h"
#include "harness/campaign/expectations.h"
#include "harness/explore/enumerate.h"
#include "harness/result.h"

namespace counterpart::report::v1 {
class Line;
}

namespace counterpart::campaign {

struct Progress {
  uint64_t elapsed_us = 0;
  uint64_t finished = 0;
  uint64_t planned = 0;  // 0: open-ended (--for); grows while an exploration surveys
  uint64_t red = 0;
  std::string latest;  // cell id
};

struct CampaignOptions {
  std::vector<Cell> cells;
  uint32_t runs = 1;                             // per cell
  std::optional<std::chrono::seconds> duration;  // instead of runs: rounds until it has passed
  uint64_t seed = 1;
  std::optional<uint64_t> run_seed;  // every run with this very seed, for driving one again
  uint32_t jobs = 1;                 // workers, each with subject processes of its own
  uint32_t lanes = 64;               // runs at once on one subject process; a bulky one counts 16
  bool isolate = false;              // a process of its own for each run
  uint32_t load = 0;                 // busy processes beside it all
  bool keep_all_traces = false;
  bool stop_at_first_red = false;
  uint64_t most_runs = 0;                   // stop after so many; 0: no limit
  bool self_check = false;                  // drives one run of 20 that pass again, with its seed
  explore::Plan plan;                       // faults that every run meets
  std::optional<explore::Options> explore;  // instead of runs: every plan there is
  // Goes on with the run.jsonl that is there, of the same cells and seed: what it has is not run
  // again.
  bool resume = false;
  std::vector<Expectation> expectations;
  std::string out;                   // folder for run.jsonl and traces
  std::vector<std::string> command;  // argv, for the header
  std::string program;               // path of this program, for commands in the report
  std::string subject_arguments;     // how the subjects were named, for the same
  std::atomic<bool>* interrupted = nullptr;
  // At each finished run, and now and then while none can begin; any worker's thread.
  std::function<void(const Progress&)> on_progress;
  // Every line of run.jsonl as it is written, in order.
  std::function<void(const report::v1::Line&)> on_line;
};

struct CampaignResult {
  int exit_code = 4;
  std::string run_jsonl;  // path
};

// Runs it all and writes <out>/run.jsonl, which has its footer when this returns, also after an
// interruption. An error means that nothing could be written.
Result<CampaignResult> RunCampaign(CampaignOptions options);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_CAMPAIGN_H_
