// The matrix of a run for a terminal.
#ifndef COUNTERPART_REPORT_MATRIX_TEXT_H_
#define COUNTERPART_REPORT_MATRIX_TEXT_H_

#include <cstddef>
#include <string>

namespace counterpart::report {

struct Run;

struct MatrixTextOptions {
  bool color = false;    // ANSI; the caller decides by terminal, --color and NO_COLOR
  size_t failures = 20;  // told in full; the others are counted
  size_t timeline = 30;  // entries shown of each
};

// Rows are scenarios by group, columns subject and direction; then every red cell with rule,
// reason and the commands that replay it and run it again; what the clean cells prove; and alone
// on the last line "N passed, N failed, N skipped" (cells). Glyphs and words, never color alone.
std::string RenderMatrix(const Run& run, const MatrixTextOptions& options = {});

// That last line, without a newline.
std::string TotalsLine(const Run& run);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_MATRIX_TEXT_H_
