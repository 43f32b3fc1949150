// Markdown for a GitHub job summary or a pull request.
#ifndef COUNTERPART_REPORT_MARKDOWN_H_
#define COUNTERPART_REPORT_MARKDOWN_H_

#include <cstddef>
#include <string>

namespace counterpart::report {

struct Run;

// GitHub drops a summary over 1024 KiB whole, so this is the most we write.
inline constexpr size_t kMarkdownCap = 900u << 10;

// Failures first, each with reason, rule, statement and the command that replays it; then a table
// per subject. At most `cap` bytes (of at least 4096): what does not fit is counted ("12 more").
// Text of subjects cannot become markup, a mention or a link.
std::string RenderMarkdown(const Run& run, size_t cap = kMarkdownCap);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_MARKDOWN_H_
