#include "harness/campaign/trials.h"

#include <chrono>
#include <utility>

#include "counterpart/report/v1/report.pb.h"

namespace counterpart::campaign {
namespace {

Worker::Options WithClock(Worker::Options options) {
  options.campaign_now_us = [start = std::chrono::steady_clock::now()] {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                     std::chrono::steady_clock::now() - start)
                                     .count());
  };
  return options;
}

}  // namespace

Trials::Trials(const Cell* cell, Worker::Options options)
    : cell_(cell), worker_(WithClock(std::move(options)), [this](FinishedRun run) {
        finished_.push_back(std::move(run));
      }) {}

std::vector<FinishedRun> Trials::Run(uint64_t seed, const explore::Plan& plan, uint32_t times,
                                     bool survey) {
  finished_.clear();
  for (uint32_t i = 0; i < times; ++i) {
    RunKey key;
    key.cell = cell_;
    key.ordinal = runs_++;
    key.seed = seed;
    key.plan = plan;
    key.survey = survey;
    worker_.RunBatch({key});
  }
  return std::move(finished_);
}

}  // namespace counterpart::campaign
