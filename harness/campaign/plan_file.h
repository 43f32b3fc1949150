// A plan file: one cell, one seed, and the faults its run meets. Small enough to read, to edit and
// to keep as a regression.
//
//   cell: lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip
//   seed: 17
//   faults:
//     - rst 5 bytes into frame 3 of the harness on link 1
#ifndef COUNTERPART_CAMPAIGN_PLAN_FILE_H_
#define COUNTERPART_CAMPAIGN_PLAN_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/result.h"

namespace counterpart::campaign {

struct PlanFile {
  std::string cell;
  uint64_t seed = 1;
  std::vector<std::string> faults;
  std::string why = {};  // what a run of it showed; a comment in the file
};

std::string ToText(const PlanFile& plan);
// Errors (kUsage) name file, line and column, and what is expected there.
Result<PlanFile> ReadPlanFile(const std::string& path);
// Where the plan of an exec is kept, relative to the run.jsonl.
std::string PlanPath(const std::string& exec_id);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_PLAN_FILE_H_
