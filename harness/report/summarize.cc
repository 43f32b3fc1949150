#include "harness/report/summarize.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "counterpart/report/v1/report.pb.h"
#include "harness/report/rule_coverage.h"
#include "harness/report/statistics.h"

namespace counterpart::report {
namespace {

constexpr int kRateDigits = 6;

// The first run of one way to fail. "First" is by ordinal, so that it does not depend on the
// order in which workers happened to finish.
struct Way {
  v1::Signature signature;
  uint32_t ordinal = 0;
};

}  // namespace

struct Summary::Tally {
  v1::Cell identity;
  uint32_t planned = 0;
  uint32_t accounted = 0;
  Counts counts;
  bool unsupported = false;
  bool no_start = false;
  std::string unsupported_reason;
  std::map<std::string, Way> ways;
  // First run of the worst verdict: failures before errors before what was not judged.
  v1::Verdict worst = v1::VERDICT_PASS;
  uint32_t worst_ordinal = 0;
  uint64_t worst_seed = 0;
  std::string worst_exec;
  std::vector<uint64_t> durations;
  std::unordered_set<std::string> pass_hashes;
  std::set<std::string> judged;
  std::set<std::string> unseen;                         // moments
  v1::CellStatus stated = v1::CELL_STATUS_UNSPECIFIED;  // by an expectation
  std::string expectation;

  v1::Cell Cell() const;
  v1::CellStatus Status() const;
};

struct Summary::Tallies {
  std::vector<Tally> tallies;
  std::unordered_map<std::string, size_t> places;
  // rule, subject -> judged, violated
  std::map<std::pair<std::string, std::string>, std::pair<uint32_t, uint32_t>> coverage;
  uint32_t driven_again = 0, diverged = 0;

  Tally& At(const std::string& id) {
    const auto [place, added] = places.try_emplace(id, tallies.size());
    if (added) tallies.emplace_back().identity = IdentityOf(id);
    return tallies[place->second];
  }
};

namespace {

int Weight(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_FAIL:
      return 3;
    case v1::VERDICT_ERROR:
      return 2;
    case v1::VERDICT_PASS:
      return 0;
    default:
      return 1;
  }
}

}  // namespace

v1::CellStatus Summary::Tally::Status() const {
  if (stated != v1::CELL_STATUS_UNSPECIFIED) return stated;
  if (counts.failed > 0) {
    return counts.failed == counts.runs() ? v1::CELL_STATUS_FAIL : v1::CELL_STATUS_FLAKY;
  }
  if (counts.errors > 0) return no_start ? v1::CELL_STATUS_NO_START : v1::CELL_STATUS_ERROR;
  if (counts.inconclusive > 0) return v1::CELL_STATUS_INCONCLUSIVE;
  if (counts.passed > 0) return v1::CELL_STATUS_PASS;
  return unsupported ? v1::CELL_STATUS_UNSUPPORTED : v1::CELL_STATUS_NOT_RUN;
}

v1::Cell Summary::Tally::Cell() const {
  v1::Cell cell = identity;
  cell.set_runs(static_cast<uint32_t>(counts.runs()));
  cell.set_passed(static_cast<uint32_t>(counts.passed));
  cell.set_inconclusive(static_cast<uint32_t>(counts.inconclusive));
  cell.set_failed(static_cast<uint32_t>(counts.failed));
  cell.set_errors(static_cast<uint32_t>(counts.errors));
  cell.set_unsupported(unsupported);
  cell.set_unsupported_reason(unsupported_reason);
  if (counts.judged() > 0) {
    const Interval rate = FailureRate95(counts.failed, counts.judged());
    cell.set_rate_low(Decimal(rate.low, kRateDigits));
    cell.set_rate_high(Decimal(rate.high, kRateDigits));
  }
  if (counts.runs() + counts.errors > 0) cell.set_statement(Statement(counts));
  std::vector<const Way*> by_count;
  for (const auto& [name, way] : ways) by_count.push_back(&way);
  std::stable_sort(by_count.begin(), by_count.end(), [](const Way* a, const Way* b) {
    return a->signature.count() > b->signature.count();
  });
  for (const Way* way : by_count) *cell.add_signatures() = way->signature;
  cell.set_p50_us(Percentile(durations, 50));
  cell.set_p90_us(Percentile(durations, 90));
  cell.set_p99_us(Percentile(durations, 99));
  cell.set_max_us(Percentile(durations, 100));
  cell.set_first_failing_seed(worst_seed);
  cell.set_first_failing_exec(worst_exec);
  cell.set_distinct_traces(static_cast<uint32_t>(pass_hashes.size()));
  for (const std::string& rule : judged) cell.add_rules_judged(rule);
  cell.set_status(Status());
  cell.set_expectation(expectation);
  return cell;
}

