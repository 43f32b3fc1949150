// Text of a subject, made fit to be stored and shown. Subjects are hostile until proven otherwise:
// their bytes may be no UTF-8, without end, or steer a terminal.
#ifndef COUNTERPART_REPORT_SAFE_TEXT_H_
#define COUNTERPART_REPORT_SAFE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace counterpart::report {

// Takes one code point off the front of `bytes` (not empty). What is no UTF-8 gives U+FFFD, once
// per maximal part that could have begun a character, as the Unicode standard recommends.
char32_t TakeCodePoint(std::string_view& bytes);

void AppendUtf8(char32_t code_point, std::string& out);

// Valid UTF-8 of at most `limit` bytes of `bytes`, cut between characters. A cut text ends in a
// note that says how many bytes are missing.
std::string SafeText(std::string_view bytes, size_t limit = std::string_view::npos);

// SafeText without characters that act instead of being seen: control characters become their
// pictures (U+2400…), direction-changing ones and noncharacters U+FFFD. Keeps newline and tab.
std::string Printable(std::string_view bytes, size_t limit = std::string_view::npos);

// Printable on one line: runs of white space become one space.
std::string OneLine(std::string_view bytes, size_t limit = std::string_view::npos);

// Code points: the columns of a terminal, near enough for the text of the harness.
size_t Columns(std::string_view utf8);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_SAFE_TEXT_H_
