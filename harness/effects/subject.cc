#include "harness/effects/subject.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/grpc_control.h"

namespace counterpart::effects {
namespace {

constexpr size_t kOutputPerTurn = 1u << 20;
// A subject that waits for something that comes later than this has not started.
constexpr auto kStartHorizon = std::chrono::seconds(10);
// At rest so long after the last thing that came, with the question in its hands, means that it
// will not be answered. Nothing but an error waits for it.
constexpr auto kDeliveredCeiling = std::chrono::seconds(2);
constexpr int kLookEveryMs = 20;
// What a subject may write to stderr before it has started.
constexpr uint64_t kMostErrors = 64u << 20;

// Calls `take` with what a non-blocking pipe holds, up to a bound. False at its end.
template <class Take>
bool ReadPipe(int fd, bool& any, Take take) {
  static thread_local char buffer[64u << 10];
  for (size_t total = 0; total < kOutputPerTurn;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    any = true;
    total += static_cast<size_t>(n);
    take(std::string_view(buffer, static_cast<size_t>(n)));
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Subject>> Subject::Start(const SubjectSpec& spec, ControlSink* sink,
                                                std::shared_ptr<Legacy> legacy) {
  Result<std::unique_ptr<Process>> process =
      Process::Start(spec.command, spec.nice, std::move(legacy));
  if (!process) return process.error();
  std::unique_ptr<Subject> subject(new Subject);
  subject->process_ = std::move(*process);
  subject->witness_ =
      MakeKernelWitness(subject->process_->pid(), subject->process_->token(), spec.watchdog);
  subject->patience_ = spec.watchdog.span;
  Result<StartLine> line = subject->AwaitStartLine();
  if (!line) return subject->WithOutput(line.error());
  subject->witness_->OnStarted();
  if (line->binding != StartLine::Binding::kStdio) {
    const bool stream = line->binding == StartLine::Binding::kGrpcStream;
    subject->info_.binding = stream ? "grpc-stream" : "grpc";
    subject->port_ = line->port;
    subject->control_paths_ = ControlPaths(line->port);
    subject->control_ = (stream ? MakeGrpcStreamControl : MakeGrpcControl)(
        line->address, subject->process_->token(), sink);
  } else {
    subject->info_.binding = "stdio";
    auto stdio = std::make_unique<StdioControl>(&subject->process_->stdin_pipe(), sink);
    subject->stdio_ = stdio.get();
    subject->control_ = std::move(stdio);
    subject->stdio_->OnOutput(std::exchange(subject->first_output_, {}));
  }
  if (const Status described = subject->AwaitDescription(sink); !described) {
    return subject->WithOutput(described.error());
  }
  subject->process_->SetServingOn(line->port);
  subject->witness_.reset();
  return subject;
}

Subject::~Subject() {
  if (process_) Kill();  // first, so that no question is left for it
  control_.reset();
}

void Subject::Kill() {
  process_->Kill();
  while (DrainStdout()) {
  }
  while (DrainStderr()) {
  }
  if (stdio_ != nullptr) stdio_->OnOutputEnd();  // its pipes are gone
}

std::string Subject::OutputSoFar(bool errors) {
  while (DrainStdout()) {
  }
  while (DrainStderr()) {
  }
  // What came together with the first line, and after it.
  return first_output_ + stdout_tail_.tail() + (errors ? stderr_tail_.tail() : "");
}

std::string Subject::exit_text() const {
  std::string text = process_->exit_text();
  if (text.empty() || stderr_tail_.sanitizer_line().empty()) return text;
  if (stderr_tail_.sanitizer_done()) text = "a sanitizer reports";
  return text + "; " + stderr_tail_.sanitizer_line();
}

bool Subject::DrainStdout() {
  bool any = false;
  if (!stdout_open_) return any;
  stdout_open_ = ReadPipe(process_->stdout_pipe().get(), any, [this](std::string_view bytes) {
    if (!started_) {
      first_output_.append(bytes.substr(0, 2 * kLongestStartLine));
    } else if (stdio_ != nullptr) {
      stdio_->OnOutput(bytes);
    } else {
      stdout_tail_.Append(bytes);
    }
  });
  if (!stdout_open_ && stdio_ != nullptr) stdio_->OnOutputEnd();
  return any;
}

bool Subject::DrainStderr() {
  bool any = false;
  if (!stderr_open_) return any;
  stderr_open_ = ReadPipe(process_->stderr_pipe().get(), any,
                          [this](std::string_view bytes) { stderr_tail_.Append(bytes); });
  return any;
}

std::optional<Subject::Hopeless> Subject::AwaitAnything(ControlSink* sink) {
  pollfd wait[5] = {{stdout_fd(), POLLIN, 0},
                    {stderr_fd(), POLLIN, 0},
                    {process_->exit_fd(), POLLIN, 0},
                    {sink != nullptr ? sink->fd() : -1, POLLIN, 0},
                    {wants_stdin() ? stdin_fd() : -1, POLLOUT, 0}};
  const auto look = [&wait](int timeout_ms) {
    int ready;
    while ((ready = poll(wait, 5, timeout_ms)) < 0 && errno == EINTR) {
    }
    return ready > 0;
  };
  const auto something_came = [&wait] {
    return (wait[0].revents | wait[2].revents | wait[3].revents | wait[4].revents) != 0;
  };
  if (!waiting_since_) waiting_since_ = std::chrono::steady_clock::now();
  look(kLookEveryMs);
  // That it writes to stderr is no progress: it may do nothing else for ever.
  if (wait[1].revents != 0) DrainStderr();
  if (stderr_tail_.appended() > kMostErrors) {
    return Hopeless{"floods its stderr (" + std::to_string(stderr_tail_.appended() >> 20) +
                    " MiB)"};
  }
  if (!something_came()) {
    OurEnds ends;  // of its output only: one that waits for us to read is not at rest
    for (const int fd : {stdout_fd(), stderr_fd()}) {
      if (fd >= 0) ends.inputs.push_back(fd);
    }
    ControlDelivery delivery;
    bool delivered = port_ != 0 && delivery.Begin(&control_paths_, control_->connections(), &ends);
    if (!delivered) ends.control.clear();
    const KernelView view = witness_->Look(&ends, kStartHorizon, Certainty::kSustained);
    delivered = delivered && delivery.End();
    look(0);  // the view is of a moment when nothing had come
    if (!something_came()) {
      if (view.state == KernelView::State::kUnjudgeable) {
        return Hopeless{"goes on and on: " + view.evidence,
                        view.fixpoint && view.fixpoint->given_up == "starved"};
      }
      if (view.state == KernelView::State::kBusy) return std::nullopt;
      const auto waited = std::chrono::steady_clock::now() - *waiting_since_;
      // Its silence is all that can be seen, and it may be starved.
      if (view.needs_settle) {
        if (waited > patience_) return Hopeless{"has been silent for too long", /*starved=*/true};
        return std::nullopt;
      }
      // Nothing is asked yet, or the question is in its stdin, or its own: then that it rests says
      // it all.
      if (sink == nullptr || stdio_ != nullptr) return Hopeless{"is waiting"};
      if (delivered && waited > kDeliveredCeiling) return Hopeless{"is waiting"};
      // Or else the question, or its answer, may be with threads of our own that get no time.
      if (!delivered && waited > patience_) {
        return Hopeless{"is at rest, though nothing shows that it was asked,", /*starved=*/true};
      }
      return std::nullopt;
    }
  }
  waiting_since_.reset();
  witness_->OnActivity();
  if (wait[0].revents != 0) DrainStdout();
  if (wait[4].revents != 0) OnStdinWritable();
  return std::nullopt;
}

std::string Subject::Ending() {
  // What it said last may explain it.
  while (DrainStderr()) {
  }
  const std::string text = exit_text();
  return text.starts_with("exit") ? "ended with " + text : "was ended by " + text;
}

Result<StartLine> Subject::AwaitStartLine() {
  while (true) {
    const size_t end = first_output_.find('\n');
    if (end != first_output_.npos && end <= kLongestStartLine) {
      const std::string line = first_output_.substr(0, end);
      first_output_.erase(0, end + 1);
      started_ = true;
      return ParseStartLine(line);
    }
    if (first_output_.size() > kLongestStartLine) return StartLineTooLong(first_output_);
    if (process_->CheckExit()) {
      if (DrainStdout()) continue;
      return StartLineMissing(first_output_, Ending());
    }
    if (!stdout_open_ && process_->Ending()) {
      process_->AwaitExit();
      continue;
    }
    if (!stdout_open_) return StartLineMissing(first_output_, "closed its stdout");
    if (const auto hopeless = AwaitAnything(nullptr)) {
      Error error = StartLineNotSaid(first_output_, hopeless->state);
      error.kind = hopeless->kind();
      return error;
    }
  }
}

Status Subject::AwaitDescription(ControlSink* sink) {
  namespace control = counterpart::control::v1;
  const auto failed = [](const std::string& what) { return Error{Error::Kind::kSubject, what}; };
  control::ControlRequest request;
  request.mutable_describe();
  control_->Ask(0, request.SerializeAsString());
  control_->Flush();
  std::vector<ControlCompletion> completions;
  while ((completions = sink->Take()).empty()) {
    if (process_->CheckExit()) {
      return failed("the subject " + Ending() + " before it answered Describe");
    }
    if (const auto hopeless = AwaitAnything(sink)) {
      return Error{hopeless->kind(),
                   "the subject " + hopeless->state + " and has not answered Describe"};
    }
  }
  const ControlCompletion& completion = completions.front();
  if (!completion.answered) {
    if (process_->Ending() && process_->AwaitExit()) {
      return failed("the subject " + Ending() + " before it answered Describe");
    }
    return Error{completion.lapsed ? Error::Kind::kStarved : Error::Kind::kSubject,
                 "the subject does not answer Describe: " + completion.failure};
  }
  control::ControlReply reply;
  if (!reply.ParseFromString(completion.reply) || !reply.has_describe()) {
    return failed("the subject answers Describe with something else");
  }
  const control::DescribeResponse& said = reply.describe();
  info_.name = said.name();
  info_.version = said.version();
  info_.language = said.language();
  info_.mutant = said.mutant();
  info_.capabilities.assign(said.capabilities().begin(), said.capabilities().end());
  return {};
}

Error Subject::WithOutput(Error error) const {
  const std::string tail = stderr_tail_.tail();
  if (!tail.empty()) {
    constexpr size_t kShown = 400;
    const std::string end = tail.size() > kShown ? tail.substr(tail.size() - kShown) : tail;
    error.message += "; its stderr ends with " + Quoted(end, kShown);
  }
  return error;
}

}  // namespace counterpart::effects
