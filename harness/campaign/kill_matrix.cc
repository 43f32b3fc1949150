#include "harness/campaign/kill_matrix.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace counterpart::campaign {

void KillMatrix::Add(Kill kill) { kills_.push_back(std::move(kill)); }

size_t KillMatrix::attributed() const {
  return static_cast<size_t>(std::ranges::count_if(kills_, [](const Kill& kill) {
    return std::ranges::find(kill.own, kill.first) != kill.own.end();
  }));
}

std::vector<std::string> KillMatrix::NeverAlone() const {
  std::set<std::string> all, alone;
  for (const Kill& kill : kills_) {
    for (const auto& [rule, runs] : kill.red_by_rule) {
      all.insert(rule);
      if (kill.red_by_rule.size() == 1) alone.insert(rule);
    }
  }
  std::vector<std::string> never;
  std::ranges::set_difference(all, alone, std::back_inserter(never));
  return never;
}

std::string KillMatrix::Summary() const {
  if (kills_.empty()) return "";
  std::vector<uint32_t> runs;
  for (const Kill& kill : kills_) runs.push_back(kill.runs);
  std::ranges::sort(runs);
  std::string text =
      "the first red run named a rule of its own for " + std::to_string(attributed()) + " of " +
      std::to_string(killed()) + " (" + std::to_string(100 * attributed() / killed()) +
      " %); runs to the first red one: median " + std::to_string(runs[runs.size() / 2]) +
      ", most " + std::to_string(runs.back());
  for (std::string separator = "\ncaught no mutant by itself: ";
       const std::string& rule : NeverAlone()) {
    text += std::exchange(separator, ", ") + (rule.empty() ? "(no rule)" : rule);
  }
  return text;
}

std::string KillMatrix::Markdown() const {
  struct Row {
    std::string alone, shared;
  };
  std::map<std::string, Row> rows;
  for (const Kill& kill : kills_) {
    for (const auto& [rule, runs] : kill.red_by_rule) {
      Row& row = rows[rule];
      std::string& into = kill.red_by_rule.size() == 1 ? row.alone : row.shared;
      into += (into.empty() ? "" : ", ") + kill.mutant;
    }
  }
  std::string text =
      "# What each rule has caught\n\n| rule | by it alone | and by others |\n| --- | --- | --- "
      "|\n";
  for (const auto& [rule, row] : rows) {
    text +=
        "| " + (rule.empty() ? "(none)" : rule) + " | " + row.alone + " | " + row.shared + " |\n";
  }
  return text;
}

}  // namespace counterpart::campaign
