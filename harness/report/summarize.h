// Cells and the footer, counted from runs as they finish. Memory is a few words per run.
#ifndef COUNTERPART_REPORT_SUMMARIZE_H_
#define COUNTERPART_REPORT_SUMMARIZE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace counterpart::report {

namespace v1 {
class Cell;
class Exec;
class Footer;
enum CellStatus : int;
}  // namespace v1

// How a run counts:
//   unsupported           makes its cell unsupported; accounted for, in no rate
//   unreached             a planned fault never came due: accounted for, in no rate
//   interrupted           not counted, not accounted for
//   error                 accounted for, apart from the rate: it says nothing of the subject
//   none                  not judged, so inconclusive: what was not tested is never green
//   pass, inconclusive, fail
class Summary {
 public:
  Summary();
  ~Summary();
  Summary(Summary&&) noexcept;
  Summary& operator=(Summary&&) noexcept;

  // Says that the cell will be run `runs` times. Only what identifies it is read from `cell`: id,
  // subject, transport, conduit, direction, scenario, group. Cells that nobody planned are
  // identified by their id alone (see IdentityOf).
  void Plan(const v1::Cell& cell, uint32_t runs);

  // Moments that runs of the cell are to meet, at least one of them each.
  void LookOutFor(const std::string& id, const std::vector<std::string>& moments);

  void Add(const v1::Exec& exec);

  // In the order they were planned; a cell without any run is NOT_RUN.
  std::vector<v1::Cell> Cells() const;
  // The cell of that id alone, to be said as soon as its runs are in; identity only if unknown.
  v1::Cell CellOf(const std::string& id) const;

  // What an expectation made of a cell: its status, and the sentence beside it.
  void Expect(const std::string& id, v1::CellStatus status, const std::string& expectation);

  // Exit code: 4 harness error, interrupted or unaccounted runs; 3 a subject could not start; 1 a
  // cell that is red other than as expected; 5 a stale expectation; 0.
  v1::Footer MakeFooter(uint64_t duration_us, bool interrupted) const;

 private:
  struct Tally;
  struct Tallies;
  std::unique_ptr<Tallies> state_;
};

// What the id says of its cell:
//   lang_<subject>_transport_<transport>[_conduit_stable]::direction_<direction>::<scenario>
//   lang_<server>_server_<client>_client_<transport>[_conduit_stable]::direction_bidirectional::…
// An id of another form gives a cell whose scenario is the last part.
v1::Cell IdentityOf(const std::string& cell_id);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_SUMMARIZE_H_
