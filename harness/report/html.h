// The self-contained HTML page: the files of reports/page, embedded when this is built, around the
// lines of a run.
#ifndef COUNTERPART_REPORT_HTML_H_
#define COUNTERPART_REPORT_HTML_H_

#include <map>
#include <string>
#include <string_view>

namespace counterpart::report {

// Takes the bytes of a run.jsonl, not the parsed run: lines are put in as they stand. The contract
// (tokens, which runs are kept, escaping) is in reports/README.md.
std::string RenderHtml(std::string_view run_jsonl);

// The files of the page, by their names in its folder; defined by the build.
namespace page {
extern const std::map<std::string_view, std::string_view> kFiles;
}  // namespace page

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_HTML_H_
