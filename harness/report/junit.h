// JUnit XML, in the dialect that GitLab, Jenkins and GitHub actions agree on.
#ifndef COUNTERPART_REPORT_JUNIT_H_
#define COUNTERPART_REPORT_JUNIT_H_

#include <string>

namespace counterpart::report {

struct Run;

// One testcase per cell: classname "<subject>.<transport>.<direction>.<group>", name the scenario;
// no two are equal (GitLab shows only the first of equals). `failure` is wrong behaviour, `error` a
// crash, no start, or what the harness could not judge, `skipped` unsupported with its reason.
// Properties: rule ids, seed, counts. Control characters are shown as pictures, never raw.
std::string RenderJunit(const Run& run);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_JUNIT_H_
