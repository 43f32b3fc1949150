// What a run has come to: everything found, joined into one verdict, and the rules that were
// judged.
#ifndef COUNTERPART_JUDGE_FINDINGS_H_
#define COUNTERPART_JUDGE_FINDINGS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/machine/finding.h"

namespace counterpart::judge {

// Joins only rise; the first reason of each level is kept.
class Verdict {
 public:
  void Join(const machine::Finding& finding);
  machine::Level level() const { return level_; }
  const machine::Finding& reason() const { return reasons_[static_cast<int>(level_)]; }

 private:
  machine::Level level_ = machine::Level::kNone;
  machine::Finding reasons_[5];
};

class Findings {
 public:
  void Add(const machine::Finding& finding);
  // The premise of the rule was met, and it held.
  void Held(const std::string& rule) { ++judged_[rule]; }
  // A side has taken this step of a machine of the spec: "subject driver: Connecting --…--> …".
  void Reached(std::string transition) { reached_.insert(std::move(transition)); }
  // Joins the end of the run: a run that judged nothing, or that set out to exercise a rule that
  // was never judged, is an error of the harness, never a pass. `judged`: by whom; `whom`: of
  // which subject, for people, "" if there is but one.
  void Promised(const std::vector<std::string>& rules,
                const std::map<std::string, uint32_t>& judged, const std::string& whom = "");
  // The last word, if nothing was worse than a pass.
  void Pass();

  const Verdict& verdict() const { return verdict_; }
  const std::vector<machine::Finding>& all() const { return findings_; }
  const std::map<std::string, uint32_t>& judged() const { return judged_; }
  const std::set<std::string>& reached() const { return reached_; }

 private:
  std::map<std::string, uint32_t> judged_;
  std::set<std::string> reached_;
  std::vector<machine::Finding> findings_;
  Verdict verdict_;
};

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_FINDINGS_H_
