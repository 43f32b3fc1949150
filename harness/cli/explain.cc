// explain: what a rule says, who judges it; what a scenario does.
#include <iostream>
#include <memory>

#include "harness/campaign/pattern.h"
#include "harness/cli/command.h"
#include "harness/judge/cut_outcomes.h"
#include "harness/judge/spec_text.h"

namespace counterpart::cli {
namespace {

void ExplainScenario(const scenarios::Scenario& scenario) {
  std::cout << scenario.name << " (" << scenario.group << ")\n  " << scenario.summary << "\n";
  for (const scenarios::Direction direction : scenario.directions) {
    std::cout << "  " << scenarios::Name(direction) << " judges:";
    for (const std::string& rule : scenario.Rules(direction)) std::cout << " r[" << rule << "]";
    std::cout << "\n";
  }
}

void ExplainRule(const judge::Rule& rule) {
  std::cout << "r[" << rule.id << "]  (" << rule.source << ")\n  " << rule.text << "\n";
  std::cout << "  scenarios that set out to judge it:";
  bool any = false;
  for (const scenarios::Scenario& scenario : scenarios::Catalogue()) {
    bool judges = false;
    for (const auto direction : scenario.directions) {
      for (const std::string& id : scenario.Rules(direction)) judges |= id == rule.id;
    }
    if (judges) std::cout << " " << scenario.name;
    any |= judges;
  }
  std::cout << (any ? "\n" : " none by name\n");
}

// What a call may come to after a cut, for every state it can be in.
void ExplainCuts() {
  for (const judge::CutCase& cut : judge::AllCutCases()) {
    const judge::CutOutcome outcome = judge::OutcomeOf(cut);
    std::cout << judge::Describe(cut) << "\n    ends with "
              << judge::DescribeEndings(outcome.endings);
    if (cut.callee == peer::Side::kSubject) {
      std::cout << ", executed " << outcome.least;
      if (outcome.most != outcome.least) std::cout << " to " << outcome.most;
      std::cout << (outcome.most == 1 ? " time" : " times");
    } else if (outcome.attempt_forbidden) {
      std::cout << ", and is not attempted again";
    }
    std::cout << "  r[" << outcome.rule << "]\n";
  }
}

int Explain(const std::string& what) {
  if (what == "cuts") {
    ExplainCuts();
    return kOk;
  }
  bool found = false;
  for (const scenarios::Scenario& scenario : scenarios::Catalogue()) {
    if (!campaign::Matches(what, scenario.name)) continue;
    ExplainScenario(scenario);
    found = true;
  }
  std::string id = what;
  if (id.starts_with("r[") && id.ends_with("]")) id = id.substr(2, id.size() - 3);
  for (const judge::Rule& rule : judge::Rules()) {
    if (!campaign::Matches(id, rule.id)) continue;
    ExplainRule(rule);
    found = true;
  }
  if (found) return kOk;
  return Complain(
      {Error::Kind::kUsage, "'" + what +
                                "' is neither a rule of spec/rules nor a scenario; globs such as "
                                "'rpc.channel.*' and 'channel_*' work"});
}

}  // namespace

void AddExplain(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "explain",
      "Say what a rule or a scenario is about, or `cuts`: what a call may come to after a cut");
  const auto what = std::make_shared<std::string>();
  verb->add_option("what", *what, "Rule id or scenario name, or a glob; or cuts")->required();
  verb->callback([&context, what] { context.exit_code = Explain(*what); });
}

}  // namespace counterpart::cli
