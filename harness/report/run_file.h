// The files of a report: the only place of this layer that touches the file system.
#ifndef COUNTERPART_REPORT_RUN_FILE_H_
#define COUNTERPART_REPORT_RUN_FILE_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "harness/report/run.h"
#include "harness/result.h"

namespace counterpart::report {

namespace v1 {
class Line;
}

// Appends to a run.jsonl. Each line goes to the kernel in one write(2) of the whole line, so that
// a SIGKILL of the harness loses at most an unfinished last line. Any thread may append.
class RunWriter {
 public:
  // Creates the file and its folder. A file that is there already is replaced, not overwritten:
  // who has it open keeps the old one.
  static Result<std::unique_ptr<RunWriter>> Create(const std::string& path);
  // Goes on with a file whose run was interrupted or killed, after its last whole exec: what was
  // written after that (an unfinished line, cells, a footer) is dropped. `on_exec` is called with
  // each exec that stays.
  static Result<std::unique_ptr<RunWriter>> Continue(const std::string& path,
                                                     const OnExec& on_exec = nullptr);
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  // After an error (a full disk) the file ends there: every later call gives the same error.
  Status Append(const v1::Line& line);
  // A shorter way to Append(Line) of that kind.
  Status Append(const v1::Header& header);
  Status Append(const v1::Scenario& scenario);
  Status Append(const v1::Exec& exec);
  Status Append(const v1::Cell& cell);
  Status Append(const v1::Footer& footer);

  const std::string& path() const { return path_; }

 private:
  RunWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
  std::mutex mutex_;
  Status failed_;
};

// Errors are those of ParseRun, or that the file cannot be read (kUsage).
class RunReader {
 public:
  // Its first line alone, however long it is: of the run, only the header.
  static Result<Run> ReadHeader(const std::string& path);
  // A whole run.jsonl.
  static Result<Run> Read(const std::string& path, const OnExec& on_exec = nullptr);
};

// A whole file; at most 4 GiB.
Result<std::string> ReadText(const std::string& path);

// Writes a whole file beside its place and moves it there: a reader sees the old or the new one.
// Makes the folder.
Status WriteText(const std::string& path, std::string_view text);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_RUN_FILE_H_
