#include "harness/report/trace_text.h"

#include <algorithm>
#include <string_view>

#include "counterpart/report/v1/report.pb.h"
#include "harness/machine/trace.h"
#include "harness/report/safe_text.h"
#include "harness/report/statistics.h"
#include "harness/report/trace_fields.h"

namespace counterpart::report {
namespace {

constexpr size_t kEdgeColumns = 18;
constexpr size_t kKindColumns = 13;
constexpr size_t kTextLimit = 4000;

std::string Padded(std::string text, size_t columns, bool right = false) {
  const size_t have = Columns(text);
  const std::string space(have < columns ? columns - have : 0, ' ');
  return right ? space + text : text + space;
}

std::string Shorten(const std::string& text, size_t columns) {
  if (Columns(text) <= columns) return text;
  std::string out;
  std::string_view rest = text;
  for (size_t n = 0; n + 1 < columns; ++n) AppendUtf8(TakeCodePoint(rest), out);
  return out + "…";
}

const char* Arrow(v1::TraceSide side) {
  return side == v1::TRACE_SIDE_HARNESS ? "->" : side == v1::TRACE_SIDE_SUBJECT ? "<-" : "--";
}

const char* Word(v1::TraceSide side) {
  return side == v1::TRACE_SIDE_HARNESS   ? "harness"
         : side == v1::TRACE_SIDE_SUBJECT ? "subject"
                                          : "note";
}

// `*` stands for any run of characters.
bool Glob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = pattern.npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// Notes without an edge are what scenario and monitors have found.
bool IsFinding(const v1::TraceEntry& entry) {
  return entry.kind() == "note" && entry.edge().empty();
}

const char* Word(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_PASS:
      return "pass";
    case v1::VERDICT_INCONCLUSIVE:
      return "inconclusive";
    case v1::VERDICT_FAIL:
      return "fail";
    case v1::VERDICT_ERROR:
      return "error";
    default:
      return "none";
  }
}

}  // namespace

bool IsFault(const v1::TraceEntry& entry) {
  static const std::set<std::string_view> kKinds = {
      "fin",   "rst",         "half_close", "stop_reading", "resume_reading", "stop_listening",
      "kill",  "close_input", "restart",    "link_refused", "oversize",       "eof",
      "reset", "stop",        "exited",     "started",      "continue",       "no_answer"};
  if (entry.kind() == "note") return entry.edge() == "fault" || entry.edge() == "cut";
  return kKinds.contains(entry.kind());
}

bool TraceFilter::Takes(const v1::TraceEntry& entry) const {
  if (!sides.empty() && !sides.contains(Word(entry.side()))) return false;
  if (!kinds.empty() && !kinds.contains(entry.kind())) return false;
  if (!edge.empty() && !Glob(edge, entry.edge())) return false;
  if (entry.index() < first || entry.index() > last) return false;
  if (faults && !IsFault(entry)) return false;
  const auto has = [this](const std::string& in) { return in.find(text) != in.npos; };
  return text.empty() || has(entry.edge()) || has(entry.label()) || has(entry.text());
}

std::string TracePage::Header(const v1::TraceHeader& header) {
  std::string out = OneLine(header.cell(), kTextLimit) + "\n  seed " +
                    std::to_string(header.seed()) + ", counterpart " +
                    OneLine(header.counterpart_version(), 100) + ", spec " +
                    OneLine(header.spec_digest(), 100) + ", trace format " +
                    std::to_string(header.format()) + "\n";
  for (const std::string& fault : header.plan()) {
    out += "  planned: " + OneLine(fault, kTextLimit) + "\n";
  }
  return out + "\n  " + Padded("#", 6, true) + Padded("round", 7, true) + Padded("ms", 11, true) +
         Padded("+ms", 10, true) + "      " + Padded("edge", kEdgeColumns) + "  " +
         Padded("kind", kKindColumns) + "  says\n";
}

std::string TracePage::Entry(const v1::TraceEntry& entry) {
  const std::string label = OneLine(entry.label(), kTextLimit);
  const std::string text = OneLine(entry.text(), kTextLimit);
  const uint64_t since = entry.time_us() > last_us_ ? entry.time_us() - last_us_ : 0;
  std::string out = std::string(IsFault(entry)     ? "! "
                                : IsFinding(entry) ? "* "
                                                   : "  ") +
                    Padded(std::to_string(entry.index()), 6, true) +
                    Padded(std::to_string(entry.round()), 7, true) +
                    Padded(Milliseconds(entry.time_us()), 11, true) +
                    Padded(first_ ? "" : "+" + Milliseconds(since), 10, true) + "  " +
                    Arrow(entry.side()) + "  " +
                    Padded(Shorten(OneLine(entry.edge(), 200), kEdgeColumns), kEdgeColumns) + "  " +
                    Padded(OneLine(entry.kind(), 100), kKindColumns) + "  " +
                    (label == entry.kind() ? "" : label);
  if (!text.empty() && text != label) out += "  (" + text + ")";
  while (!out.empty() && out.back() == ' ') out.pop_back();
  out = Shorten(out, std::max<size_t>(options_.columns, 80)) + "\n";
  first_ = false;
  last_us_ = entry.time_us();
  machine::Entry content{.kind = machine::EntryKind::kNote};
  if (!options_.decode || !machine::DecodeCanonical(entry.data(), &content)) return out;
  for (const EntryField& field : FieldsOf(content)) {
    if (field.path == "kind" || field.path == "text" || field.path == "note") continue;
    out += Shorten(std::string(44, ' ') + field.path + " = " + OneLine(field.value, kTextLimit),
                   std::max<size_t>(options_.columns, 80)) +
           "\n";
  }
  return out;
}

std::string TracePage::Footer(const v1::TraceFooter& footer) const {
  std::string out = "\n  verdict: " + std::string(Word(footer.verdict()));
  if (footer.verdict() > v1::VERDICT_PASS) {
    out += ": " + (footer.rule().empty() ? "" : "r[" + OneLine(footer.rule(), 200) + "] ") +
           OneLine(footer.reason(), kTextLimit);
  }
  out += "\n  " + std::to_string(footer.entries()) + " entries, hash " +
         OneLine(footer.trace_hash(), 100) + "\n";
  return out;
}

}  // namespace counterpart::report
