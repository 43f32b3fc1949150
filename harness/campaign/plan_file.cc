#include "harness/campaign/plan_file.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <set>
#include <sstream>

#include "harness/explore/plan.h"
#include "harness/report/trace_file.h"

namespace counterpart::campaign {
namespace {

Error Usage(std::string message) { return {Error::Kind::kUsage, std::move(message)}; }

std::string At(const std::string& path, const YAML::Mark& mark) {
  return path + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

Result<PlanFile> Read(const std::string& path, const std::string& text) {
  const YAML::Node document = YAML::Load(text);
  if (!document.IsMap()) {
    return Usage(At(path, document.Mark()) + "a plan is a map with `cell`, `seed` and `faults`");
  }
  static const std::set<std::string> kKeys = {"cell", "seed", "faults"};
  for (const auto& entry : document) {
    const std::string key = entry.first.as<std::string>();
    if (!kKeys.contains(key)) {
      return Usage(At(path, entry.first.Mark()) + "a plan has no `" + key + "`");
    }
  }
  for (const std::string& key : kKeys) {
    if (!document[key]) return Usage(At(path, document.Mark()) + "the plan needs `" + key + "`");
  }
  PlanFile plan;
  plan.cell = document["cell"].as<std::string>();
  plan.seed = document["seed"].as<uint64_t>();
  if (!document["faults"].IsSequence()) {
    return Usage(At(path, document["faults"].Mark()) + "`faults` is a list");
  }
  for (const YAML::Node& row : document["faults"]) {
    plan.faults.push_back(row.as<std::string>());
    Result<peer::Fault> fault = explore::ParseFault(plan.faults.back());
    if (!fault.ok()) return Usage(At(path, row.Mark()) + fault.error().message);
  }
  return plan;
}

}  // namespace

std::string ToText(const PlanFile& plan) {
  std::string text;
  if (!plan.why.empty()) {
    std::string why = plan.why;
    for (char& c : why) {
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    }
    text += "# " + why + "\n";
  }
  text += "cell: " + plan.cell + "\nseed: " + std::to_string(plan.seed) + "\nfaults:";
  if (plan.faults.empty()) text += " []";
  text += "\n";
  for (const std::string& fault : plan.faults) text += "  - " + fault + "\n";
  return text;
}

Result<PlanFile> ReadPlanFile(const std::string& path) {
  std::ifstream in(path);
  if (!in) return Usage("cannot read the plan " + path);
  std::stringstream text;
  text << in.rdbuf();
  // yaml-cpp reports by exception; it ends here.
  try {
    return Read(path, text.str());
  } catch (const YAML::Exception& error) {
    return Usage(At(path, error.mark) + error.msg);
  }
}

std::string PlanPath(const std::string& exec_id) {
  std::string path = report::TracePath(exec_id);
  path = "plans" + path.substr(path.find('/'));
  return path.substr(0, path.rfind('.')) + ".yaml";
}

}  // namespace counterpart::campaign
