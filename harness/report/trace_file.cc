#include "harness/report/trace_file.h"

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/line_json.h"
#include "harness/report/run_file.h"

namespace counterpart::report {

std::string TracePath(std::string_view exec_id) {
  std::string path = "traces/";
  for (const char c : exec_id) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == ':' || c == '#' || c == '.';
    path.push_back(plain ? c : '_');
  }
  return path + ".jsonl";
}

std::string TraceText(const std::vector<v1::TraceLine>& lines) {
  std::string text;
  for (const v1::TraceLine& line : lines) text += ToJsonLine(line);
  return text;
}

Result<std::vector<v1::TraceLine>> ParseTrace(std::string_view bytes, const std::string& name) {
  std::vector<v1::TraceLine> lines;
  size_t number = 0;
  bool ended = false;
  uint64_t next = 0;
  while (!bytes.empty()) {
    ++number;
    const size_t end = bytes.find('\n');
    const bool finished = end != bytes.npos;
    const std::string_view text = bytes.substr(0, end);
    bytes.remove_prefix(finished ? end + 1 : bytes.size());
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const std::string place = name + ":" + std::to_string(number);
    const auto broken = [&](const std::string& what) {
      return Error{Error::Kind::kUsage, place + ": " + what};
    };
    v1::TraceLine line;
    if (const Status read = FromJsonLine(text, place, &line); !read.ok()) {
      if (!finished && !lines.empty()) break;
      return read.error();
    }
    if (line.kind_case() == v1::TraceLine::KIND_NOT_SET) continue;
    if (lines.empty() != line.has_header()) {
      return broken(lines.empty() ? "the first line is no header; is this a trace of counterpart?"
                                  : "a second header: two traces in one file.");
    }
    if (ended) return broken("a line after the footer.");
    if (line.has_header() && line.header().format() > 1) {
      return broken("format " + std::to_string(line.header().format()) +
                    ", this program reads up to 1.");
    }
    if (line.has_entry()) {
      if (line.entry().index() != next) {
        return broken("entry " + std::to_string(line.entry().index()) + " where entry " +
                      std::to_string(next) + " belongs; a trace with a gap cannot be judged.");
      }
      ++next;
    }
    ended = line.has_footer();
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return Error{Error::Kind::kUsage, name + ": the trace is empty."};
  return lines;
}

Status WriteTrace(const std::string& path, const std::vector<v1::TraceLine>& lines) {
  return WriteText(path, TraceText(lines));
}

Result<std::vector<v1::TraceLine>> ReadTrace(const std::string& path) {
  const Result<std::string> bytes = ReadText(path);
  if (!bytes.ok()) return bytes.error();
  return ParseTrace(*bytes, path);
}

}  // namespace counterpart::report
