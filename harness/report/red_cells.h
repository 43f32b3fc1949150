// The cells a reader must see, with what explains each: shared by every renderer that lists them.
#ifndef COUNTERPART_REPORT_RED_CELLS_H_
#define COUNTERPART_REPORT_RED_CELLS_H_

#include <string>
#include <vector>

namespace counterpart::report {

namespace v1 {
class Cell;
class Exec;
}  // namespace v1
struct Run;

struct RedCell {
  const v1::Cell* cell;   // of the run
  const v1::Exec* first;  // its first failing run; null if the file does not have it
  std::string reason;     // one sentence, never empty
  std::string rule;       // may be empty: not every failure breaks a rule
  std::string rule_text;
  // Not the wrong behaviour of a live subject: a crash, no start, the harness's own fault, or
  // nothing that could be judged.
  bool error = false;
};

// Everything that is neither passed nor unsupported; failures first, then flaky, errors,
// inconclusive, not run; within these in the order of the run. Pointers live as long as `run`.
std::vector<RedCell> RedCells(const Run& run);

// Whose cell it is: "rust", or "rust_server_swift_client", as in its id.
std::string Who(const v1::Cell& cell);

// "flaky", "failed", "unsupported", …: the status in a word.
std::string StatusWord(const v1::Cell& cell);

struct CellTotals {
  size_t passed = 0;
  size_t red = 0;
  size_t unsupported = 0;
  size_t known = 0;  // red as expected
  size_t stale = 0;  // green, though expected to be red
};
CellTotals CountCells(const Run& run);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_RED_CELLS_H_
