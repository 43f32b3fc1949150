// A subject of nothing, for the tests of the live world: serves the control plane over stdio or
// gRPC and misbehaves on demand. What to do comes as the capability of a Probe:
//   "exit:N", "abort", "sanitizer"   end, in different ways
//   "race", "go-race"                tell of one as a sanitizer does, and go on
//   "visit"                          abort if there was one since the last Settle; in no journal
//   "fork"                           leave a child in our group and one outside it
//   "mum"                            answer no Journal any more
//   "deaf"                           answer no Settle any more
//   "tardy"                          answer each Settle only when the next command comes
//   "claim:N"                        say in every Settle that N units of work are runnable
//   "execute:WORD"                   append a line of that word to the executions file
//   "dial:PORT:HOW"                  connect there and go on as HOW says:
//      echo | mute (never reads) | fin | rst | part (5 of 12 bytes, then FIN) | huge (a length of
//      4 GiB) | flood:N (N payloads of 1 MiB) | one (one payload)
//   "listen:HOW"                     the same for each link accepted; answers Listening
//   "later:N:HOW"                    after N ms by a timer, "dial:…" or "exit:…" or "nothing"
//   "stop"                           stop by SIGSTOP
//   "dive"                           wait where no signal reaches: state D, for ever
//   "nap"                            answer each Settle a second later, by a thread of gRPC's name
//   "lapse"                          from then on gRPC lets every question lapse
//   "spin:N"                         compute until N ms of CPU time are used up, then answer
//   "strange"                        answer a question, after this one, that nobody asked
//   "finish"                         end the stream that it is asked on
// AwaitEvent is answered by the next Release. The words after the program's name: "stdio", "grpc"
// or "grpc-stream", then "wrapped" if stdin is not ours to watch; or "silent": gRPC, and never an
// answer; or "lapsing": gRPC, which lets every question lapse; or "dives" as by the verb, before it
// has said anything.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "counterpart/control/v1/control.grpc.pb.h"
#include "counterpart/control/v1/control.pb.h"
#include "harness/wire/framing.h"

namespace {

namespace control = counterpart::control::v1;
using counterpart::wire::Frame;
using counterpart::wire::FrameDecoder;
using counterpart::wire::LengthField;

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void Reset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

void DrainToEnd(int fd) {
  char buffer[4096];
  while (read(fd, buffer, sizeof buffer) > 0) {
  }
  close(fd);
}

void Echo(int fd) {
  FrameDecoder decoder;
  char buffer[64 << 10];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) {
    std::string_view bytes(buffer, static_cast<size_t>(n));
    while (auto payload = decoder.Next(bytes)) {
      if (!WriteAll(fd, Frame(*payload))) break;
    }
  }
  close(fd);
}

void Behave(int fd, const std::string& how) {
  if (how == "echo") return Echo(fd);
  if (how == "mute") return void(pause());
  if (how == "fin") return void(close(fd));
  if (how == "rst") return Reset(fd);
  if (how == "part") {
    WriteAll(fd, LengthField(8) + "a");
    shutdown(fd, SHUT_WR);
    return DrainToEnd(fd);
  }
  if (how == "huge") {
    WriteAll(fd, LengthField(0xffffffff));
    return DrainToEnd(fd);
  }
  if (how == "one") {
    WriteAll(fd, Frame("one"));
    return DrainToEnd(fd);
  }
  if (how.starts_with("flood:")) {
    const std::string frame = Frame(std::string(1 << 20, 'x'));
    for (int left = std::atoi(how.c_str() + 6); left > 0; --left) {
      if (!WriteAll(fd, frame)) break;
    }
    return DrainToEnd(fd);
  }
  std::abort();
}

// Where the lanes of its test listen, and it does.
sockaddr_in Here(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  const char* host = std::getenv("FAKE_SUBJECT_HOST");
  inet_pton(AF_INET, host == nullptr ? "127.0.0.1" : host, &address.sin_addr);
  return address;
}

int DialTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Here(port);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

int ListenAnywhere(const std::string& how) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Here(0);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(fd, 16);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::thread([fd, how] {
    int link;
    while ((link = accept(fd, nullptr, nullptr)) >= 0) std::thread(Behave, link, how).detach();
  }).detach();
  return ntohs(address.sin_port);
}

