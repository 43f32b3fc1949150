#include "harness/campaign/cell.h"

#include <algorithm>
#include <limits>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/pattern.h"
#include "harness/machine/trace.h"
#include "harness/report/summarize.h"

namespace counterpart::campaign {
namespace {

// Edit distance, for "did you mean".
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t up = row[j];
      row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = up;
    }
  }
  return row[b.size()];
}

std::string NearestScenario(const std::string& pattern) {
  const size_t last = pattern.rfind("::");
  const std::string_view tail = last == std::string::npos
                                    ? std::string_view(pattern)
                                    : std::string_view(pattern).substr(last + 2);
  std::string nearest;
  size_t best = std::numeric_limits<size_t>::max();
  for (const scenarios::Scenario& scenario : scenarios::Catalogue()) {
    const size_t distance = Distance(tail, scenario.name);
    if (distance < best) {
      best = distance;
      nearest = scenario.name;
    }
  }
  return nearest;
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& id) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&id](const std::string& pattern) { return Matches(pattern, id); });
}

}  // namespace

std::string Cell::Id() const {
  const std::string where = client == nullptr
                                ? "lang_" + subject->id + "_transport_tcp"
                                : "lang_" + subject->id + "_server_" + client->id + "_client_tcp";
  return where + (stable ? "_conduit_stable" : "") + "::direction_" + scenarios::Name(direction) +
         "::" + scenario->name;
}

std::vector<const effects::SubjectSpec*> Cell::Subjects() const {
  if (client == nullptr) return {subject};
  return {subject, client};
}

scenarios::Cast Cell::Cast() const {
  if (client == nullptr) return {direction, stable};
  return {subject->id, client->id, stable};
}

std::string Cell::WhyWithoutPlans() const {
  if (stable && scenario->changes_links) return "it changes the links of its conduit by itself";
  return std::string(scenario->without_plans);
}

std::vector<std::string> Cell::Needs() const {
  std::vector<std::string> needs = scenario->needs;
  if (stable && std::find(needs.begin(), needs.end(), "stable") == needs.end()) {
    needs.push_back("stable");
  }
  return needs;
}

Result<CellName> ParseCellId(const std::string& id) {
  CellName name;
  const size_t last = id.rfind("::");
  name.scenario = scenarios::FindScenario(last == std::string::npos ? id : id.substr(last + 2));
  if (name.scenario == nullptr) {
    return Error{Error::Kind::kUsage, id + " names a scenario that this program does not have"};
  }
  const report::v1::Cell identity = report::IdentityOf(id);
  if (!identity.client().empty()) {
    name.cast = scenarios::Cast(identity.subject(), identity.client());
    if (name.scenario->between == nullptr) {
      return Error{Error::Kind::kUsage, id + " is of two subjects, and its scenario of one"};
    }
  } else if (identity.direction() == scenarios::Name(scenarios::Direction::kSubjectToHarness)) {
    name.cast = scenarios::Direction::kSubjectToHarness;
  }
  name.cast.stable = identity.conduit() == "stable";
  return name;
}

std::vector<Cell> AllCells(const std::vector<effects::SubjectSpec>& subjects) {
  std::vector<Cell> cells;
  const auto add = [&cells](Cell cell) {
    const scenarios::Conduits conduits = cell.scenario->conduits;
    if (conduits != scenarios::Conduits::kStable) cells.push_back(cell);
    cell.stable = true;
    if (conduits != scenarios::Conduits::kBare) cells.push_back(cell);
  };
  for (const effects::SubjectSpec& subject : subjects) {
    for (const scenarios::Scenario& scenario : scenarios::Catalogue()) {
      for (const scenarios::Direction direction : scenario.directions) {
        if (direction != scenarios::Direction::kBidirectional) {
          add({&subject, &scenario, direction});
          continue;
        }
        for (const effects::SubjectSpec& client : subjects) {
          if (client.id != subject.id) add({&subject, &scenario, direction, &client});
        }
      }
    }
  }
  std::sort(cells.begin(), cells.end(),
            [](const Cell& a, const Cell& b) { return a.Id() < b.Id(); });
  return cells;
}

Result<std::vector<Cell>> SelectCells(const std::vector<Cell>& all,
                                      const std::vector<std::string>& patterns,
                                      const std::vector<std::string>& skips) {
  for (const auto* list : {&patterns, &skips}) {
    for (const std::string& pattern : *list) {
      if (std::any_of(all.begin(), all.end(),
                      [&](const Cell& cell) { return Matches(pattern, cell.Id()); })) {
        continue;
      }
      return Error{Error::Kind::kUsage,
                   "pattern '" + pattern + "' matches no cell; `counterpart list` shows them all" +
                       " (nearest scenario: '**::" + NearestScenario(pattern) + "')"};
    }
  }
  std::vector<Cell> selected;
  for (const Cell& cell : all) {
    const std::string id = cell.Id();
    if (!patterns.empty() && !MatchesAny(patterns, id)) continue;
    if (MatchesAny(skips, id)) continue;
    selected.push_back(cell);
  }
  if (selected.empty()) {
    return Error{Error::Kind::kUsage, "--skip leaves nothing to run"};
  }
  return selected;
}

const Cell* FindCell(const std::vector<Cell>& all, const std::string& id) {
  for (const Cell& cell : all) {
    if (cell.Id() == id) return &cell;
  }
  return nullptr;
}

uint64_t RunSeed(uint64_t campaign_seed, const std::string& cell_id, uint32_t ordinal) {
  const uint64_t seed = machine::HashBytes(cell_id + "#" + std::to_string(ordinal) + "/" +
                                           std::to_string(campaign_seed));
  return seed == 0 ? 1 : seed;
}

bool IsDrivenAgain(uint64_t run_seed, uint32_t ordinal) {
  return machine::HashBytes(std::to_string(run_seed) + "#" + std::to_string(ordinal)) % 20 == 0;
}

}  // namespace counterpart::campaign
