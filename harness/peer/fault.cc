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
    case How::kStop:
      return "sigstop";
    case How::kStopReading:
      return "stop_reading";
    case How::kSplit:
      return "split";
    case How::kMerge:
      return "merge";
    case How::kBitFlip:
      return "bit_flip";
  }
  return "?";
}

bool EndsScenario(How how) {
  switch (how) {
    case How::kStop:
    case How::kStopReading:
    case How::kSplit:
    case How::kMerge:
      return false;
    default:
      return true;
  }
}

bool NeedsProcess(How how) { return how == How::kKill || how == How::kStop; }

bool FitsConduits(How how) {
  return how == How::kRst || how == How::kFin || how == How::kSplit || how == How::kMerge;
}

bool FitsPairs(How how) { return how == How::kRst || how == How::kFin; }

const char* SpeakerOf(Side from, const std::optional<Seat>& seat) {
  if (seat) return Name(*seat);
  return from == Side::kHarness ? "harness" : "subject";
}

Places PlacesOf(How how) {
  switch (how) {
    case How::kSplit:
    case How::kBitFlip:
      return {.after = false, .inside = true, .of_subject = false};
    case How::kMerge:
      return {.after = true, .inside = false, .of_subject = false};
    case How::kStop:
    case How::kStopReading:
    case How::kListenerDown:
      return {.after = true, .inside = false, .of_subject = true};
    default:
      return {.after = true, .inside = true, .of_subject = true};
  }
}

std::string DescribeMoment(const Fault& fault) {
  if (fault.how == How::kListenerDown && fault.kind.empty() && fault.generation == 0) {
    return "the next " + std::to_string(fault.ordinal) + " connects";
  }
  std::string moment = !fault.offset ? "after "
                       : fault.how == How::kBitFlip
                           ? "at bit " + std::to_string(*fault.offset) + " of "
                           : std::to_string(*fault.offset) + " bytes into ";
  moment += fault.kind.empty() ? "frame" : fault.kind;
  moment += " " + std::to_string(fault.ordinal);
  moment += fault.from == Side::kHarness ? " of the harness" : " of the subject";
  return moment + " in generation " + std::to_string(fault.generation);
}

}  // namespace counterpart::peer