Summary::Summary() : state_(std::make_unique<Tallies>()) {}
Summary::~Summary() = default;
Summary::Summary(Summary&&) noexcept = default;
Summary& Summary::operator=(Summary&&) noexcept = default;

void Summary::Plan(const v1::Cell& cell, uint32_t runs) {
  Tally& tally = state_->At(cell.id());
  v1::Cell identity;
  identity.set_id(cell.id());
  identity.set_subject(cell.subject());
  identity.set_transport(cell.transport());
  identity.set_conduit(cell.conduit());
  identity.set_direction(cell.direction());
  identity.set_scenario(cell.scenario());
  identity.set_group(cell.group());
  identity.set_client(cell.client());
  tally.identity = std::move(identity);
  tally.planned += runs;
}

void Summary::LookOutFor(const std::string& id, const std::vector<std::string>& moments) {
  state_->At(id).unseen.insert(moments.begin(), moments.end());
}

void Summary::Add(const v1::Exec& exec) {
  Tally& tally = state_->At(exec.cell());
  if (exec.ending() == v1::ENDING_INTERRUPTED) return;
  ++tally.accounted;
  if (exec.ending() == v1::ENDING_UNSUPPORTED && exec.verdict() <= v1::VERDICT_PASS) {
    tally.unsupported = true;
    if (tally.unsupported_reason.empty()) tally.unsupported_reason = exec.reason();
    return;
  }
  if (exec.ending() == v1::ENDING_UNREACHED) return;
  if (exec.ending() == v1::ENDING_NO_START && exec.verdict() == v1::VERDICT_ERROR) {
    tally.no_start = true;
  }
  if (exec.has_again()) {
    ++state_->driven_again;
    if (!exec.again().divergence().empty()) ++state_->diverged;
  }
  for (const std::string& moment : exec.moments_seen()) tally.unseen.erase(moment);

  for (const auto& [subject, rules] : RulesOf(exec, tally.identity)) {
    for (const auto& [rule, violated] : rules) {
      auto& [times, broken] = state_->coverage[{rule, subject}];
      ++times;
      broken += violated;
      tally.judged.insert(rule);
    }
  }

  switch (exec.verdict()) {
    case v1::VERDICT_PASS:
      ++tally.counts.passed;
      if (!exec.trace_hash().empty()) tally.pass_hashes.insert(exec.trace_hash());
      break;
    case v1::VERDICT_FAIL:
      ++tally.counts.failed;
      break;
    case v1::VERDICT_ERROR:
      ++tally.counts.errors;
      break;
    default:
      ++tally.counts.inconclusive;
      break;
  }
  if (exec.verdict() != v1::VERDICT_ERROR) tally.durations.push_back(exec.duration_us());
  if (exec.verdict() == v1::VERDICT_PASS) return;

  const std::string& name = !exec.signature().empty() ? exec.signature()
                            : !exec.rule().empty()    ? exec.rule()
                                                      : exec.reason();
  Way& way = tally.ways[name];
  const uint32_t count = way.signature.count() + 1;
  if (count == 1 || exec.ordinal() < way.ordinal) {
    way.ordinal = exec.ordinal();
    way.signature.set_signature(name);
    way.signature.set_rule(exec.rule());
    way.signature.set_reason(exec.reason());
    way.signature.set_exec(exec.id());
  }
  way.signature.set_count(count);
  const int weight = Weight(exec.verdict());
  if (weight > Weight(tally.worst) ||
      (weight == Weight(tally.worst) && exec.ordinal() < tally.worst_ordinal)) {
    tally.worst = exec.verdict();
    tally.worst_ordinal = exec.ordinal();
    tally.worst_seed = exec.seed();
    tally.worst_exec = exec.id();
  }
}

std::vector<v1::Cell> Summary::Cells() const {
  std::vector<v1::Cell> cells;
  for (const Tally& tally : state_->tallies) cells.push_back(tally.Cell());
  return cells;
}

v1::Cell Summary::CellOf(const std::string& id) const {
  const auto place = state_->places.find(id);
  return place == state_->places.end() ? IdentityOf(id) : state_->tallies[place->second].Cell();
}

void Summary::Expect(const std::string& id, v1::CellStatus status, const std::string& expectation) {
  const auto place = state_->places.find(id);
  if (place == state_->places.end()) return;
  Tally& tally = state_->tallies[place->second];
  tally.stated = status;
  tally.expectation = expectation;
}