// Until its child has a memory of its own, which it never will.
void Dive() {
  if (vfork() == 0) {
    while (true) pause();
  }
}

void Spin(int ms) {
  timespec used = {};
  do {
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  } while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < ms);
}

// Cuts "a:b" at the first colon.
std::string Head(std::string& text) {
  const size_t colon = text.find(':');
  std::string head = text.substr(0, colon);
  text = colon == text.npos ? "" : text.substr(colon + 1);
  return head;
}

class Fake {
 public:
  using Reply = std::function<void(control::ControlReply)>;
  bool silent = false;
  std::atomic<bool> lapsing = false;  // of gRPC
  std::atomic<bool> strange = false, finishing = false;

  void Handle(const control::ControlRequest& request, Reply done) {
    control::ControlReply reply;
    reply.set_id(request.id());
    switch (request.kind_case()) {
      case control::ControlRequest::kDescribe:
        if (silent) return;
        reply.mutable_describe()->set_name("fake");
        reply.mutable_describe()->add_capabilities("bare");
        break;
      case control::ControlRequest::kExecute:
        return Execute(request.execute(), std::move(reply), std::move(done));
      case control::ControlRequest::kStatus:
        reply.mutable_status()->set_watermark(request.status().command_id());
        break;
      case control::ControlRequest::kJournal: {
        const std::lock_guard lock(mutex_);
        if (mum_) return;
        for (const auto& [scope, id] : commands_) {
          if (scope != request.journal().scope()) continue;
          auto& transition = *reply.mutable_journal()->add_events()->mutable_transition();
          transition.set_machine(control::MACHINE_COMMAND);
          transition.set_key(id);
        }
        break;
      }
      case control::ControlRequest::kSettle: {
        const std::lock_guard lock(mutex_);
        visited_ = false;
        if (deaf_) return;
        reply.mutable_settle()->set_accepted(accepted_);
        reply.mutable_settle()->set_answered(answered_);
        reply.mutable_settle()->set_runnable(claimed_ + running_);
        if (tardy_) return held_.push_back([reply, done] { done(reply); });
        if (naps_) return AfterANap([reply, done] { done(reply); });
        break;
      }
      default:
        reply.mutable_reset();
        break;
    }
    done(std::move(reply));
  }

  static void AfterANap(std::function<void()> answer) {
    std::thread([answer = std::move(answer)] {
      pthread_setname_np(pthread_self(), "grpc_global_tim");
      std::this_thread::sleep_for(std::chrono::seconds(1));
      answer();
    }).detach();
  }

 private:
  void Execute(const control::ExecuteRequest& execute, control::ControlReply reply, Reply done) {
    std::vector<std::function<void()>> released;
    control::Outcome& outcome = *reply.mutable_execute()->mutable_outcome();
    outcome.mutable_done();
    {
      const std::lock_guard lock(mutex_);
      ++accepted_;
      if (execute.probe().capability() != "visit")
        commands_.emplace_back(execute.scope(), execute.command_id());
      if (execute.has_await_event()) {
        waiting_.push_back([this, reply, done] { Answer(reply, done); });
        return;
      }
      if (execute.has_release()) released = std::exchange(waiting_, {});
      std::move(held_.begin(), held_.end(), std::back_inserter(released));
      held_.clear();
    }
    if (execute.has_probe()) {
      std::string how = execute.probe().capability();
      if (how.starts_with("listen:")) {
        outcome.mutable_listening()->set_port(static_cast<uint32_t>(ListenAnywhere(how.substr(7))));
      } else {
        Run(how);
      }
    }
    for (const auto& release : released) release();
    Answer(std::move(reply), done);
  }

  void Answer(control::ControlReply reply, const Reply& done) {
    {
      const std::lock_guard lock(mutex_);
      ++answered_;
    }
    done(std::move(reply));
  }

  void Run(const std::string& how) {
    const auto count = [this](uint32_t by) {
      const std::lock_guard lock(mutex_);
      running_ += by;
    };
    count(1);
    Do(how);
    count(-1u);
  }

