// What a wait costs that ends in a fixpoint: how long until an expectation that can never come true
// is red, and one check for calm by itself. Of every subject, beside so many busy processes.
//
//   counterpart_fixpoint [--load HOGS] [--samples N] [SUBJECT]...
//
// One line a subject: its id, then in microseconds the median and the greatest time to red, the
// median and the greatest time of a check. Figures, no verdicts: nothing here passes or fails.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/subjects.h"
#include "harness/campaign/worker.h"
#include "harness/effects/hogs.h"
#include "harness/effects/live_world.h"

namespace counterpart {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t NowUs() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
          .count());
}

// A session, one call, and then something that nobody has promised.
machine::Task<> NeverTrue(peer::Peer& peer) {
  peer::Session* session = co_await peer.Establish();
  co_await session->Fence();
  peer.Judged("control.scope");
  std::string awaited = "what never comes";
  co_await peer.Until(std::move(awaited), [] { return false; });
}

std::string Figures(std::vector<uint64_t> times) {
  if (times.empty()) return "- -";
  std::sort(times.begin(), times.end());
  return std::to_string(times[times.size() / 2]) + " " + std::to_string(times.back());
}

// From the last thing that happened to the verdict, in each of `samples` runs.
std::vector<uint64_t> TimesToRed(const effects::SubjectSpec& subject, int samples) {
  scenarios::Scenario scenario;
  scenario.name = "never_true";
  scenario.directions = {peer::Direction::kHarnessToSubject};
  scenario.body = &NeverTrue;
  campaign::Cell cell;
  cell.subject = &subject;
  cell.scenario = &scenario;
  std::vector<uint64_t> times;
  campaign::Worker::Options options;
  options.campaign_now_us = &NowUs;
  campaign::Worker worker(std::move(options), [&times](campaign::FinishedRun finished) {
    const auto& timeline = finished.exec->timeline();
    const auto calm = std::find_if(
        timeline.begin(), timeline.end(),
        [](const report::v1::TraceEntry& entry) { return entry.kind() == "quiescent"; });
    if (calm == timeline.end() || calm == timeline.begin()) {
      std::fprintf(stderr, "%s\n", finished.exec->reason().c_str());
      return;
    }
    times.push_back(calm->time_us() - std::prev(calm)->time_us());
  });
  for (int i = 0; i < samples; ++i) {
    campaign::RunKey key;
    key.cell = &cell;
    key.ordinal = static_cast<uint32_t>(i);
    key.seed = static_cast<uint64_t>(i);
    worker.RunBatch({key});
  }
  return times;
}

// Checks of a subject at rest, one after the other.
std::vector<uint64_t> TimesOfChecks(const effects::SubjectSpec& subject, int samples) {
  std::vector<uint64_t> times;
  Result<std::unique_ptr<effects::LiveWorld>> world = effects::LiveWorld::Start(subject);
  if (!world.ok()) return times;
  (*world)->OpenLane();
  while (static_cast<int>(times.size()) < samples) {
    const uint64_t began = NowUs();
    const effects::Calm calm =
        (*world)->CheckCalm(std::chrono::microseconds(0), effects::Certainty::kOneLook);
    if (calm.state == effects::Calm::State::kQuiescent) times.push_back(NowUs() - began);
    if (calm.state == effects::Calm::State::kUnjudgeable) break;
  }
  return times;
}

int Main(const std::vector<std::string>& words, const std::string& build_folder) {
  uint32_t load = 0;
  int samples = 30;
  std::vector<std::string> wanted;
  for (size_t i = 0; i < words.size(); ++i) {
    if ((words[i] == "--load" || words[i] == "--samples") && i + 1 < words.size()) {
      const int number = std::atoi(words[i + 1].c_str());
      if (words[i] == "--load") {
        load = static_cast<uint32_t>(std::max(number, 0));
      } else {
        samples = std::max(number, 1);
      }
      ++i;
    } else {
      wanted.push_back(words[i]);
    }
  }
  std::map<std::string, std::string> left_out;
  const auto file = std::filesystem::path(build_folder).parent_path() / "matrix/subjects.yaml";
  auto subjects = campaign::ReadSubjects(file.string(), build_folder, &left_out);
  if (!subjects.ok()) {
    std::fprintf(stderr, "counterpart_fixpoint: %s\n", subjects.error().message.c_str());
    return 2;
  }
  const effects::Hogs hogs(load);
  for (const effects::SubjectSpec& subject : *subjects) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), subject.id) == wanted.end()) {
      continue;
    }
    const std::string red = Figures(TimesToRed(subject, samples));
    const std::string check = Figures(TimesOfChecks(subject, samples * 10));
    std::printf("%s %s %s\n", subject.id.c_str(), red.c_str(), check.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace counterpart

int main(int argc, char** argv) {
  const auto program = std::filesystem::canonical("/proc/self/exe");
  return counterpart::Main({argv + 1, argv + argc}, program.parent_path().parent_path().string());
}
