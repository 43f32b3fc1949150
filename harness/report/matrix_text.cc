#include "harness/report/matrix_text.h"

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
#include "harness/report/timeline.h"

namespace counterpart::report {
namespace {

constexpr size_t kTextLimit = 1000;
// Of so many runs one should have met each moment of chance.
constexpr uint32_t kEnoughRuns = 50;

struct Look {
  const char* glyph;
  const char* color;  // of ANSI
};

Look LookOf(v1::CellStatus status) {
  switch (status) {
    case v1::CELL_STATUS_PASS:
      return {"✓", "32"};
    case v1::CELL_STATUS_FAIL:
      return {"✗", "31;1"};
    case v1::CELL_STATUS_FLAKY:
      return {"~", "33;1"};
    case v1::CELL_STATUS_ERROR:
    case v1::CELL_STATUS_NO_START:
      return {"!", "35;1"};
    case v1::CELL_STATUS_INCONCLUSIVE:
      return {"?", "33"};
    case v1::CELL_STATUS_UNSUPPORTED:
      return {"–", "2"};
    case v1::CELL_STATUS_KNOWN:
      return {"×", "2"};
    case v1::CELL_STATUS_STALE:
      return {"†", "33;1"};
    default:
      return {"·", "2"};
  }
}

std::string DirectionMark(const std::string& direction) {
  if (direction == "harness_to_subject") return "→";
  if (direction == "subject_to_harness") return "←";
  if (direction == "bidirectional") return "↔";
  return direction;
}

// What the head of a column says, in two lines.
using Column = std::pair<std::string, std::string>;

Column ColumnOf(const v1::Cell& cell) {
  std::string below = cell.client();
  if (below.empty()) below = DirectionMark(cell.direction());
  if (!cell.transport().empty() && cell.transport() != "tcp") below += " " + cell.transport();
  if (cell.conduit() == "stable") below += " stable";
  return {OneLine(cell.subject(), 40), OneLine(below, 40)};
}

std::string CellText(const v1::Cell& cell) {
  std::string text = LookOf(cell.status()).glyph;
  if (cell.status() == v1::CELL_STATUS_FLAKY) {
    text += std::to_string(cell.failed()) + "/" + std::to_string(cell.runs());
  }
  return text;
}

class Painter {
 public:
  explicit Painter(bool on) : on_(on) {}
  std::string operator()(const char* color, const std::string& text) const {
    return on_ ? std::string("\x1b[") + color + "m" + text + "\x1b[0m" : text;
  }

