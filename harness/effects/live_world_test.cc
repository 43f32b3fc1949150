// The live world against tiny subjects that misbehave in every way they can. Nothing here sleeps
// to synchronize or is judged by a clock: every wait is for an arrival or for calm.
#include "harness/effects/live_world.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/report/v1/report.pb.h"
#include "harness/effects/calm_check.h"
#include "harness/effects/control_client.h"
#include "harness/effects/control_delivery.h"
#include "harness/effects/control_translation.h"
#include "harness/effects/executions.h"
#include "harness/effects/loopback.h"
#include "harness/effects/one_address.h"
#include "harness/effects/output_tail.h"
#include "harness/effects/process_table.h"
#include "harness/effects/start_line.h"
#include "harness/effects/tcp_diag.h"
#include "harness/effects/unique_fd.h"
#include "harness/effects/wait_self_test.h"
#include "harness/wire/framing.h"

namespace counterpart::effects {
namespace {

namespace control = counterpart::control::v1;
using testing::Test;
using namespace std::chrono_literals;

constexpr auto kTurn = 100ms;

SubjectSpec Shell(const std::string& script) { return {"test", {"/bin/sh", "-c", script}, 0}; }
SubjectSpec Fake(const std::string& binding) { return {"fake", {FAKE_SUBJECT, binding}, 0}; }

std::string StartError(const SubjectSpec& spec) {
  Result<std::unique_ptr<LiveWorld>> world = LiveWorld::Start(spec);
  if (world.ok()) return "it started";
  EXPECT_EQ(world.error().kind, Error::Kind::kSubject);
  return world.error().message;
}

// ---------------------------------------------------------------- pure parts

TEST(StartLineTest, ReadsAnyBinding) {
  const Result<StartLine> grpc = ParseStartLine("counterpart-subject 1 grpc 127.0.0.1:4711");
  ASSERT_TRUE(grpc.ok());
  EXPECT_EQ(*grpc, (StartLine{StartLine::Binding::kGrpc, "127.0.0.1:4711", 4711}));
  const Result<StartLine> stream =
      ParseStartLine("counterpart-subject 1 grpc-stream 127.0.0.1:4711");
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(*stream, (StartLine{StartLine::Binding::kGrpcStream, "127.0.0.1:4711", 4711}));
  const Result<StartLine> stdio = ParseStartLine("counterpart-subject 1 stdio");
  ASSERT_TRUE(stdio.ok());
  EXPECT_EQ(*stdio, StartLine{});
}

TEST(StartLineTest, SaysWhatIsWrong) {
  const auto error = [](std::string_view line) {
    const Result<StartLine> parsed = ParseStartLine(line);
    return parsed.ok() ? std::string("accepted") : parsed.error().message;
  };
  EXPECT_NE(error("hello").find("it said \"hello\""), std::string::npos);
  EXPECT_NE(error("").find("it said \"\""), std::string::npos);
  EXPECT_NE(error("counterpart-subject 2 stdio").find("version \"2\""), std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 http x").find("expected"), std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 grpc").find("expected"), std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 grpc 0.0.0.0:80").find("127.0.0.1 and nowhere else"),
            std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 grpc 127.0.0.1:0").find("no port"), std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 grpc 127.0.0.1:99999").find("no port"), std::string::npos);
  EXPECT_NE(error("counterpart-subject 1 grpc 127.0.0.1:8o").find("no port"), std::string::npos);
  EXPECT_NE(error("\x01\"\xff").find("\\x01\\\"\\xff"), std::string::npos);
}

TEST(OutputTailTest, KeepsTheEndAndTheFirstSanitizerLine) {
  OutputTail tail;
  tail.Append("fine\nERROR: Addre");
  tail.Append("ssSanitizer: first\nERROR: AddressSanitizer: second\n");
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i) tail.Append(line + "\n");
  EXPECT_EQ(tail.sanitizer_line(), "ERROR: AddressSanitizer: first");
  EXPECT_FALSE(tail.sanitizer_done());
  EXPECT_EQ(tail.tail().size(), OutputTail::kKept);
  EXPECT_TRUE(tail.tail().ends_with(line + "\n"));
}

TEST(OutputTailTest, KnowsWhereAReportEnds) {
  const char* const kReports[][2] = {
      {"WARNING: ThreadSanitizer: data race (pid=1)\n  Write of size 4\n",
       "SUMMARY: ThreadSanitizer: data race x.cc:3 in f\n"},
      {"==7==ERROR: AddressSanitizer: heap-use-after-free\n  #0 in f\n",
       "SUMMARY: AddressSanitizer: heap-use-after-free x.cc:3 in f\n"},
      {"WARNING: DATA RACE\nWrite at 0x1 by goroutine 7:\n", "==================\n"},
      {"", "x.cc:12:34: runtime error: signed integer overflow\n"},
  };
  for (const auto& [begin, end] : kReports) {
    OutputTail tail;
    tail.Append("SUMMARY: of a subject\n==================\n");
    tail.Append(begin);
    EXPECT_FALSE(tail.sanitizer_done()) << begin;
    tail.Append(end);
    EXPECT_TRUE(tail.sanitizer_done()) << end;
  }
  OutputTail tail;
  for (const char* log : {"panic: runtime error: index out of range\n", "==================\n",
                          "call 3: runtime error: UNKNOWN_METHOD\n", "==================\n",
                          "at 127.0.0.1:80: runtime error: x\n", "SUMMARY: Sanitizer: none\n"}) {
    tail.Append(log);
    EXPECT_FALSE(tail.sanitizer_done()) << log;
  }
  EXPECT_EQ(tail.sanitizer_line(), "panic: runtime error: index out of range");
  tail.Append("WARNING: DATA RACE\n==================\n");
  EXPECT_TRUE(tail.sanitizer_done());
  EXPECT_EQ(tail.sanitizer_line(), "WARNING: DATA RACE");
}

TEST(ExecutionsTest, KeepsTheLinesOfTheNamedSessions) {
  EXPECT_EQ(ExecutionsOf("aa 1 1 1\nbb 1 1 1\naa 2 1 1\ncc", "aa cc"), "aa 1 1 1\naa 2 1 1\ncc");
  EXPECT_EQ(ExecutionsOf("aa 1 1 1\n", ""), "");
  EXPECT_EQ(ExecutionsOf("\n\nx\n", "aa"), "");
}

control::ControlRequest ExecuteOf(uint64_t command) {
  control::ControlRequest request;
  request.mutable_execute()->set_command_id(command);
  return request;
}

ControlTranslation Translation(CommandIds* ids, std::string scope) {
  return ControlTranslation(ids, std::move(scope), "127.0.0.1", [] { return uint16_t{4711}; });
}

control::ControlRequest Sent(ControlTranslation& lane, const control::ControlRequest& request) {
  Result<ControlTranslation::Outgoing> out = lane.ToSubject(request.SerializeAsString());
  control::ControlRequest parsed;
  EXPECT_TRUE(out.ok() && parsed.ParseFromString(out->request));
  return parsed;
}

