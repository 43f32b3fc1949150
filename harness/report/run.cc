#include "harness/report/run.h"

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/line_json.h"
#include "harness/report/summarize.h"

namespace counterpart::report {
namespace {

constexpr uint32_t kFormat = 1;

bool Blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

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

const v1::Exec* Run::FindExec(std::string_view id) const {
  for (const v1::Exec& exec : execs) {
    if (exec.id() == id) return &exec;
  }
  return nullptr;
}

std::string Run::RuleText(std::string_view id) const {
  for (const v1::Rule& rule : header->rules()) {
    if (rule.id() == id) return rule.text();
  }
  return "";
}

Result<Run> ParseRun(std::string_view bytes, const std::string& name) {
  Run run;
  bool has_header = false;
  size_t number = 0;
  v1::Line line;
  while (!bytes.empty()) {
    ++number;
    const size_t end = bytes.find('\n');
    const bool finished = end != bytes.npos;
    const std::string_view text = bytes.substr(0, end);
    bytes.remove_prefix(finished ? end + 1 : bytes.size());
    if (Blank(text)) continue;
    const std::string place = name + ":" + std::to_string(number);
    line.Clear();
    if (const Status read = FromJsonLine(text, place, &line); !read.ok()) {
      // A writer that was killed leaves at most this.
      if (!finished) {
        run.cut_line = true;
        break;
      }
      return read.error();
    }
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
        run.execs.push_back(std::move(*line.mutable_exec()));
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
  }
  if (!has_header) {
    return Error{Error::Kind::kUsage, name +
                                          ": no header; the file is empty or was cut in its "
                                          "first line. There is nothing to report."};
  }
  AddMissingCells(&run);
  return run;
}

}  // namespace counterpart::report
