// The endpoint format of shields.io.
#ifndef COUNTERPART_REPORT_BADGE_H_
#define COUNTERPART_REPORT_BADGE_H_

#include <string>

namespace counterpart::report {

struct Run;

// {"schemaVersion":1,"label":"conformance","message":"58/60 cells","color":"red"}. Of an
// incomplete run it says so, and is never green.
std::string RenderBadge(const Run& run);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_BADGE_H_
