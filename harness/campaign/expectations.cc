#include "harness/campaign/expectations.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/pattern.h"

namespace counterpart::campaign {
namespace {

Error Usage(std::string message) { return {Error::Kind::kUsage, std::move(message)}; }

std::string At(const std::string& path, const YAML::Mark& mark) {
  return path + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

// A reason why the entry cannot be used, or nothing.
std::string Read(const YAML::Node& row, Expectation* out) {
  static const std::set<std::string> kKeys = {"cell",   "status", "rule",   "max_rate",
                                              "reason", "issue",  "expires"};
  if (!row.IsMap()) return "an expectation is a map with `cell`, `status`, `reason` and `expires`";
  for (const auto& entry : row) {
    if (!kKeys.contains(entry.first.as<std::string>())) {
      return "an expectation has no `" + entry.first.as<std::string>() + "`";
    }
  }
  for (const char* key : {"cell", "status", "reason", "expires"}) {
    if (!row[key]) return std::string("the expectation needs `") + key + "`";
  }
  out->cell = row["cell"].as<std::string>();
  out->reason = row["reason"].as<std::string>();
  out->expires = row["expires"].as<std::string>();
  if (row["rule"]) out->rule = row["rule"].as<std::string>();
  if (row["issue"]) out->issue = row["issue"].as<std::string>();
  const std::string status = row["status"].as<std::string>();
  if (status != "fail" && status != "flaky") return "`status` is fail or flaky, not " + status;
  out->kind = status == "fail" ? Expectation::Kind::kFail : Expectation::Kind::kFlaky;
  if (!std::regex_match(out->expires, std::regex(R"(\d{4}-\d\d-\d\d)"))) {
    return "`expires` is a date as 2030-12-31, not " + out->expires;
  }
  if ((out->kind == Expectation::Kind::kFlaky) != row["max_rate"].IsDefined()) {
    return "`max_rate` goes with `status: flaky`, and only with it";
  }
  if (row["max_rate"]) {
    const std::string rate = row["max_rate"].as<std::string>();
    char* end = nullptr;
    out->max_rate = std::strtod(rate.c_str(), &end);
    if (*end != 0 || !(out->max_rate > 0 && out->max_rate < 1)) {
      return "`max_rate` is a rate between 0 and 1, not " + rate;
    }
  }
  return "";
}

bool RedByOtherRule(const Expectation& expectation, const report::v1::Cell& cell) {
  return !expectation.rule.empty() &&
         std::any_of(cell.signatures().begin(), cell.signatures().end(),
                     [&](const auto& signature) { return signature.rule() != expectation.rule; });
}

Kept Verdict(const Expectation& expectation, const report::v1::Cell& cell,
             const std::string& today) {
  const bool green = cell.status() == report::v1::CELL_STATUS_PASS;
  const bool red = cell.status() == report::v1::CELL_STATUS_FAIL ||
                   cell.status() == report::v1::CELL_STATUS_FLAKY;
  if (!green && !red) return Kept::kNotExpected;
  if (today >= expectation.expires) return green ? Kept::kNotExpected : Kept::kBroken;
  if (RedByOtherRule(expectation, cell)) return Kept::kBroken;
  if (expectation.kind == Expectation::Kind::kFail) {
    if (green) return Kept::kStale;
    return cell.status() == report::v1::CELL_STATUS_FAIL ? Kept::kKept : Kept::kBroken;
  }
  // Too often is what the runs prove, not what they happen to show.
  const double low = std::strtod(cell.rate_low().c_str(), nullptr);
  return low <= expectation.max_rate ? Kept::kKept : Kept::kBroken;
}

}  // namespace

Result<std::vector<Expectation>> ReadExpectations(const std::string& path,
                                                  const std::vector<Cell>& known) {
  std::ifstream in(path);
  if (!in) return Usage("cannot read the expectations file " + path);
  std::stringstream text;
  text << in.rdbuf();
  std::vector<Expectation> expectations;
  // yaml-cpp reports by exception; it ends here.
  try {
    const YAML::Node document = YAML::Load(text.str());
    const YAML::Node list = document.IsMap() ? document["expectations"] : YAML::Node();
    if (!list || !list.IsSequence()) {
      return Usage(At(path, document.Mark()) + "expected a list under `expectations:`");
    }
    for (const YAML::Node& row : list) {
      Expectation& expectation = expectations.emplace_back();
      const std::string wrong = Read(row, &expectation);
      if (!wrong.empty()) return Usage(At(path, row.Mark()) + wrong);
      if (std::none_of(known.begin(), known.end(),
                       [&](const Cell& cell) { return Matches(expectation.cell, cell.Id()); })) {
        return Usage(At(path, row["cell"].Mark()) + "no cell matches '" + expectation.cell +
                     "'; `counterpart list` shows them");
      }
    }
  } catch (const YAML::Exception& error) {
    return Usage(At(path, error.mark) + error.msg);
  }
  return expectations;
}

Judgement Judge(const std::vector<Expectation>& expectations, const report::v1::Cell& cell,
                const std::string& today) {
  const auto about = std::find_if(
      expectations.begin(), expectations.end(),
      [&cell](const Expectation& expectation) { return Matches(expectation.cell, cell.id()); });
  if (about == expectations.end()) return {};
  Judgement judgement{Verdict(*about, cell, today), ""};
  const std::string rule = about->rule.empty() ? "" : " by r[" + about->rule + "]";
  switch (judgement.kept) {
    case Kept::kNotExpected:
      break;
    case Kept::kKept:
      judgement.text = "expected to be red" + rule + " until " + about->expires + ": " +
                       about->reason + (about->issue.empty() ? "" : " (" + about->issue + ")");
      break;
    case Kept::kStale:
      judgement.text = "it was expected to be red" + rule +
                       " and is green: take its entry out of the expectations (" + about->reason +
                       ")";
      break;
    case Kept::kBroken:
      judgement.text =
          today >= about->expires
              ? "the expectation that it is red expired on " + about->expires
              : "it is red otherwise than expected" + rule + " (" + about->reason + ")";
      break;
  }
  return judgement;
}

}  // namespace counterpart::campaign
