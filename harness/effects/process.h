// A subject's processes: one child in its own process group and working folder, with pipes for
// stdin, stdout and stderr. Whatever it forks or leaves behind dies with the object: group first,
// then everything that carries its token, also what was re-parented to us (the harness is a child
// subreaper).
#ifndef COUNTERPART_EFFECTS_PROCESS_H_
#define COUNTERPART_EFFECTS_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/effects/unique_fd.h"
#include "harness/result.h"

namespace counterpart::effects {

// What a subject that is killed leaves to the one that is started in its place: its executions file
// and its state folder. Removed with the last process that has it.
class Legacy {
 public:
  static Result<std::shared_ptr<Legacy>> Make();
  ~Legacy();
  Legacy(const Legacy&) = delete;
  Legacy& operator=(const Legacy&) = delete;

  std::string executions() const { return folder_ + "/executions"; }  // COUNTERPART_EXECUTIONS
  std::string state() const { return folder_ + "/state"; }            // COUNTERPART_STATE

 private:
  Legacy() = default;
  std::string folder_;
};

class Process {
 public:
  // Starts `command` (argv, absolute program) in an empty folder of its own. It dies with the
  // calling thread (PR_SET_PDEATHSIG), which therefore should be the one that owns it. With no
  // legacy of a process before it, it is given a new one.
  static Result<std::unique_ptr<Process>> Start(const std::vector<std::string>& command, int nice,
                                                std::shared_ptr<Legacy> legacy = nullptr);
  ~Process();  // Kill(), removes the folder
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The process that serves: the child, or what a wrapper that ended well left in its place.
  pid_t pid() const { return pid_; }
  pid_t group() const { return group_; }
  const std::string& token() const { return token_; }  // COUNTERPART_TOKEN
  const std::string& folder() const { return folder_; }
  const std::shared_ptr<Legacy>& legacy() const { return legacy_; }
  std::string executions_path() const { return legacy_->executions(); }

  // Non-blocking ends of its pipes. The output ones must be drained by the owner.
  UniqueFd& stdin_pipe() { return stdin_; }
  UniqueFd& stdout_pipe() { return stdout_; }
  UniqueFd& stderr_pipe() { return stderr_; }

  // Readable once the process has ended. Changes when a wrapper is replaced: see CheckExit.
  int exit_fd() const { return pidfd_.get(); }
  // True once it has ended. A child that ended with status 0 may have been a wrapper: then the
  // process that serves (before that is known: the oldest it left behind) takes its place, and
  // this stays false.
  bool CheckExit();
  // It has started, and serves on this port of 127.0.0.1 (0: on its stdin).
  void SetServingOn(uint16_t port);
  // The process has begun to end: its files are being closed, exit_fd() is about to be readable.
  bool Ending() const;
  // Waits for the end of a process that is Ending(). False if a wrapper's successor lives on.
  bool AwaitExit();
  // "exit 3", "signal 9"; empty while it lives.
  const std::string& exit_text() const { return exit_text_; }

  // SIGSTOP to the process group; back once every thread of it is stopped, or the process ends.
  void Stop();
  // SIGCONT to it.
  void Continue();
  // Threads of its group that the kernel calls stopped; nothing if one of them is not.
  std::optional<size_t> StoppedThreads() const;

  // SIGKILL to everything, until nothing is left; reaps.
  void Kill();

 private:
  Process() = default;
  void AdoptStatus(int code, int status);
  std::vector<pid_t> Kin() const;
  bool AdoptSuccessor();

  pid_t pid_ = -1;
  pid_t group_ = -1;
  pid_t serving_ = -1;  // once known
  uint64_t start_time_ = 0;
  bool ended_ = false;
  bool killed_all_ = false;
  std::string token_, folder_, exit_text_;
  std::shared_ptr<Legacy> legacy_;
  UniqueFd stdin_, stdout_, stderr_, pidfd_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_PROCESS_H_
