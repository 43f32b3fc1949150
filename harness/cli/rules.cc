// rules: which rules of the spec a run really tested, by subject and direction.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/pattern.h"
#include "harness/cli/command.h"
#include "harness/judge/spec_text.h"
#include "harness/report/rule_coverage.h"
#include "harness/report/run_file.h"

namespace counterpart::cli {
namespace {

using report::RuleTally;

struct Question {
  std::vector<std::string> patterns;
  std::string run = "reports/out/latest/run.jsonl";
  std::string status;  // only rules of which this is so for a subject; "" for all
  std::string format = "pretty";
};

// "tested", "untested", "violated" or "excluded". What was judged is not excluded, whatever the
// spec says: then its reason is wrong, and this shows it.
std::string StatusOf(const judge::Rule& rule, const RuleTally& tally) {
  if (tally.violated > 0) return "violated";
  if (tally.judged > 0) return "tested";
  return rule.excluded.empty() ? "untested" : "excluded";
}

std::string Glyph(const judge::Rule& rule, const RuleTally& tally) {
  const std::string status = StatusOf(rule, tally);
  if (status == "violated") return "✗";
  if (status == "excluded") return "–";
  if (status == "untested") return "·";
  if (tally.harness_to_subject && tally.subject_to_harness) return "⇄";
  if (tally.harness_to_subject) return "→";
  return tally.subject_to_harness ? "←" : "↔";
}

// Scenarios that set out to judge the rule.
std::vector<std::string> ScenariosFor(const std::string& rule) {
  std::vector<std::string> names;
  for (const scenarios::Scenario& scenario : scenarios::Catalogue()) {
    const bool judges = std::any_of(scenario.directions.begin(), scenario.directions.end(),
                                    [&](const auto direction) {
                                      const auto& ids = scenario.Rules(direction);
                                      return std::find(ids.begin(), ids.end(), rule) != ids.end();
                                    });
    if (judges) names.push_back(scenario.name);
  }
  return names;
}

struct Totals {
  uint32_t tested = 0, violated = 0, excluded = 0, untested = 0;

  void Count(const std::string& status) {
    tested += status == "tested" || status == "violated";
    violated += status == "violated";
    excluded += status == "excluded";
    untested += status == "untested";
  }
  uint32_t of() const { return tested + untested; }
  // Rounded down: 100 only if it is all of them.
  uint32_t percent() const { return of() == 0 ? 0 : tested * 100 / of(); }
};

struct Row {
  const judge::Rule* rule;
  std::vector<RuleTally> tallies;  // by subject
};

void Print(const std::vector<Row>& rows, const std::vector<std::string>& subjects,
           const std::map<std::string, Totals>& totals) {
  size_t widest = 4;
  for (const Row& row : rows) widest = std::max(widest, row.rule->id.size());
  std::cout << std::left << std::setw(static_cast<int>(widest)) << "rule"
            << "  seen by";
  for (const std::string& subject : subjects) std::cout << "  " << std::setw(10) << subject;
  std::cout << "  scenarios\n";
  for (const Row& row : rows) {
    std::cout << std::setw(static_cast<int>(widest)) << row.rule->id << "  " << std::setw(7)
              << row.rule->observed;
    for (const RuleTally& tally : row.tallies) {
      std::string count;
      if (tally.judged > 0) count = std::to_string(tally.judged);
      if (tally.violated > 0) count = std::to_string(tally.violated) + "/" + count;
      std::cout << "  " << Glyph(*row.rule, tally) << " " << std::setw(8) << count;
    }
    std::cout << "  " << ScenariosFor(row.rule->id).size() << "\n";
  }
  std::cout << "\njudged in runs ⇄ of both directions, → of harness to subject, ← of subject to "
               "harness, ↔ between two subjects only,\n✗ violated, · untested, – excluded; with "
               "the number of runs\n\n";
  for (const auto& [subject, one] : totals) {
    std::cout << subject << ": " << one.tested << " of " << one.of() << " rules tested ("
              << one.percent() << " %), " << one.violated << " violated, " << one.excluded
              << " excluded\n";
  }
}

void PrintJson(const std::vector<Row>& rows, const std::vector<std::string>& subjects,
               const std::map<std::string, Totals>& totals) {
  nlohmann::json out;
  out["rules"] = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json one = {{"id", row.rule->id},
                          {"source", row.rule->source},
                          {"observed", row.rule->observed},
                          {"scenarios", ScenariosFor(row.rule->id)}};
    if (!row.rule->excluded.empty()) one["excluded"] = row.rule->excluded;
    for (size_t i = 0; i < subjects.size(); ++i) {
      const RuleTally& tally = row.tallies[i];
      one["subjects"][subjects[i]] = {{"status", StatusOf(*row.rule, tally)},
                                      {"runs", tally.judged},
                                      {"violated", tally.violated},
                                      {"harness_to_subject", tally.harness_to_subject},
                                      {"subject_to_harness", tally.subject_to_harness}};
    }
    out["rules"].push_back(std::move(one));
  }
  for (const auto& [subject, one] : totals) {
    out["totals"][subject] = {{"tested", one.tested},
                              {"violated", one.violated},
                              {"untested", one.untested},
                              {"excluded", one.excluded}};
  }
  std::cout << out.dump(2) << "\n";
}

bool IsWanted(const judge::Rule& rule, const std::vector<std::string>& patterns) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return campaign::Matches(pattern, rule.id);
         });
}

