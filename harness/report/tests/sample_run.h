// Runs for the tests of the renderers.
#ifndef COUNTERPART_REPORT_TESTS_SAMPLE_RUN_H_
#define COUNTERPART_REPORT_TESTS_SAMPLE_RUN_H_

#include <string>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/run.h"

namespace counterpart::report {

inline constexpr char kCell[] =
    "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip";

// "]]>", markup, control characters, a direction override, and bytes that are no UTF-8.
std::string HostileText();

v1::Exec MakeExec(const std::string& cell, uint32_t ordinal, v1::Verdict verdict);

// Two subjects, two directions, five scenarios: all passed but one flaky cell (3 of 20), one that
// always crashes and one that is unsupported. `hostile` is what the subject said.
std::string SampleRunText(const std::string& hostile = "late item");
Run SampleRun(const std::string& hostile = "late item");

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TESTS_SAMPLE_RUN_H_
