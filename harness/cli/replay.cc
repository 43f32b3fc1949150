// replay: a kept trace once more. Judged again without a subject, driven again against a live one,
// or with the recorded subject as the peer of a live one.
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/exec.h"
#include "harness/campaign/recorded_world.h"
#include "harness/campaign/rejudge.h"
#include "harness/campaign/trials.h"
#include "harness/cli/command.h"
#include "harness/report/safe_text.h"
#include "harness/report/summarize.h"
#include "harness/report/timeline.h"
#include "harness/report/trace_file.h"

namespace counterpart::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  std::vector<std::string> files;
  std::string format = "pretty";
  bool timeline = false;
  bool redrive = false;
  uint32_t runs = 10;
  std::string impersonate, with;
  Selection selection;
};

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

const char* Word(report::v1::Verdict verdict) {
  static constexpr const char* kWords[] = {"none", "pass", "inconclusive", "fail", "error"};
  return verdict >= 0 && verdict <= 4 ? kWords[verdict] : "?";
}

Json ToJson(const report::TraceDifference& difference) {
  Json out = {{"edge", difference.edge},
              {"field", difference.path},
              {"recorded", report::SafeText(difference.a)},
              {"replayed", report::SafeText(difference.b)},
              {"recorded_label", report::SafeText(difference.a_label)},
              {"replayed_label", report::SafeText(difference.b_label)}};
  if (difference.b_entry) out["replayed_entry"] = *difference.b_entry;
  if (difference.a_entry) out["entry"] = *difference.a_entry;
  return out;
}

Json ToJson(const campaign::Rejudgement& now) {
  Json out = {{"cell", now.cell},
              {"verdict", Word(now.now.verdict())},
              {"recorded", Word(now.recorded.verdict())},
              {"trace_hash", now.now.trace_hash()},
              {"same", now.same()},
              {"reason", now.now.reason()},
              {"rule", now.now.rule()},
              {"spec_changed", now.other_spec}};
  if (now.difference) out["divergence"] = ToJson(*now.difference);
  if (now.outcome) {
    out["outcome"] = {
        {"field", now.outcome->path}, {"recorded", now.outcome->a}, {"now", now.outcome->b}};
  }
  return out;
}

int RejudgeOne(const std::string& file, const ReplayOptions& options) {
  Result<std::vector<report::v1::TraceLine>> lines = report::ReadTrace(file);
  if (!lines.ok()) return Complain(lines.error());
  Result<campaign::Rejudgement> now = campaign::Rejudge(*lines);
  if (!now.ok()) return Complain({now.error().kind, file + ": " + now.error().message});
  const int code = now->same() ? kOk : kHarnessError;
  if (options.format == "json") {
    Json out = ToJson(*now);
    if (options.files.size() > 1) out["file"] = file;
    std::cout << out.dump(options.files.size() > 1 ? -1 : 2) << "\n";
    return code;
  }
  if (options.timeline) {
    std::cout << report::RenderTimeline(*lines, {.entries = SIZE_MAX, .columns = 160});
  }
  if (options.files.size() > 1 && now->same()) return code;  // only what there is to say
  std::cout << (options.files.size() > 1 ? file + "\n" : "") << now->cell
            << "\n  recorded: " << Word(now->recorded.verdict())
            << "\n  judged again: " << Word(now->now.verdict());
  if (now->now.verdict() > report::v1::VERDICT_PASS) {
    std::cout << ": " << (now->now.rule().empty() ? "" : "r[" + now->now.rule() + "] ")
              << now->now.reason();
  }
  std::cout << "\n" << campaign::Explain(*now);
  if (now->same()) std::cout << "  trace hash " << now->now.trace_hash() << ", the same\n";
  return code;
}

int RejudgeAll(const ReplayOptions& options) {
  int code = kOk;
  size_t same = 0;
  for (const std::string& file : options.files) {
    const int one = RejudgeOne(file, options);
    same += one == kOk;
    // What could not be read says more than what is another.
    if (one != kOk && code != kUsage) code = one;
  }
  if (options.files.size() > 1 && options.format == "pretty") {
    std::cout << same << " of " << options.files.size() << " traces judged the same again\n";
  }
  return code;
}

// A trace that is to be run again.
struct Recording {
  campaign::RecordedRun run;
  report::v1::TraceFooter footer;
};

Result<Recording> ReadRecording(const std::string& file) {
  Result<std::vector<report::v1::TraceLine>> lines = report::ReadTrace(file);
  if (!lines.ok()) return lines.error();
  Result<campaign::RecordedRun> run = campaign::FromTrace(*lines);
  if (!run.ok()) return Usage(file + ": " + run.error().message);
  Recording recording;
  recording.run = std::move(run).value();
  recording.footer = lines->back().footer();
  return recording;
}

