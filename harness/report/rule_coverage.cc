#include "harness/report/rule_coverage.h"

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/summarize.h"

namespace counterpart::report {

std::map<std::string, std::map<std::string, bool>> RulesOf(const v1::Exec& exec,
                                                           const v1::Cell& cell) {
  std::map<std::string, std::map<std::string, bool>> rules;
  if (cell.client().empty()) {
    for (const std::string& rule : exec.rules_judged()) rules[cell.subject()][rule] = false;
  }
  for (const v1::JudgedOf& judged : exec.judged_of()) {
    for (const std::string& rule : judged.rules()) rules[judged.subject()][rule] = false;
  }
  if (cell.client().empty() && exec.verdict() == v1::VERDICT_FAIL && !exec.rule().empty()) {
    rules[cell.subject()][exec.rule()] = true;
  }
  for (const v1::Finding& finding : exec.findings()) {
    if (finding.level() != v1::VERDICT_FAIL || finding.rule().empty()) continue;
    const std::string& blamed = cell.client().empty() ? cell.subject() : finding.blame();
    if (finding.blame() == "harness" || blamed.empty()) continue;
    rules[blamed][finding.rule()] = true;
  }
  return rules;
}

void Count(const v1::Exec& exec, RulesTested* tested) {
  const v1::Cell cell = IdentityOf(exec.cell());
  for (const auto& [subject, rules] : RulesOf(exec, cell)) {
    for (const auto& [rule, violated] : rules) {
      RuleTally& tally = (*tested)[rule][subject];
      ++tally.judged;
      tally.violated += violated;
      tally.harness_to_subject |= cell.direction() == "harness_to_subject";
      tally.subject_to_harness |= cell.direction() == "subject_to_harness";
    }
  }
}

}  // namespace counterpart::report
