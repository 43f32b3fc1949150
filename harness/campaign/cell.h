// A cell of the matrix: one subject, one transport and conduit, one direction, one scenario.
#ifndef COUNTERPART_CAMPAIGN_CELL_H_
#define COUNTERPART_CAMPAIGN_CELL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/effects/live_world.h"
#include "harness/result.h"
#include "harness/scenarios/scenario.h"

namespace counterpart::campaign {

struct Cell {
  const effects::SubjectSpec* subject = nullptr;
  const scenarios::Scenario* scenario = nullptr;
  scenarios::Direction direction = scenarios::Direction::kHarnessToSubject;

  // "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip"
  std::string Id() const;
};

// Every cell of these subjects, sorted by id.
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

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_CELL_H_
