// CTRF 1.0 JSON (ctrf.io), strict: no key outside its schema but under `extra`.
#ifndef COUNTERPART_REPORT_CTRF_H_
#define COUNTERPART_REPORT_CTRF_H_

#include <string>

namespace counterpart::report {

struct Run;

// One test per cell, times in milliseconds. Red is "failed", unsupported "skipped", not run
// "other". `flaky` marks cells of which some runs were red; they stay "failed".
std::string RenderCtrf(const Run& run);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_CTRF_H_
