// Smaller plans: what to try in place of one that fails, the most desired first.
//
// Smaller is: fewer faults, then an earlier first cut (which is also a shorter prefix of the
// scenario), then a whole frame rather than a part of one, then a RST rather than anything else.
#ifndef COUNTERPART_EXPLORE_REDUCE_H_
#define COUNTERPART_EXPLORE_REDUCE_H_

#include <functional>
#include <vector>

#include "harness/explore/plan.h"

namespace counterpart::explore {

// Plans that are smaller than this one by a step, given the frames of the undisturbed run.
std::vector<Plan> Smaller(const Plan& plan, const std::vector<peer::Moment>& moments);

// Steps down from `plan` to one of which no smaller one still `fails`; asks of each plan at most
// once. Deterministic as far as `fails` is.
Plan Reduce(Plan plan, const std::vector<peer::Moment>& moments,
            const std::function<bool(const Plan&)>& fails);

}  // namespace counterpart::explore

#endif  // COUNTERPART_EXPLORE_REDUCE_H_
