// What is still to be run, in batches of one cell. Any worker's thread may ask.
//
// Batches of one cell follow each other only after every other cell had its turn, so that
// time-dependent trouble does not gather in one cell. An exploration begins each cell with one
// undisturbed run; the plans that follow are made of its frames.
#ifndef COUNTERPART_CAMPAIGN_SCHEDULE_H_
#define COUNTERPART_CAMPAIGN_SCHEDULE_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/exec.h"

namespace counterpart::campaign {

using Batch = std::vector<RunKey>;

class Schedule {
 public:
  Schedule(const CampaignOptions& options, std::function<uint64_t()> now_us);

  // The next batch; nothing when all is done. Waits while only a survey in progress can tell.
  std::optional<Batch> Next();
  // This run is in a report already: it is not run again.
  void Skip(const std::string& cell_id, uint32_t ordinal);
  // What the undisturbed run of a cell has shown. Without frames there is nothing to cut.
  // Returns how many plans follow.
  size_t Surveyed(const std::string& cell_id, const std::vector<peer::Moment>& moments);
  void Stop();

 private:
  struct Turn {
    const Cell* cell = nullptr;
    uint32_t next = 0;  // ordinal
    uint32_t end = 0;   // of the ordinals; UINT32_MAX: there is none
    std::set<uint32_t> done;
    std::vector<explore::Plan> plans;  // of an exploration: of ordinal 1, 2, …
    bool surveying = false;
  };

  bool Interrupted() const {
    return stopped_ || (options_.interrupted != nullptr && *options_.interrupted);
  }
  Turn* Find(const std::string& cell_id);
  uint32_t MostTogether(const Turn& turn) const;
  Batch Take(Turn& turn);

  const CampaignOptions& options_;
  std::function<uint64_t()> now_us_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Turn> turns_;
  size_t turn_ = 0;
  uint64_t planned_ = 0;
  bool stopped_ = false;
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_SCHEDULE_H_
