// A cell of the matrix: one subject, one transport and conduit, one direction, one scenario; or two
// subjects, one of which dials the other.
#ifndef COUNTERPART_CAMPAIGN_CELL_H_
#define COUNTERPART_CAMPAIGN_CELL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/effects/live_world.h"
#include "harness/result.h"
#include "harness/scenarios/run.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::campaign {

struct Cell {
  const effects::SubjectSpec* subject = nullptr;
  const scenarios::Scenario* scenario = nullptr;
  scenarios::Direction direction = scenarios::Direction::kHarnessToSubject;
  const effects::SubjectSpec* client = nullptr;  // with two: the one that dials `subject`
  bool stable = false;                           // over a stable conduit

  // "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"
  // "lang_cpp_transport_tcp_conduit_stable::direction_harness_to_subject::rpc_echo_roundtrip"
  // "lang_rust_server_swift_client_tcp::direction_bidirectional::rpc_echo_roundtrip"
  // "lang_cpp_server_python_client_tcp_conduit_stable::direction_bidirectional::rpc_echo_roundtrip"
  std::string Id() const;
  // One, or the server and the client.
  std::vector<const effects::SubjectSpec*> Subjects() const;
  // What it is to judge, and the capabilities that takes.
  const std::vector<std::string>& Rules() const { return scenario->Rules(direction, stable); }
  std::vector<std::string> Needs() const;
  scenarios::Cast Cast() const;
  // Why no faults can be planned of which its scenario knows nothing; "" if they can.
  std::string WhyWithoutPlans() const;
};

// What the id of a cell says, without knowing any subject. A scenario that this program does not
// have is an error.
struct CellName {
  const scenarios::Scenario* scenario = nullptr;
  scenarios::Cast cast = scenarios::Direction::kHarnessToSubject;
};
Result<CellName> ParseCellId(const std::string& id);

// Every cell of these subjects, and of every ordered pair of them, sorted by id.
std::vector<Cell> AllCells(const std::vector<effects::SubjectSpec>& subjects);

// The cells that match any of `patterns` (all, if there are none) and none of `skips`. A pattern
// that matches no cell is an error that names it and the nearest scenario name.
Result<std::vector<Cell>> SelectCells(const std::vector<Cell>& all,
                                      const std::vector<std::string>& patterns,
                                      const std::vector<std::string>& skips);

// The cell of this id among `all`; null if there is none.
const Cell* FindCell(const std::vector<Cell>& all, const std::string& id);

// Seed of one run: a function of the campaign's seed, the cell and the ordinal alone.
uint64_t RunSeed(uint64_t campaign_seed, const std::string& cell_id, uint32_t ordinal);

// Whether chance, by the seed alone, has this run driven twice: one of 20.
bool IsDrivenAgain(uint64_t run_seed, uint32_t ordinal);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_CELL_H_
