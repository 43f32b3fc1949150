// The live world of one worker: one epoll, one subject process, and any number of lanes, each of
// which is the world of one run. Owned and used by one thread; control-plane completions come
// from gRPC's threads through one locked queue and an eventfd.
#ifndef COUNTERPART_EFFECTS_LIVE_WORLD_H_
#define COUNTERPART_EFFECTS_LIVE_WORLD_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/effects/calm.h"
#include "harness/effects/effect.h"
#include "harness/effects/kernel_witness.h"
#include "harness/effects/loopback_space.h"
#include "harness/result.h"

namespace counterpart::effects {

// How to start a subject.
struct SubjectSpec {
  std::string id;                    // "cpp"
  std::vector<std::string> command;  // argv, absolute program
  int nice = 0;                      // of the subject's processes
  Watchdog watchdog = {};
};

// What it said about itself.
struct SubjectInfo {
  std::string name, version, language, mutant;
  std::string binding;  // of its control plane: "grpc", "grpc-stream" or "stdio"
  std::vector<std::string> capabilities;
};

using Lane = uint32_t;

struct Arrival {
  Lane lane;
  Ingress ingress;
};

class LiveWorld {
 public:
  // Starts the subject, reads its start line, describes it. kSubject errors say what it printed,
  // how it ended, and what was expected.
  // Lanes listen in `space`, that of this machine if it is null; else it outlives the world.
  static Result<std::unique_ptr<LiveWorld>> Start(SubjectSpec spec, LoopbackSpace* space = nullptr);
  virtual ~LiveWorld() = default;  // kills and reaps the subject's process group

  virtual const SubjectInfo& subject() const = 0;
  virtual uint32_t incarnation() const = 0;
  virtual bool alive() const = 0;
  virtual std::string stderr_tail() const = 0;  // bounded; raw bytes

  virtual Lane OpenLane() = 0;
  // Closes what the lane still holds, by reset. Later arrivals for it are dropped. Unless the
  // subject was told to drop all of it, it may dial yet: then the lane's ports stay taken until
  // that process is gone, or it would be connected to whoever gets them next.
  virtual void CloseLane(Lane lane) = 0;
  virtual void Execute(Lane lane, const Effect& effect) = 0;

  // Waits until something arrives or `limit` passes, then takes in everything there is. Arrivals
  // of one call belong to one round. Also reports the subject's exit to every open lane.
  virtual std::vector<Arrival> Poll(std::chrono::microseconds limit) = 0;

  // Readable when Poll would not have to wait: for whoever waits on several worlds.
  virtual int wait_fd() const = 0;

  // To be asked only while every lane waits. `horizon`: the longest protocol delay any of them may
  // legally wait for. `certainty`: whether calm will fail one of them. See calm_check.h.
  virtual Calm CheckCalm(std::chrono::microseconds horizon, Certainty certainty) = 0;

  // Replaces the process: kills, reaps, starts anew. All lanes must be closed.
  virtual Status Respawn() = 0;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_LIVE_WORLD_H_
