// Which rules a run really tested: those whose premise was met and that were judged.
#ifndef COUNTERPART_REPORT_RULE_COVERAGE_H_
#define COUNTERPART_REPORT_RULE_COVERAGE_H_

#include <cstdint>
#include <map>
#include <string>

namespace counterpart::report {

namespace v1 {
class Cell;
class Exec;
}  // namespace v1

// Of one run, by subject: the rules judged of it, and whether each was broken. A violation that
// the harness is to blame for is nobody's.
std::map<std::string, std::map<std::string, bool>> RulesOf(const v1::Exec& exec,
                                                           const v1::Cell& cell);

// How one rule was tested of one subject. Counts runs, not checks.
struct RuleTally {
  uint32_t judged = 0;
  uint32_t violated = 0;
  // In which directions; neither, if only between two subjects.
  bool harness_to_subject = false;
  bool subject_to_harness = false;
};

// rule → subject → tally; without an entry: not tested.
using RulesTested = std::map<std::string, std::map<std::string, RuleTally>>;

void Count(const v1::Exec& exec, RulesTested* tested);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_RULE_COVERAGE_H_
