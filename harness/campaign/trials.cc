#include "harness/campaign/trials.h"

#include <utility>

namespace counterpart::campaign {
namespace {

Worker::Options Quiet(const std::atomic<bool>* interrupted) {
  Worker::Options options;
  options.campaign_now_us = [] { return uint64_t{0}; };  // nobody asks when
  options.interrupted = interrupted;
  return options;
}

}  // namespace

Trials::Trials(const Cell* cell, uint64_t seed, const std::atomic<bool>* interrupted)
    : cell_(cell), seed_(seed), worker_(Quiet(interrupted), [this](FinishedRun run) {
        execs_.push_back(std::move(*run.exec));
      }) {}

std::vector<report::v1::Exec> Trials::Run(const explore::Plan& plan, uint32_t times, bool survey) {
  execs_.clear();
  for (uint32_t i = 0; i < times; ++i) {
    RunKey key;
    key.cell = cell_;
    key.ordinal = runs_++;
    key.seed = seed_;
    key.plan = plan;
    key.survey = survey;
    worker_.RunBatch({key});
  }
  return std::move(execs_);
}

}  // namespace counterpart::campaign
