// The self-contained HTML page: the three files of reports/page, embedded when this is built,
// around the lines of a run.
#ifndef COUNTERPART_REPORT_HTML_H_
#define COUNTERPART_REPORT_HTML_H_

#include <string>
#include <string_view>

namespace counterpart::report {

// Takes the bytes of a run.jsonl, not the parsed run: lines are put in as they stand. The contract
// (tokens, which runs are kept, escaping) is in reports/README.md.
std::string RenderHtml(std::string_view run_jsonl);

// The files of the page; defined by the build.
namespace page {
extern const std::string_view kTemplate;
extern const std::string_view kStyle;
extern const std::string_view kScript;
}  // namespace page

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_HTML_H_