  void Do(std::string how) {
    const std::string verb = Head(how);
    if (verb == "exit") _exit(std::atoi(how.c_str()));
    if (verb == "abort") std::abort();
    if (verb == "visit" && std::exchange(visited_, true)) std::abort();
    if (verb == "sanitizer") {
      std::cerr << "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n"
                << std::flush;
      _exit(1);
    }
    if (verb == "race") {
      std::cerr << "==================\nWARNING: ThreadSanitizer: data race (pid=1)\n"
                << "SUMMARY: ThreadSanitizer: data race fake.cc:1 in Do\n==================\n"
                << std::flush;
    }
    if (verb == "go-race") {
      std::cerr << "==================\nWARNING: DATA RACE\nWrite at 0x1 by goroutine 7:\n"
                << "==================\n"
                << std::flush;
    }
    if (verb == "deaf" || verb == "mum") {
      const std::lock_guard lock(mutex_);
      (verb == "deaf" ? deaf_ : mum_) = true;
    }
    if (verb == "tardy" || verb == "claim") {
      const std::lock_guard lock(mutex_);
      tardy_ = verb == "tardy";
      claimed_ = static_cast<uint32_t>(std::atoi(how.c_str()));
    }
    if (verb == "execute") {
      std::ofstream(std::getenv("COUNTERPART_EXECUTIONS"), std::ios::app) << how << "\n";
    }
    if (verb == "stop") raise(SIGSTOP);
    if (verb == "dive") {
      std::thread(Dive).detach();
    }
    if (verb == "spin") Spin(std::atoi(how.c_str()));
    if (verb == "fork") {
      if (fork() == 0) {
        while (true) pause();
      }
      if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        while (true) pause();
      }
    }
    if (verb == "lapse") lapsing = true;
    if (verb == "strange") strange = true;
    if (verb == "finish") finishing = true;
    if (verb == "nap") {
      const std::lock_guard lock(mutex_);
      naps_ = true;
    }
    if (verb == "dial") {
      const int fd = DialTo(std::atoi(Head(how).c_str()));
      if (fd >= 0) std::thread(Behave, fd, how).detach();
    }
    if (verb == "later") {
      const int ms = std::atoi(Head(how).c_str());
      std::thread([this, ms, how] {
        std::this_thread::sleep_for(std::chrono::milliseconds(ms));
        Do(how);
      }).detach();
    }
  }

  std::mutex mutex_;
  std::vector<std::pair<std::string, uint64_t>> commands_;
  std::vector<std::function<void()>> waiting_;
  uint64_t accepted_ = 0, answered_ = 0;
  bool deaf_ = false, mum_ = false, tardy_ = false, naps_ = false;
  bool visited_ = false;  // of stdio
  uint32_t claimed_ = 0, running_ = 0;
  std::vector<std::function<void()>> held_;  // answers to Settle
};

bool Admitted(grpc::CallbackServerContext* context) {
  const char* token = std::getenv("COUNTERPART_TOKEN");
  const auto given = context->client_metadata().find("counterpart-token");
  return given != context->client_metadata().end() && token != nullptr && given->second == token;
}

class Service final : public control::Subject::CallbackService {
 public:
  explicit Service(Fake* fake) : fake_(fake) {}