// What a run came to, as a report has it: verdict and signature.
std::string Ending(report::v1::Verdict verdict, const std::string& signature) {
  return Word(verdict) + (signature.empty() ? "" : ": " + signature);
}

// The recorded run again with a live subject: same seed, so the same choices, and the same faults.
int Redrive(Context& context, ReplayOptions& options) {
  Result<Recording> recorded = ReadRecording(options.files.front());
  if (!recorded.ok()) return Complain(recorded.error());
  Result<std::vector<campaign::Cell>> cells = options.selection.Resolve(context);
  if (!cells.ok()) return Complain(cells.error());
  const campaign::Cell* cell = campaign::FindCell(options.selection.all, recorded->run.cell);
  if (cell == nullptr) {
    return Complain(Usage(options.files.front() + ": there is no cell " + recorded->run.cell +
                          "; `counterpart list` shows them, --subject adds one"));
  }
  campaign::Worker::Options worker;
  worker.keep_all_traces = true;
  worker.interrupted = &context.interrupted;
  campaign::Trials trials(cell, std::move(worker));
  const std::string wanted = Ending(recorded->footer.verdict(), recorded->footer.signature());
  size_t runs = 0, reproduced = 0, followed = 0, first_run = 0;
  std::map<std::string, size_t> endings;
  std::optional<report::TraceDifference> first;
  for (uint32_t i = 0; i < options.runs && !context.interrupted; ++i) {
    for (const campaign::FinishedRun& run : trials.Run(recorded->run.seed, recorded->run.plan, 1)) {
      if (run.exec->ending() == report::v1::ENDING_NO_START) {
        return Complain({Error::Kind::kSubject, run.exec->reason()});
      }
      ++runs;
      const std::string ending = Ending(run.exec->verdict(), run.exec->signature());
      reproduced += ending == wanted;
      ++endings[ending];
      Result<campaign::RecordedRun> live = campaign::FromTrace(run.trace);
      if (!live.ok()) return Complain(live.error());
      const auto difference = report::CompareNormalised(recorded->run.entries, live->entries);
      followed += !difference;
      if (!difference || first) continue;
      first = difference;
      first_run = runs;
    }
  }
  const int code = context.interrupted ? kHarnessError : reproduced == runs ? kOk : kRed;
  if (options.format == "json") {
    Json out = {{"cell", recorded->run.cell},
                {"recorded", wanted},
                {"runs", runs},
                {"reproduced", reproduced},
                {"same_course", followed}};
    for (const auto& [ending, count] : endings) out["endings"][ending] = count;
    if (first) {
      out["divergence"] = ToJson(*first);
      out["divergence"]["run"] = first_run;
    }
    std::cout << out.dump(2) << "\n";
    return code;
  }
  std::cout << recorded->run.cell << "\n  recorded: " << wanted
            << "\n  driven again: " << reproduced << " of " << runs << " runs came to the same, "
            << followed << " took the same course\n";
  for (const auto& [ending, count] : endings) {
    if (ending != wanted) std::cout << "    " << count << " × " << ending << "\n";
  }
  if (first) {
    std::cout << "  first divergence, in run " << first_run << ": "
              << report::Describe(*first, "recorded", "driven")
              << "\n  recorded there: " << first->a_label << "\n  driven there: " << first->b_label
              << "\n";
  }
  return code;
}

