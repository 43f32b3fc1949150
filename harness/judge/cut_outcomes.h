// What a call may come to after a cut: an interval, from what is proven to what is still possible.
//
// A cut proves nothing about delivery: bytes that were written may be read later or never, and a
// handler may have run without anybody hearing of it. So the oracle of a call is a function of
// what its callee is known to have seen of it, of its kind, and of whether the session lives on.
#ifndef COUNTERPART_JUDGE_CUT_OUTCOMES_H_
#define COUNTERPART_JUDGE_CUT_OUTCOMES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/peer/observed.h"

namespace counterpart::judge {

// What is known of the attempts before the cut, in rising order.
enum class Seen : uint8_t {
  kUnsent,    // no whole request was written to a link
  kInDoubt,   // one may have arrived
  kArrived,   // the callee has read it; a subject has begun to execute it
  kAnswered,  // the callee has answered it, and the caller need not have heard
};

enum class After : uint8_t { kResumed, kLost };  // the session

struct CutCase {
  peer::Side callee = peer::Side::kSubject;
  Seen seen = Seen::kInDoubt;
  bool idem = false;
  bool channels = false;
  After after = After::kResumed;
};

// Ways for a call to end, as bits.
enum Ending : uint8_t {
  kValue = 1,          // with what its handler returns, or its callee answered
  kIndeterminate = 2,  // told that nobody can know
  kNotSent = 4,        // a retryable error: proof that it was never handed to a link
  kShutdown = 8,       // SessionShutdown
};

struct CutOutcome {
  uint8_t endings = 0;             // any of these
  uint32_t least = 0, most = 0;    // executions by the callee, after those before the cut
  bool attempt_forbidden = false;  // its caller may send no new attempt
  const char* rule = "";           // says so
};

CutOutcome OutcomeOf(const CutCase& cut);

// Every case that can come up, for people and for a test that each has come up.
std::vector<CutCase> AllCutCases();
// "subject executes · may have arrived · idem with channels · session resumed"
std::string Describe(const CutCase& cut);
std::string DescribeEndings(uint8_t endings);

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_CUT_OUTCOMES_H_
