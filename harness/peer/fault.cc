#include "harness/peer/fault.h"

namespace counterpart::peer {

const char* Name(How how) {
  switch (how) {
    case How::kRst:
      return "rst";
    case How::kFin:
      return "fin";
    case How::kHalfClose:
      return "half_close";
    case How::kKill:
      return "sigkill";
    case How::kListenerDown:
      return "listener_down";
  }
  return "?";
}

std::string DescribeMoment(const Fault& fault) {
  if (fault.how == How::kListenerDown) {
    return "the next " + std::to_string(fault.ordinal) + " connects";
  }
  std::string moment = fault.offset ? std::to_string(*fault.offset) + " bytes into " : "after ";
  moment += fault.kind.empty() ? "frame" : fault.kind;
  moment += " " + std::to_string(fault.ordinal);
  moment += fault.from == Side::kHarness ? " of the harness" : " of the subject";
  return moment + " in generation " + std::to_string(fault.generation);
}

}  // namespace counterpart::peer
