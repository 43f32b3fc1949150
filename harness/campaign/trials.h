// Runs of one cell and one seed, each with a plan of its own: what a shrinking asks again and
// again.
#ifndef COUNTERPART_CAMPAIGN_TRIALS_H_
#define COUNTERPART_CAMPAIGN_TRIALS_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/worker.h"

namespace counterpart::campaign {

class Trials {
 public:
  Trials(const Cell* cell, uint64_t seed, const std::atomic<bool>* interrupted);

  // As many runs of this plan, one after the other. A survey tells the frames of its run.
  std::vector<report::v1::Exec> Run(const explore::Plan& plan, uint32_t times, bool survey = false);
  // All so far.
  uint32_t runs() const { return runs_; }

 private:
  const Cell* cell_;
  const uint64_t seed_;
  uint32_t runs_ = 0;
  std::vector<report::v1::Exec> execs_;
  Worker worker_;
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_TRIALS_H_