TEST(ControlTranslationTest, CommandIdsAreOfTheProcessAndScopesOfTheLane) {
  CommandIds ids;
  ControlTranslation one = Translation(&ids, "r1"), two = Translation(&ids, "r2");
  EXPECT_EQ(Sent(one, ExecuteOf(1)).execute().command_id(), 1u);
  EXPECT_EQ(Sent(two, ExecuteOf(1)).execute().command_id(), 2u);
  EXPECT_EQ(Sent(two, ExecuteOf(1)).execute().command_id(), 2u);  // sent again: the same id
  EXPECT_EQ(Sent(one, ExecuteOf(2)).execute().command_id(), 3u);
  EXPECT_EQ(Sent(one, ExecuteOf(0)).execute().command_id(), 0u);
  EXPECT_EQ(Sent(two, ExecuteOf(1)).execute().scope(), "r2");
  control::ControlRequest status;
  status.mutable_status()->set_command_id(2);
  EXPECT_EQ(Sent(one, status).status().command_id(), 3u);
  control::ControlRequest reset;
  reset.mutable_reset()->set_scope("mine");
  EXPECT_EQ(Sent(one, reset).reset().scope(), "mine");
  EXPECT_FALSE(one.ToSubject("\xff").ok());
}

TEST(ControlTranslationTest, ListenersAreOfTheLanesHost) {
  CommandIds ids;
  uint16_t next = 10;
  ControlTranslation lane(&ids, "r1", "127.64.0.7", [&next] { return next++; });
  const auto listens = [&lane](uint64_t command) {
    control::ControlRequest request = ExecuteOf(command);
    request.mutable_execute()->mutable_listen();
    const control::Listen sent = Sent(lane, request).execute().listen();
    return sent.host() + ":" + std::to_string(sent.port());
  };
  EXPECT_EQ(listens(1), "127.64.0.7:10");
  EXPECT_EQ(listens(2), "127.64.0.7:11");
  EXPECT_EQ(listens(1), "127.64.0.7:10");  // sent again: byte for byte the same command
  control::ControlRequest connect = ExecuteOf(3);
  connect.mutable_execute()->mutable_connect()->set_port(4711);
  EXPECT_EQ(Sent(lane, connect).execute().connect().host(), "127.64.0.7");
  EXPECT_EQ(Sent(lane, connect).execute().connect().port(), 4711u);
  connect.mutable_execute()->mutable_connect()->set_host("127.0.0.1");
  EXPECT_EQ(Sent(lane, connect).execute().connect().host(), "127.0.0.1");
}

TEST(ControlTranslationTest, JournalsSpeakOfTheLanesOwnCommands) {
  CommandIds ids;
  ControlTranslation other = Translation(&ids, "r1"), lane = Translation(&ids, "r2");
  ASSERT_TRUE(other.ToSubject(ExecuteOf(1).SerializeAsString()).ok());
  ASSERT_TRUE(lane.ToSubject(ExecuteOf(1).SerializeAsString()).ok());
  control::ControlReply reply;
  for (const auto machine : {control::MACHINE_COMMAND, control::MACHINE_OPERATION}) {
    auto& transition = *reply.mutable_journal()->add_events()->mutable_transition();
    transition.set_machine(machine);
    transition.set_key(2);
  }
  const Result<std::string> translated = lane.ToMachine(7, reply.SerializeAsString());
  ASSERT_TRUE(translated.ok() && reply.ParseFromString(*translated));
  EXPECT_EQ(reply.id(), 7u);
  EXPECT_EQ(reply.journal().events(0).transition().key(), 1u);
  EXPECT_EQ(reply.journal().events(1).transition().key(), 2u);
}

