#include "harness/report/timeline.h"

#include <algorithm>
#include <string_view>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/safe_text.h"
#include "harness/report/statistics.h"

namespace counterpart::report {
namespace {

constexpr size_t kEdgeColumns = 18;

const char* Arrow(v1::TraceSide side) {
  switch (side) {
    case v1::TRACE_SIDE_HARNESS:
      return "->";
    case v1::TRACE_SIDE_SUBJECT:
      return "<-";
    default:
      return "--";
  }
}

std::string Shorten(const std::string& text, size_t columns) {
  if (Columns(text) <= columns) return text;
  std::string out;
  std::string_view rest = text;
  for (size_t n = 0; n + 1 < columns; ++n) AppendUtf8(TakeCodePoint(rest), out);
  return out + "…";
}

std::string Padded(const std::string& text, size_t columns, bool right) {
  const size_t have = Columns(text);
  const std::string space(have < columns ? columns - have : 0, ' ');
  return right ? space + text : text + space;
}

std::string Render(const std::vector<const v1::TraceEntry*>& all, bool cut,
                   const TimelineLimits& limits) {
  if (all.empty()) return "";
  const size_t first = all.size() > limits.entries ? all.size() - limits.entries : 0;
  size_t time_columns = 0, edge_columns = 0;
  for (size_t i = first; i < all.size(); ++i) {
    time_columns = std::max(time_columns, Milliseconds(all[i]->time_us()).size());
    edge_columns = std::max(edge_columns, Columns(OneLine(all[i]->edge(), 200)));
  }
  edge_columns = std::min(edge_columns, kEdgeColumns);
  std::string out;
  if (first > 0 || cut) {
    // What the exec line itself left out cannot be counted here, its indices can.
    out += "  … " + std::to_string(cut ? all[first]->index() : first) + " earlier entries\n";
  }
  for (size_t i = first; i < all.size(); ++i) {
    const v1::TraceEntry& entry = *all[i];
    const std::string label = OneLine(entry.label(), 1000);
    const std::string text = OneLine(entry.text(), 1000);
    std::string line =
        "  " + Padded(Milliseconds(entry.time_us()), time_columns, true) + " ms  " +
        Arrow(entry.side()) + "  " +
        Padded(Shorten(OneLine(entry.edge(), 200), edge_columns), edge_columns, false) + "  " +
        (label.empty() ? OneLine(entry.kind(), 100) : label);
    if (!text.empty() && text != label) line += "  (" + text + ")";
    out += Shorten(line, std::max<size_t>(limits.columns, 40)) + "\n";
  }
  return out;
}

// The machine's own choices say nothing of the wire.
bool OfTheWire(const v1::TraceEntry& entry) { return entry.kind() != "choice"; }

}  // namespace

std::string RenderTimeline(const v1::Exec& exec, const TimelineLimits& limits) {
  std::vector<const v1::TraceEntry*> entries;
  for (const v1::TraceEntry& entry : exec.timeline()) {
    if (OfTheWire(entry)) entries.push_back(&entry);
  }
  return Render(entries, exec.timeline_cut(), limits);
}

std::string RenderTimeline(const std::vector<v1::TraceLine>& trace, const TimelineLimits& limits) {
  std::vector<const v1::TraceEntry*> entries;
  for (const v1::TraceLine& line : trace) {
    if (line.has_entry() && OfTheWire(line.entry())) entries.push_back(&line.entry());
  }
  return Render(entries, false, limits);
}

}  // namespace counterpart::report