// The recorded subject as the peer: of the live harness alone, or of a live subject where the
// recording is of two.
int Impersonate(Context& context, ReplayOptions& options) {
  const std::string& file = options.files.front();
  Result<Recording> recorded = ReadRecording(file);
  if (!recorded.ok()) return Complain(recorded.error());
  Result<campaign::CellName> name = campaign::ParseCellId(recorded->run.cell);
  if (!name.ok()) return Complain({name.error().kind, file + ": " + name.error().message});
  const report::v1::Cell identity = report::IdentityOf(recorded->run.cell);
  const bool of_two = !identity.client().empty();
  const bool is_client = of_two && options.impersonate == identity.client();
  if (!is_client && options.impersonate != identity.subject()) {
    return Complain(Usage("--impersonate " + options.impersonate + ": " + file + " is of " +
                          identity.subject() + (of_two ? " and " + identity.client() : "")));
  }
  if (!of_two && !options.with.empty()) {
    return Complain(Usage("--with is for a recording of two subjects; " + file + " is of one"));
  }
  effects::SubjectSpec recording;
  recording.id = options.impersonate;
  campaign::Cell cell;
  cell.subject = &recording;
  cell.scenario = name->scenario;
  cell.direction = name->cast.direction;
  cell.stable = name->cast.stable;
  if (of_two) {
    if (options.with.empty()) options.with = is_client ? identity.subject() : identity.client();
    Result<std::vector<campaign::Cell>> cells = options.selection.Resolve(context);
    if (!cells.ok()) return Complain(cells.error());
    const effects::SubjectSpec* live = nullptr;
    for (const effects::SubjectSpec& subject : options.selection.subjects) {
      if (subject.id == options.with) live = &subject;
    }
    if (live == nullptr) {
      return Complain(Usage("--with " + options.with +
                            ": there is no such subject; --subject adds "
                            "one"));
    }
    // A subject is known by its id: the recording of one beside the same one alive is another.
    if (live->id == recording.id) recording.id += "_recorded";
    cell.client = is_client ? &recording : live;
    if (is_client) cell.subject = live;
  }
  campaign::Impersonation told;
  campaign::Worker::Options worker;
  worker.interrupted = &context.interrupted;
  worker.stand_in = [&](const std::string& id) -> std::unique_ptr<effects::LiveWorld> {
    if (id != recording.id) return nullptr;
    campaign::RecordedSubject subject;
    subject.info.name = recording.id + ", recorded";
    subject.info.capabilities = cell.Needs();
    subject.subject = is_client ? 1 : 0;
    subject.entries = recorded->run.entries;
    return campaign::MakeRecordedWorld(std::move(subject), &told);
  };
  campaign::Trials trials(&cell, std::move(worker));
  const std::vector<campaign::FinishedRun> runs =
      trials.Run(recorded->run.seed, recorded->run.plan, 1);
  if (runs.empty()) return kHarnessError;  // interrupted
  const report::v1::Exec& exec = *runs.front().exec;
  if (exec.ending() == report::v1::ENDING_NO_START) {
    return Complain({Error::Kind::kSubject, exec.reason()});
  }
  if (!told.mismatch) told.mismatch = told.missing;
  const std::string wanted = Ending(recorded->footer.verdict(), recorded->footer.signature());
  const std::string ending = Ending(exec.verdict(), exec.signature());
  const bool same = exec.verdict() == recorded->footer.verdict();
  const int code = same && !told.mismatch ? kOk : kRed;
  if (options.format == "json") {
    Json out = {{"cell", cell.Id()},       {"impersonated", options.impersonate},
                {"recorded", wanted},      {"now", ending},
                {"reason", exec.reason()}, {"played", told.played},
                {"entries", told.entries}, {"same", code == kOk}};
    if (told.mismatch) out["divergence"] = ToJson(*told.mismatch);
    std::cout << out.dump(2) << "\n";
    return code;
  }
  std::cout << cell.Id() << "\n  " << options.impersonate << " as recorded"
            << (of_two ? ", beside a live " + options.with : ", before the live harness") << ": "
            << told.played << " of its " << told.entries
            << " entries played\n  recorded: " << wanted << "\n  now: " << ending << "\n";
  if (!exec.reason().empty()) std::cout << "    " << exec.reason() << "\n";
  if (told.mismatch) {
    std::cout << "  first divergence: " << report::Describe(*told.mismatch, "recorded", "now")
              << "\n";
    if (!told.mismatch->a_label.empty()) {
      std::cout << "  recorded there: " << told.mismatch->a_label << "\n";
    }
  }
  return code;
}

int Replay(Context& context, ReplayOptions& options) {
  const bool impersonate = !options.impersonate.empty();
  if (!options.redrive && !impersonate) return RejudgeAll(options);
  if (options.redrive && impersonate) {
    return Complain(Usage("--redrive and --impersonate are two ways of replaying; choose one"));
  }
  if (options.files.size() != 1) return Complain(Usage("give one trace to be run again"));
  return impersonate ? Impersonate(context, options) : Redrive(context, options);
}

}  // namespace

void AddReplay(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "replay", "A kept trace once more: judged again (the default), driven again, impersonated");
  const auto options = std::make_shared<ReplayOptions>();  // as long as the command line
  verb->add_option("trace", options->files, "Files of the traces/ folder beside a run.jsonl")
      ->required();
  verb->add_flag("--redrive", options->redrive,
                 "Run it again with the live subject: same seed and faults; says how often it "
                 "comes to the same, and where it first takes another course");
  verb->add_option("--runs", options->runs, "With --redrive: how often")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000000u));
  verb->add_option("--impersonate", options->impersonate,
                   "The recorded subject of this id plays the peer: of a live subject, where the "
                   "trace is of two, else of the live harness")
      ->type_name("ID");
  verb->add_option("--with", options->with,
                   "With --impersonate: the live subject (default: the one recorded)")
      ->type_name("ID");
  options->selection.AddTo(verb, false);
  verb->add_option("--format", options->format, "pretty or json")
      ->check(CLI::IsMember({"pretty", "json"}));
  verb->add_flag("--timeline", options->timeline, "Print the whole timeline first");
  verb->footer(
      "Exit: 0 as recorded; judged again differently 4; driven again or impersonated and not the "
      "same 1; no trace 2.");
  verb->callback([&context, options] { context.exit_code = Replay(context, *options); });
}

}  // namespace counterpart::cli
