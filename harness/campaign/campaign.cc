#include "harness/campaign/campaign.h"

#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/plan_file.h"
#include "harness/campaign/schedule.h"
#include "harness/campaign/worker.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/hogs.h"
#include "harness/effects/resource_use.h"
#include "harness/effects/wait_self_test.h"
#include "harness/judge/spec_text.h"
#include "harness/report/run_file.h"
#include "harness/report/summarize.h"
#include "harness/report/trace_file.h"
#include "harness/scenarios/moments.h"
#include "harness/version.h"

namespace counterpart::campaign {
namespace {

// Traces kept of one cell's red runs; more of the same explain nothing.
constexpr uint32_t kTracesPerCell = 20;

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
  identity.set_subject(cell.subject->id);
  if (cell.client != nullptr) identity.set_client(cell.client->id);
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
    for (const effects::SubjectSpec* spec : cell.Subjects()) {
      if (!seen.insert(spec->id).second) continue;
      report::v1::Subject& subject = *header.add_subjects();
      subject.set_id(spec->id);
      subject.set_name(spec->id);
      for (const std::string& word : spec->command) subject.add_command(word);
    }
  }
  header.set_jobs(options.jobs);
  header.set_load(options.load);
  header.set_host(Host());
  const effects::SelfTestResult& waits = effects::WaitSelfTest();
  header.set_wait_tier(waits.tier());
  header.set_wait_tier_reason(waits.reason);
  header.set_planned(options.duration || options.explore
                         ? 0
                         : static_cast<uint32_t>(options.cells.size()) * options.runs);
  for (const judge::Rule& rule : judge::Rules()) {
    report::v1::Rule& out = *header.add_rules();
    out.set_id(rule.id);
    out.set_text(rule.text);
    out.set_source(rule.source);
  }
  return header;
}

// A run that ended before its planned fault was due says nothing of a cut, and is not red.
bool Unreached(const report::v1::Exec& exec) {
  return exec.plan_size() > 0 && exec.verdict() == report::v1::VERDICT_INCONCLUSIVE &&
         exec.signature() == std::string("- @ ") + peer::kUnfiredFault;
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

report::v1::Scenario Describe(const scenarios::Scenario& scenario) {
  report::v1::Scenario out;
  out.set_name(scenario.name);
  out.set_group(scenario.group);
  out.set_summary(scenario.summary);
  std::set<std::string> rules, moments;
  for (const scenarios::Direction direction : scenario.directions) {
    out.add_directions(scenarios::Name(direction));
    for (const bool stable : {false, true}) {
      const auto& promised = scenario.Rules(direction, stable);
      rules.insert(promised.begin(), promised.end());
    }
    for (std::string& moment : scenarios::MomentsToSee(scenario, direction)) {
      moments.insert(std::move(moment));
    }
  }
  for (const std::string& moment : moments) out.add_moments(moment);
  for (const std::string& rule : rules) out.add_rules(rule);
  for (const std::string& need : scenario.needs) out.add_needs(need);
  return out;
}

// What a run.jsonl begins with: the header, and each scenario once.
void PutBeginning(const CampaignOptions& options, Lines* lines) {
  report::v1::Line line;
  *line.mutable_header() = MakeHeader(options);
  lines->Put(std::move(line));
  std::set<std::string> described;
  for (const Cell& cell : options.cells) {
    if (!described.insert(cell.scenario->name).second) continue;
    report::v1::Line scenario;
    *scenario.mutable_scenario() = Describe(*cell.scenario);
    lines->Put(std::move(scenario));
  }
}

}  // namespace

