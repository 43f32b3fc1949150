// Runs batches of runs of one cell on warm subject processes: one, or two that speak to each other.
// One thread's business.
#ifndef COUNTERPART_CAMPAIGN_WORKER_H_
#define COUNTERPART_CAMPAIGN_WORKER_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/campaign/exec.h"
#include "harness/effects/live_world.h"

namespace counterpart::campaign {

// What a worker tells as runs end.
struct FinishedRun {
  std::unique_ptr<report::v1::Exec> exec;
  // The whole trace, for whoever keeps it: of red runs, and of all if asked for.
  std::vector<report::v1::TraceLine> trace;
};

class Worker {
 public:
  struct Options {
    uint32_t slot = 0;
    bool keep_all_traces = false;
    bool isolate = false;  // each batch gets a process of its own
    std::function<uint64_t()> campaign_now_us;
    // Set from outside (Ctrl-C): runs in progress are abandoned, not counted.
    const std::atomic<bool>* interrupted = nullptr;
    // Gives the world to be used for a subject of this id; null: its process is started.
    std::function<std::unique_ptr<effects::LiveWorld>(const std::string& id)> stand_in;
  };
  using Sink = std::function<void(FinishedRun)>;

  Worker(Options options, Sink sink);
  ~Worker();

  // Runs these runs of one cell, all at once. Every run ends in the sink, at the latest with
  // DriveHeld, unless interrupted. A subject that cannot be started gives each an exec that says
  // so.
  void RunBatch(const std::vector<RunKey>& batch);
  // Drives once more, all at once, what has been held for that, and tells of it. Due after the last
  // batch; in between it comes by itself.
  void DriveHeld();

 private:
  struct Active;
  // A run that has been driven to its end; without `run` if there was no subject for it.
  struct Driven {
    RunKey key;
    FinishedRun finished = {};
    std::unique_ptr<scenarios::Run> run = nullptr;
  };
  using Tell = std::function<void(Driven)>;

  Result<effects::LiveWorld*> WorldFor(const effects::SubjectSpec& subject);
  // Of one cell: that of its subject, or those of its two as one.
  Result<effects::LiveWorld*> WorldFor(const Cell& cell);
  // All of them, and tells of each once; those that were interrupted by a crash are run again.
  void Drive(const std::vector<RunKey>& batch, const Tell& tell);
  // Once. Tells of each, but those that the subject's death ended beside others go to `crashed`,
  // unless it is null.
  void RunTogether(effects::LiveWorld& world, const std::vector<RunKey>& batch, const Tell& tell,
                   std::vector<Driven>* crashed);
  Driven Finish(effects::LiveWorld& world, Active& active);
  void CannotStart(const std::vector<RunKey>& batch, const Error& error, const Tell& tell);
  // What there is to tell of a run that was not begun.
  Driven NotDriven(const RunKey& key, report::v1::Exec exec) const;
  bool Unsupported(const std::vector<RunKey>& batch);
  bool Interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }

  Options options_;
  Sink sink_;
  std::map<std::string, std::unique_ptr<effects::LiveWorld>> worlds_;
  // Runs that have passed and are to be driven once more before they are told of; of the same
  // subjects, all of them.
  std::vector<Driven> held_;
  std::unique_ptr<effects::LiveWorld> pair_;  // of the batch that runs now, if it is of two
  std::map<std::string, Error> dead_;         // subjects that could not be started
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_WORKER_H_
