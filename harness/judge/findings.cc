#include "harness/judge/findings.h"

namespace counterpart::judge {

using machine::Finding;
using machine::Level;

void Verdict::Join(const Finding& finding) {
  Finding& first = reasons_[static_cast<int>(finding.level)];
  if (first.level == Level::kNone) first = finding;
  if (finding.level > level_) level_ = finding.level;
}

void Findings::Add(const Finding& finding) {
  findings_.push_back(finding);
  verdict_.Join(finding);
}

void Findings::Promised(const std::vector<std::string>& rules,
                        const std::map<std::string, uint32_t>& judged, const std::string& whom) {
  if (verdict_.level() > Level::kPass) return;
  const std::string of = whom.empty() ? "" : " of " + whom;
  const auto error = [this](const std::string& rule, std::string text) {
    Finding finding;
    finding.level = Level::kError;
    finding.rule = rule;
    finding.text = std::move(text);
    finding.place = "nothing judged";
    Add(finding);
  };
  // Before the rules that are missing: that names the whole of it.
  if (judged.empty()) error("", "nothing was judged" + of);
  for (const std::string& rule : rules) {
    if (judged.contains(rule)) continue;
    error(rule,
          "the scenario sets out to judge this rule" + of + ", and its premise was never met");
  }
}

void Findings::Pass() {
  if (verdict_.level() > Level::kPass) return;
  Finding pass;
  pass.level = Level::kPass;
  Add(pass);
}

}  // namespace counterpart::judge