int Rules(const Question& question) {
  report::RulesTested tested;
  Result<report::Run> run = report::RunReader::Read(
      question.run, [&tested](const report::v1::Exec& exec) { report::Count(exec, &tested); });
  if (!run.ok()) {
    Error error = run.error();
    error.message += "; `counterpart run` makes one, --run names another";
    return Complain(error);
  }
  std::vector<std::string> subjects;
  for (const report::v1::Subject& subject : run->header->subjects()) {
    subjects.push_back(subject.id());
  }
  std::vector<Row> rows;
  std::map<std::string, Totals> totals;
  bool known = false;
  for (const judge::Rule& rule : judge::Rules()) {
    if (!IsWanted(rule, question.patterns)) continue;
    known = true;
    Row row{.rule = &rule, .tallies = {}};
    bool shown = question.status.empty();
    for (const std::string& subject : subjects) {
      RuleTally tally;
      if (const auto of_rule = tested.find(rule.id); of_rule != tested.end()) {
        const auto found = of_rule->second.find(subject);
        if (found != of_rule->second.end()) tally = found->second;
      }
      const std::string status = StatusOf(rule, tally);
      totals[subject].Count(status);
      shown |= status == question.status;
      row.tallies.push_back(tally);
    }
    if (shown) rows.push_back(std::move(row));
  }
  if (!known) {
    return Complain({Error::Kind::kUsage, "no rule of spec/rules matches '" +
                                              question.patterns.front() +
                                              "'; globs such as 'rpc.channel.*' work"});
  }
  if (question.format == "json") {
    PrintJson(rows, subjects, totals);
  } else {
    Print(rows, subjects, totals);
  }
  if (!run->complete()) std::cerr << "counterpart: " << run->incomplete() << "\n";
  return run->complete() ? kOk : kHarnessError;
}

}  // namespace

void AddRules(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("rules", "Say which rules of the spec a run really tested");
  const auto question = std::make_shared<Question>();
  verb->add_option("rules", question->patterns, "Ids of rules, or globs; none: all of them")
      ->type_name("RULE");
  verb->add_option("--run", question->run, "The run.jsonl to ask")
      ->type_name("FILE")
      ->capture_default_str();
  verb->add_option("--status", question->status, "Only rules of which this is so for a subject")
      ->check(CLI::IsMember({"tested", "untested", "violated", "excluded"}));
  verb->add_option("--format", question->format, "pretty or json")
      ->check(CLI::IsMember({"pretty", "json"}));
  verb->callback([&context, question] { context.exit_code = Rules(*question); });
}

}  // namespace counterpart::cli
