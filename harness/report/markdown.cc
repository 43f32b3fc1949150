#include "harness/report/markdown.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/red_cells.h"
#include "harness/report/run.h"
#include "harness/report/safe_text.h"
#include "harness/report/statistics.h"
#include "harness/report/timeline.h"

namespace counterpart::report {
namespace {

constexpr size_t kTextLimit = 1000;
constexpr size_t kTimelineEntries = 25;
constexpr size_t kReserve = 512;  // for the notes of what was left out

// Plain text in Markdown: every character that could start markup becomes an entity, so that
// neither a link, a mention (@), an issue (#) nor a tag can come of it.
std::string Md(std::string_view text) {
  static constexpr std::string_view kActive = "\\`*_{}[]<>()#+!|~@&$:";
  std::string out;
  for (const char c : OneLine(text, kTextLimit)) {
    if (kActive.find(c) == std::string_view::npos) {
      out.push_back(c);
    } else {
      out += "&#" + std::to_string(static_cast<int>(c)) + ";";
    }
  }
  return out;
}

// A code span: in HTML, where no run of backticks in the text can end it.
std::string Code(std::string_view text) { return "<code>" + Md(text) + "</code>"; }

// A fenced block whose fence is longer than any run of backticks in it.
std::string Block(std::string_view text) {
  size_t longest = 2, now = 0;
  for (const char c : text) {
    now = c == '`' ? now + 1 : 0;
    longest = std::max(longest, now);
  }
  const std::string fence(longest + 1, '`');
  std::string out = fence + "text\n" + Printable(text, 16000);
  if (out.back() != '\n') out.push_back('\n');
  return out + fence + "\n";
}

const char* Glyph(const v1::Cell& cell) {
  switch (cell.status()) {
    case v1::CELL_STATUS_PASS:
      return "✅";
    case v1::CELL_STATUS_FAIL:
      return "❌";
    case v1::CELL_STATUS_FLAKY:
      return "⚠️";
    case v1::CELL_STATUS_ERROR:
    case v1::CELL_STATUS_NO_START:
      return "💥";
    case v1::CELL_STATUS_INCONCLUSIVE:
      return "❔";
    case v1::CELL_STATUS_UNSUPPORTED:
      return "➖";
    case v1::CELL_STATUS_KNOWN:
      return "✖️";
    case v1::CELL_STATUS_STALE:
      return "⌛";
    default:
      return "⬜";
  }
}

std::string Failure(const RedCell& red) {
  const v1::Cell& cell = *red.cell;
  std::string out = std::string("### ") + Glyph(cell) + " " + Code(cell.id()) + "\n\n";
  out += "**" + StatusWord(cell) + "** " + Md(red.reason) + "\n\n";
  if (!red.rule.empty()) out += "- rule " + Code(red.rule) + " " + Md(red.rule_text) + "\n";
  if (!cell.statement().empty()) out += "- " + Md(cell.statement()) + "\n";
  if (cell.signatures_size() > 1) {
    for (const v1::Signature& signature : cell.signatures()) {
      out += "- " + std::to_string(signature.count()) + " × " + Code(signature.signature()) + "\n";
    }
  }
  if (cell.first_failing_seed() != 0) {
    out += "- first failing seed " + std::to_string(cell.first_failing_seed()) + "\n";
  }
  out += "\n";
  if (red.first == nullptr) return out;
  const std::string& replay = red.first->replay();
  const std::string& redrive = red.first->redrive();
  std::string commands = replay;
  if (!redrive.empty()) commands += (commands.empty() ? "" : "\n") + redrive;
  if (!commands.empty()) out += Block(commands) + "\n";
  const std::string timeline = RenderTimeline(*red.first, {kTimelineEntries, 140});
  if (!timeline.empty()) {
    out += "<details><summary>timeline</summary>\n\n" + Block(timeline) + "\n</details>\n\n";
  }
  return out;
}

// A table is of one subject, with a column per direction; or of two subjects, with a column per
// pair.
std::string TableOf(const v1::Cell& cell) {
  return cell.client().empty() ? cell.subject() : "server / client";
}
std::string ColumnOf(const v1::Cell& cell) {
  return cell.client().empty() ? cell.direction() : cell.subject() + " / " + cell.client();
}

// Its rows: a scenario each.
std::vector<std::string> Rows(const Run& run, const std::string& table,
                              const std::vector<std::string>& columns) {
  std::map<std::pair<std::string, std::string>, std::map<std::string, std::string>> rows;
  for (const v1::Cell& cell : run.cells) {
    if (TableOf(cell) != table) continue;
    std::string& place = rows[{cell.group(), cell.scenario()}][ColumnOf(cell)];
    if (!place.empty()) place += " ";
    place += Glyph(cell);
    if (cell.status() != v1::CELL_STATUS_PASS && cell.failed() > 0) {
      place += " " + std::to_string(cell.failed()) + "/" + std::to_string(cell.runs());
    } else if (cell.status() == v1::CELL_STATUS_PASS && cell.runs() > 1) {
      place += " " + std::to_string(cell.passed());
    }
  }
  std::vector<std::string> out;
  for (const auto& [key, cells] : rows) {
    std::string row = "| " + Md(key.first) + " | " + Md(key.second) + " |";
    for (const std::string& column : columns) {
      const auto found = cells.find(column);
      row += " " + (found == cells.end() ? "" : found->second) + " |";
    }
    out.push_back(row + "\n");
  }
  return out;
}

}  // namespace

std::string RenderMarkdown(const Run& run, size_t cap) {
  cap = std::max<size_t>(cap, 4096);
  const std::vector<RedCell> red = RedCells(run);
  const CellTotals totals = CountCells(run);

  std::string out = "## Conformance: ";
  out += std::to_string(totals.passed) + " passed, " + std::to_string(totals.red) + " failed, " +
         std::to_string(totals.unsupported) + " unsupported\n\n";
  if (!run.complete()) out += "> ⚠️ " + Md(run.incomplete()) + "\n\n";
  out += "seed " + std::to_string(run.header->seed());
  if (run.footer) out += ", " + Seconds(run.footer->duration_us()) + " s";
  if (!run.header->host().empty()) out += ", " + Md(run.header->host());
  out += "\n\n";

  // Failures may take what the table leaves, and at least half.
  std::map<std::string, std::pair<std::string, std::vector<std::string>>> tables;
  size_t table_bytes = 0;
  std::map<std::string, std::set<std::string>> columns_of;
  for (const v1::Cell& cell : run.cells) columns_of[TableOf(cell)].insert(ColumnOf(cell));
  for (const auto& [name, all_columns] : columns_of) {
    const std::vector<std::string> columns(all_columns.begin(), all_columns.end());
    std::string head = "### " + Code(name) + "\n\n| group | scenario |";
    for (const std::string& column : columns) head += " " + Md(column) + " |";
    head += "\n| --- | --- |";
    for (size_t i = 0; i < columns.size(); ++i) head += " :---: |";
    head += "\n";
    auto& [title, rows] = tables[name];
    title = head;
    rows = Rows(run, name, columns);
    table_bytes += head.size() + 1;
    for (const std::string& row : rows) table_bytes += row.size();
  }
  const size_t for_failures = cap - kReserve - std::min(table_bytes, (cap - kReserve) / 2);

  if (!red.empty()) out += "## Failures\n\n";
  size_t shown = 0;
  for (; shown < red.size(); ++shown) {
    const std::string text = Failure(red[shown]);
    if (out.size() + text.size() > for_failures) break;
    out += text;
  }
  if (shown < red.size()) {
    out += "**" + std::to_string(red.size() - shown) + " more** failing cells are not shown; " +
           "run.jsonl has them all.\n\n";
  }

  out += "## Matrix\n\n";
  size_t left_out = 0;
  for (const auto& [subject, table] : tables) {
    if (left_out > 0 || out.size() + table.first.size() + kReserve / 2 > cap) {
      left_out += table.second.size();
      continue;
    }
    out += table.first;
    for (const std::string& row : table.second) {
      if (left_out > 0 || out.size() + row.size() + kReserve / 2 > cap) {
        ++left_out;
      } else {
        out += row;
      }
    }
    out += "\n";
  }
  if (left_out > 0) out += "**" + std::to_string(left_out) + " more** rows are not shown.\n\n";
  out +=
      "✅ passed ❌ failed ⚠️ flaky 💥 harness error ❔ not judged ➖ unsupported ⬜ "
      "not "
      "run\n";
  return out;
}

}  // namespace counterpart::report
