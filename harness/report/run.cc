#include "harness/report/run.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/line_json.h"
#include "harness/report/summarize.h"

namespace counterpart::report {
namespace {

constexpr uint32_t kFormat = 1;

bool Blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

// Calls `take` with each line and its place, until one of them is an error.
template <class Take>
Status EachLine(std::string_view bytes, const std::string& name, bool* cut_line, const Take& take) {
  v1::Line line;
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = bytes.find('\n');
    const bool finished = end != bytes.npos;
    const std::string_view text = bytes.substr(0, end);
    bytes.remove_prefix(finished ? end + 1 : bytes.size());
    if (Blank(text)) continue;
    const std::string place = name + ":" + std::to_string(number);
    line.Clear();
    if (const Status read = FromJsonLine(text, place, &line); !read.ok()) {
      // A writer that was killed leaves at most this.
      *cut_line = !finished;
      return finished ? read : Status{};
    }
    if (Status taken = take(line, place); !taken.ok()) return taken;
  }
  return {};
}

void AddExec(v1::Exec* exec, Run* run) {
  run->time_us[exec->cell()] += exec->duration_us();
  run->last_us = std::max(run->last_us, exec->started_us() + exec->duration_us());
  if (exec->verdict() == v1::VERDICT_PASS && exec->again().divergence().empty()) return;
  run->execs.push_back(std::move(*exec));
}

// Of a run that was killed: nobody has written them. Only then all is read once more.
void AddMissingCells(std::string_view bytes, const std::string& name, Run* run) {
  std::unordered_set<std::string> written;
  for (const v1::Cell& cell : run->cells) written.insert(cell.id());
  const bool missing = std::any_of(run->time_us.begin(), run->time_us.end(),
                                   [&](const auto& cell) { return !written.contains(cell.first); });
  if (!missing) return;
  Summary summary;
  bool cut = false;
  (void)EachLine(bytes, name, &cut, [&](const v1::Line& line, const std::string&) -> Status {
    if (line.has_exec() && !written.contains(line.exec().cell())) summary.Add(line.exec());
    return {};
  });
  std::unordered_map<std::string, std::string> groups;
  for (const v1::Scenario& scenario : run->scenarios) groups[scenario.name()] = scenario.group();
  for (v1::Cell& cell : summary.Cells()) {
    cell.set_group(groups[cell.scenario()]);
    run->cells.push_back(std::move(cell));
  }
}

}  // namespace

Run::Run() : header(std::make_unique<v1::Header>()) {}
Run::~Run() = default;
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;

bool Run::complete() const { return incomplete().empty(); }

std::string Run::incomplete() const {
  if (footer == nullptr) return "The run is incomplete: its file has no footer.";
  const std::string counts = std::to_string(footer->accounted()) + " of " +
                             std::to_string(footer->planned()) + " planned runs are accounted for.";
  if (footer->interrupted()) return "The run was interrupted: " + counts;
  if (footer->accounted() != footer->planned()) return "The run is incomplete: " + counts;
  return "";
}

uint64_t Run::TimeOf(const std::string& cell) const {
  const auto found = time_us.find(cell);
  return found == time_us.end() ? 0 : found->second;
}

std::string Run::RuleText(std::string_view id) const {
  for (const v1::Rule& rule : header->rules()) {
    if (rule.id() == id) return rule.text();
  }
  return "";
}

Result<Run> ParseRun(std::string_view bytes, const std::string& name, const OnExec& on_exec) {
  Run run;
  bool has_header = false;
  const auto take = [&](v1::Line& line, const std::string& place) -> Status {
    if (!has_header && !line.has_header()) {
      return Error{Error::Kind::kUsage, place +
                                            ": the first line is no header; is this a "
                                            "run.jsonl of counterpart, from its start?"};
    }
    if (has_header && line.has_header()) {
      return Error{Error::Kind::kUsage,
                   place + ": a second header: two runs in one file. Split it before this line."};
    }
    if (run.footer != nullptr) {
      return Error{Error::Kind::kUsage,
                   place + ": a line after the footer. Delete it, or split the file there."};
    }
    switch (line.kind_case()) {
      case v1::Line::kHeader:
        has_header = true;
        if (line.header().format() > kFormat) {
          return Error{Error::Kind::kUsage,
                       place + ": format " + std::to_string(line.header().format()) +
                           ", this program reads up to " + std::to_string(kFormat) +
                           ". Use the counterpart that wrote it."};
        }
        *run.header = std::move(*line.mutable_header());
        break;
      case v1::Line::kScenario:
        run.scenarios.push_back(std::move(*line.mutable_scenario()));
        break;
      case v1::Line::kExec:
        if (on_exec != nullptr) on_exec(line.exec());
        AddExec(line.mutable_exec(), &run);
        break;
      case v1::Line::kCell:
        run.cells.push_back(std::move(*line.mutable_cell()));
        break;
      case v1::Line::kFooter:
        run.footer = std::make_unique<v1::Footer>(std::move(*line.mutable_footer()));
        break;
      case v1::Line::KIND_NOT_SET:
        break;  // of a later minor version
    }
    return {};
  };
  if (const Status read = EachLine(bytes, name, &run.cut_line, take); !read.ok()) {
    return read.error();
  }
  if (!has_header) {
    return Error{Error::Kind::kUsage, name +
                                          ": no header; the file is empty or was cut in its "
                                          "first line. There is nothing to report."};
  }
  AddMissingCells(bytes, name, &run);
  return run;
}

}  // namespace counterpart::report
