// A cell of one scenario on one subject, for tests of what runs it.
#ifndef COUNTERPART_TESTS_ONE_CELL_H_
#define COUNTERPART_TESTS_ONE_CELL_H_

#include <utility>

#include "harness/campaign/cell.h"

namespace counterpart::campaign {

struct OneCell {
  OneCell(machine::Task<> (*body)(peer::Peer&), effects::SubjectSpec of) : subject(std::move(of)) {
    scenario.name = "of_this_test";
    scenario.directions = {peer::Direction::kHarnessToSubject};
    scenario.body = body;
    cell.subject = &subject;
    cell.scenario = &scenario;
  }
  OneCell(const OneCell&) = delete;  // the cell points into it
  OneCell& operator=(const OneCell&) = delete;

  const effects::SubjectSpec subject;
  scenarios::Scenario scenario;
  Cell cell;
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_TESTS_ONE_CELL_H_
