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

Result<std::optional<v1::TraceLine>> TraceScanner::Take(std::string_view text, bool whole) {
  ++line_;
  if (text.find_first_not_of(" \t\r") == text.npos) return std::optional<v1::TraceLine>();
  const std::string place = name_ + ":" + std::to_string(line_);
  const auto broken = [&](const std::string& what) {
    return Error{Error::Kind::kUsage, place + ": " + what};
  };
  v1::TraceLine line;
  if (const Status read = FromJsonLine(text, place, &line); !read.ok()) {
    if (!whole && begun_) return std::optional<v1::TraceLine>();
    return read.error();
  }
  if (line.kind_case() == v1::TraceLine::KIND_NOT_SET) return std::optional<v1::TraceLine>();
  if (begun_ == line.has_header()) {
    return broken(begun_ ? "a second header: two traces in one file."
                         : "the first line is no header; is this a trace of counterpart?");
  }
  if (ended_) return broken("a line after the footer.");
  if (line.has_header() && line.header().format() > kTraceFormat) {
    return broken("a trace of format " + std::to_string(line.header().format()) +
                  "; this program reads up to " + std::to_string(kTraceFormat) +
                  ": it was written by a newer counterpart.");
  }
  if (line.has_header() && line.header().cell().empty()) {
    return broken(
        "the header names no cell; a trace is one of the files of traces/ beside a "
        "run.jsonl.");
  }
  if (line.has_entry() && line.entry().index() != next_++) {
    return broken("entry " + std::to_string(line.entry().index()) + " where entry " +
                  std::to_string(next_ - 1) + " belongs; a trace with a gap cannot be judged.");
  }
  begun_ = true;
  ended_ = line.has_footer();
  if (ended_ && line.footer().entries() != next_) {
    return broken("the footer is of " + std::to_string(line.footer().entries()) +
                  " entries, and there are " + std::to_string(next_) + ": some are missing.");
  }
  return std::optional<v1::TraceLine>(std::move(line));
}

Status TraceScanner::End(bool needs_footer) const {
  if (!begun_) return Error{Error::Kind::kUsage, name_ + ": the trace is empty."};
  if (needs_footer && !ended_) {
    return Error{Error::Kind::kUsage, name_ + ": cut short: it ends after " +
                                          std::to_string(next_) + " entries, without a footer."};
  }
  return {};
}

Result<std::vector<v1::TraceLine>> ParseTrace(std::string_view bytes, const std::string& name) {
  std::vector<v1::TraceLine> lines;
  TraceScanner scanner(name);
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const bool whole = end != bytes.npos;
    Result<std::optional<v1::TraceLine>> line = scanner.Take(bytes.substr(0, end), whole);
    bytes.remove_prefix(whole ? end + 1 : bytes.size());
    if (!line.ok()) return line.error();
    if (line->has_value()) lines.push_back(std::move(**line));
  }
  if (Status end = scanner.End(false); !end.ok()) return end.error();
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