  template <class Request, class Response>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response, Request* (control::ControlRequest::*in)(),
                                  Response* (control::ControlReply::*out)()) {
    auto* reactor = context->DefaultReactor();
    if (!Admitted(context)) {
      reactor->Finish(grpc::Status(grpc::UNAUTHENTICATED, "no token"));
      return reactor;
    }
    if (fake_->lapsing) {
      reactor->Finish(grpc::Status(grpc::CANCELLED, "CANCELLED"));
      return reactor;
    }
    control::ControlRequest wrapped;
    *(wrapped.*in)() = *request;
    fake_->Handle(wrapped, [reactor, response, out](control::ControlReply reply) {
      *response = std::move(*(reply.*out)());
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

#define SERVE(Name, Field)                                                              \
  grpc::ServerUnaryReactor* Name(grpc::CallbackServerContext* context,                  \
                                 const control::Name##Request* request,                 \
                                 control::Name##Response* response) override {          \
    return Serve(context, request, response, &control::ControlRequest::mutable_##Field, \
                 &control::ControlReply::mutable_##Field);                              \
  }
  SERVE(Describe, describe)
  SERVE(Execute, execute)
  SERVE(Status, status)
  SERVE(Journal, journal)
  SERVE(Settle, settle)
  SERVE(Reset, reset)
#undef SERVE

 private:
  Fake* fake_;
};

// Never deleted: whoever is to answer may do so whenever it wants.
class Conversation final
    : public grpc::ServerBidiReactor<control::ConverseRequest, control::ConverseResponse> {
 public:
  Conversation(Fake* fake, bool admitted) : fake_(fake) {
    if (!admitted) {
      End(grpc::UNAUTHENTICATED, "no token");
    } else if (fake_->lapsing) {
      End(grpc::CANCELLED, "CANCELLED");
    } else {
      StartRead(&asked_);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::OK, "");
    for (const control::ControlRequest& request : asked_.requests()) {
      if (fake_->lapsing) return End(grpc::CANCELLED, "CANCELLED");
      fake_->Handle(request, [this](control::ControlReply reply) { Say(std::move(reply)); });
      if (fake_->finishing) return End(grpc::OK, "");
    }
    StartRead(&asked_);
  }

  void OnWriteDone(bool) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    Write();
  }

  void OnDone() override {}

 private:
  void End(grpc::StatusCode code, const char* text) { Finish(grpc::Status(code, text)); }

  void Say(control::ControlReply reply) {
    const std::lock_guard lock(mutex_);
    *waiting_.add_replies() = std::move(reply);
    if (fake_->strange.exchange(false)) waiting_.add_replies()->set_id(4711);
    Write();
  }

  void Write() {
    if (writing_ || waiting_.replies().empty()) return;
    writing_ = true;
    said_.Clear();
    said_.Swap(&waiting_);
    StartWrite(&said_);
  }

  Fake* const fake_;
  control::ConverseRequest asked_;
  std::mutex mutex_;
  control::ConverseResponse said_, waiting_;
  bool writing_ = false;
};

class StreamService final : public control::SubjectStream::CallbackService {
 public:
  explicit StreamService(Fake* fake) : fake_(fake) {}

  Conversation* Converse(grpc::CallbackServerContext* context) override {
    return new Conversation(fake_, Admitted(context));
  }

 private:
  Fake* fake_;
};

void ServeStdio(Fake& fake) {
  WriteAll(1, "counterpart-subject 1 stdio\n");
  std::mutex out;
  FrameDecoder decoder;
  char buffer[64 << 10];
  ssize_t n;
  while ((n = read(0, buffer, sizeof buffer)) > 0) {
    std::string_view bytes(buffer, static_cast<size_t>(n));
    while (const auto payload = decoder.Next(bytes)) {
      control::ControlRequest request;
      if (!request.ParseFromString(*payload)) std::abort();
      fake.Handle(request, [&out](const control::ControlReply& reply) {
        const std::lock_guard lock(out);
        WriteAll(1, Frame(reply.SerializeAsString()));
      });
    }
  }
}

void ServeGrpc(Fake& fake, const std::string& binding, bool wrapped) {
  Service service(&fake);
  StreamService stream_service(&fake);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  if (binding == "grpc") {
    builder.RegisterService(&service);
  } else {
    builder.RegisterService(&stream_service);
  }
  const auto server = builder.BuildAndStart();
  WriteAll(1, "counterpart-subject 1 " + binding + " 127.0.0.1:" + std::to_string(port) + "\n");
  char byte;
  while (wrapped || read(0, &byte, 1) > 0) {
    if (wrapped) pause();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (std::string_view(argv[1]) == "dives") Dive();
  static Fake fake;  // never destroyed under its detached threads
  fake.silent = std::string_view(argv[1]) == "silent";
  const bool wrapped = argc > 2 && std::string_view(argv[2]) == "wrapped";
  fake.lapsing = std::string_view(argv[1]) == "lapsing";
  const bool stream = std::string_view(argv[1]) == "grpc-stream";
  if (std::string_view(argv[1]) == "grpc" || stream || fake.silent || fake.lapsing) {
    ServeGrpc(fake, stream ? "grpc-stream" : "grpc", wrapped);
  } else {
    ServeStdio(fake);
  }
  std::fflush(nullptr);
  _exit(0);
}