TEST(ControlSinkTest, GivesEverythingOfEachThreadInItsOrder) {
  constexpr int kThreads = 4, kEach = 500;
  ControlSink sink;
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&sink, thread] {
      for (uint64_t i = 0; i < kEach; ++i) {
        ControlCompletion completion;
        completion.id = thread << 32 | i;
        sink.Push(std::move(completion));
      }
    });
  }
  std::vector<uint64_t> next(kThreads, 0);
  for (int taken = 0; taken < kThreads * kEach;) {
    for (const ControlCompletion& completion : sink.Take()) {
      EXPECT_EQ(completion.id & 0xffffffff, next[completion.id >> 32]++);
      ++taken;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(sink.empty());
}

// ---------------------------------------------------------------- starting

TEST(StartTest, SaysHowASubjectEndedThatEndsAtOnce) {
  const std::string error = StartError(Shell("echo sorry >&2; exit 3"));
  EXPECT_NE(error.find("ended with exit 3 before it said where it serves"), std::string::npos)
      << error;
  EXPECT_NE(error.find("sorry"), std::string::npos) << error;
}

TEST(StartTest, SaysThatThereIsNoSuchProgram) {
  EXPECT_NE(StartError({"x", {"/nowhere/subject"}, 0}).find("cannot start /nowhere/subject"),
            std::string::npos);
}

TEST(StartTest, RefusesGarbage) {
  const std::string error = StartError(Shell("echo hello world; exec sleep 1000"));
  EXPECT_NE(error.find("it said \"hello world\""), std::string::npos) << error;
}

TEST(StartTest, RefusesAnEndlessFirstLine) {
  const std::string error = StartError(Shell("exec tr '\\0' x < /dev/zero"));
  EXPECT_NE(error.find("longer than 4096 bytes"), std::string::npos) << error;
}

TEST(StartTest, KnowsThatASubjectWaitsForNothing) {
  const std::string error = StartError(Shell("exec cat"));
  EXPECT_NE(error.find("is waiting and has not said where it serves"), std::string::npos) << error;
}

// The lock is somebody else's, who will let go of it: to wait for that is not to wait for ever.
TEST(StartTest, WaitsForAFileLockThatAnotherProcessHolds) {
  std::string path = testing::TempDir() + "counterpart-lock-XXXXXX";
  const int held = mkostemp(path.data(), O_CLOEXEC);  // else the subject would have it too
  ASSERT_GE(held, 0);
  ASSERT_EQ(flock(held, LOCK_EX), 0);
  std::atomic<bool> over = false;  // whatever came of it: nobody waits for the lock any more
  // Held for long enough that a check that would not ask who holds it is wrong; a longer or shorter
  // time changes nothing for one that asks.
  std::thread release([&path, &over, held] {
    const auto blocked = [&path] {
      struct stat about = {};
      stat(path.c_str(), &about);
      std::ifstream locks("/proc/locks");
      for (std::string line; std::getline(locks, line);) {
        if (line.find("->") != line.npos &&
            line.find(":" + std::to_string(about.st_ino) + " ") != line.npos) {
          return true;
        }
      }
      return false;
    };
    while (!blocked() && !over) std::this_thread::yield();
    std::this_thread::sleep_for(300ms);
    close(held);
  });
  // The harness's own process holds it: its threads are at work, so the holder gets on.
  Result<std::unique_ptr<LiveWorld>> world =
      LiveWorld::Start(Shell("exec 9<>" + path + "; flock 9; exec " + FAKE_SUBJECT + " stdio"));
  over = true;
  release.join();
  EXPECT_TRUE(world.ok()) << world.error().message;
  unlink(path.c_str());
}

TEST(StartTest, KnowsThatASubjectDoesNotAnswerDescribe) {
  // Its port is open, and what serves there says nothing.
  const std::string error = StartError({"fake", {FAKE_SUBJECT, "silent"}, 0});
  EXPECT_NE(error.find("is waiting and has not answered Describe"), std::string::npos) << error;
}

// That it cannot be told says nothing of the subject.
TEST(StartTest, ASubjectThatIsStarvedIsNoSubjectsFault) {
  SubjectSpec spec = Fake("dives");
  spec.watchdog.span = 1s;
  Result<std::unique_ptr<LiveWorld>> world = LiveWorld::Start(spec);
  ASSERT_FALSE(world.ok());
  EXPECT_EQ(world.error().kind, Error::Kind::kStarved);
  EXPECT_NE(world.error().message.find("starved: never at rest"), std::string::npos)
      << world.error().message;
}

TEST(StartTest, ThatItWasAskedMustBeShown) {
  SubjectSpec spec = Fake("silent");
  spec.watchdog.span = 3s;
  const InLibrary with_the_question_in_its_hands;
  Result<std::unique_ptr<LiveWorld>> world = LiveWorld::Start(spec);
  ASSERT_FALSE(world.ok());
  EXPECT_EQ(world.error().kind, Error::Kind::kStarved);
  EXPECT_NE(world.error().message.find("nothing shows that it was asked"), std::string::npos)
      << world.error().message;
}

TEST(StartTest, SilenceAloneIsNoSubjectsFault) {
  DistrustKernel("this test says so");
  SubjectSpec spec = Fake("silent");
  spec.watchdog.span = 3s;
  Result<std::unique_ptr<LiveWorld>> world = LiveWorld::Start(spec);
  DistrustKernel("");
  ASSERT_FALSE(world.ok());
  EXPECT_EQ(world.error().kind, Error::Kind::kStarved);
  EXPECT_NE(world.error().message.find("silent for too long"), std::string::npos)
      << world.error().message;
}

TEST(StartTest, AQuestionThatHasLapsedIsNoSubjectsFault) {
  Result<std::unique_ptr<LiveWorld>> world = LiveWorld::Start({"fake", {FAKE_SUBJECT, "lapsing"}});
  ASSERT_FALSE(world.ok());
  EXPECT_EQ(world.error().kind, Error::Kind::kStarved);
}

TEST(StartTest, RefusesAClosedStdout) {
  const std::string error = StartError(Shell("exec >&-; exec sleep 1000"));
  EXPECT_NE(error.find("closed its stdout"), std::string::npos) << error;
}

TEST(StartTest, SaysThatItDiedBeforeDescribe) {
  const std::string error = StartError(Shell("echo counterpart-subject 1 stdio; kill -9 $$"));
  EXPECT_NE(error.find("signal 9 before it answered Describe"), std::string::npos) << error;
}

TEST(StartTest, SaysThatAnotherServiceIsServed) {
  const std::string error =
      StartError(Shell(FAKE_SUBJECT " grpc | sed -u 's/ grpc / grpc-stream /'"));
  EXPECT_NE(error.find("gRPC status 12: not served; who says \"grpc\" in its first line serves "
                       "Subject, who says \"grpc-stream\" serves SubjectStream"),
            std::string::npos)
      << error;
}

TEST(StartTest, RefusesAnAddressWhereNobodyServes) {
  const std::string error =
      StartError(Shell("echo counterpart-subject 1 grpc 127.0.0.1:1; exec sleep 1000"));
  EXPECT_NE(error.find("does not answer Describe"), std::string::npos) << error;
}

// ---------------------------------------------------------------- a running world

class Worldly : public Test {
 protected:
  void StartFake(const std::string& binding) { StartSpec(Fake(binding)); }
  void StartSpec(const SubjectSpec& spec) {
    Result<std::unique_ptr<LiveWorld>> started = LiveWorld::Start(spec, &OneAddress());
    ASSERT_TRUE(started.ok()) << started.error().message;
    world_ = std::move(*started);
    lane_ = world_->OpenLane();
  }

  void Do(EffectKind kind, uint32_t id = 0, uint64_t number = 0, std::string bytes = "") {
    world_->Execute(lane_, {.kind = kind, .id = id, .number = number, .bytes = std::move(bytes)});
  }

  // Takes arrivals until one is wanted; the ones before it are forgotten but stay in seen_. A
  // world that can bring no more fails the test instead of hanging it.
  Ingress Until(const std::function<bool(const Ingress&)>& wanted) {
    while (true) {
      while (!waiting_.empty()) {
        Ingress ingress = std::move(waiting_.front());
        waiting_.pop_front();
        seen_.push_back(ingress);
        if (wanted(ingress)) return ingress;
      }
      Take(kTurn);
    }
  }
  Ingress Until(IngressKind kind, uint32_t id = 0) {
    return Until([&](const Ingress& ingress) {
      return ingress.kind == kind && (id == 0 || ingress.id == id);
    });
  }
  void Take(std::chrono::microseconds limit) {
    for (Arrival& arrival : world_->Poll(limit)) {
      if (arrival.lane == lane_) {
        waiting_.push_back(std::move(arrival.ingress));
      } else {
        ++others_;
      }
    }
  }

  uint32_t Probe(const std::string& how) {
    control::ControlRequest request = ExecuteOf(next_command_++);
    request.mutable_execute()->mutable_probe()->set_capability(how);
    return Ask(request);
  }
  uint32_t Ask(const control::ControlRequest& request) {
    Do(EffectKind::kAsk, next_question_, 0, request.SerializeAsString());
    return next_question_++;
  }
  control::ControlReply Answer(uint32_t question) {
    control::ControlReply reply;
    EXPECT_TRUE(reply.ParseFromString(Until(IngressKind::kAnswer, question).bytes));
    EXPECT_EQ(reply.id(), question);
    return reply;
  }
  // Lets the subject dial us and behave so; the link's id.
  uint32_t AcceptOne(const std::string& how) {
    Do(EffectKind::kListen, 1);
    const uint64_t port = Until(IngressKind::kListening).number;
    Probe("dial:" + std::to_string(port) + ":" + how);
    return Until(IngressKind::kLinkAccepted).id;
  }
  uint64_t SubjectListens(const std::string& how) {
    return Answer(Probe("listen:" + how)).execute().outcome().listening().port();
  }
  size_t PositionOf(IngressKind kind) const {
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (seen_[i].kind == kind) return i;
    }
    return seen_.size();
  }

  std::unique_ptr<LiveWorld> world_;
  Lane lane_ = 0;
  std::deque<Ingress> waiting_;
  int others_ = 0;  // arrivals of other lanes
  std::vector<Ingress> seen_;
  uint64_t next_command_ = 1;
  uint32_t next_question_ = 1;
};

