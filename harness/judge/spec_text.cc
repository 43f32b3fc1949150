#include "harness/judge/spec_text.h"

#include <algorithm>
#include <sstream>

#include "harness/machine/trace.h"

namespace counterpart::judge {
namespace {

constexpr std::string_view kExcluded = "_Excluded:_ ";

// "r[id]" or "r[id+2]" alone on a line opens a rule; its text is the paragraph that follows. A
// paragraph after it that begins with _Excluded:_ says why no run judges it.
void ParseRules(const SpecFile& file, std::vector<Rule>* rules) {
  std::istringstream lines{std::string(file.text)};
  std::string* paragraph = nullptr;  // that the next line belongs to
  bool in_file = false;              // a rule of this file has been opened
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("r[") && line.ends_with("]")) {
      std::string id = line.substr(2, line.size() - 3);
      if (const size_t version = id.find('+'); version != std::string::npos) id.resize(version);
      Rule& rule = rules->emplace_back();
      rule.id = std::move(id);
      rule.source = std::string(file.path);
      paragraph = &rule.text;
      in_file = true;
    } else if (line.empty()) {
      if (paragraph != nullptr && !paragraph->empty()) paragraph = nullptr;
    } else if (in_file && line.starts_with(kExcluded)) {
      rules->back().excluded = line.substr(kExcluded.size());
      paragraph = &rules->back().excluded;
    } else if (paragraph != nullptr) {
      *paragraph += (paragraph->empty() ? "" : " ") + line;
    }
  }
}

// A row of the index is "| `rule.id` | W C |", padded.
void ParseIndex(const SpecFile& file, std::vector<Rule>* rules) {
  std::istringstream lines{std::string(file.text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    const size_t end = line.find("` "), bar = line.find("| ", end);
    if (end == std::string::npos || bar == std::string::npos) continue;
    std::string marks = line.substr(bar + 2);
    marks.resize(marks.find_last_not_of(" |") + 1);
    for (Rule& rule : *rules) {
      if (line.compare(3, end - 3, rule.id) == 0) rule.observed = marks;
    }
  }
}

std::vector<Rule> ParseSpec() {
  std::vector<Rule> rules;
  for (const SpecFile& file : SpecFiles()) {
    if (file.path.starts_with("spec/rules/")) ParseRules(file, &rules);
  }
  for (const SpecFile& file : SpecFiles()) {
    if (file.path == "spec/rules/README.md") ParseIndex(file, &rules);
  }
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.id < b.id; });
  return rules;
}

}  // namespace

const std::vector<Rule>& Rules() {
  static const auto* rules = new std::vector<Rule>(ParseSpec());
  return *rules;
}

const Rule* FindRule(std::string_view id) {
  const auto& rules = Rules();
  const auto found = std::lower_bound(
      rules.begin(), rules.end(), id,
      [](const Rule& rule, std::string_view key) { return std::string_view(rule.id) < key; });
  return found != rules.end() && found->id == id ? &*found : nullptr;
}

std::string SpecDigest() {
  uint64_t hash = machine::HashBytes("");
  for (const SpecFile& file : SpecFiles()) {
    hash = machine::HashBytes(file.text, machine::HashBytes(file.path, hash));
  }
  return machine::HashText(hash);
}

}  // namespace counterpart::judge
