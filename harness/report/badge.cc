#include "harness/report/badge.h"

#include "harness/report/json_text.h"
#include "harness/report/red_cells.h"
#include "harness/report/run.h"

namespace counterpart::report {

std::string RenderBadge(const Run& run) {
  const CellTotals totals = CountCells(run);
  const size_t counted = totals.passed + totals.red;
  std::string message = std::to_string(totals.passed) + "/" + std::to_string(counted) + " cells";
  std::string color = totals.red > 0 ? "red" : counted == 0 ? "lightgrey" : "brightgreen";
  if (!run.complete()) {
    message += ", incomplete";
    if (totals.red == 0) color = "orange";
  }
  JsonWriter json;
  json.Open('{').Key("schemaVersion").Number(1).Field("label", "conformance");
  json.Field("message", message).Field("color", color).Close('}');
  return json.Take() + "\n";
}

}  // namespace counterpart::report