std::string NameOf(const testing::TestParamInfo<const char*>& binding) {
  std::string name = binding.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class AnyBinding : public Worldly, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Control, AnyBinding, testing::Values("grpc", "grpc-stream", "stdio"),
                         NameOf);

TEST_P(AnyBinding, DescribesItself) {
  StartFake(GetParam());
  EXPECT_EQ(world_->subject().name, "fake");
  EXPECT_EQ(world_->subject().capabilities, std::vector<std::string>{"bare"});
  EXPECT_EQ(world_->incarnation(), 1u);
  EXPECT_TRUE(world_->alive());
}

TEST_P(AnyBinding, AnswersComeWithTheLanesOwnIds) {
  StartFake(GetParam());
  const Lane other = world_->OpenLane();
  world_->Execute(
      other,
      {.kind = EffectKind::kAsk, .id = 9, .number = 0, .bytes = ExecuteOf(1).SerializeAsString()});
  Answer(Probe("nothing"));
  control::ControlRequest journal;
  journal.mutable_journal();
  const control::ControlReply reply = Answer(Ask(journal));
  ASSERT_EQ(reply.journal().events_size(), 1);  // the other lane's command is not ours
  EXPECT_EQ(reply.journal().events(0).transition().key(), 1u);
}

TEST_P(AnyBinding, EchoesBothWays) {
  StartFake(GetParam());
  const uint32_t accepted = AcceptOne("echo");
  EXPECT_GE(accepted, 1001u);
  Do(EffectKind::kWrite, accepted, 0, wire::Frame("hello") + wire::Frame(""));
  EXPECT_EQ(Until(IngressKind::kPayload, accepted).bytes, "hello");
  EXPECT_EQ(Until(IngressKind::kPayload, accepted).bytes, "");
  const uint64_t port = SubjectListens("echo");
  Do(EffectKind::kDial, 1, port);
  Until(IngressKind::kLinkUp, 1);
  const std::string large(3 << 20, 'l');
  Do(EffectKind::kWrite, 1, 0, wire::Frame(large));
  EXPECT_EQ(Until(IngressKind::kPayload, 1).bytes, large);
}

TEST_P(AnyBinding, ReadsTheExecutionsOfTheLanesOwnTime) {
  StartFake(GetParam());
  const auto executions = [this](uint32_t id) {
    Do(EffectKind::kReadExecutions, id, 0, "aa bb");
    return Until(IngressKind::kExecutions, id).bytes;
  };
  Answer(Probe("execute:aa"));
  EXPECT_EQ(executions(1), "aa\n");
  world_->CloseLane(lane_);
  lane_ = world_->OpenLane();
  EXPECT_EQ(executions(2), "");
  Answer(Probe("execute:bb"));
  Answer(Probe("execute:cc"));
  EXPECT_EQ(executions(3), "bb\n");
  Do(EffectKind::kRestart);
  Until(IngressKind::kStarted);
  Answer(Probe("execute:aa"));
  EXPECT_EQ(executions(4), "bb\naa\n");  // the file outlives the process
}

TEST_P(AnyBinding, TellsTheExitBeforeWhatItEntails) {
  StartFake(GetParam());
  AcceptOne("mute");
  control::ControlRequest await = ExecuteOf(next_command_++);
  await.mutable_execute()->mutable_await_event();
  const uint32_t open = Ask(await);
  Probe("exit:3");
  EXPECT_EQ(Until(IngressKind::kExited).text, "exit 3");
  EXPECT_FALSE(world_->alive());
  EXPECT_EQ(PositionOf(IngressKind::kEof), seen_.size());
  EXPECT_EQ(PositionOf(IngressKind::kReset), seen_.size());
  EXPECT_EQ(PositionOf(IngressKind::kNoAnswer), seen_.size());
  Until(IngressKind::kNoAnswer, open);
  const uint32_t late = Probe("nothing");
  EXPECT_EQ(Until(IngressKind::kNoAnswer, late).text, "the subject is not running");
}

TEST_P(AnyBinding, NamesTheSignalAndTheSanitizer) {
  StartFake(GetParam());
  Probe("abort");
  EXPECT_EQ(Until(IngressKind::kExited).text, "signal 6");
  Do(EffectKind::kRestart);
  EXPECT_EQ(Until(IngressKind::kStarted).number, 2u);
  Probe("sanitizer");
  EXPECT_EQ(Until(IngressKind::kExited).text,
            "exit 1; ==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1");
}

TEST_P(AnyBinding, ASubjectDoesNotOutliveWhatASanitizerReports) {
  StartFake(GetParam());
  Probe("race");
  while (world_->CheckCalm(std::chrono::seconds(0), Certainty::kOneLook).state ==
         Calm::State::kNo) {
    Take(kTurn);
  }
  ASSERT_FALSE(world_->alive());
  EXPECT_EQ(Until(IngressKind::kExited).text,
            "a sanitizer reports; WARNING: ThreadSanitizer: data race (pid=1)");
  EXPECT_NE(world_->stderr_tail().find("SUMMARY: "), std::string::npos);
  Do(EffectKind::kRestart);
  EXPECT_EQ(Until(IngressKind::kStarted).number, 2u);
  Probe("go-race");
  EXPECT_EQ(Until(IngressKind::kExited).text, "a sanitizer reports; WARNING: DATA RACE");
}

TEST_P(AnyBinding, KillsAndRestarts) {
  StartFake(GetParam());
  const uint32_t link = AcceptOne("mute");
  Do(EffectKind::kKill);
  EXPECT_EQ(Until(IngressKind::kExited).text, "signal 9");
  Until([&](const Ingress& ingress) {
    return ingress.id == link &&
           (ingress.kind == IngressKind::kEof || ingress.kind == IngressKind::kReset);
  });
  Do(EffectKind::kRestart);
  EXPECT_EQ(Until(IngressKind::kStarted).number, 2u);
  EXPECT_TRUE(world_->alive());
  EXPECT_EQ(Answer(Probe("nothing")).execute().outcome().kind_case(), control::Outcome::kDone);
}

TEST_P(AnyBinding, RespawnsWithAllLanesClosed) {
  StartFake(GetParam());
  world_->CloseLane(lane_);
  ASSERT_TRUE(world_->Respawn().ok());
  EXPECT_EQ(world_->incarnation(), 2u);
  lane_ = world_->OpenLane();
  Answer(Probe("nothing"));
}

class LinkTest : public Worldly {
 protected:
  void SetUp() override { StartFake("stdio"); }
};

TEST_F(LinkTest, TellsFinFromRst) {
  const uint32_t fin = AcceptOne("fin");
  EXPECT_EQ(Until(IngressKind::kEof, fin).number, 0u);
  const uint32_t rst = AcceptOne("rst");
  EXPECT_EQ(Until(IngressKind::kReset, rst).number, 0u);
}

