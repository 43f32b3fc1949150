#include "harness/judge/pair_judge.h"

namespace counterpart::judge {

using peer::Seat;

PairJudge::PairJudge(const peer::BySeat<std::string>& ids)
    : ids_(ids),
      server_(ids[Seat::kServer], ids[Seat::kServer] + " (server)"),
      client_(ids[Seat::kClient], ids[Seat::kClient] + " (client)") {}

void PairJudge::set_report(const std::function<void(machine::Finding)>& report) {
  server_.set_report(report);
  client_.set_report(report);
}

void PairJudge::Conclude(const std::vector<std::string>& rules_promised) {
  for (const Seat seat : peer::kSeats) {
    for (const auto& [rule, times] : of(seat).judged()) Held(rule);
  }
  for (const Seat seat : peer::kSeats) {
    Promised(rules_promised, of(seat).judged(), std::string("the ") + peer::Name(seat));
  }
  Pass();
}

}  // namespace counterpart::judge