v1::Footer Summary::MakeFooter(uint64_t duration_us, bool interrupted) const {
  v1::Footer footer;
  bool harness = interrupted, no_start = false;
  for (const Tally& tally : state_->tallies) {
    // A cell nobody planned is planned by having been run; an unsupported one is settled by one.
    const uint32_t accounted =
        tally.unsupported ? std::max(tally.accounted, tally.planned) : tally.accounted;
    const uint32_t planned = tally.planned == 0 ? accounted : tally.planned;
    footer.set_planned(footer.planned() + planned);
    footer.set_accounted(footer.accounted() + accounted);
    harness |= planned != accounted || (tally.counts.errors > 0 && !tally.no_start);
    no_start |= tally.no_start;
    switch (tally.Status()) {
      case v1::CELL_STATUS_PASS:
        footer.set_cells_passed(footer.cells_passed() + 1);
        break;
      case v1::CELL_STATUS_UNSUPPORTED:
        footer.set_cells_unsupported(footer.cells_unsupported() + 1);
        break;
      case v1::CELL_STATUS_KNOWN:
        footer.set_cells_known(footer.cells_known() + 1);
        break;
      case v1::CELL_STATUS_STALE:
        footer.set_cells_stale(footer.cells_stale() + 1);
        break;
      default:
        footer.set_cells_failed(footer.cells_failed() + 1);
        break;
    }
  }
  for (const auto& [key, counts] : state_->coverage) {
    v1::RuleCoverage& coverage = *footer.add_rules();
    coverage.set_rule(key.first);
    coverage.set_subject(key.second);
    coverage.set_judged(counts.first);
    coverage.set_violated(counts.second);
  }
  footer.set_driven_again(state_->driven_again);
  footer.set_diverged(state_->diverged);
  for (const Tally& tally : state_->tallies) {
    if (tally.counts.runs() == 0) continue;
    for (const std::string& moment : tally.unseen) {
      v1::UnseenMoment& unseen = *footer.add_unseen_moments();
      unseen.set_cell(tally.identity.id());
      unseen.set_moment(moment);
      unseen.set_runs(static_cast<uint32_t>(tally.counts.runs()));
    }
  }
  footer.set_duration_us(duration_us);
  footer.set_interrupted(interrupted);
  footer.set_exit_code(harness                     ? 4
                       : no_start                  ? 3
                       : footer.cells_failed() > 0 ? 1
                       : footer.cells_stale() > 0  ? 5
                                                   : 0);
  return footer;
}

v1::Cell IdentityOf(const std::string& cell_id) {
  v1::Cell cell;
  cell.set_id(cell_id);
  const std::string_view id = cell_id;
  const size_t first = id.find("::");
  const size_t last = id.rfind("::");
  cell.set_scenario(std::string(last == id.npos ? id : id.substr(last + 2)));
  if (first == id.npos || first == last) return cell;
  std::string_view subject = id.substr(0, first);
  std::string_view direction = id.substr(first + 2, last - first - 2);
  constexpr std::string_view kLang = "lang_", kTransport = "_transport_",
                             kStable = "_conduit_stable", kDirection = "direction_";
  if (direction.substr(0, kDirection.size()) == kDirection) {
    direction.remove_prefix(kDirection.size());
  }
  cell.set_direction(std::string(direction));
  cell.set_conduit("bare");
  if (subject.size() >= kStable.size() &&
      subject.substr(subject.size() - kStable.size()) == kStable) {
    subject.remove_suffix(kStable.size());
    cell.set_conduit("stable");
  }
  if (subject.substr(0, kLang.size()) == kLang) subject.remove_prefix(kLang.size());
  // lang_<a>_server_<b>_client_<transport>: of two subjects.
  constexpr std::string_view kServer = "_server_", kClient = "_client_";
  const size_t server = subject.find(kServer), client = subject.rfind(kClient);
  if (server != subject.npos && client != subject.npos && server + kServer.size() <= client) {
    cell.set_transport(std::string(subject.substr(client + kClient.size())));
    cell.set_client(
        std::string(subject.substr(server + kServer.size(), client - server - kServer.size())));
    cell.set_subject(std::string(subject.substr(0, server)));
    return cell;
  }
  if (const size_t at = subject.rfind(kTransport); at != subject.npos) {
    cell.set_transport(std::string(subject.substr(at + kTransport.size())));
    subject = subject.substr(0, at);
  }
  cell.set_subject(std::string(subject));
  return cell;
}

}  // namespace counterpart::report