TEST_F(LinkTest, CountsTheBytesOfAnUnfinishedPayload) {
  const uint32_t link = AcceptOne("part");
  EXPECT_EQ(Until(IngressKind::kEof, link).number, 5u);
}

TEST_F(LinkTest, StopsAtALengthOverTheLimit) {
  const uint32_t link = AcceptOne("huge");
  EXPECT_EQ(Until(IngressKind::kOversize, link).number, 0xffffffffu);
}

TEST_F(LinkTest, TakesItsLimitFromTheMachine) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kLimit, link, 4);
  Do(EffectKind::kWrite, link, 0, wire::Frame("1234") + wire::Frame("12345"));
  EXPECT_EQ(Until(IngressKind::kPayload, link).bytes, "1234");
  EXPECT_EQ(Until(IngressKind::kOversize, link).number, 5u);
}

TEST_F(LinkTest, TakesAFloodInBoundedTurns) {
  const uint32_t link = AcceptOne("flood:200");
  for (int payloads = 0; payloads < 200;) {
    size_t bytes = 0;
    for (const Arrival& arrival : world_->Poll(kTurn)) {
      if (arrival.ingress.kind != IngressKind::kPayload) continue;
      EXPECT_EQ(arrival.ingress.id, link);
      bytes += arrival.ingress.bytes.size();
      ++payloads;
    }
    EXPECT_LE(bytes, 2u << 20);  // one turn's reading, and what was begun before it
  }
}

TEST_F(LinkTest, LeavesInputInTheKernelWhileNotReading) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kStopReading, link);
  Do(EffectKind::kWrite, link, 0, wire::Frame("held"));
  const uint32_t other = AcceptOne("echo");
  Do(EffectKind::kWrite, other, 0, wire::Frame("read"));
  Until(IngressKind::kPayload, other);
  EXPECT_EQ(seen_.back().id, other);
  Do(EffectKind::kResumeReading, link);
  EXPECT_EQ(Until(IngressKind::kPayload, link).bytes, "held");
}

TEST_F(LinkTest, GivesUpOnAReaderThatNeverReads) {
  const uint32_t link = AcceptOne("mute");
  const std::string part(4 << 20, 'w');
  for (int i = 0; i < 40; ++i) Do(EffectKind::kWrite, link, 0, part);
  Until(IngressKind::kReset, link);
}

TEST_F(LinkTest, FinWaitsForWhatWasWritten) {
  const uint64_t port = SubjectListens("echo");
  Do(EffectKind::kDial, 1, port);
  Do(EffectKind::kWrite, 1, 0, wire::Frame("before it is even up"));
  Until(IngressKind::kLinkUp, 1);
  EXPECT_EQ(Until(IngressKind::kPayload, 1).bytes, "before it is even up");
  Do(EffectKind::kHalfClose, 1);
  Until(IngressKind::kEof, 1);  // the echo ends when its input does
}

// Against a listener of our own, which sees in how many segments what it is sent arrives.
class SegmentTest : public LinkTest {
 protected:
  void SetUp() override {
    LinkTest::SetUp();
    const uint32_t address = OneAddress().NextAddress();
    Result<Listener> listener = Listener::Open(address, OneAddress().FreePort(address));
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    Do(EffectKind::kDial, 1, listener->port());
    Until(IngressKind::kLinkUp, 1);
    far_ = listener->Accept();
    ASSERT_TRUE(far_.has_value());
  }
  void Write(std::string bytes) { Do(EffectKind::kWrite, 1, 0, std::move(bytes)); }
  uint32_t Segments() {
    const std::optional<TcpPath> path = PathOf(far_->get());
    return TcpDiag().FarEnd(path.value()).value().segments;
  }

  std::optional<UniqueFd> far_;
};

TEST_F(SegmentTest, PayloadsThatFollowEachOtherLeaveTogether) {
  for (const char* payload : {"a", "bb", "ccc"}) Write(wire::Frame(payload));
  Take(std::chrono::microseconds(0));
  EXPECT_EQ(Segments(), 1u);
  char bytes[64];
  EXPECT_EQ(recv(far_->get(), bytes, sizeof bytes, 0), 18);
}

TEST_F(SegmentTest, PartsOfAPayloadLeaveAsTheyAre) {
  const std::string frame = wire::Frame("abc");
  for (const char byte : frame) Write(std::string(1, byte));
  EXPECT_EQ(Segments(), frame.size());
}

TEST_F(SegmentTest, ThoseOfAnotherLinkComeAfterThem) {
  const uint32_t other = AcceptOne("echo");
  Write(wire::Frame("a"));
  Do(EffectKind::kWrite, other, 0, wire::Frame("b"));
  EXPECT_EQ(Segments(), 1u);
  EXPECT_EQ(Until(IngressKind::kPayload, other).bytes, "b");
}

TEST_F(SegmentTest, WhateverComesNextComesAfterThem) {
  Write(wire::Frame("a"));
  Write(wire::Frame("b"));
  Do(EffectKind::kAsk);
  EXPECT_EQ(Segments(), 1u);
  Write(wire::Frame("c"));
  Do(EffectKind::kHalfClose, 1);
  char bytes[64];
  EXPECT_EQ(recv(far_->get(), bytes, sizeof bytes, 0), 15);
  EXPECT_EQ(recv(far_->get(), bytes, sizeof bytes, 0), 0);
}

TEST_F(LinkTest, SaysNothingOfALinkItClosedItself) {
  const uint32_t link = AcceptOne("echo");
  Do(EffectKind::kWrite, link, 0, wire::Frame(std::string(1 << 20, 'e')));
  Do(EffectKind::kFin, link);
  Answer(Probe("nothing"));
  const uint32_t again = AcceptOne("echo");
  Do(EffectKind::kWrite, again, 0, wire::Frame("x"));
  Until(IngressKind::kPayload, again);
  for (const Ingress& ingress : seen_) {
    EXPECT_FALSE(ingress.id == link && ingress.kind == IngressKind::kPayload);
    EXPECT_FALSE(ingress.id == link && ingress.kind == IngressKind::kReset);
    EXPECT_FALSE(ingress.id == link && ingress.kind == IngressKind::kEof);
  }
}

TEST_F(LinkTest, KeepsThePortOfAStoppedListener) {
  Do(EffectKind::kListen, 1);
  const uint64_t port = Until(IngressKind::kListening, 1).number;
  Do(EffectKind::kDial, 1, port);
  // Both ends of it, whichever the kernel tells of first.
  bool up = false;
  uint32_t accepted = 0;
  Until([&](const Ingress& ingress) {
    up |= ingress.kind == IngressKind::kLinkUp;
    if (ingress.kind == IngressKind::kLinkAccepted) accepted = ingress.id;
    return up && accepted != 0;
  });
  Do(EffectKind::kStopListening, 1);
  Do(EffectKind::kDial, 2, port);
  EXPECT_EQ(Until(IngressKind::kLinkRefused, 2).text, "Connection refused");
  // What was accepted before lives on, and the port comes back.
  Do(EffectKind::kWrite, 1, 0, wire::Frame("still here"));
  EXPECT_EQ(Until(IngressKind::kPayload, accepted).bytes, "still here");
  Do(EffectKind::kListen, 1);
  EXPECT_EQ(Until(IngressKind::kListening, 1).number, port);
  Do(EffectKind::kDial, 3, port);
  Until(IngressKind::kLinkUp, 3);
}

