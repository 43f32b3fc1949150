#include "harness/campaign/campaign.h"

#include <sys/utsname.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/worker.h"
#include "harness/effects/hogs.h"
#include "harness/effects/wait_self_test.h"
#include "harness/judge/spec_text.h"
#include "harness/report/run_file.h"
#include "harness/report/summarize.h"
#include "harness/report/trace_file.h"
#include "harness/version.h"

namespace counterpart::campaign {
namespace {

// Traces kept of one cell's red runs; more of the same explain nothing.
constexpr uint32_t kTracesPerCell = 20;

using Batch = std::vector<RunKey>;

// What is still to be done. Batches of one cell follow each other only after every other cell had
// its turn, so that time-dependent trouble does not gather in one cell.
class Plan {
 public:
  Plan(const CampaignOptions& options, std::function<uint64_t()> now_us)
      : options_(options), now_us_(std::move(now_us)), next_(options.cells.size(), 0) {}

  // The next batch; nothing when all is done.
  std::optional<Batch> Next() {
    std::lock_guard lock(mutex_);
    for (size_t tries = 0; tries < options_.cells.size(); ++tries) {
      if (stopped_ || (options_.interrupted != nullptr && *options_.interrupted)) return {};
      const size_t index = cell_;
      cell_ = (cell_ + 1) % options_.cells.size();
      if (index == 0 && options_.duration && planned_ > 0 &&
          now_us_() >= static_cast<uint64_t>(options_.duration->count()) * 1000000) {
        stopped_ = true;
        return {};
      }
      const Cell& cell = options_.cells[index];
      uint32_t size = cell.scenario->exclusive || options_.isolate ? 1 : options_.lanes;
      if (!options_.duration) size = std::min(size, options_.runs - next_[index]);
      if (size == 0) continue;
      Batch batch;
      for (uint32_t i = 0; i < size; ++i) {
        const uint32_t ordinal = next_[index]++;
        batch.push_back({&cell, ordinal,
                         options_.run_seed.value_or(RunSeed(options_.seed, cell.Id(), ordinal))});
      }
      planned_ += size;
      return batch;
    }
    return {};
  }

  void Stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }

 private:
  const CampaignOptions& options_;
  std::function<uint64_t()> now_us_;
  std::mutex mutex_;
  std::vector<uint32_t> next_;  // ordinal, by cell
  size_t cell_ = 0;
  uint64_t planned_ = 0;
  bool stopped_ = false;
};

std::string Utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string Host() {
  utsname name{};
  uname(&name);
  return std::string(name.sysname) + " " + name.release + ", " +
         std::to_string(std::thread::hardware_concurrency()) + " cores";
}

report::v1::Cell Identity(const Cell& cell) {
  report::v1::Cell identity = report::IdentityOf(cell.Id());
  identity.set_group(cell.scenario->group);
  return identity;
}

report::v1::Header MakeHeader(const CampaignOptions& options) {
  report::v1::Header header;
  header.set_format(1);
  header.set_counterpart_version(kProgramVersion);
  header.set_started_at(Utc());
  header.set_seed(options.seed);
  for (const std::string& word : options.command) header.add_command(word);
  std::set<std::string> seen;
  for (const Cell& cell : options.cells) {
    if (!seen.insert(cell.subject->id).second) continue;
    report::v1::Subject& subject = *header.add_subjects();
    subject.set_id(cell.subject->id);
    subject.set_name(cell.subject->id);
    for (const std::string& word : cell.subject->command) subject.add_command(word);
  }
  header.set_jobs(options.jobs);
  header.set_load(options.load);
  header.set_host(Host());
  const effects::SelfTestResult& waits = effects::WaitSelfTest();
  header.set_wait_tier(waits.tier());
  header.set_wait_tier_reason(waits.reason);
  header.set_planned(options.duration ? 0
                                      : static_cast<uint32_t>(options.cells.size()) * options.runs);
  for (const judge::Rule& rule : judge::Rules()) {
    report::v1::Rule& out = *header.add_rules();
    out.set_id(rule.id);
    out.set_text(rule.text);
    out.set_source(rule.source);
  }
  return header;
}

// Where lines go: the file first, then whoever listens. Locked by the caller.
class Lines {
 public:
  Lines(report::RunWriter* writer, const CampaignOptions& options)
      : writer_(writer), options_(options) {}

  void Put(report::v1::Line line) {
    if (Status status = writer_->Append(line); !status.ok() && error_.ok()) error_ = status;
    if (options_.on_line) options_.on_line(line);
  }
  const Status& error() const { return error_; }

 private:
  report::RunWriter* writer_;
  const CampaignOptions& options_;
  Status error_;
};

}  // namespace

