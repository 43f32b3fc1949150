#include "harness/report/red_cells.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/run.h"

namespace counterpart::report {
namespace {

int Rank(v1::CellStatus status) {
  switch (status) {
    case v1::CELL_STATUS_FAIL:
      return 0;
    case v1::CELL_STATUS_FLAKY:
      return 1;
    case v1::CELL_STATUS_ERROR:
    case v1::CELL_STATUS_NO_START:
      return 2;
    case v1::CELL_STATUS_INCONCLUSIVE:
      return 3;
    case v1::CELL_STATUS_STALE:
      return 5;
    default:
      return 4;
  }
}

bool Red(v1::CellStatus status) {
  return status != v1::CELL_STATUS_PASS && status != v1::CELL_STATUS_UNSUPPORTED &&
         status != v1::CELL_STATUS_KNOWN;
}

bool IsError(const v1::Cell& cell, const v1::Exec* first) {
  if (cell.status() == v1::CELL_STATUS_STALE) return false;
  if (Rank(cell.status()) >= 2) return true;
  return first != nullptr &&
         (first->verdict() == v1::VERDICT_ERROR || first->ending() == v1::ENDING_CRASH ||
          first->ending() == v1::ENDING_NO_START);
}

}  // namespace

std::vector<RedCell> RedCells(const Run& run) {
  std::unordered_map<std::string_view, const v1::Exec*> execs;
  for (const v1::Exec& exec : run.execs) execs.emplace(exec.id(), &exec);
  std::unordered_map<std::string_view, std::string_view> rules;
  for (const v1::Rule& rule : run.header->rules()) rules.emplace(rule.id(), rule.text());

  std::vector<RedCell> red;
  for (const v1::Cell& cell : run.cells) {
    if (!Red(cell.status())) continue;
    RedCell one{&cell, nullptr, "", "", "", false};
    const auto found = execs.find(cell.first_failing_exec());
    if (found != execs.end()) one.first = found->second;
    if (one.first != nullptr) {
      one.reason = one.first->reason();
      one.rule = one.first->rule();
    } else if (cell.signatures_size() > 0) {
      one.reason = cell.signatures(0).reason();
      one.rule = cell.signatures(0).rule();
    }
    if (!cell.expectation().empty()) {
      one.reason = cell.expectation() + (one.reason.empty() ? "" : ": " + one.reason);
    }
    if (one.reason.empty()) {
      one.reason = cell.status() == v1::CELL_STATUS_NOT_RUN ? "No run of this cell took place."
                                                            : "No reason was recorded.";
    }
    if (const auto text = rules.find(one.rule); text != rules.end()) {
      one.rule_text = std::string(text->second);
    }
    one.error = IsError(cell, one.first);
    red.push_back(std::move(one));
  }
  std::stable_sort(red.begin(), red.end(), [](const RedCell& a, const RedCell& b) {
    return Rank(a.cell->status()) < Rank(b.cell->status());
  });
  return red;
}

std::string Who(const v1::Cell& cell) {
  if (cell.client().empty()) return cell.subject();
  return cell.subject() + "_server_" + cell.client() + "_client";
}

std::string StatusWord(const v1::Cell& cell) {
  switch (cell.status()) {
    case v1::CELL_STATUS_PASS:
      return "passed";
    case v1::CELL_STATUS_FAIL:
      return "failed";
    case v1::CELL_STATUS_FLAKY:
      return "flaky";
    case v1::CELL_STATUS_INCONCLUSIVE:
      return "inconclusive";
    case v1::CELL_STATUS_ERROR:
      return "harness error";
    case v1::CELL_STATUS_NO_START:
      return "subject did not start";
    case v1::CELL_STATUS_UNSUPPORTED:
      return "unsupported";
    case v1::CELL_STATUS_KNOWN:
      return "red as expected";
    case v1::CELL_STATUS_STALE:
      return "stale expectation";
    default:
      return "not run";
  }
}

CellTotals CountCells(const Run& run) {
  CellTotals totals;
  for (const v1::Cell& cell : run.cells) {
    if (cell.status() == v1::CELL_STATUS_PASS) {
      ++totals.passed;
    } else if (cell.status() == v1::CELL_STATUS_KNOWN) {
      ++totals.known;
    } else if (cell.status() == v1::CELL_STATUS_STALE) {
      ++totals.stale;
    } else if (Red(cell.status())) {
      ++totals.red;
    } else {
      ++totals.unsupported;
    }
  }
  return totals;
}

}  // namespace counterpart::report