TEST_F(LinkTest, ResetsWhatAClosedLaneHeld) {
  Do(EffectKind::kListen, 1);
  const uint64_t port = Until(IngressKind::kListening).number;
  const Lane first = lane_;
  lane_ = world_->OpenLane();
  Do(EffectKind::kDial, 1, port);
  Until(IngressKind::kLinkUp, 1);
  while (others_ < 1) Take(kTurn);  // the other end, accepted by the first lane
  world_->CloseLane(first);
  Until(IngressKind::kReset, 1);
}

// ---------------------------------------------------------------- calm

class CalmTest : public AnyBinding {
 protected:
  void SetUp() override { StartFake(GetParam()); }
  // Looks until the world commits itself. Everything that arrives on the way is taken.
  Calm UntilCommitted(std::chrono::microseconds horizon = 0us) {
    while (true) {
      Take(0us);
      const Calm calm = world_->CheckCalm(horizon, Certainty::kSustained);
      if (calm.state != Calm::State::kNo) return calm;
      Take(calm.retry_after);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Control, CalmTest, testing::Values("grpc", "grpc-stream", "stdio"),
                         NameOf);

TEST_P(CalmTest, AnIdleSubjectIsQuiescent) {
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
  EXPECT_NE(calm.evidence.find("settled twice: 0 commands"), std::string::npos) << calm.evidence;
}

// Descriptors of ours that are files of our own threads.
size_t OpenFilesOfOurThreads() {
  const std::string folder = "/proc/" + std::to_string(getpid()) + "/task/";
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    count += std::filesystem::read_symlink(entry.path(), gone).string().starts_with(folder);
  }
  return count;
}

// There are many worlds in a campaign, and each asks all of our threads.
TEST_P(CalmTest, FilesOfOurThreadsAreOpenedOnceForAllWorlds) {
  std::vector<std::unique_ptr<LiveWorld>> others;
  for (int i = 0; i < 3; ++i) {
    Result<std::unique_ptr<LiveWorld>> other = LiveWorld::Start(Fake(GetParam()), &OneAddress());
    ASSERT_TRUE(other.ok()) << other.error().message;
    others.push_back(std::move(*other));
    others.back()->OpenLane();
    Calm calm;
    while ((calm = others.back()->CheckCalm(0us, Certainty::kOneLook)).state == Calm::State::kNo) {
      others.back()->Poll(calm.retry_after);
    }
    EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
  }
  UntilCommitted();
  std::vector<std::filesystem::path> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    threads.push_back(entry.path());
  }
  EXPECT_GT(OpenFilesOfOurThreads(), 0u);
  EXPECT_LE(OpenFilesOfOurThreads(), 2 * threads.size());
}

// No file can be opened meanwhile.
class NoFiles {
 public:
  NoFiles() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// An empty one would say that nothing was executed.
TEST_P(CalmTest, AnExecutionsFileThatCannotBeReadIsNoEmptyOne) {
  {
    const NoFiles meanwhile;
    Do(EffectKind::kReadExecutions, 1);
  }
  const Ingress answer = Until([](const Ingress& ingress) {
    return ingress.kind == IngressKind::kUnjudgeable || ingress.kind == IngressKind::kExecutions;
  });
  EXPECT_EQ(answer.kind, IngressKind::kUnjudgeable);
  EXPECT_NE(answer.text.find("executions file cannot be read: Too many open files"),
            std::string::npos)
      << answer.text;
  Do(EffectKind::kReadExecutions, 2);
  EXPECT_EQ(Until(IngressKind::kExecutions).id, 2u);
}

// From port `from` of loopback, any if 0; says which that is.
UniqueFd ConnectFrom(uint16_t* from, uint64_t to) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(OneAddress().NextAddress());
  address.sin_port = htons(*from);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  *from = ntohs(address.sin_port);
  address.sin_port = htons(static_cast<uint16_t>(to));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

// The kernel gives a port out again: what is up under the addresses of a link that we closed says
// nothing of that one.
TEST_P(CalmTest, AnOldLinkIsOverWhereThereIsANewOne) {
  Do(EffectKind::kListen, 1);
  const uint64_t port = Until(IngressKind::kListening).number;
  uint16_t from = 0;
  UniqueFd end = ConnectFrom(&from, port);
  const uint32_t link = Until(IngressKind::kLinkAccepted).id;
  Do(EffectKind::kRst, link);
  end.Close();
  end = ConnectFrom(&from, port);
  Until(IngressKind::kLinkAccepted, link + 1);
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
}

TEST_P(CalmTest, NothingIsCalmBeforeAnAnswerThatIsOwed) {
  for (int i = 0; i < 20; ++i) {
    const uint32_t question = Probe("spin:" + std::to_string(i % 4));
    const Calm calm = UntilCommitted();
    EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
    ASSERT_FALSE(waiting_.empty()) << calm.evidence;
    EXPECT_EQ(waiting_.back().kind, IngressKind::kAnswer);
    EXPECT_EQ(waiting_.back().id, question);
    waiting_.clear();
  }
}

TEST_P(CalmTest, NothingIsCalmBeforeAnEchoThatIsUnderWay) {
  const uint32_t link = AcceptOne("echo");
  for (int i = 0; i < 20; ++i) {
    Do(EffectKind::kWrite, link, 0, wire::Frame(std::string(size_t{1} << i, 'e')));
    const Calm calm = UntilCommitted();
    EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
    EXPECT_EQ(
        std::count_if(waiting_.begin(), waiting_.end(),
                      [](const Ingress& ingress) { return ingress.kind == IngressKind::kPayload; }),
        1)
        << calm.evidence;
    waiting_.clear();
  }
}

TEST_P(CalmTest, AnOpenCommandThatWaitsIsNoUnrest) {
  control::ControlRequest await = ExecuteOf(next_command_++);
  await.mutable_execute()->mutable_await_event();
  const uint32_t open = Ask(await);
  EXPECT_EQ(UntilCommitted().state, Calm::State::kQuiescent);
  EXPECT_TRUE(waiting_.empty());
  control::ControlRequest release = ExecuteOf(next_command_++);
  release.mutable_execute()->mutable_release();
  Ask(release);
  Answer(open);
}

TEST_P(CalmTest, ATimerWithinTheHorizonIsWaitedFor) {
  Do(EffectKind::kListen, 1);
  const uint64_t port = Until(IngressKind::kListening).number;
  Answer(Probe("later:150:dial:" + std::to_string(port) + ":one"));
  const Calm calm = UntilCommitted(1s);
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
  ASSERT_EQ(waiting_.size(), 2u) << calm.evidence;
  EXPECT_EQ(waiting_.back().bytes, "one");
}

// A subject that answers no Settle, and has nothing to do: it is given up as soon as it is known
// that neither the question nor an answer is on its way, whatever lies between us.
TEST_P(CalmTest, ASettleThatIsNeverAnsweredIsAStall) {
  Answer(Probe("deaf"));
  const auto began = std::chrono::steady_clock::now();
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_TRUE(
      calm.evidence.starts_with("stalled: the subject is idle and has not answered Settle; "))
      << calm.evidence;
  EXPECT_FALSE(calm.fixpoint.empty());
  RecordProperty("ms", std::to_string((std::chrono::steady_clock::now() - began) / 1ms));
}

// Nor do threads of gRPC's that nothing wakes say that nothing will come.
class NapTest : public CalmTest {};
INSTANTIATE_TEST_SUITE_P(Control, NapTest, testing::Values("grpc", "grpc-stream"), NameOf);

TEST_P(NapTest, AnAnswerThatGrpcFindsLaterIsWaitedFor) {
  Answer(Probe("nap"));
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
}

TEST_P(CalmTest, AnOtherQuestionThatIsNeverAnsweredIsAStall) {
  Answer(Probe("mum"));
  control::ControlRequest journal;
  journal.mutable_journal();
  Ask(journal);
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_TRUE(
      calm.evidence.starts_with("stalled: the subject is idle, and yet a question of the "
                                "control plane is not answered; "))
      << calm.evidence;
}

// What serves a subject may let questions lapse that it has no time for: nothing follows from that.
class LapseTest : public CalmTest {};

INSTANTIATE_TEST_SUITE_P(Control, LapseTest, testing::Values("grpc"), NameOf);

TEST_P(LapseTest, AQuestionThatHasLapsedCannotBeJudged) {
  Answer(Probe("lapse"));
  control::ControlRequest journal;
  journal.mutable_journal();
  Ask(journal);
  const Ingress ended = Until([](const Ingress& ingress) {
    return ingress.kind == IngressKind::kUnjudgeable || ingress.kind == IngressKind::kNoAnswer;
  });
  EXPECT_EQ(ended.kind, IngressKind::kUnjudgeable);
  EXPECT_TRUE(ended.text.starts_with("starved: ")) << ended.text;
}

TEST_P(LapseTest, NorOneOfOurOwn) {
  Answer(Probe("lapse"));
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kUnjudgeable);
  EXPECT_TRUE(calm.evidence.starts_with("starved: ")) << calm.evidence;
}

