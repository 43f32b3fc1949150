#include "harness/effects/effect_proofs.h"

namespace counterpart::effects {

std::string ProofOfCut(const CutSeen& seen) {
  // The kernel gives addresses out again only when both ends are done with them.
  if (seen.addresses_reused) return "its addresses are those of another connection by now";
  if (!seen.far_ends_shown) return "this kernel does not show the other end";
  return seen.connected ? HowTold(seen.subject) : "no connection was made yet";
}

std::string ProofOfSplit(const SplitSeen& seen) {
  if (!seen.open || seen.end_read) {
    return seen.nothing_follows ? "the subject has ended the connection" : "";
  }
  if (!seen.subject || !seen.subject->counted || seen.subject->unread > 0) return "";
  if (seen.subject->received < seen.written || seen.written == 0) return "";
  const std::string all = std::to_string(seen.written) + " bytes";
  if (seen.nothing_follows) return "the subject has read all " + all;
  return "the subject had read all " + all + " before the rest, of " + std::to_string(seen.unsent) +
         " bytes, was written";
}

std::string ProofOfMerge(bool written_as_one, std::optional<uint32_t> segments) {
  return written_as_one && segments == 1u ? "two frames left in one segment" : "";
}

Shown ShownOfStopReading(size_t unread, const std::optional<TcpEnd>& subject) {
  // Its socket holds back what the window does not take.
  const bool closed = subject && subject->held_back > 0;
  Shown shown{.took_effect = unread == 0 ? 0u
                             : closed    ? 2u
                                         : 1u,
              .text = std::to_string(unread) + " bytes of the subject wait unread"};
  if (subject) {
    shown.text += ", " + std::to_string(subject->held_back) +
                  " more are held back, and its window is " + std::to_string(subject->window);
  }
  return shown;
}

Shown ShownOfStop(std::optional<size_t> threads, uint64_t bytes_waiting) {
  if (!threads) return {.took_effect = 0, .text = "not every thread was in state T"};
  return {.took_effect = 1,
          .text = std::to_string(*threads) + " threads in state T, and " +
                  std::to_string(bytes_waiting) + " bytes that wait for them"};
}

}  // namespace counterpart::effects
