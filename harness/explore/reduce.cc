#include "harness/explore/reduce.h"

#include <algorithm>
#include <set>
#include <string>

namespace counterpart::explore {
namespace {

using peer::Fault;
using peer::How;
using peer::Moment;

// Where the frame of a fault stands among those of the undisturbed run; the end of it for a frame
// that only a resume has.
size_t PlaceOf(const Fault& fault, const std::vector<Moment>& moments) {
  const auto found = std::find_if(moments.begin(), moments.end(), [&fault](const Moment& moment) {
    return moment.from == fault.from && moment.seat == fault.seat &&
           moment.generation == fault.generation && moment.ordinal == fault.ordinal;
  });
  return static_cast<size_t>(found - moments.begin());
}

// The same fault there; inside the frame only if it can be done nowhere else.
Fault At(const Moment& moment, const Fault& like) {
  Fault fault;
  fault.how = like.how;
  if (!peer::PlacesOf(like.how).after) fault.offset = like.offset;
  fault.from = moment.from;
  fault.ordinal = moment.ordinal;
  fault.generation = moment.generation;
  fault.seat = moment.seat;
  return fault;
}

std::string TextOf(const Plan& plan) {
  std::string text;
  for (const Fault& fault : plan) text += ToText(fault) + "; ";
  return text;
}

}  // namespace

std::vector<Plan> Smaller(const Plan& plan, const std::vector<Moment>& moments) {
  std::vector<Plan> smaller;
  for (size_t i = 0; plan.size() > 1 && i < plan.size(); ++i) {
    Plan fewer = plan;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    smaller.push_back(std::move(fewer));
  }
  for (size_t i = 0; i < plan.size(); ++i) {
    const peer::Places places = peer::PlacesOf(plan[i].how);
    const auto with = [&](Fault fault) {
      if (fault.from == peer::Side::kSubject && !peer::PlacesOf(fault.how).of_subject) return;
      Plan other = plan;
      other[i] = fault;
      smaller.push_back(std::move(other));
    };
    // Earlier frames, each: whether a bug shows is not monotone in where the cut is.
    const size_t place = std::min(PlaceOf(plan[i], moments), moments.size());
    if (i == 0) {
      for (size_t earlier = 0; earlier < place; ++earlier) {
        with(At(moments[earlier], plan[i]));
      }
    } else {
      for (uint32_t ordinal = 1; ordinal < plan[i].ordinal; ++ordinal) {
        Fault fault = plan[i];
        fault.ordinal = ordinal;
        with(fault);
      }
    }
    if (plan[i].offset) {
      Fault whole = plan[i];
      whole.offset.reset();
      if (places.after) with(whole);
      // Of a frame that is passed on, nothing may get through.
      const uint32_t least = plan[i].seat ? 0 : 1;
      if (*plan[i].offset > least) {
        Fault first = plan[i];
        first.offset = least;
        with(first);
      }
    }
    if (plan[i].how != How::kRst && peer::EndsScenario(plan[i].how) && places.after) {
      Fault rst = plan[i];
      rst.how = How::kRst;
      with(rst);
    }
  }
  return smaller;
}

Plan Reduce(Plan plan, const std::vector<Moment>& moments,
            const std::function<bool(const Plan&)>& fails) {
  std::set<std::string> asked = {TextOf(plan)};
  for (bool reduced = true; reduced;) {
    reduced = false;
    for (Plan& smaller : Smaller(plan, moments)) {
      if (!asked.insert(TextOf(smaller)).second || !fails(smaller)) continue;
      plan = std::move(smaller);
      reduced = true;
      break;
    }
  }
  return plan;
}

}  // namespace counterpart::explore