class StreamTest : public Worldly {
 protected:
  void SetUp() override { StartFake("grpc-stream"); }
  Ingress EndOf(uint32_t question) {
    return Until([question](const Ingress& ingress) {
      return ingress.id == question &&
             (ingress.kind == IngressKind::kAnswer || ingress.kind == IngressKind::kNoAnswer);
    });
  }
  uint32_t AskJournal() {
    control::ControlRequest journal;
    journal.mutable_journal();
    return Ask(journal);
  }
};

// r[control.stream]
TEST_F(StreamTest, AnAnswerThatNobodyAskedForEndsIt) {
  EXPECT_EQ(EndOf(Probe("strange")).kind, IngressKind::kAnswer);
  const Ingress ended = EndOf(AskJournal());
  EXPECT_EQ(ended.kind, IngressKind::kNoAnswer);
  EXPECT_EQ(ended.text, "gRPC status 13: the subject answered question 4711, which is not open");
}

TEST_F(StreamTest, OnceTheSubjectHasEndedItNothingIsAnswered) {
  const Ingress last = EndOf(Probe("finish"));
  for (int i = 0; i < 2; ++i) {
    const Ingress ended = EndOf(AskJournal());
    EXPECT_EQ(ended.kind, IngressKind::kNoAnswer);
    EXPECT_EQ(ended.text, "gRPC status 2: the subject ended the stream");
  }
}

// Who has answered on it had the time for it: what ends it then is no lapse.
TEST_F(StreamTest, ToCancelItOnceAnsweredSaysSomethingOfTheSubject) {
  EXPECT_EQ(EndOf(Probe("lapse")).kind, IngressKind::kAnswer);
  const Ingress ended = EndOf(AskJournal());
  EXPECT_EQ(ended.kind, IngressKind::kNoAnswer);
  EXPECT_EQ(ended.text, "gRPC status 10: the subject cancelled the stream");
}

TEST_F(StreamTest, AQuestionOfMoreThanAMessageIsAskedAllTheSame) {
  control::ControlRequest large;
  large.mutable_execute()->set_command_id(next_command_++);
  large.mutable_execute()->mutable_call()->set_arguments(std::string(3u << 20, 'x'));
  std::vector<uint32_t> questions = {AskJournal(), Ask(large), AskJournal(), Ask(large)};
  for (const uint32_t question : questions) {
    EXPECT_EQ(EndOf(question).kind, IngressKind::kAnswer);
  }
}

// What never comes to rest is given up by the watchdog, with its class and a dump.
class WatchdogTest : public CalmTest {
 protected:
  void SetUp() override {
    SubjectSpec spec = Fake(GetParam());
    spec.watchdog.span = 1s;
    StartSpec(spec);
  }
  // Which of its threads the words are about is chance: another of them may be awake as well.
  void ExpectGivenUp(const std::string& begins, const std::string& state) {
    const Calm calm = UntilCommitted();
    EXPECT_EQ(calm.state, Calm::State::kUnjudgeable) << calm.evidence;
    EXPECT_TRUE(calm.evidence.starts_with(begins)) << calm.evidence;
    report::v1::Exec dump;
    ASSERT_TRUE(dump.ParseFromString(calm.fixpoint));
    ASSERT_EQ(dump.fixpoints_size(), 1);
    EXPECT_TRUE(std::ranges::any_of(dump.fixpoints(0).threads(), [&state](const auto& thread) {
      return thread.state() == state;
    })) << dump.DebugString();
  }
};
INSTANTIATE_TEST_SUITE_P(Control, WatchdogTest, testing::Values("grpc", "grpc-stream", "stdio"),
                         NameOf);

TEST_P(WatchdogTest, ARunaway) {
  Probe("spin:1000000");
  ExpectGivenUp("runaway: never at rest while it used ", "R");
}

TEST_P(WatchdogTest, OneThatIsStarved) {
  Answer(Probe("dive"));
  ExpectGivenUp("starved: never at rest while it used ", "D");
}

TEST_P(WatchdogTest, OneThatIsStopped) {
  Probe("stop");
  ExpectGivenUp("stalled: stopped, never at rest", "T");
}