Result<CampaignResult> RunCampaign(CampaignOptions options) {
  const auto start = std::chrono::steady_clock::now();
  const auto now_us = [start] {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                     std::chrono::steady_clock::now() - start)
                                     .count());
  };
  const std::string path = options.out + "/run.jsonl";
  Result<std::unique_ptr<report::RunWriter>> created = report::RunWriter::Create(path);
  if (!created.ok()) return created.error();
  report::RunWriter& writer = **created;

  std::mutex mutex;  // over everything below that workers share
  Lines lines(&writer, options);
  report::Summary summary;
  Progress progress;
  std::map<std::string, uint32_t> traces_of;
  progress.planned = options.duration ? 0 : uint64_t{options.runs} * options.cells.size();

  report::v1::Line line;
  *line.mutable_header() = MakeHeader(options);
  lines.Put(std::move(line));
  std::set<std::string> described;
  for (const Cell& cell : options.cells) {
    summary.Plan(Identity(cell), options.duration ? 0 : options.runs);
    const scenarios::Scenario& scenario = *cell.scenario;
    if (!described.insert(scenario.name).second) continue;
    report::v1::Scenario& out = *line.mutable_scenario();
    out.Clear();
    out.set_name(scenario.name);
    out.set_group(scenario.group);
    out.set_summary(scenario.summary);
    std::set<std::string> rules;
    for (const scenarios::Direction direction : scenario.directions) {
      out.add_directions(scenarios::Name(direction));
      rules.insert(scenario.Rules(direction).begin(), scenario.Rules(direction).end());
    }
    for (const std::string& rule : rules) out.add_rules(rule);
    for (const std::string& need : scenario.needs) out.add_needs(need);
    lines.Put(line);
  }

  Plan plan(options, now_us);
  const auto sink = [&](FinishedRun finished) {
    report::v1::Exec& exec = *finished.exec;
    const bool red = exec.verdict() > report::v1::VERDICT_PASS;
    std::lock_guard lock(mutex);
    if (!finished.trace.empty() &&
        (options.keep_all_traces || ++traces_of[exec.cell()] <= kTracesPerCell)) {
      exec.set_trace(report::TracePath(exec.id()));
      const std::string file = options.out + "/" + exec.trace();
      if (report::WriteTrace(file, finished.trace).ok()) {
        exec.set_replay(options.program + " replay " + file);
      } else {
        exec.clear_trace();
      }
    }
    if (red) {
      exec.set_redrive(options.program + " run '" + exec.cell() + "' --run-seed " +
                       std::to_string(exec.seed()) +
                       (options.subject_arguments.empty() ? "" : " " + options.subject_arguments));
      ++progress.red;
    }
    summary.Add(exec);
    ++progress.finished;
    progress.latest = exec.cell();
    progress.elapsed_us = now_us();
    report::v1::Line out;
    *out.mutable_exec() = std::move(exec);
    lines.Put(std::move(out));
    if (options.on_progress) options.on_progress(progress);
    if (red && options.stop_at_first_red) plan.Stop();
  };

  {
    const effects::Hogs hogs(options.load);
    std::vector<std::thread> workers;
    for (uint32_t slot = 0; slot < std::max(options.jobs, 1u); ++slot) {
      workers.emplace_back([&, slot] {
        Worker::Options worker_options;
        worker_options.slot = slot;
        worker_options.keep_all_traces = options.keep_all_traces;
        worker_options.campaign_now_us = now_us;
        worker_options.interrupted = options.interrupted;
        worker_options.isolate = options.isolate;
        Worker worker(std::move(worker_options), sink);
        while (std::optional<Batch> batch = plan.Next()) worker.RunBatch(*batch);
      });
    }
    for (std::thread& worker : workers) worker.join();
  }

  const bool interrupted = options.interrupted != nullptr && *options.interrupted;
  const std::string today = Utc().substr(0, sizeof "YYYY-MM-DD" - 1);
  for (const report::v1::Cell& cell : summary.Cells()) {
    const Judgement judgement = Judge(options.expectations, cell, today);
    if (judgement.text.empty()) continue;
    summary.Expect(cell.id(),
                   judgement.kept == Kept::kKept && cell.failed() > 0
                       ? report::v1::CELL_STATUS_KNOWN
                   : judgement.kept == Kept::kStale ? report::v1::CELL_STATUS_STALE
                                                    : cell.status(),
                   judgement.text);
  }
  for (report::v1::Cell& cell : summary.Cells()) {
    report::v1::Line out;
    *out.mutable_cell() = std::move(cell);
    lines.Put(std::move(out));
  }
  report::v1::Line last;
  *last.mutable_footer() = summary.MakeFooter(now_us(), interrupted);
  CampaignResult result;
  result.exit_code = static_cast<int>(last.footer().exit_code());
  result.run_jsonl = path;
  lines.Put(std::move(last));
  if (!lines.error().ok()) return lines.error().error();
  return result;
}

}  // namespace counterpart::campaign
