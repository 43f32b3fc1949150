// One incarnation of a subject: its process, what it prints, and its control plane once it has
// said where that is and who it is.
#ifndef COUNTERPART_EFFECTS_SUBJECT_H_
#define COUNTERPART_EFFECTS_SUBJECT_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "harness/effects/control_client.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/kernel_witness.h"
#include "harness/effects/live_world.h"
#include "harness/effects/output_tail.h"
#include "harness/effects/pipe_end.h"
#include "harness/effects/process.h"
#include "harness/effects/start_line.h"
#include "harness/effects/stdio_control.h"
#include "harness/result.h"

namespace counterpart::effects {

class Subject {
 public:
  // Starts and describes it; blocks until that is done or known to be hopeless. `sink` outlives
  // it. Errors are kSubject (or kHarness) and say what it printed, how it ended, what was expected.
  // `legacy`: of the subject that it takes the place of.
  static Result<std::unique_ptr<Subject>> Start(const SubjectSpec& spec, ControlSink* sink,
                                                std::shared_ptr<Legacy> legacy = nullptr);
  ~Subject();
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  const SubjectInfo& info() const { return info_; }
  Process& process() { return *process_; }
  ControlClient& control() { return *control_; }
  const OutputTail& errors() const { return stderr_tail_; }
  // How it ended, with a sanitizer's first line, or by that alone if it has said all it had to say:
  // whoever reads it may be quicker to end the subject than the sanitizer. Empty while it lives.
  std::string exit_text() const;
  // Newest bytes of its stdout, behind the first line (none of a stdio subject), and of its stderr.
  std::string OutputSoFar(bool errors);
  // Nothing more is said to it.  r[control.start]
  void CloseInput() { CloseWritingEnd(&process_->stdin_pipe()); }

  // Ends it and all it started, takes in its last words, and fails the questions still open.
  void Kill();

  // What its owner waits on besides process().exit_fd(): -1 once at an end.
  int stdout_fd() const { return stdout_open_ ? process_->stdout_pipe().get() : -1; }
  int stderr_fd() const { return stderr_open_ ? process_->stderr_pipe().get() : -1; }
  int stdin_fd() const { return process_->stdin_pipe().get(); }
  // Whether a question is with the subject as soon as it is asked, and an answer with us: so that a
  // subject at rest will not answer any more. Through gRPC both take their way.
  bool asks_directly() const { return stdio_ != nullptr; }
  // Of its control plane, where it serves gRPC.
  ControlPaths* control_paths() { return &control_paths_; }
  bool wants_stdin() const { return stdio_ != nullptr && stdio_->wants_write(); }
  // Read what there is, up to a bound; true if there was something.
  bool DrainStdout();
  bool DrainStderr();
  void OnStdinWritable() {
    if (stdio_ != nullptr) stdio_->OnWritable();
  }

 private:
  Subject() = default;
  Result<StartLine> AwaitStartLine();
  Status AwaitDescription(ControlSink* sink);
  // Why nothing can come any more: "is waiting", or what the kernel's view could not tell.
  struct Hopeless {
    std::string state;
    bool starved = false;  // it was not given the time: this says nothing of it
    Error::Kind kind() const { return starved ? Error::Kind::kStarved : Error::Kind::kSubject; }
  };
  // Waits for output, its end, an answer or the exit, and takes the output in.
  std::optional<Hopeless> AwaitAnything(ControlSink* sink);
  std::string Ending();
  Error WithOutput(Error error) const;

  std::unique_ptr<Process> process_;
  std::unique_ptr<ControlClient> control_;
  StdioControl* stdio_ = nullptr;  // control_, if that is its binding
  std::string first_output_;       // up to and with the start line, and what came with it
  bool started_ = false;           // the start line has been read
  bool stdout_open_ = true, stderr_open_ = true;
  OutputTail stdout_tail_, stderr_tail_;
  SubjectInfo info_;
  std::unique_ptr<KernelWitness> witness_;                              // while it starts
  std::optional<std::chrono::steady_clock::time_point> waiting_since_;  // since something came
  std::chrono::milliseconds patience_{0};  // where only its silence can be seen
  uint16_t port_ = 0;                      // where it serves gRPC on 127.0.0.1; 0: it does not
  ControlPaths control_paths_;
};

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_SUBJECT_H_
