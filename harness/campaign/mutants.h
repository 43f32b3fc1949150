// The catalogue of deliberately wrong subjects: subjects/mutants/catalog.yaml, whose header says
// what each key means.
#ifndef COUNTERPART_CAMPAIGN_MUTANTS_H_
#define COUNTERPART_CAMPAIGN_MUTANTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/explore/enumerate.h"
#include "harness/result.h"

namespace counterpart::campaign {

// One row; one that runs in pairs as well makes two.
struct Mutant {
  std::string subject, id, wrong;
  std::vector<std::string> rules;   // any of which may name it; none: a canary, must stay green
  bool wreck = false;               // nothing of it works: no run may pass, whatever says so
  bool paired = false;              // with a sound subject, or alone
  std::vector<std::string> cells;   // patterns of cells, of the one kind or the other; none: all
  std::vector<std::string> except;  // patterns of cells that are left out
  uint32_t runs = 0;                // of each cell; 0: as many as is usual
  std::string control;              // its `--control`; "": as its subject is usually started
  // Only a cut reveals it: these plans, in place of undisturbed runs, which must stay green.
  std::optional<explore::Options> explore;

  // Ids are unique within a subject: those of any but the default one are told with it.
  std::string Name() const;
  std::string Title() const { return Name() + (paired ? " in pairs" : ""); }
};

inline constexpr char kSubjectOfMutants[] = "cpp";

// Errors (kUsage) name file, line and column, and what is expected there.
Result<std::vector<Mutant>> ReadMutants(const std::string& path);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_MUTANTS_H_
