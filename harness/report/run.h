// A run.jsonl as it was read: the only source of every renderer. Most of a long one is runs that
// passed: each is told to whoever wants it as it is read, and not kept.
#ifndef COUNTERPART_REPORT_RUN_H_
#define COUNTERPART_REPORT_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/result.h"

namespace counterpart::report {

namespace v1 {
class Cell;
class Exec;
class Footer;
class Header;
class Scenario;
}  // namespace v1

struct Run {
  Run();
  ~Run();
  Run(Run&&) noexcept;
  Run& operator=(Run&&) noexcept;

  std::unique_ptr<v1::Header> header;  // never null
  std::vector<v1::Scenario> scenarios;
  // Those that a report tells of one by one: they did not pass, or differed when driven again.
  std::vector<v1::Exec> execs;
  std::unordered_map<std::string, uint64_t> time_us;  // of all runs of a cell together
  uint64_t last_us = 0;                // when the last run was over, from the start of the campaign
  std::vector<v1::Cell> cells;         // one of every cell that is known of, in order of the file
  std::unique_ptr<v1::Footer> footer;  // null: the run is incomplete
  bool cut_line = false;               // the last line was unfinished, and left out

  bool complete() const;           // a footer that was neither interrupted nor lacks runs
  std::string incomplete() const;  // why not, in a sentence; "" if complete

  uint64_t TimeOf(const std::string& cell) const;   // 0 if it has not run
  std::string RuleText(std::string_view id) const;  // "" if the rule is unknown
};

// Called with each exec, in order of the file.
using OnExec = std::function<void(const v1::Exec& exec)>;

// Reads the bytes of a run.jsonl; `name` stands for the file in errors, which are kUsage and tell
// line, column if known, and what to do. Tolerated: no footer, an unfinished last line, empty
// lines, lines of a kind and fields that are unknown. Cells that lack their line (of an incomplete
// run) are counted from the execs.
Result<Run> ParseRun(std::string_view bytes, const std::string& name,
                     const OnExec& on_exec = nullptr);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_RUN_H_
