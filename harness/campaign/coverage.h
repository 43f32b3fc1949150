// What an exploration has covered: of each cell which faults were tried at which frame and what
// came of them; and over all cells the states of a call at a cut, the steps of the spec's machines
// by either side, and the ways to fail.
#ifndef COUNTERPART_CAMPAIGN_COVERAGE_H_
#define COUNTERPART_CAMPAIGN_COVERAGE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace counterpart::report::v1 {
class Exec;
}

namespace counterpart::campaign {

// Of the plans whose first fault is of one kind and at, or inside, one frame.
struct Tried {
  uint32_t green = 0, red = 0;
  uint32_t unreached = 0;  // their runs ended before a fault was due
};

// A frame of the undisturbed run. Of a cell of several plans a first fault may name others: those
// are on links that only a cut opens, and have no kind.
struct FrameCoverage {
  uint32_t link = 1;
  std::string from;  // "harness" or "subject"; "server" or "client" of two
  uint32_t ordinal = 1;
  std::string kind;
  std::map<std::string, Tried> faults;  // by name: "rst"
};

struct CellCoverage {
  std::string not_explored;           // why; "" if it was
  uint32_t moments = 0;               // frames of the undisturbed run
  std::vector<FrameCoverage> frames;  // in their order
  Tried All() const;
};

struct Failure {
  uint32_t count = 0;
  std::string signature, reason, redrive;  // of the first run
  std::vector<std::string> plan;
};

struct Coverage {
  std::map<std::string, CellCoverage> cells;
  std::set<std::string> cut_cases_met, cut_cases_never;
  // "subject operation: Live --seal--> Sealed"; never: of no run, by the side that could.
  std::set<std::string> transitions, transitions_never;
  std::set<std::string> states, states_never;  // "subject operation: Live"
  std::vector<Failure> failures;               // by signature
};

// Counts it from execs, as they are read.
class CoverageCount {
 public:
  void Add(const report::v1::Exec& exec);
  Coverage Done() &&;

 private:
  Coverage coverage_;
  std::map<std::string, Failure> failures_;
};

// `map`: frame by frame as well.
std::string ToText(const Coverage& coverage, bool map);
std::string ToJson(const Coverage& coverage);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_COVERAGE_H_
