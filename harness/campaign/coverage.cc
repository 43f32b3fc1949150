#include "harness/campaign/coverage.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "counterpart/report/v1/report.pb.h"
#include "harness/explore/plan.h"
#include "harness/judge/cut_outcomes.h"
#include "harness/judge/machine_table.h"

namespace counterpart::campaign {
namespace {

// The frame that a plan cuts first; added at the end if the undisturbed run did not have it.
FrameCoverage& FrameOf(CellCoverage& cell, const peer::Fault& fault) {
  const std::string from = peer::SpeakerOf(fault.from, fault.seat);
  const auto found =
      std::find_if(cell.frames.begin(), cell.frames.end(), [&](const FrameCoverage& frame) {
        return frame.link == fault.generation && frame.from == from &&
               frame.ordinal == fault.ordinal;
      });
  if (found != cell.frames.end()) return *found;
  FrameCoverage& frame = cell.frames.emplace_back();
  frame.link = fault.generation;
  frame.from = from;
  frame.ordinal = fault.ordinal;
  return frame;
}

void AddSurvey(const report::v1::Exec& exec, CellCoverage& cell) {
  if (exec.verdict() != report::v1::VERDICT_PASS) cell.not_explored = exec.reason();
  cell.moments = static_cast<uint32_t>(exec.moments_size());
  std::vector<FrameCoverage> frames;
  for (const report::v1::Moment& moment : exec.moments()) {
    FrameCoverage& frame = frames.emplace_back();
    frame.link = moment.link();
    frame.from = !moment.seat().empty()  ? moment.seat()
                 : moment.from_harness() ? "harness"
                                         : "subject";
    frame.ordinal = moment.ordinal();
    frame.kind = moment.kind();
  }
  // Several workers write: a cut may stand before the survey in the file.
  for (FrameCoverage& earlier : cell.frames) {
    const auto same = std::find_if(frames.begin(), frames.end(), [&earlier](const auto& frame) {
      return frame.link == earlier.link && frame.from == earlier.from &&
             frame.ordinal == earlier.ordinal;
    });
    if (same != frames.end()) {
      same->faults = std::move(earlier.faults);
    } else {
      frames.push_back(std::move(earlier));
    }
  }
  cell.frames = std::move(frames);
}

void AddCut(const report::v1::Exec& exec, CellCoverage& cell) {
  Result<peer::Fault> fault = explore::ParseFault(exec.plan(0));
  if (!fault.ok()) return;
  Tried& tried = FrameOf(cell, *fault).faults[peer::Name(fault->how)];
  if (exec.ending() == report::v1::ENDING_UNREACHED) {
    ++tried.unreached;
  } else {
    ++(exec.verdict() > report::v1::VERDICT_PASS ? tried.red : tried.green);
  }
}

// Which of all steps and states were never reached. A side that no run could tell of has none.
void AddNever(Coverage& coverage) {
  for (const std::string side : {"harness", "subject"}) {
    for (const auto& [name, table] : judge::AllMachines()) {
      // The harness answers no commands: it gives them.
      if (side == "harness" && name == "command") continue;
      for (const auto& [step, to] : table.next) {
        const std::string text = judge::TransitionText(side, table, step.first, step.second, to);
        const std::string from = side + " " + name + ": " + step.first;
        const std::string reached = side + " " + name + ": " + to;
        if (coverage.transitions.contains(text)) {
          coverage.states.insert({from, reached});
        } else {
          coverage.transitions_never.insert(text);
        }
        coverage.states_never.insert({from, reached});
      }
    }
  }
  for (const std::string& state : coverage.states) coverage.states_never.erase(state);
}

std::string FrameText(const FrameCoverage& frame) {
  return "frame " + std::to_string(frame.ordinal) + " of the " + frame.from + " on link " +
         std::to_string(frame.link);
}

nlohmann::json Json(const Tried& tried) {
  return {{"green", tried.green}, {"red", tried.red}, {"not_reached", tried.unreached}};
}

void AddMap(const CellCoverage& cell, std::ostream& out) {
  for (const FrameCoverage& frame : cell.frames) {
    out << "          " << std::left << std::setw(36) << FrameText(frame) << std::setw(18)
        << frame.kind << std::right;
    for (const auto& [fault, tried] : frame.faults) {
      out << "  " << fault << " " << tried.green << " green";
      if (tried.red > 0) out << ", " << tried.red << " RED";
      if (tried.unreached > 0) out << ", " << tried.unreached << " not reached";
    }
    out << (frame.faults.empty() ? "  not tried\n" : "\n");
  }
}

void AddNeverText(const char* what, size_t reached, const std::set<std::string>& never,
                  std::ostream& out) {
  out << reached << " of " << reached + never.size() << " " << what;
  if (!never.empty()) out << "; never:";
  for (const std::string& text : never) out << "\n    " << text;
  out << "\n";
}

}  // namespace

Tried CellCoverage::All() const {
  Tried all;
  for (const FrameCoverage& frame : frames) {
    for (const auto& [fault, tried] : frame.faults) {
      all.green += tried.green;
      all.red += tried.red;
      all.unreached += tried.unreached;
    }
  }
  return all;
}

void CoverageCount::Add(const report::v1::Exec& exec) {
  CellCoverage& cell = coverage_.cells[exec.cell()];
  if (exec.plan_size() == 0) {
    AddSurvey(exec, cell);
  } else {
    AddCut(exec, cell);
  }
  coverage_.cut_cases_met.insert(exec.cut_cases().begin(), exec.cut_cases().end());
  coverage_.transitions.insert(exec.transitions().begin(), exec.transitions().end());
  if (exec.verdict() <= report::v1::VERDICT_PASS) return;
  Failure& failure = failures_[exec.signature()];
  if (failure.count++ > 0) return;
  failure.signature = exec.signature();
  failure.reason = exec.reason();
  failure.redrive = exec.redrive();
  failure.plan.assign(exec.plan().begin(), exec.plan().end());
}

Coverage CoverageCount::Done() && {
  Coverage coverage = std::move(coverage_);
  for (auto& [signature, failure] : failures_) coverage.failures.push_back(std::move(failure));
  for (const judge::CutCase& cut : judge::AllCutCases()) {
    const std::string text = judge::Describe(cut);
    if (!coverage.cut_cases_met.contains(text)) coverage.cut_cases_never.insert(text);
  }
  AddNever(coverage);
  return coverage;
}

std::string ToText(const Coverage& coverage, bool map) {
  std::ostringstream out;
  out << std::right << std::setw(7) << "frames" << std::setw(9) << "cut" << std::setw(6) << "red"
      << std::setw(13) << "not reached"
      << "  cell\n";
  for (const auto& [id, cell] : coverage.cells) {
    const Tried all = cell.All();
    out << std::setw(7) << cell.moments << std::setw(9) << all.green + all.red << std::setw(6)
        << all.red << std::setw(13) << all.unreached << "  " << id << "\n";
    if (!cell.not_explored.empty()) {
      out << "          not explored: " << cell.not_explored << "\n";
    } else if (map) {
      AddMap(cell, out);
    }
  }
  out << "\n";
  AddNeverText("states of a call at a cut were met", coverage.cut_cases_met.size(),
               coverage.cut_cases_never, out);
  AddNeverText("states of the spec's machines were reached, by either side", coverage.states.size(),
               coverage.states_never, out);
  AddNeverText("of their transitions", coverage.transitions.size(), coverage.transitions_never,
               out);
  for (const Failure& failure : coverage.failures) {
    out << "\n"
        << failure.count << " × " << failure.signature << "\n    " << failure.reason
        << "\n    first: ";
    for (const std::string& fault : failure.plan) out << fault << "; ";
    out << "\n    again: " << failure.redrive << "\n";
  }
  return out.str();
}

std::string ToJson(const Coverage& coverage) {
  nlohmann::json cells = nlohmann::json::array();
  for (const auto& [id, cell] : coverage.cells) {
    nlohmann::json frames = nlohmann::json::array();
    for (const FrameCoverage& frame : cell.frames) {
      nlohmann::json faults = nlohmann::json::object();
      for (const auto& [fault, tried] : frame.faults) faults[fault] = Json(tried);
      frames.push_back({{"link", frame.link},
                        {"from", frame.from},
                        {"frame", frame.ordinal},
                        {"kind", frame.kind},
                        {"faults", std::move(faults)}});
    }
    nlohmann::json row = {{"cell", id}, {"frames", std::move(frames)}};
    row["tried"] = Json(cell.All());
    if (!cell.not_explored.empty()) row["not_explored"] = cell.not_explored;
    cells.push_back(std::move(row));
  }
  nlohmann::json failures = nlohmann::json::array();
  for (const Failure& failure : coverage.failures) {
    failures.push_back({{"signature", failure.signature},
                        {"count", failure.count},
                        {"reason", failure.reason},
                        {"plan", failure.plan},
                        {"redrive", failure.redrive}});
  }
  const auto both = [](const std::set<std::string>& reached, const std::set<std::string>& never) {
    return nlohmann::json({{"reached", reached}, {"never", never}});
  };
  return nlohmann::json({{"cells", std::move(cells)},
                         {"cut_cases", both(coverage.cut_cases_met, coverage.cut_cases_never)},
                         {"states", both(coverage.states, coverage.states_never)},
                         {"transitions", both(coverage.transitions, coverage.transitions_never)},
                         {"failures", std::move(failures)}})
             .dump(2) +
         "\n";
}

}  // namespace counterpart::campaign
