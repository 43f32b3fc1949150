// Cells that are known not to pass, and whether they kept to that.
#ifndef COUNTERPART_CAMPAIGN_EXPECTATIONS_H_
#define COUNTERPART_CAMPAIGN_EXPECTATIONS_H_

#include <string>
#include <vector>

#include "harness/campaign/cell.h"
#include "harness/result.h"

namespace counterpart::report::v1 {
class Cell;
}

namespace counterpart::campaign {

struct Expectation {
  enum class Kind {
    kFail,   // red in every run
    kFlaky,  // red in some runs, in at most `max_rate` of them
  };
  std::string cell;  // pattern, see pattern.h
  Kind kind = Kind::kFail;
  std::string rule;  // the only one it may be red by; empty: any
  double max_rate = 1;
  std::string reason, issue;
  std::string expires;  // YYYY-MM-DD; from that day on it excuses nothing
};

// Reads `expectations:` of a YAML file; matrix/expectations.yaml says what an entry may hold.
// Errors name the place as path:line:column. An entry that matches none of `known` is one: it is of
// a cell that there is no more.
Result<std::vector<Expectation>> ReadExpectations(const std::string& path,
                                                  const std::vector<Cell>& known);

enum class Kept {
  kNotExpected,  // no entry is about the cell
  kKept,         // red as the entry says, or flaky and green this time
  kStale,        // green in every run, though it should be red in each
  kBroken,       // red, but not as the entry says; or the entry has expired
};

struct Judgement {
  Kept kept = Kept::kNotExpected;
  std::string text;  // one sentence on what was expected
};

// The first entry about the cell decides. `today` is YYYY-MM-DD. Cells without a judged run, and
// those the harness failed on, are never excused.
Judgement Judge(const std::vector<Expectation>& expectations, const report::v1::Cell& cell,
                const std::string& today);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_EXPECTATIONS_H_
