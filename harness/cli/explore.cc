// explore: cut every run of a cell everywhere it can be cut.
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "counterpart/report/v1/report.pb.h"
#include "harness/cli/campaign_verb.h"
#include "harness/judge/cut_outcomes.h"
#include "harness/report/run_file.h"

namespace counterpart::cli {
namespace {

struct ExploreOptions {
  CampaignVerb campaign;
  std::string cuts = "frames";
  std::vector<std::string> faults = {"rst", "fin"};
  uint32_t messages = 3;
  bool pairs = false;
  uint32_t sample = 0, depth = 1;
};

Error Usage(std::string text) { return {Error::Kind::kUsage, std::move(text)}; }

Result<explore::Options> Read(const ExploreOptions& options, uint64_t seed) {
  explore::Options read;
  read.cuts = options.cuts == "bytes" ? explore::Cuts::kBytes : explore::Cuts::kFrames;
  read.messages_by_byte = options.messages;
  read.pairs = options.pairs;
  read.sample = options.sample;
  read.depth = options.depth;
  read.seed = seed;
  read.faults.clear();
  for (const std::string& name : options.faults) {
    bool known = false;
    for (const peer::How how : {peer::How::kRst, peer::How::kFin, peer::How::kHalfClose}) {
      if (name != peer::Name(how)) continue;
      read.faults.push_back(how);
      known = true;
    }
    if (!known) return Usage("--faults: '" + name + "' is none of rst, fin, half_close");
  }
  return read;
}

// What of one cell was tried.
struct Coverage {
  std::string undisturbed;  // why there was nothing to explore
  size_t frames = 0;
  uint32_t cut = 0, red = 0, unreached = 0;
};

struct Failure {
  uint32_t count = 0;
  const report::v1::Exec* first = nullptr;
};

Status PrintMap(const std::string& run_jsonl, const explore::Options& options) {
  Result<report::Run> run = report::RunReader::Read(run_jsonl);
  if (!run.ok()) return run.error();
  std::map<std::string, Coverage> cells;
  std::map<std::string, Failure> failures;
  std::set<std::string> met;
  for (const report::v1::Exec& exec : run->execs) {
    Coverage& cell = cells[exec.cell()];
    met.insert(exec.cut_cases().begin(), exec.cut_cases().end());
    const bool red = exec.verdict() > report::v1::VERDICT_PASS;
    if (exec.plan_size() == 0) {
      cell.frames = static_cast<size_t>(exec.moments_size());
      if (exec.verdict() != report::v1::VERDICT_PASS) cell.undisturbed = exec.reason();
    } else if (exec.ending() == report::v1::ENDING_UNREACHED) {
      ++cell.unreached;
    } else {
      ++cell.cut;
      cell.red += red;
    }
    if (!red) continue;
    Failure& failure = failures[exec.signature()];
    if (failure.count++ == 0) failure.first = &exec;
  }
  std::cout << std::right << std::setw(7) << "frames" << std::setw(9) << "cut" << std::setw(6)
            << "red" << std::setw(13) << "not reached"
            << "  cell\n";
  for (const auto& [id, cell] : cells) {
    std::cout << std::setw(7) << cell.frames << std::setw(9) << cell.cut << std::setw(6) << cell.red
              << std::setw(13) << cell.unreached << "  " << id << "\n";
    if (!cell.undisturbed.empty()) {
      std::cout << "          not explored: " << cell.undisturbed << "\n";
    }
    if (options.sample > 0 && cell.frames > 0) {
      const explore::Chance chance = explore::ChanceOf(cell.frames, options);
      std::cout << "          a bug that needs " << options.depth
                << " given faults is found by a run with a chance of at least 1 in "
                << static_cast<uint64_t>(1 / chance.least) << ", with 95 % after "
                << chance.runs_for_95 << " runs\n";
    }
  }
  const std::vector<judge::CutCase> cases = judge::AllCutCases();
  std::string never;
  size_t seen = 0;
  for (const judge::CutCase& cut : cases) {
    const std::string text = judge::Describe(cut);
    seen += met.contains(text);
    if (!met.contains(text)) never += "\n    " + text;
  }
  std::cout << "\n" << seen << " of " << cases.size() << " states of a call at a cut were met";
  std::cout << (never.empty() ? "\n" : "; never:" + never + "\n");
  for (const auto& [signature, failure] : failures) {
    std::cout << "\n"
              << failure.count << " × " << signature << "\n    " << failure.first->reason()
              << "\n    first: ";
    for (const std::string& fault : failure.first->plan()) std::cout << fault << "; ";
    std::cout << "\n    again: " << failure.first->redrive() << "\n";
  }
  std::cout << "\n";
  return {};
}

}  // namespace

void AddExplore(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand(
      "explore", "Cut the runs of a cell everywhere they can be cut, and judge what follows");
  const auto options = std::make_shared<ExploreOptions>();  // as long as the command line
  AddCampaignOptions(verb, &options->campaign);
  verb->add_option("--cuts", options->cuts,
                   "frames: after every frame of both sides; bytes: and after every byte that the "
                   "harness sends of prologue, handshakes and the first messages")
      ->capture_default_str()
      ->check(CLI::IsMember({"frames", "bytes"}));
  verb->add_option("--messages", options->messages,
                   "With --cuts bytes: of each link, the messages that are cut at every byte")
      ->capture_default_str();
  verb->add_option("--faults", options->faults, "Of rst, fin, half_close (default: rst,fin)")
      ->delimiter(',')
      ->type_name("FAULT,…")
      ->allow_extra_args(false);
  auto* pairs = verb->add_flag("--pairs", options->pairs,
                               "Each cut with a second one in the resume that follows");
  verb->add_option("--sample", options->sample, "Instead of all: this many plans, drawn")
      ->type_name("N")
      ->excludes(pairs);
  verb->add_option("--depth", options->depth, "With --sample: faults of each plan")
      ->capture_default_str()
      ->check(CLI::Range(1u, 8u));
  verb->add_option("--budget", options->campaign.duration, "Stop after this time")
      ->type_name("90s|10m|2h");
  verb->footer(
      "A subject of your own: --subject mine='COMMAND'. A red cut is kept as a plan that\n"
      "`counterpart run --plan` takes and `counterpart shrink` reduces.");
  verb->callback([&context, options] {
    auto read = std::make_shared<explore::Options>();
    context.exit_code = RunCampaignVerb(
        context, options->campaign,
        [options, read](campaign::CampaignOptions& campaign) -> Status {
          Result<explore::Options> result = Read(*options, campaign.seed);
          if (!result.ok()) return result.error();
          *read = *result;
          campaign.explore = *result;
          // What kills its subject on its own plays its own faults; what is played between two
          // subjects has no aftermath.
          std::erase_if(campaign.cells, [](const campaign::Cell& cell) {
            return cell.scenario->exclusive || cell.client != nullptr;
          });
          if (!campaign.cells.empty()) return {};
          return Usage(
              "every cell that matches kills or restarts its subject itself, or has two: there is "
              "nothing to explore");
        },
        [read](const std::string& run_jsonl) { return PrintMap(run_jsonl, *read); });
  });
}

}  // namespace counterpart::cli
