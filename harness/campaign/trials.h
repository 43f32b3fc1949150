// A few runs of one cell, one after the other, each with a seed and plan of its own: for verbs that
// try something and look, rather than keep a report.
#ifndef COUNTERPART_CAMPAIGN_TRIALS_H_
#define COUNTERPART_CAMPAIGN_TRIALS_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "harness/campaign/worker.h"

namespace counterpart::campaign {

class Trials {
 public:
  // What is pointed to outlives it. `options`: of the worker; its clock is set here.
  Trials(const Cell* cell, Worker::Options options);
  // As many runs of this seed and plan; fewer if interrupted.
  std::vector<FinishedRun> Run(uint64_t seed, const explore::Plan& plan, uint32_t times,
                               bool survey = false);
  uint32_t runs() const { return runs_; }  // so far

 private:
  const Cell* cell_;
  uint32_t runs_ = 0;
  std::vector<FinishedRun> finished_;
  Worker worker_;
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_TRIALS_H_