// Its own word against the kernel's.
TEST_P(CalmTest, ASubjectThatClaimsToBeAtWorkAndRestsIsContradicted) {
  Answer(Probe("claim:2"));
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kContradicted) << calm.evidence;
  EXPECT_TRUE(
      calm.evidence.starts_with("the subject says that 2 units of work are runnable, and "
                                "said so again after each of 20 instants at which it was "
                                "at rest"))
      << calm.evidence;
  EXPECT_FALSE(calm.fixpoint.empty());
  // Once it says what is so, all is well.
  Answer(Probe("claim:0"));
  EXPECT_EQ(UntilCommitted().state, Calm::State::kQuiescent);
}

// While gRPC may hold a question or an answer, no instant of rest tells against the subject.
class HeldTest : public CalmTest {};
INSTANTIATE_TEST_SUITE_P(Control, HeldTest, testing::Values("grpc", "grpc-stream"), NameOf);

TEST_P(HeldTest, NobodyIsContradictedWhileTheLibraryIsInUse) {
  Answer(Probe("claim:2"));
  {
    const InLibrary meanwhile;
    for (int check = 0; check < 3 * kAgreeingAnswers; ++check) {
      Take(0us);
      EXPECT_EQ(world_->CheckCalm(0us, Certainty::kSustained).state, Calm::State::kNo);
    }
  }
  EXPECT_EQ(UntilCommitted().state, Calm::State::kContradicted);
}

// The answer to a Settle of an earlier check comes while another waits for its own.
TEST_P(CalmTest, AnAnswerOfAnEarlierCheckIsNotTakenForThatOfThisOne) {
  Answer(Probe("tardy"));
  world_->CheckCalm(0us, Certainty::kSustained);  // its Settle stays open
  // The old answer comes with this command's and counts one command less.
  const uint32_t question = Probe("nothing");
  Answer(question);
  Answer(Probe("claim:0"));  // and is no longer tardy
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
  EXPECT_NE(calm.evidence.find("settled twice: 3 commands"), std::string::npos) << calm.evidence;
}

// Where the kernel cannot be read: the subject's own word, and silence.
class FallbackTest : public CalmTest {
 protected:
  void SetUp() override {
    DistrustKernel("this test says so");
    CalmTest::SetUp();
  }
  void TearDown() override { DistrustKernel(""); }
};
INSTANTIATE_TEST_SUITE_P(Control, FallbackTest, testing::Values("grpc", "grpc-stream", "stdio"),
                         NameOf);

TEST_P(FallbackTest, SettleAndSilenceAreTierThree) {
  const Calm calm = UntilCommitted();
  EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
  EXPECT_EQ(calm.tier, 3);
  EXPECT_NE(calm.evidence.find("silent for 2000 ms; the kernel cannot be relied on here: this test "
                               "says so; settled twice"),
            std::string::npos)
      << calm.evidence;
}

TEST_P(FallbackTest, AnAnswerThatIsOwedIsWaitedFor) {
  const uint32_t question = Probe("spin:2500");  // silent for longer than silence would tell
  EXPECT_EQ(UntilCommitted().state, Calm::State::kQuiescent);
  ASSERT_FALSE(waiting_.empty());
  EXPECT_EQ(waiting_.back().id, question);
}

TEST_P(CalmTest, ADeadSubjectIsQuiescent) {
  Probe("exit:0");
  ASSERT_EQ(UntilCommitted().evidence, "the subject has ended");
  EXPECT_EQ(waiting_.front().kind, IngressKind::kExited);
  EXPECT_EQ(waiting_.back().kind, IngressKind::kNoAnswer);
}

// ---------------------------------------------------------------- a world for each thread

// As the workers of a campaign use them: each starts, asks, waits for calm, replaces and ends its
// own, while the others do the same.
TEST(ThreadsTest, HaveWorldsOfTheirOwn) {
  constexpr int kThreads = 3, kRounds = 2;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([] {
      MarkOwnThread();
      Result<std::unique_ptr<LiveWorld>> started = LiveWorld::Start(Fake("grpc"), &OneAddress());
      ASSERT_TRUE(started.ok()) << started.error().message;
      LiveWorld& world = **started;
      for (uint32_t round = 1; round <= kRounds; ++round) {
        const Lane lane = world.OpenLane();
        world.Execute(lane, {.kind = EffectKind::kAsk,
                             .id = round,
                             .number = 0,
                             .bytes = ExecuteOf(1).SerializeAsString()});
        std::vector<Arrival> arrivals;
        Calm calm;
        while (calm.state == Calm::State::kNo) {
          for (Arrival& arrival : world.Poll(calm.retry_after)) arrivals.push_back(arrival);
          calm = world.CheckCalm(0us, Certainty::kSustained);
        }
        EXPECT_EQ(calm.state, Calm::State::kQuiescent) << calm.evidence;
        ASSERT_EQ(arrivals.size(), 1u);
        EXPECT_EQ(arrivals[0].ingress.kind, IngressKind::kAnswer);
        world.CloseLane(lane);
        ASSERT_TRUE(world.Respawn().ok());
        EXPECT_EQ(world.incarnation(), round + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// ---------------------------------------------------------------- nothing is left behind

size_t ProcessesOfFakes() {
  size_t count = 0;
  for (const pid_t pid : AllProcesses()) {
    const auto stat = ReadStat(pid);
    std::error_code ignored;
    const auto program =
        std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", ignored);
    if (!stat || program != std::filesystem::canonical(FAKE_SUBJECT)) continue;
    std::string group = "COUNTERPART_TEST_RUN=" + std::to_string(getpid());
    if (HasEnvironment(pid, group)) ++count;
  }
  return count;
}

TEST_F(LinkTest, LeavesNoProcessBehind) {
  setenv("COUNTERPART_TEST_RUN", std::to_string(getpid()).c_str(), 1);
  world_.reset();
  StartFake("stdio");
  Answer(Probe("fork"));
  EXPECT_GE(ProcessesOfFakes(), 2u);
  world_.reset();
  EXPECT_EQ(ProcessesOfFakes(), 0u);
}

TEST_F(LinkTest, LeavesNoProcessOfADeadSubjectBehind) {
  setenv("COUNTERPART_TEST_RUN", std::to_string(getpid()).c_str(), 1);
  world_.reset();
  StartFake("stdio");
  Answer(Probe("fork"));
  Probe("exit:0");
  EXPECT_EQ(Until(IngressKind::kExited).text, "exit 0");
  EXPECT_EQ(ProcessesOfFakes(), 0u);
}

TEST_F(LinkTest, FollowsAWrapperThatForksTwice) {
  setenv("COUNTERPART_TEST_RUN", std::to_string(getpid()).c_str(), 1);
  world_.reset();
  StartSpec(Shell(std::string("setsid ") + FAKE_SUBJECT + " grpc wrapped &"));
  Answer(Probe("nothing"));
  EXPECT_TRUE(world_->alive());
  Probe("abort");
  EXPECT_EQ(Until(IngressKind::kExited).text, "signal 6");
  world_.reset();
  EXPECT_EQ(ProcessesOfFakes(), 0u);
}

}  // namespace
}  // namespace counterpart::effects
