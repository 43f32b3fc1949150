// What repeated runs prove. All intervals are at 95 %. Rates are of failure, 0 to 1.
#ifndef COUNTERPART_REPORT_STATISTICS_H_
#define COUNTERPART_REPORT_STATISTICS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace counterpart::report {

struct Interval {
  double low = 0;
  double high = 1;
};

// Wilson score interval of k failures in n runs, two-sided. n = 0 gives [0, 1].
Interval Wilson95(uint64_t failures, uint64_t runs);

// The rate that a clean series of n runs excludes, one-sided and exact: 1 − 0.05^(1/n).
double ZeroFailuresBound95(uint64_t runs);

// Clean runs needed to exclude the failure rate `bound` (0 < bound < 1), which is also how many it
// takes to see such a failure at least once. 0 if `bound` is out of range.
uint64_t RunsForBound95(double bound);

// What is said of a cell's rate: the exact bound when nothing failed, else Wilson.
Interval FailureRate95(uint64_t failures, uint64_t runs);

// The smallest value that at least `percent` % of the values do not exceed (nearest rank); 0 of
// none. Reorders nothing: takes a copy unless moved into.
uint64_t Percentile(std::vector<uint64_t> values, unsigned percent);

// Counts of one cell. Judged runs are passed + failed; only they carry a rate.
struct Counts {
  uint64_t passed = 0;
  uint64_t inconclusive = 0;
  uint64_t failed = 0;
  uint64_t errors = 0;  // the harness's own; in no denominator

  uint64_t runs() const { return passed + inconclusive + failed; }
  uint64_t judged() const { return passed + failed; }
};

// "1000/1000, failure rate < 0.30 % (95 %)", "3/200 failed, 0.5–4.3 % (95 %)". A bound is rounded
// up: what is claimed is true. Runs that were not judged are named and no bound is claimed then.
std::string Statement(const Counts& counts);

// Decimal text with that many digits after the point, of no locale.
std::string Decimal(double value, int digits);

// Microseconds as "1.234".
std::string Milliseconds(uint64_t us);
std::string Seconds(uint64_t us);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_STATISTICS_H_
