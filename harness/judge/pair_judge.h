// Judges a run of two subjects: each by monitors of its own, to which the other is the counterpart,
// and both joined into one verdict. What one does wrong is found once, by its own monitors, and
// blamed on it.
#ifndef COUNTERPART_JUDGE_PAIR_JUDGE_H_
#define COUNTERPART_JUDGE_PAIR_JUDGE_H_

#include <functional>
#include <string>
#include <vector>

#include "harness/judge/findings.h"
#include "harness/judge/judge.h"
#include "harness/peer/seat.h"

namespace counterpart::judge {

class PairJudge : public Findings {
 public:
  explicit PairJudge(const peer::BySeat<std::string>& ids);

  // As Judge::set_report, of both.
  void set_report(const std::function<void(machine::Finding)>& report);
  Judge& of(peer::Seat seat) { return seat == peer::Seat::kServer ? server_ : client_; }
  const Judge& of(peer::Seat seat) const { return seat == peer::Seat::kServer ? server_ : client_; }
  const std::string& id(peer::Seat seat) const { return ids_[seat]; }

  // Joins the end of the run. Each promised rule was judged of each subject.
  void Conclude(const std::vector<std::string>& rules_promised);

 private:
  const peer::BySeat<std::string> ids_;
  Judge server_, client_;
};

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_PAIR_JUDGE_H_
