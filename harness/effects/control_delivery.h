// Whether a question asked through gRPC, or its answer, can still be on its way. r[control.settle]
//
// Between us and the subject lies a library of ours, whose queues no byte count shows. But it is
// made of threads, and of sockets that belong to our process: at an instant at which none of its
// threads ran or could run, and no byte was between the two kernels, it held nothing. That instant
// is found as for a subject: counters, then everything else, then state and the same counters. A
// look at the subject goes in between, so that it is the same instant.
//
// Its threads are all of our process but those that are known to be our own. The other way round
// will not do: a thread that has been made and has not run yet has no name of its own. And while
// one of our own is in a function of the library, it may hold up what the library's wait for.
#ifndef COUNTERPART_EFFECTS_CONTROL_DELIVERY_H_
#define COUNTERPART_EFFECTS_CONTROL_DELIVERY_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/effects/snapshot.h"
#include "harness/effects/tcp_diag.h"

namespace counterpart::effects {

// To be called first of all by every thread of ours that is not the library's and not the main one,
// and that runs while worlds are in use. Until then, and without it, it counts as the library's:
// nothing is taken for delivered while it runs.
void MarkOwnThread();

// Around every use of the library by a thread of our own, whichever world it is for.
class InLibrary {
 public:
  InLibrary();
  ~InLibrary();
  InLibrary(const InLibrary&) = delete;
  InLibrary& operator=(const InLibrary&) = delete;
};

// The connections of the library to a port of 127.0.0.1: found once, and looked for again when one
// of them is over. To find them the kernel goes through all that it has, which after a few thousand
// runs is a lot.
class ControlPaths {
 public:
  explicit ControlPaths(uint16_t port = 0) : port_(port) {}
  // Null if there are not as many as there should be. Owned here, until the next call.
  const std::vector<TcpPath>* Established(size_t count);
  uint32_t searches() const { return searches_; }

 private:
  uint16_t port_;
  TcpDiag tcp_;
  std::vector<TcpPath> known_;
  uint32_t searches_ = 0;
};

class ControlDelivery {
 public:
  // Before the look: adds the connections of the library to what it accounts for. False if a thread
  // of ours is in the library, or there are not as many connections as there should be.
  bool Begin(ControlPaths* paths, size_t connections, OurEnds* ends);
  // After it: whether no thread of the library has run since, and none of ours has used it.
  bool End() const;

 private:
  std::map<pid_t, std::string> counters_;
  uint64_t entered_ = 0;  // uses of the library by our threads, before the look
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_CONTROL_DELIVERY_H_
