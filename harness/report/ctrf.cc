#include "harness/report/ctrf.h"

#include <google/protobuf/util/time_util.h>

#include <set>
#include <unordered_map>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/json_text.h"
#include "harness/report/red_cells.h"
#include "harness/report/run.h"
#include "harness/report/safe_text.h"
#include "harness/report/timeline.h"

namespace counterpart::report {
namespace {

constexpr size_t kTextLimit = 2000;

const char* StatusOf(const v1::Cell& cell) {
  switch (cell.status()) {
    case v1::CELL_STATUS_PASS:
      return "passed";
    case v1::CELL_STATUS_UNSUPPORTED:
    case v1::CELL_STATUS_KNOWN:
      return "skipped";
    case v1::CELL_STATUS_NOT_RUN:
    case v1::CELL_STATUS_UNSPECIFIED:
      return "other";
    default:
      return "failed";
  }
}

uint64_t EpochMs(const std::string& rfc3339) {
  google::protobuf::Timestamp stamp;
  if (!google::protobuf::util::TimeUtil::FromString(rfc3339, &stamp)) return 0;
  const int64_t ms = google::protobuf::util::TimeUtil::TimestampToMilliseconds(stamp);
  return ms < 0 ? 0 : static_cast<uint64_t>(ms);
}

}  // namespace

std::string RenderCtrf(const Run& run) {
  const std::vector<RedCell> red_cells = RedCells(run);
  std::unordered_map<const v1::Cell*, const RedCell*> red;
  for (const RedCell& one : red_cells) red.emplace(one.cell, &one);
  const uint64_t duration_ms = (run.footer ? run.footer->duration_us() : run.last_us) / 1000;
  const uint64_t start = EpochMs(run.header->started_at());

  std::unordered_map<std::string, uint64_t> by_status;
  uint64_t flaky = 0;
  std::set<std::string> suites;
  for (const v1::Cell& cell : run.cells) {
    ++by_status[StatusOf(cell)];
    flaky += cell.status() == v1::CELL_STATUS_FLAKY;
    suites.insert(Who(cell) + "/" + cell.direction() + "/" + cell.group());
  }

  JsonWriter json;
  json.Open('{').Field("reportFormat", "CTRF").Field("specVersion", "1.0.0");
  if (start != 0) json.Field("timestamp", run.header->started_at());
  json.Field("generatedBy", "counterpart");
  json.Key("results").Open('{');
  json.Key("tool").Open('{').Field("name", "counterpart");
  json.Field("version", run.header->counterpart_version()).Close('}');
  json.Key("summary").Open('{');
  json.Key("tests").Number(run.cells.size());
  for (const char* status : {"passed", "failed", "skipped", "pending", "other"}) {
    json.Key(status).Number(by_status[status]);
  }
  json.Key("flaky").Number(flaky).Key("suites").Number(suites.size());
  json.Key("start").Number(start).Key("stop").Number(start + duration_ms);
  json.Key("duration").Number(duration_ms);
  json.Key("extra").Open('{').Key("seed").Text(std::to_string(run.header->seed()));
  json.Key("complete").Bool(run.complete()).Field("incomplete", run.incomplete());
  json.Close('}').Close('}');

  json.Key("tests").Open('[');
  for (const v1::Cell& cell : run.cells) {
    const auto found = red.find(&cell);
    const RedCell* why = found == red.end() ? nullptr : found->second;
    json.Open('{').Key("name").Text(cell.id().empty() ? "unnamed" : cell.id());
    json.Key("status").Text(StatusOf(cell));
    json.Key("duration").Number(run.TimeOf(cell.id()) / 1000);
    json.Key("suite").Open('[').Text(Who(cell)).Text(cell.direction()).Text(cell.group());
    json.Close(']');
    if (why != nullptr) {
      json.Field("message",
                 OneLine((why->rule.empty() ? "" : why->rule + ": ") + why->reason, kTextLimit));
      if (why->first != nullptr) json.Field("trace", RenderTimeline(*why->first));
    } else if (cell.status() == v1::CELL_STATUS_UNSUPPORTED) {
      json.Field("message", OneLine(cell.unsupported_reason(), kTextLimit));
    } else if (cell.status() == v1::CELL_STATUS_KNOWN) {
      json.Field("message", OneLine(cell.expectation(), kTextLimit));
    }
    json.Field("rawStatus", v1::CellStatus_Name(cell.status()));
    if (cell.status() == v1::CELL_STATUS_FLAKY) json.Key("flaky").Bool(true);
    json.Key("labels").Open('{').Key("subject").Text(cell.subject());
    if (!cell.client().empty()) json.Key("client").Text(cell.client());
    json.Key("direction").Text(cell.direction());
    if (cell.rules_judged_size() > 0) {
      json.Key("rules").Open('[');
      for (const std::string& rule : cell.rules_judged()) json.Text(rule);
      json.Close(']');
    }
    json.Close('}');
    json.Key("extra").Open('{').Key("runs").Number(cell.runs());
    json.Key("runs_passed").Number(cell.passed()).Key("runs_failed").Number(cell.failed());
    json.Key("runs_inconclusive").Number(cell.inconclusive());
    json.Key("harness_errors").Number(cell.errors());
    json.Field("statement", cell.statement());
    if (why != nullptr && why->first != nullptr) {
      json.Field("seed", std::to_string(why->first->seed()));
      json.Field("replay", why->first->replay()).Field("redrive", why->first->redrive());
    }
    json.Close('}').Close('}');
  }
  json.Close(']').Close('}').Close('}');
  return json.Take() + "\n";
}

}  // namespace counterpart::report
