#include "harness/report/junit.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/red_cells.h"
#include "harness/report/run.h"
#include "harness/report/safe_text.h"
#include "harness/report/statistics.h"
#include "harness/report/timeline.h"

namespace counterpart::report {
namespace {

constexpr size_t kMessageLimit = 2000;
constexpr size_t kStderrLimit = 16000;

// For an attribute in double quotes and for content alike.
std::string Xml(std::string_view text, size_t limit = kMessageLimit) {
  std::string out;
  for (const char c : Printable(text, limit)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string Component(std::string text, const char* otherwise) {
  if (text.empty()) return otherwise;
  std::replace(text.begin(), text.end(), '.', '_');
  return text;
}

std::string ClassName(const v1::Cell& cell) {
  std::string transport = Component(cell.transport(), "tcp");
  if (cell.conduit() == "stable") transport += "_stable";
  return Component(Who(cell), "subject") + "." + transport + "." +
         Component(cell.direction(), "direction") + "." + Component(cell.group(), "ungrouped");
}

std::string Property(const char* name, std::string_view value) {
  if (value.empty()) return "";
  return std::string("        <property name=\"") + name + "\" value=\"" + Xml(value) + "\"/>\n";
}

std::string Body(const RedCell& red) {
  std::string text = red.reason + "\n";
  if (!red.rule.empty()) text += "rule " + red.rule + ": " + red.rule_text + "\n";
  text += red.cell->statement() + "\n";
  for (const v1::Signature& signature : red.cell->signatures()) {
    text += "  " + std::to_string(signature.count()) + " x " + signature.signature() + "\n";
  }
  if (red.first != nullptr) {
    if (!red.first->exit_status().empty()) text += "exit: " + red.first->exit_status() + "\n";
    if (!red.first->evidence().empty()) text += "evidence: " + red.first->evidence() + "\n";
    const std::string timeline = RenderTimeline(*red.first);
    if (!timeline.empty()) text += "\n" + timeline;
    if (!red.first->subject_stderr().empty()) {
      text += "\nsubject's stderr:\n" + SafeText(red.first->subject_stderr(), kStderrLimit) + "\n";
    }
    if (!red.first->replay().empty()) text += "\nreplay: " + red.first->replay() + "\n";
    if (!red.first->redrive().empty()) text += "again:  " + red.first->redrive() + "\n";
  }
  return text;
}

std::string Tag(const char* name, const std::string& message, const std::string& type,
                const std::string& body) {
  return std::string("      <") + name + " message=\"" + Xml(OneLine(message, kMessageLimit)) +
         "\" type=\"" + Xml(type) + "\">" + Xml(body, std::string::npos) + "</" + name + ">\n";
}

struct Suite {
  std::string cases;
  size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  uint64_t time_us = 0;

  std::string Attributes(const std::string& name) const {
    return " name=\"" + Xml(name) + "\" tests=\"" + std::to_string(tests) + "\" failures=\"" +
           std::to_string(failures) + "\" errors=\"" + std::to_string(errors) + "\" skipped=\"" +
           std::to_string(skipped) + "\" time=\"" + Seconds(time_us) + "\"";
  }
};

}  // namespace

std::string RenderJunit(const Run& run) {
  const std::vector<RedCell> red_cells = RedCells(run);
  std::unordered_map<const v1::Cell*, const RedCell*> red;
  for (const RedCell& one : red_cells) red.emplace(one.cell, &one);

  std::map<std::string, Suite> suites;
  Suite all;
  std::set<std::pair<std::string, std::string>> names;
  for (const v1::Cell& cell : run.cells) {
    Suite& suite = suites[Who(cell)];
    const std::string class_name = ClassName(cell);
    std::string name = cell.scenario().empty() ? cell.id() : cell.scenario();
    if (!names.emplace(class_name, name).second) {
      name = cell.id();
      for (int n = 2; !names.emplace(class_name, name).second; ++n) {
        name = cell.id() + " (" + std::to_string(n) + ")";
      }
    }
    const uint64_t time = run.TimeOf(cell.id());
    const auto found = red.find(&cell);
    const RedCell* why = found == red.end() ? nullptr : found->second;
    std::string rules;
    for (const std::string& rule : cell.rules_judged()) rules += (rules.empty() ? "" : " ") + rule;

    std::string out = "    <testcase classname=\"" + Xml(class_name) + "\" name=\"" + Xml(name) +
                      "\" time=\"" + Seconds(time) + "\">\n      <properties>\n";
    out += Property("cell", cell.id());
    out += Property("status", StatusWord(cell));
    out += Property("rule", why == nullptr ? "" : why->rule);
    out += Property("rules", rules);
    out +=
        Property("seed", std::to_string(cell.first_failing_seed() != 0 ? cell.first_failing_seed()
                                                                       : run.header->seed()));
    out += Property("runs", std::to_string(cell.runs()));
    out += Property("passed", std::to_string(cell.passed()));
    out += Property("failed", std::to_string(cell.failed()));
    out += Property("inconclusive", std::to_string(cell.inconclusive()));
    out += Property("errors", std::to_string(cell.errors()));
    out += "      </properties>\n";
    suite.tests += 1, all.tests += 1;
    suite.time_us += time, all.time_us += time;
    if (cell.status() == v1::CELL_STATUS_UNSUPPORTED) {
      out += "      <skipped message=\"" + Xml(OneLine(cell.unsupported_reason())) + "\"/>\n";
      suite.skipped += 1, all.skipped += 1;
    } else if (cell.status() == v1::CELL_STATUS_KNOWN) {
      out += "      <skipped message=\"" + Xml(OneLine(cell.expectation())) + "\"/>\n";
      suite.skipped += 1, all.skipped += 1;
    } else if (why != nullptr) {
      std::string message = StatusWord(cell) + ": " + why->reason;
      if (!why->rule.empty()) message = why->rule + ": " + message;
      if (!cell.statement().empty()) message += " (" + cell.statement() + ")";
      const std::string type = why->rule.empty() ? StatusWord(cell) : why->rule;
      out += Tag(why->error ? "error" : "failure", message, type, Body(*why));
      (why->error ? suite.errors : suite.failures) += 1;
      (why->error ? all.errors : all.failures) += 1;
    }
    if (!cell.statement().empty()) {
      out += "      <system-out>" + Xml(cell.statement()) + "</system-out>\n";
    }
    suite.cases += out + "    </testcase>\n";
  }
  // A panel that shows green for a run that broke off would lie.
  const std::string incomplete = run.incomplete();
  if (!incomplete.empty()) {
    Suite& suite = suites["counterpart"];
    suite.tests += 1, all.tests += 1;
    suite.errors += 1, all.errors += 1;
    suite.cases +=
        "    <testcase classname=\"counterpart\" name=\"run_is_complete\" time=\"0\">\n" +
        Tag("error", incomplete, "incomplete", incomplete) + "    </testcase>\n";
  }

  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" +
                    all.Attributes("counterpart") + ">\n";
  for (const auto& [name, suite] : suites) {
    out += "  <testsuite" + suite.Attributes(name) + " timestamp=\"" +
           Xml(run.header->started_at()) + "\">\n" + suite.cases + "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace counterpart::report
