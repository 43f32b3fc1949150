#include "harness/judge/spec_text.h"

#include <algorithm>
#include <sstream>

#include "harness/machine/trace.h"

namespace counterpart::judge {
namespace {

// "r[id]" or "r[id+2]" alone on a line opens a rule; its text is the paragraph that follows.
std::vector<Rule> ParseRules() {
  std::vector<Rule> rules;
  for (const SpecFile& file : SpecFiles()) {
    if (!file.path.starts_with("spec/rules/")) continue;
    std::istringstream lines{std::string(file.text)};
    bool in_rule = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("r[") && line.ends_with("]")) {
        std::string id = line.substr(2, line.size() - 3);
        if (const size_t version = id.find('+'); version != std::string::npos) id.resize(version);
        rules.push_back({.id = std::move(id), .text = "", .source = std::string(file.path)});
        in_rule = true;
      } else if (line.empty()) {
        in_rule = in_rule && rules.back().text.empty();
      } else if (in_rule) {
        std::string& text = rules.back().text;
        text += (text.empty() ? "" : " ") + line;
      }
    }
  }
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.id < b.id; });
  return rules;
}

}  // namespace

const std::vector<Rule>& Rules() {
  static const auto* rules = new std::vector<Rule>(ParseRules());
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