Result<CampaignResult> RunCampaign(CampaignOptions options) {
  const auto start = std::chrono::steady_clock::now();
  uint64_t earlier_us = 0;  // that a run which is gone on with has taken
  const auto now_us = [start, &earlier_us] {
    return earlier_us + static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                  std::chrono::steady_clock::now() - start)
                                                  .count());
  };
  const std::string path = options.out + "/run.jsonl";
  if (options.resume) {
    // All of it, before anything is changed: whether it can be gone on with.
    Result<report::Run> before = report::RunReader::Read(path);
    if (!before.ok()) return before.error();
    options.seed = before->header->seed();
  }

  std::mutex mutex;  // over everything below that workers share
  report::Summary summary;
  Progress progress;
  std::map<std::string, uint32_t> traces_of;
  const bool open_ended = options.duration.has_value() || options.explore.has_value();
  progress.planned = options.explore    ? options.cells.size()
                     : options.duration ? 0
                                        : uint64_t{options.runs} * options.cells.size();

  for (const Cell& cell : options.cells) {
    summary.Plan(Identity(cell), open_ended ? 0 : options.runs);
    // Where every run has one seed, chance decides nothing.
    const bool chance = !options.explore && options.plan.empty() && !options.run_seed;
    if (chance) {
      summary.LookOutFor(cell.Id(), scenarios::MomentsToSee(*cell.scenario, cell.direction));
    }
  }

  Schedule schedule(options, now_us);
  const auto count = [&](const report::v1::Exec& exec) {
    summary.Add(exec);
    ++progress.finished;
    progress.latest = exec.cell();
    if (exec.verdict() > report::v1::VERDICT_PASS) ++progress.red;
    if (!options.explore || exec.ordinal() != 0) return;
    // What is red without a fault is not explored: its plans would say nothing else.
    const bool passed = exec.verdict() == report::v1::VERDICT_PASS;
    progress.planned +=
        schedule.Surveyed(exec.cell(), passed ? MomentsOf(exec) : std::vector<peer::Moment>());
  };
  std::set<std::string> reached;  // by an exploration so far
  const auto keep_first = [&reached, &options](report::v1::Exec* exec) {
    google::protobuf::RepeatedPtrField<std::string> first;
    for (std::string& transition : *exec->mutable_transitions()) {
      if (options.explore && reached.insert(transition).second) *first.Add() = transition;
    }
    exec->mutable_transitions()->Swap(&first);
  };
  const auto go_on_behind = [&](const report::v1::Exec& exec) {
    reached.insert(exec.transitions().begin(), exec.transitions().end());
    schedule.Skip(exec.cell(), exec.ordinal());
    earlier_us = std::max(earlier_us, exec.started_us() + exec.duration_us());
    count(exec);
  };

  Result<std::unique_ptr<report::RunWriter>> created =
      options.resume ? report::RunWriter::Continue(path, go_on_behind)
                     : report::RunWriter::Create(path);
  if (!created.ok()) return created.error();
  report::RunWriter& writer = **created;
  Lines lines(&writer, options);
  if (!options.resume) PutBeginning(options, &lines);

  const auto sink = [&](FinishedRun finished) {
    report::v1::Exec& exec = *finished.exec;
    if (options.explore && Unreached(exec)) {
      exec.set_verdict(report::v1::VERDICT_NONE);
      exec.set_ending(report::v1::ENDING_UNREACHED);
      exec.clear_timeline();
      exec.clear_signature();
      if (!options.keep_all_traces) finished.trace.clear();
    }
    const bool red = exec.verdict() > report::v1::VERDICT_PASS;
    std::lock_guard lock(mutex);
    keep_first(&exec);
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
    }
    if (red && exec.plan_size() > 0) {
      exec.set_plan_file(PlanPath(exec.id()));
      const std::string file = options.out + "/" + exec.plan_file();
      PlanFile plan{.cell = exec.cell(), .seed = exec.seed(), .faults = {}, .why = exec.reason()};
      plan.faults.assign(exec.plan().begin(), exec.plan().end());
      if (report::WriteText(file, ToText(plan)).ok()) {
        exec.set_redrive(
            options.program + " run --plan " + file +
            (options.subject_arguments.empty() ? "" : " " + options.subject_arguments));
      }
    }
    count(exec);
    progress.elapsed_us = now_us();
    report::v1::Line out;
    *out.mutable_exec() = std::move(exec);
    lines.Put(std::move(out));
    if (options.on_progress) options.on_progress(progress);
    const bool enough = options.most_runs > 0 && progress.finished >= options.most_runs;
    if ((red && options.stop_at_first_red) || enough) schedule.Stop();
  };

  effects::CpuTime cpu_used;
  {
    const effects::Hogs hogs(options.load);
    const effects::CpuTime before = effects::ReadCpuTime();
    std::vector<std::thread> workers;
    for (uint32_t slot = 0; slot < std::max(options.jobs, 1u); ++slot) {
      workers.emplace_back([&, slot] {
        effects::MarkOwnThread();
        Worker::Options worker_options;
        worker_options.slot = slot;
        worker_options.keep_all_traces = options.keep_all_traces;
        worker_options.campaign_now_us = now_us;
        worker_options.interrupted = options.interrupted;
        worker_options.isolate = options.isolate;
        Worker worker(std::move(worker_options), sink);
        while (std::optional<Batch> batch = schedule.Next()) worker.RunBatch(*batch);
        worker.DriveHeld();
        // Interrupted in the middle of a survey: nobody need wait for it.
        if (options.interrupted != nullptr && *options.interrupted) schedule.Stop();
      });
    }
    for (std::thread& worker : workers) worker.join();
    const effects::CpuTime after = effects::ReadCpuTime();  // every subject has been reaped
    cpu_used = {.own_us = after.own_us - before.own_us,
                .children_us = after.children_us - before.children_us};
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
  last.mutable_footer()->set_harness_cpu_us(cpu_used.own_us);
  last.mutable_footer()->set_subject_cpu_us(cpu_used.children_us);
  last.mutable_footer()->set_harness_peak_bytes(effects::PeakMemoryBytes());
  CampaignResult result;
  result.exit_code = static_cast<int>(last.footer().exit_code());
  result.run_jsonl = path;
  lines.Put(std::move(last));
  if (!lines.error().ok()) return lines.error().error();
  return result;
}

}  // namespace counterpart::campaign