 private:
  bool on_;
};

std::string Space(size_t have, size_t want) {
  return std::string(have < want ? want - have : 0, ' ');
}

// Of the cells with one subject, or of those with two.
std::string Matrix(const Run& run, bool pairs, const Painter& paint) {
  std::set<Column> column_set;
  std::map<std::pair<std::string, std::string>, std::map<Column, const v1::Cell*>> rows;
  size_t name_width = 0;
  for (const v1::Cell& cell : run.cells) {
    if (cell.client().empty() == pairs) continue;
    const Column column = ColumnOf(cell);
    const std::string name = OneLine(cell.scenario(), 100);
    column_set.insert(column);
    rows[{OneLine(cell.group(), 60), name}][column] = &cell;
    name_width = std::max(name_width, Columns(name) + 2);
  }
  if (rows.empty()) return "";
  const std::vector<Column> columns(column_set.begin(), column_set.end());
  std::vector<size_t> widths;
  std::string upper(name_width, ' '), lower(name_width, ' ');
  for (const Column& column : columns) {
    size_t width = std::max(Columns(column.first), Columns(column.second));
    for (const auto& [key, cells] : rows) {
      const auto cell = cells.find(column);
      if (cell != cells.end()) width = std::max(width, Columns(CellText(*cell->second)));
    }
    upper += "  " + column.first + Space(Columns(column.first), width);
    lower += "  " + column.second + Space(Columns(column.second), width);
    widths.push_back(width);
  }
  const auto line = [](std::string text) {
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text + "\n";
  };
  std::string out = (pairs ? paint("1", "two subjects: server above, client below") + "\n" : "") +
                    line(upper) + line(lower);
  std::string group;
  bool first = true;
  for (const auto& [key, cells] : rows) {
    if (first || key.first != group) out += paint("1", key.first.empty() ? "-" : key.first) + "\n";
    first = false;
    group = key.first;
    std::string row = "  " + key.second + Space(Columns(key.second) + 2, name_width);
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto cell = cells.find(columns[i]);
      const std::string text = cell == cells.end() ? "" : CellText(*cell->second);
      row += "  ";
      row += cell == cells.end() ? "" : paint(LookOf(cell->second->status()).color, text);
      row += Space(Columns(text), widths[i]);
    }
    out += line(row);
  }
  return out + "\n";
}

std::string Legend() {
  return "→ harness to subject, ← subject to harness   ✓ passed, ✗ failed, ~ flaky, ! harness "
         "error "
         "or no start, ? not judged, – unsupported, · not run,\n× "
         "red as expected, † stale expectation\n";
}

std::string Failure(const RedCell& red, const MatrixTextOptions& options, const Painter& paint) {
  const v1::Cell& cell = *red.cell;
  const Look look = LookOf(cell.status());
  const auto indented = [](const std::string& name, const std::string& text) {
    return text.empty() ? "" : "    " + name + OneLine(text, kTextLimit) + "\n";
  };
  std::string out = "\n" + paint(look.color, std::string(look.glyph) + " " + StatusWord(cell)) +
                    "  " + OneLine(cell.id(), kTextLimit) + "\n";
  out += indented("", red.reason);
  if (!red.rule.empty()) {
    out += indented("rule     ", red.rule + (red.rule_text.empty() ? "" : ": " + red.rule_text));
  }
  out += indented("runs     ", cell.statement());
  if (cell.signatures_size() > 1) {
    for (const v1::Signature& signature : cell.signatures()) {
      out +=
          indented("         ", std::to_string(signature.count()) + " × " + signature.signature());
    }
  }
  if (red.first == nullptr) return out;
  out += indented("exit     ", red.first->exit_status());
  out += indented("evidence ", red.first->evidence());
  out += indented("seed     ", std::to_string(red.first->seed()));
  out += indented("replay   ", red.first->replay());
  out += indented("again    ", red.first->redrive());
  if (options.timeline > 0) out += RenderTimeline(*red.first, {options.timeline, 140});
  return out;
}

// What the clean cells prove, cells of the same statement in one line.
std::string Bounds(const Run& run) {
  std::map<std::string, size_t> statements;
  for (const v1::Cell& cell : run.cells) {
    if (cell.status() == v1::CELL_STATUS_PASS && cell.runs() > 1) ++statements[cell.statement()];
  }
  std::string out;
  for (const auto& [statement, cells] : statements) {
    out += std::to_string(cells) + (cells == 1 ? " clean cell:  " : " clean cells, each:  ") +
           OneLine(statement, 200) + "\n";
  }
  return out;
}

// What the harness says of itself: runs that did not repeat, moments that no run has met.
std::string SelfCheck(const Run& run, const Painter& paint) {
  constexpr int kShown = 10;
  if (!run.footer) return "";
  std::string out;
  const v1::Footer& footer = *run.footer;
  if (footer.driven_again() > 0) {
    out += std::to_string(footer.driven_again()) + " runs driven again with their seed: " +
           (footer.diverged() == 0
                ? "the same traces\n"
                : paint("33;1", std::to_string(footer.diverged()) + " differed") + "\n");
  }
  int shown = 0;
  for (const v1::Exec& exec : run.execs) {
    if (exec.again().divergence().empty() || ++shown > kShown) continue;
    out += "  " + OneLine(exec.id(), kTextLimit) + ", seed " + std::to_string(exec.seed()) + ": " +
           OneLine(exec.again().divergence(), kTextLimit) + "\n";
  }
  if (footer.unseen_moments_size() == 0) return out;
  std::set<std::string> cells;
  for (const v1::UnseenMoment& unseen : footer.unseen_moments()) cells.insert(unseen.cell());
  out += std::to_string(footer.unseen_moments_size()) + " moments of chance were never met, in " +
         std::to_string(cells.size()) + (cells.size() == 1 ? " cell" : " cells");
  // One run cannot meet both sides of a choice: of too few runs there is nothing to wonder at.
  shown = 0;
  std::string list;
  for (const v1::UnseenMoment& unseen : footer.unseen_moments()) {
    if (unseen.runs() < kEnoughRuns || ++shown > kShown) continue;
    list += "  " + OneLine(unseen.cell(), kTextLimit) + ": " +
            OneLine(unseen.moment(), kTextLimit) + "\n";
  }
  if (shown > kShown) list += "  " + std::to_string(shown - kShown) + " more in run.jsonl\n";
  return out + (list.empty() ? "; more runs meet them\n" : ":\n" + list);
}

}  // namespace

std::string TotalsLine(const Run& run) {
  const CellTotals totals = CountCells(run);
  return std::to_string(totals.passed) + " passed, " + std::to_string(totals.red) + " failed, " +
         std::to_string(totals.unsupported) + " skipped" +
         (totals.known > 0 ? ", " + std::to_string(totals.known) + " red as expected" : "") +
         (totals.stale > 0 ? ", " + std::to_string(totals.stale) + " stale" : "");
}

std::string RenderMatrix(const Run& run, const MatrixTextOptions& options) {
  const Painter paint(options.color);
  std::string out = Matrix(run, false, paint) + Matrix(run, true, paint);
  out = out.empty() ? "no cells\n" : out + Legend();
  const std::vector<RedCell> red = RedCells(run);
  const size_t shown = std::min(red.size(), options.failures);
  for (size_t i = 0; i < shown; ++i) out += Failure(red[i], options, paint);
  if (shown < red.size()) {
    out += "\n" + std::to_string(red.size() - shown) + " more failing cells are not shown\n";
  }
  const std::string bounds = Bounds(run);
  if (!bounds.empty()) out += "\n" + bounds;
  const std::string checked = SelfCheck(run, paint);
  if (!checked.empty()) out += "\n" + checked;
  if (!run.complete()) out += "\n" + paint("33;1", run.incomplete()) + "\n";
  return out + "\n" + TotalsLine(run) + "\n";
}

}  // namespace counterpart::report
