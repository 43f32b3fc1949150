// The check for calm against a kernel of our own: every interleaving of what a small subject does
// with the questions the check asks. With all its steps the check is never wrong; without any one
// of them it is, in at least one interleaving, and the test of that step says in which.
#include "harness/effects/snapshot.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/effects/housekeeping.h"
#include "harness/effects/kernel_witness.h"
#include "harness/effects/linux_reader.h"

namespace counterpart::effects {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kTickNs = kMillisecond / 10;  // how long a question takes
constexpr pid_t kProcess = 100;
constexpr uint64_t kMemory = 0x1000;  // where the one timespec of a process lies

std::string Call(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
  char line[128];
  std::snprintf(line, sizeof line, "%ld 0x%lx 0x%lx 0x%lx 0x%lx 0x0 0x0 0x0 0x0\n", number, a, b, c,
                d);
  return line;
}

std::string FutexForEver() { return Call(SYS_futex, 0x10, FUTEX_WAIT_PRIVATE, 0, 0); }
std::string FutexUntilInMemory() {
  return Call(SYS_futex, 0x10, FUTEX_WAIT_BITSET_PRIVATE, 0, kMemory);
}
std::string SleepInMemory() { return Call(SYS_nanosleep, kMemory, 0); }

// A subject of some threads and one connection, as a kernel would show it.
struct Model {
  struct Thread {
    pid_t tid;
    std::string name;
    uint64_t incarnation;
    char state = 'S';
    std::string syscall = FutexForEver();
    uint64_t run_ns = 1000, delay_ns = 0, switches = 1;
  };
  std::map<pid_t, Thread> threads;
  uint64_t incarnations = 0;
  timespec memory = {};
  uint64_t socket_timeout_ns = 0;
  std::optional<LockHolder> lock_holder;
  bool readable = true;  // what threads do
  WakeSources sources;
  // The connection: counts of bytes. What the subject sent has arrived once we can read it.
  uint64_t subject_sent = 0, subject_received = 0, written = 0, arrived = 0;
  bool connected = false, fin_sent = false, fin_arrived = false;
  bool connect_waits = false;  // the subject has dialled us
  bool anything_came = false;  // has reached us by itself

  void Add(pid_t tid, const std::string& name = "worker") {
    threads[tid] = {.tid = tid, .name = name, .incarnation = ++incarnations};
  }
  // What the scheduler does to a thread.
  void Wake(pid_t tid) { threads.at(tid).state = 'R'; }
  void Run(pid_t tid) {
    Thread& thread = threads.at(tid);
    thread.state = 'R';
    thread.delay_ns += 10;
    ++thread.switches;
  }
  void Sleep(pid_t tid, const std::string& in = FutexForEver()) {
    Thread& thread = threads.at(tid);
    thread.state = 'S';
    thread.run_ns += 100;
    thread.syscall = in;
  }
  void WakeRunSleep(pid_t tid, const std::string& in = FutexForEver()) {
    Run(tid);
    Sleep(tid, in);
  }
  void Send() { ++subject_sent; }
  void Arrive() {
    arrived = subject_sent;
    anything_came = true;
  }
};

using Event = std::function<void(Model&, uint64_t now_ns)>;

// What happens, in this order; when, is for the test to try.
struct Story {
  std::function<void(Model&)> begin;
  std::vector<Event> events;
  // Looks before the first event: what they see is remembered.
  int looks_before = 0;
  // The events happen at these distances, and not anywhere: the first after so many ticks.
  uint64_t first_event_after = 0;
};

// A story under way.
struct Telling {
  Model model;
  uint64_t tick = 1'000'000;
  std::vector<std::pair<uint64_t, Event>> due;  // ascending
  size_t next = 0;

  uint64_t now() const { return tick * kTickNs; }
  void Advance(uint64_t ticks) {
    for (; ticks > 0; --ticks) {
      ++tick;
      for (; next < due.size() && due[next].first <= tick; ++next) due[next].second(model, now());
    }
  }
  // Lets the story end, and says whether the subject still did something we can see.
  bool StillComes() {
    model.anything_came = false;
    while (next < due.size()) due[next++].second(model, now());
    return model.anything_came;
  }
};

// Answers from the model. Each question takes one tick, and due events happen before the answer.
class ModelKernel final : public KernelReader {
 public:
  explicit ModelKernel(Telling* state) : state_(*state) {}

  uint64_t NowNs() override { return state_.now(); }
  bool ListThreads(std::vector<ThreadId>* threads) override {
    Model& model = Tick();
    threads->clear();
    for (const auto& [tid, thread] : model.threads) {
      threads->push_back({kProcess, tid, thread.incarnation});
    }
    return true;
  }
  std::string Counters(const ThreadId& id) override {
    const Model::Thread* thread = Find(id);
    if (thread == nullptr) return {};
    return std::to_string(thread->run_ns) + " " + std::to_string(thread->delay_ns) + " " +
           std::to_string(thread->switches) + "\n";
  }
  std::string Syscall(const ThreadId& id) override {
    const Model::Thread* thread = Find(id);
    if (thread == nullptr) return {};
    if (!state_.model.readable) return {};
    return thread->state == 'R' ? "running\n" : thread->syscall;
  }
  char State(const ThreadId& id) override {
    const Model::Thread* thread = Find(id);
    return thread == nullptr ? '?' : thread->state;
  }
  std::string Name(const ThreadId& id) override {
    const auto thread = state_.model.threads.find(id.tid);
    return thread == state_.model.threads.end() ? "" : thread->second.name;
  }
  bool ReadMemory(pid_t, uint64_t address, void* to, size_t size) override {
    Model& model = Tick();
    if (address != kMemory || size != sizeof model.memory) return false;
    std::memcpy(to, &model.memory, size);
    return true;
  }
  std::optional<uint64_t> DescriptorTimeoutNs(pid_t, int, bool) override {
    return Tick().socket_timeout_ns;
  }
  std::optional<LockHolder> LockHeldOutside(pid_t, const std::vector<ThreadId>&) override {
    return Tick().lock_holder;
  }
  bool ReadWakeSources(const std::vector<ThreadId>&, WakeSources* sources) override {
    *sources = Tick().sources;
    return true;
  }
  std::optional<TcpEnd> OwnEnd(int) override {
    const Model& model = Tick();
    return TcpEnd{.state = static_cast<uint8_t>(model.fin_sent ? TCP_FIN_WAIT2 : TCP_ESTABLISHED),
                  .counted = true};
  }
  std::optional<TcpEnd> SubjectEnd(const TcpPath&) override {
    const Model& model = Tick();
    return TcpEnd{
        .state = static_cast<uint8_t>(model.fin_arrived ? TCP_CLOSE_WAIT : TCP_ESTABLISHED),
        .counted = true,
        .received = model.subject_received,
        .sent = model.subject_sent};
  }
  bool InputWaits(const std::vector<int>&) override {
    const Model& model = Tick();
    return model.connect_waits || model.arrived > 0;
  }

 private:
  Model& Tick() {
    state_.Advance(1);
    return state_.model;
  }
  const Model::Thread* Find(const ThreadId& id) {
    Model& model = Tick();
    const auto thread = model.threads.find(id.tid);
    return thread == model.threads.end() ? nullptr : &thread->second;
  }

  Telling& state_;
};

OurEnds EndsOf(const Model& model) {
  OurEnds ends;
  ends.inputs = {3};
  if (model.connected) ends.links.push_back({.fd = 4, .written = model.written});
  if (model.fin_sent && !model.connected) ends.departed.push_back({});
  return ends;
}

// Looks until the witness commits itself or the story is over; whether it was wrong.
bool IsWrong(const Story& story, const std::vector<uint64_t>& distances, const CheckSteps& steps,
             Certainty certainty) {
  Telling state;
  story.begin(state.model);
  const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state), steps);
  witness->OnStarted();
  OurEnds ends = EndsOf(state.model);
  for (int i = 0; i < story.looks_before; ++i) {
    witness->Look(&ends, std::chrono::microseconds(0), certainty);
  }
  uint64_t at = state.tick + story.first_event_after;
  for (size_t i = 0; i < story.events.size(); ++i) {
    at += distances[i];
    state.due.emplace_back(at, story.events[i]);
  }
  while (state.next < state.due.size() && state.model.arrived == 0 && !state.model.connect_waits) {
    const KernelView view = witness->Look(&ends, std::chrono::microseconds(0), certainty);
    if (view.state == KernelView::State::kQuiescent) return state.StillComes();
    const auto pause = static_cast<uint64_t>(view.retry_after.count()) * 1000 / kTickNs;
    state.Advance(std::max<uint64_t>(pause, 1));
  }
  return false;
}

// The first placement of the events in which the check is wrong; nothing if there is none.
std::optional<std::string> FirstWrong(const Story& story, const CheckSteps& steps = {},
                                      Certainty certainty = Certainty::kOneLook) {
  constexpr uint64_t kFarthestFirst = 40, kFarthest = 12;
  std::vector<uint64_t> distances(story.events.size(), 1);
  while (true) {
    if (IsWrong(story, distances, steps, certainty)) {
      std::string text = "events at";
      uint64_t at = 0;
      for (const uint64_t distance : distances) text += " " + std::to_string(at += distance);
      return text;
    }
    size_t i = 0;
    for (; i < distances.size(); ++i) {
      if (++distances[i] <= (i == 0 ? kFarthestFirst : kFarthest)) break;
      distances[i] = 1;
    }
    if (i == distances.size()) return std::nullopt;
  }
}

// The check is right with all its steps, and wrong without this one.
void ExpectNeeded(const Story& story, bool CheckSteps::*step,
                  Certainty certainty = Certainty::kOneLook) {
  const auto wrong = FirstWrong(story, {}, certainty);
  EXPECT_FALSE(wrong.has_value()) << "called calm too early: " << *wrong;
  CheckSteps without;
  without.*step = false;
  EXPECT_TRUE(FirstWrong(story, without, certainty).has_value())
      << "the step could be left out and nobody would see it";
}

// ---------------------------------------------------------------- stories

// Thread 2 wakes thread 1 and sleeps; thread 1 dials us when it gets a CPU.
Story HopThenDial() {
  return {.begin =
              [](Model& model) {
                model.Add(1);
                model.Add(2);
                model.Run(2);
              },
          .events = {[](Model& model, uint64_t) {
                       model.Wake(1);
                       model.Sleep(2);
                     },
                     [](Model& model, uint64_t) { model.Run(1); },
                     [](Model& model, uint64_t) {
                       model.connect_waits = model.anything_came = true;
                       model.Sleep(1);
                     }}};
}

TEST(StepTest, StateIsNeeded) { ExpectNeeded(HopThenDial(), &CheckSteps::state); }

// Woken, and asleep again: between the two looks at it, or between its counters and its state. What
// it sent takes its time.
Story QuickAnswer() {
  Story story = HopThenDial();
  story.begin = [begin = HopThenDial().begin](Model& model) {
    begin(model);
    model.connected = true;
  };
  story.events = {story.events[0],
                  [](Model& model, uint64_t) {
                    model.Send();
                    model.WakeRunSleep(1);
                  },
                  [](Model& model, uint64_t) { model.Arrive(); }};
  return story;
}

TEST(StepTest, CountersAreNeededTwice) { ExpectNeeded(QuickAnswer(), &CheckSteps::counters_again); }

TEST(StepTest, StateComesBeforeTheCountersThatValidateIt) {
  ExpectNeeded(QuickAnswer(), &CheckSteps::state_before_counters);
}

// What a thread waits for is read after the counters that B compares.
TEST(StepTest, CountersComeBeforeTheCallTheyValidate) {
  const Story story = {
      .begin =
          [](Model& model) {
            model.Add(1);
            model.Add(2);
            model.Run(2);
            model.memory = {0, 300 * static_cast<long>(kMillisecond)};
          },
      // Asleep for ever, it seems; then it runs and sleeps again, with a timeout this time.
      .events = {[](Model& model, uint64_t) {
                   model.WakeRunSleep(1, SleepInMemory());
                   model.Sleep(2);
                 },
                 [](Model&, uint64_t) {},
                 [](Model& model, uint64_t) {
                   model.WakeRunSleep(1);
                   model.connect_waits = model.anything_came = true;
                 }}};
  ExpectNeeded(story, &CheckSteps::counters_before_syscall);
}

TEST(StepTest, TheListIsReadAgain) {
  const Story story = {.begin =
                           [](Model& model) {
                             model.Add(1);
                             model.Run(1);
                           },
                       .events = {[](Model& model, uint64_t) {
                                    model.Add(2);
                                    model.Wake(2);
                                    model.Sleep(1);
                                  },
                                  [](Model& model, uint64_t) { model.Run(2); },
                                  [](Model& model, uint64_t) {
                                    model.connect_waits = model.anything_came = true;
                                    model.threads.erase(2);
                                  }}};
  ExpectNeeded(story, &CheckSteps::list_again);
}

TEST(StepTest, BytesToTheSubjectAreUnderWay) {
  const Story story = {.begin =
                           [](Model& model) {
                             model.Add(1);
                             model.connected = true;
                             model.written = 1;
                           },
                       .events = {[](Model& model, uint64_t) {
                                    model.subject_received = 1;
                                    model.Wake(1);
                                  },
                                  [](Model& model, uint64_t) { model.Run(1); },
                                  [](Model& model, uint64_t) {
                                    model.Send();
                                    model.Sleep(1);
                                  },
                                  [](Model& model, uint64_t) { model.Arrive(); }}};
  ExpectNeeded(story, &CheckSteps::bytes);
}

TEST(StepTest, BytesFromTheSubjectAreUnderWay) {
  const Story story = {.begin =
                           [](Model& model) {
                             model.Add(1);
                             model.connected = true;
                             model.Run(1);
                           },
                       .events = {[](Model& model, uint64_t) {
                                    model.Send();
                                    model.Sleep(1);
                                  },
                                  [](Model& model, uint64_t) { model.Arrive(); }}};
  ExpectNeeded(story, &CheckSteps::bytes);
}

TEST(StepTest, AnEndOfOursIsUnderWay) {
  const Story story = {.begin =
                           [](Model& model) {
                             model.Add(1);
                             model.fin_sent = true;
                           },
                       .events = {[](Model& model, uint64_t) {
                                    model.fin_arrived = true;
                                    model.Wake(1);
                                  },
                                  [](Model& model, uint64_t) { model.Run(1); },
                                  [](Model& model, uint64_t) {
                                    model.connect_waits = model.anything_came = true;
                                    model.Sleep(1);
                                  }}};
  ExpectNeeded(story, &CheckSteps::departed);
}

TEST(StepTest, OurOwnInputIsLookedAtAfterTheWindow) {
  // A dial of the subject's is complete before anybody of it sleeps, and we have not accepted it.
  Story story = {.begin =
                     [](Model& model) {
                       model.Add(1);
                       model.Run(1);
                     },
                 .events = {[](Model& model, uint64_t) {
                              model.connect_waits = true;
                              model.Sleep(1);
                            },
                            [](Model&, uint64_t) {}}};
  const auto calm_too_early = [&story](const CheckSteps& steps) {
    for (uint64_t at = 1; at < 40; ++at) {
      Telling state;
      story.begin(state.model);
      const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state), steps);
      state.due = {{state.tick + at, story.events[0]}};
      OurEnds ends = EndsOf(state.model);
      const auto view = witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook);
      if (view.state == KernelView::State::kQuiescent) return true;
      state.Advance(40);
      const auto again = witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook);
      if (again.state == KernelView::State::kQuiescent) return true;
    }
    return false;
  };
  EXPECT_FALSE(calm_too_early({}));
  EXPECT_TRUE(calm_too_early({.input_after = false}));
}

// ---------------------------------------------------------------- timers

// Blocked until a deadline within the horizon, then it dials. The deadline lies where the thread's
// stack holds something else once it has run.
Story Timer() {
  return {.begin =
              [](Model& model) {
                model.Add(1);
                model.Sleep(1, FutexUntilInMemory());
                const uint64_t due = 1'000'000 * kTickNs + 30 * kTickNs;
                model.memory = {static_cast<time_t>(due / 1'000'000'000),
                                static_cast<long>(due % 1'000'000'000)};
              },
          .events = {[](Model& model, uint64_t) {
                       model.Wake(1);
                       model.memory = {uint32_t{1} << 31, 0};  // a deadline of years
                     },
                     [](Model& model, uint64_t) { model.Run(1); },
                     [](Model& model, uint64_t) {
                       model.connect_waits = model.anything_came = true;
                       model.Sleep(1);
                     }}};
}

TEST(StepTest, TimeoutsAreLookedAt) { ExpectNeeded(Timer(), &CheckSteps::timeouts); }

TEST(StepTest, TimeoutsAreReadBeforeTheyAreValidated) {
  ExpectNeeded(Timer(), &CheckSteps::timeouts_in_first_pass);
}

// Nothing visible runs, and yet it dials in a while.
Story FromNowhere(std::function<void(Model&)> begin) {
  return {.begin =
              [begin = std::move(begin)](Model& model) {
                model.Add(1);
                begin(model);
              },
          .events = {[](Model& model, uint64_t) { model.Run(1); },
                     [](Model& model, uint64_t) {
                       model.connect_waits = model.anything_came = true;
                       model.Sleep(1);
                     }},
          .first_event_after = 500};
}

TEST(StepTest, OutsideASystemCallIsNotForEver) {
  ExpectNeeded(
      FromNowhere([](Model& model) { model.Sleep(1, "-1 0x7ffd00000000 0x7f0000000000\n"); }),
      &CheckSteps::outside_syscall_is_unknown);
}

TEST(StepTest, ASocketMayHaveATimeout) {
  ExpectNeeded(FromNowhere([](Model& model) {
                 model.Sleep(1, Call(SYS_recvfrom, 7, 0, 0, 0));
                 model.socket_timeout_ns = 100 * kMillisecond;
               }),
               &CheckSteps::socket_timeouts);
}

TEST(StepTest, ALockMayBeHeldBySomebodyElse) {
  ExpectNeeded(FromNowhere([](Model& model) {
                 model.Sleep(1, Call(SYS_flock, 9, LOCK_EX));
                 model.lock_holder = LockHolder{.pid = 77, .name = "other", .progress = "1"};
               }),
               &CheckSteps::file_locks);
}

TEST(StepTest, ATimerFdIsATimer) {
  ExpectNeeded(
      FromNowhere([](Model& model) {
        model.sources.timer_fds = {{.pid = kProcess, .fd = 5, .remaining_ns = 60 * kMillisecond}};
      }),
      &CheckSteps::wake_sources);
}

TEST(StepTest, WhatCannotBeReadIsUnknown) {
  ExpectNeeded(FromNowhere([](Model& model) { model.sources.unknown = "io_uring"; }),
               &CheckSteps::wake_sources);
}

TEST(StepTest, ATimerFdThatIsDueLooksDisarmedAndIsNot) {
  Story story = {
      .begin =
          [](Model& model) {
            model.Add(1);
            model.sources.timer_fds = {{.pid = kProcess, .fd = 5, .remaining_ns = 20 * kTickNs}};
          },
      .events = {[](Model& model, uint64_t) {
                   model.sources.timer_fds[0].remaining_ns = 0;  // due
                 },
                 [](Model& model, uint64_t) {
                   model.sources.timer_fds[0].expirations = 1;  // fired
                   model.Wake(1);
                 },
                 [](Model& model, uint64_t) { model.Run(1); },
                 [](Model& model, uint64_t) {
                   model.connect_waits = model.anything_came = true;
                   model.Sleep(1);
                 }},
      .looks_before = 1};
  ExpectNeeded(story, &CheckSteps::timer_fd_memory);
}

TEST(StepTest, AFailureRestsOnTheSameStateTwice) {
  // The timerfd was due before anybody looked at it.
  Story story = {.begin =
                     [](Model& model) {
                       model.Add(1);
                       model.sources.timer_fds = {{.pid = kProcess, .fd = 5}};
                     },
                 .events = {[](Model& model, uint64_t) { model.Run(1); },
                            [](Model& model, uint64_t) {
                              model.connect_waits = model.anything_came = true;
                              model.Sleep(1);
                            }}};
  ExpectNeeded(story, &CheckSteps::sustained, Certainty::kSustained);
  // One look is not enough for it: the step is more than a delay.
  EXPECT_TRUE(FirstWrong(story, {}, Certainty::kOneLook).has_value());
}

// ---------------------------------------------------------------- housekeeping

TEST(StepTest, ALaterThreadOnlyLooksLikeHousekeeping) {
  Story story = Timer();
  story.begin = [begin = Timer().begin](Model& model) {
    begin(model);
    model.threads.at(1).name = "event_engine";
    model.threads.at(1).incarnation = 1000;  // not there when housekeeping was marked
    model.incarnations = 1000;
  };
  // Marking happens in IsWrong before the story: so let this one come after it.
  const auto with = [&story](const CheckSteps& steps) {
    Telling state;
    state.model.Add(9, "main");
    const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state), steps);
    witness->OnStarted();
    story.begin(state.model);
    OurEnds ends;
    return witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook).state;
  };
  EXPECT_EQ(with({}), KernelView::State::kBusy);
  EXPECT_EQ(with({.housekeeping_only_early = false}), KernelView::State::kQuiescent);
}

TEST(HousekeepingTest, OfThreadsThatComeLaterOnlyThoseThatRunNoCodeOfOthers) {
  const auto state_with = [](const std::string& name) {
    Telling state;
    state.model.Add(1);
    const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state));
    witness->OnStarted();
    state.model.Add(2, name);
    state.model.memory = {0, 100'000'000};
    state.model.WakeRunSleep(2, SleepInMemory());
    OurEnds ends;
    return witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook).state;
  };
  for (const HousekeepingThreads& row : HousekeepingTable()) {
    EXPECT_EQ(state_with(std::string(row.name)),
              row.late ? KernelView::State::kQuiescent : KernelView::State::kBusy)
        << row.name;
  }
  // Handlers run on this one, and what they start is called like it.
  EXPECT_FALSE(IsHousekeeping("default-executo", /*early=*/false));
}

TEST(HousekeepingTest, TimersOfEveryRowAreLeftOutOfAccountAndOthersAreNot) {
  const auto state_with = [](const std::string& name) {
    Telling state;
    state.model.Add(1);
    state.model.Add(2, name);
    const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state));
    witness->OnStarted();
    state.model.memory = {0, 100'000'000};
    state.model.WakeRunSleep(2, SleepInMemory());
    OurEnds ends;
    return witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook).state;
  };
  for (const HousekeepingThreads& row : HousekeepingTable()) {
    EXPECT_EQ(state_with(std::string(row.name)), KernelView::State::kQuiescent) << row.name;
    EXPECT_EQ(state_with("my " + std::string(row.name)), KernelView::State::kBusy) << row.name;
    EXPECT_LE(row.name.size(), 15u) << row.name << " is longer than the kernel keeps";
  }
}

TEST(StepTest, HousekeepingThatRunsIsARunningThread) {
  const auto with = [](const CheckSteps& steps) {
    Telling state;
    state.model.Add(1);
    state.model.Add(2, "VM Thread");
    const auto witness = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state), steps);
    witness->OnStarted();
    state.model.Run(2);
    OurEnds ends;
    return witness->Look(&ends, std::chrono::microseconds(0), Certainty::kOneLook).state;
  };
  EXPECT_EQ(with({}), KernelView::State::kBusy);
  EXPECT_EQ(with({.housekeeping_runs_too = false}), KernelView::State::kQuiescent);
}

// ---------------------------------------------------------------- the witness over a story

class WitnessTest : public testing::Test {
 protected:
  void SetUp() override {
    state_.model.Add(1);
    witness_ = MakeSnapshotWitness(std::make_unique<ModelKernel>(&state_));
    witness_->OnStarted();
  }
  KernelView Look(std::chrono::microseconds horizon = std::chrono::microseconds(0)) {
    OurEnds ends = EndsOf(state_.model);
    return witness_->Look(&ends, horizon, Certainty::kOneLook);
  }
  void Pass(uint64_t ms) { state_.Advance(ms * kMillisecond / kTickNs); }
  void SleepFor(uint64_t ms) {
    state_.model.memory = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1000000};
    state_.model.WakeRunSleep(1, SleepInMemory());
  }

  Telling state_;
  std::unique_ptr<KernelWitness> witness_;
};

TEST_F(WitnessTest, NothingPendingIsTierOne) {
  const KernelView view = Look();
  EXPECT_EQ(view.state, KernelView::State::kQuiescent);
  EXPECT_EQ(view.tier, 1);
  EXPECT_NE(view.evidence.find("1 threads asleep at one instant (1 in futex)"), std::string::npos)
      << view.evidence;
  EXPECT_NE(view.evidence.find("no timer due within 1000 ms"), std::string::npos) << view.evidence;
}

TEST_F(WitnessTest, ATimerBeyondTheHorizonIsNamedAndDoesNotMatter) {
  SleepFor(30'000);
  const KernelView view = Look();
  EXPECT_EQ(view.tier, 1);
  EXPECT_NE(view.evidence.find("ms: worker in nanosleep"), std::string::npos) << view.evidence;
  EXPECT_EQ(Look(std::chrono::seconds(60)).state, KernelView::State::kBusy);
}

TEST_F(WitnessTest, ATimerWithinTheHorizonIsAwaited) {
  SleepFor(100);
  const KernelView view = Look();
  EXPECT_EQ(view.state, KernelView::State::kBusy);
  EXPECT_NE(view.evidence.find("a timer is due in 99 ms: worker in nanosleep"), std::string::npos)
      << view.evidence;
}

TEST_F(WitnessTest, APeriodicTimerEndsInTierThree) {
  KernelView view;
  int looks = 0;
  for (; looks < 1000 && view.state == KernelView::State::kBusy; ++looks) {
    SleepFor(10);
    Pass(10);
    view = Look();
  }
  EXPECT_EQ(view.state, KernelView::State::kQuiescent);
  EXPECT_EQ(view.tier, 3);
  EXPECT_GE(looks, 100);  // a second of them
}

// However late each of them is served: only the time in which the subject rested counts.
TEST_F(WitnessTest, LoadDoesNotShortenAChainOfTimers) {
  constexpr int kTimers = 9;  // of 100 ms each; the last one answers
  for (int i = 0; i < kTimers; ++i) {
    SleepFor(100);
    for (int look = 0; look < 5; ++look) {
      EXPECT_EQ(Look().state, KernelView::State::kBusy) << "after timer " << i;
      Pass(19);
    }
    state_.model.Wake(1);  // due, and starved for ten times as long
    for (int look = 0; look < 50; ++look) {
      EXPECT_EQ(Look().state, KernelView::State::kBusy);
      Pass(20);
    }
  }
}

TEST_F(WitnessTest, UnknownWakeUpsEndInTierThree) {
  state_.model.Sleep(1, Call(SYS_restart_syscall));
  KernelView view;
  uint64_t passed = 0;
  for (; passed < 5000 && view.state == KernelView::State::kBusy; passed += 10) {
    view = Look();
    Pass(10);
  }
  EXPECT_EQ(view.tier, 3);
  EXPECT_GE(passed, 900u);
  EXPECT_NE(view.evidence.find("restart_syscall"), std::string::npos) << view.evidence;
}

TEST_F(WitnessTest, ARunawayIsGivenUpByItsOwnTime) {
  state_.model.Run(1);
  KernelView view = Look();
  EXPECT_EQ(view.state, KernelView::State::kBusy);
  state_.model.threads.at(1).run_ns += 9'000'000'000;
  EXPECT_EQ(Look().state, KernelView::State::kBusy);
  state_.model.threads.at(1).run_ns += 2'000'000'000;
  view = Look();
  EXPECT_EQ(view.state, KernelView::State::kUnjudgeable);
  EXPECT_NE(view.evidence.find("runaway: never at rest while it used 11000 ms of CPU time"),
            std::string::npos)
      << view.evidence;
}

// The four classes of what cannot be judged, each with a dump.
class GivenUpTest : public WitnessTest {
 protected:
  // Looked at all the time.
  KernelView LookFor(uint64_t ms) {
    KernelView view = Look();
    for (uint64_t passed = 0; passed < ms; passed += 50) {
      Pass(50);
      view = Look();
    }
    return view;
  }

  // Nothing about the subject changes for longer than the watchdog's span.
  KernelView UntilGivenUp() {
    EXPECT_EQ(LookFor(59'000).state, KernelView::State::kBusy);
    const KernelView view = LookFor(2'000);
    EXPECT_EQ(view.state, KernelView::State::kUnjudgeable) << view.evidence;
    EXPECT_TRUE(view.fixpoint.has_value());
    return view;
  }
};

TEST_F(GivenUpTest, WhatIsStoppedHasStalled) {
  state_.model.threads.at(1).state = 'T';
  const KernelView view = UntilGivenUp();
  EXPECT_TRUE(view.evidence.starts_with("stalled: stopped, never at rest")) << view.evidence;
  EXPECT_NE(view.evidence.find("is in state T"), std::string::npos) << view.evidence;
  EXPECT_EQ(view.fixpoint->given_up, "stalled");
  ASSERT_EQ(view.fixpoint->threads.size(), 1u);
  EXPECT_EQ(view.fixpoint->threads[0].name, "worker");
  EXPECT_EQ(view.fixpoint->threads[0].state, 'T');
  EXPECT_EQ(view.fixpoint->threads[0].blocked_in, "futex");
  EXPECT_EQ(view.fixpoint->threads[0].until, "for ever");
}

TEST_F(GivenUpTest, WhatIsNeverGivenACpuIsStarved) {
  state_.model.Wake(1);
  const KernelView view = UntilGivenUp();
  EXPECT_TRUE(view.evidence.starts_with("starved: never at rest while it used 0 ms of CPU time"))
      << view.evidence;
  EXPECT_EQ(view.fixpoint->given_up, "starved");
  EXPECT_EQ(view.fixpoint->threads.at(0).blocked_in, "running");
}

// It gets a thousandth of a CPU: no more than that is wrong with it.
TEST_F(GivenUpTest, WhatIsGivenItsCpuLateGetsOn) {
  state_.model.Wake(1);
  EXPECT_EQ(Look().state, KernelView::State::kBusy);
  for (int i = 0; i < 4000; ++i) {
    state_.model.threads.at(1).run_ns += 100'000;
    state_.model.threads.at(1).delay_ns += 99'900'000;
    Pass(100);
    ASSERT_EQ(Look().state, KernelView::State::kBusy) << "after " << 100 * i << " ms";
  }
  EXPECT_EQ(LookFor(62'000).state, KernelView::State::kUnjudgeable);
}

// Whoever could not look for two minutes knows of two moments, and of nothing in between.
TEST_F(GivenUpTest, WhatWeWereKeptFromLookingAtIsLookedAtAgain) {
  state_.model.Wake(1);
  EXPECT_EQ(Look().state, KernelView::State::kBusy);
  for (int i = 0; i < 4; ++i) {
    Pass(120'000);
    EXPECT_EQ(Look().state, KernelView::State::kBusy);
  }
  EXPECT_EQ(LookFor(61'000).state, KernelView::State::kUnjudgeable);
}

TEST_F(GivenUpTest, WhatHasNoThreadLeftIsDead) {
  state_.model.threads.at(1).state = 'Z';
  state_.model.threads.at(1).syscall = "-1 0x0 0x0\n";
  const KernelView view = UntilGivenUp();
  EXPECT_TRUE(view.evidence.starts_with("dead: gone for 61 s; last: no thread of the subject"))
      << view.evidence;
  EXPECT_EQ(view.fixpoint->given_up, "dead");
  EXPECT_EQ(view.fixpoint->threads.at(0).state, 'Z');
}

TEST_F(GivenUpTest, WhatIsLockedOutHasStalledOnceTheHolderDoesNothing) {
  state_.model.Sleep(1, Call(SYS_flock, 9, LOCK_EX));
  state_.model.lock_holder = LockHolder{.pid = 77, .name = "protoc", .progress = "1 0 1"};
  // As long as the holder gets on, so will the subject.
  for (int i = 0; i < 100; ++i) {
    state_.model.lock_holder->progress = std::to_string(i) + " 0 1";
    EXPECT_EQ(Look().state, KernelView::State::kBusy);
    Pass(30'000);
  }
  state_.model.lock_holder->progress = "the last";
  const KernelView view = UntilGivenUp();
  EXPECT_TRUE(
      view.evidence.starts_with("stalled: locked out for 61 s; last: thread 1 (worker) "
                                "waits for a file lock that process 77 (protoc) holds"))
      << view.evidence;
  EXPECT_EQ(view.fixpoint->threads.at(0).blocked_in, "flock");
}

// Where its threads must not be looked at, silence has to do, and the witness says that it does.
TEST_F(WitnessTest, WhatCannotBeReadIsJudgedBySilence) {
  state_.model.readable = false;
  KernelView view = Look();
  EXPECT_EQ(view.state, KernelView::State::kBusy);
  EXPECT_TRUE(view.needs_settle);
  Pass(1'900);
  EXPECT_EQ(Look().state, KernelView::State::kBusy);
  Pass(200);
  view = Look();
  EXPECT_EQ(view.state, KernelView::State::kQuiescent);
  EXPECT_EQ(view.tier, 3);
  EXPECT_TRUE(view.needs_settle);
  EXPECT_EQ(view.evidence,
            "silent for 2000 ms; the kernel cannot be relied on here: what thread 1 does cannot be "
            "read");
  // Bytes are known all the same.
  state_.model.connected = true;
  state_.model.subject_sent = 5;
  EXPECT_EQ(Look().evidence, "5 bytes from the subject");
}

TEST_F(WitnessTest, AFailureCarriesWhatWasSeen) {
  SleepFor(30'000);
  state_.model.connected = true;
  state_.model.written = state_.model.subject_received = 7;
  OurEnds ends = EndsOf(state_.model);
  KernelView view;
  for (int i = 0; i < 10 && view.state == KernelView::State::kBusy; ++i) {
    view = witness_->Look(&ends, std::chrono::microseconds(0), Certainty::kSustained);
    Pass(6);
  }
  ASSERT_EQ(view.tier, 1) << view.evidence;
  ASSERT_TRUE(view.fixpoint.has_value());
  EXPECT_EQ(view.fixpoint->tier, 1);
  EXPECT_EQ(view.fixpoint->horizon_us, 1'000'000u);
  ASSERT_EQ(view.fixpoint->threads.size(), 1u);
  EXPECT_EQ(view.fixpoint->threads[0].blocked_in, "nanosleep");
  EXPECT_EQ(view.fixpoint->threads[0].until, "30000 ms");
  ASSERT_EQ(view.fixpoint->timers.size(), 1u);
  EXPECT_GT(view.fixpoint->timers[0].due_us, 29'000'000u);
  ASSERT_EQ(view.fixpoint->links.size(), 1u);
  EXPECT_EQ(view.fixpoint->links[0].written, 7u);
  EXPECT_EQ(view.fixpoint->links[0].received, 7u);
  // One that fails nothing costs nothing.
  EXPECT_FALSE(Look().fixpoint.has_value());
}

// The ceiling: a wait that switches its own watchdog off, again and again.
TEST_F(WitnessTest, NothingGoesOnForEver) {
  KernelView view;
  for (int i = 0; i < 700 && view.state == KernelView::State::kBusy; ++i) {
    SleepFor(500);
    view = Look(std::chrono::hours(1));
    Pass(1000);
  }
  EXPECT_EQ(view.state, KernelView::State::kUnjudgeable) << view.evidence;
}

TEST_F(WitnessTest, AZombieIsNoUnrest) {
  state_.model.Add(2);
  state_.model.threads.at(2).state = 'Z';
  state_.model.threads.at(2).syscall = "-1 0x0 0x0\n";
  EXPECT_EQ(Look().tier, 1);
}

TEST_F(WitnessTest, UnreadBytesAtTheSubjectAreNamed) {
  state_.model.connected = true;
  EXPECT_EQ(Look().tier, 1);
  state_.model.subject_sent = 5;
  EXPECT_EQ(Look().evidence, "5 bytes from the subject");
}

// ---------------------------------------------------------------- accounts of connections

TEST(InFlightTest, ReadsBothEnds) {
  const TcpEnd up{.state = TCP_ESTABLISHED, .counted = true};
  LinkAccount link{.fd = 1, .read = 10, .written = 20};
  TcpEnd subject{.state = TCP_ESTABLISHED, .counted = true, .received = 20, .sent = 10};
  EXPECT_EQ(InFlight(link, up, subject), "");
  subject.received = 18;
  EXPECT_EQ(InFlight(link, up, subject), "2 bytes to the subject");
  subject.unread = 1;  // it does not read: what does not fit is not under way
  EXPECT_EQ(InFlight(link, up, subject), "");
  subject = {.state = TCP_ESTABLISHED, .counted = true, .received = 20, .sent = 10, .held_back = 3};
  EXPECT_EQ(InFlight(link, up, subject), "3 bytes held back by TCP");
  link.reading = false;
  subject.sent = 1000;
  EXPECT_EQ(InFlight(link, up, subject), "");
}

// A connection that a library of ours has: between the kernels only.
TEST(InFlightTest, ReadsTheLibrarysConnections) {
  TcpEnd own{.state = TCP_ESTABLISHED, .counted = true, .received = 30, .sent = 20};
  TcpEnd subject{.state = TCP_ESTABLISHED, .counted = true, .received = 20, .sent = 30};
  EXPECT_EQ(InFlightBetween(own, subject), "");
  subject.received = 19;
  EXPECT_EQ(InFlightBetween(own, subject), "a question is on its way to the subject");
  subject.unread = 5;  // what it does not take will not move
  EXPECT_EQ(InFlightBetween(own, subject), "");
  subject = {.state = TCP_ESTABLISHED, .counted = true, .received = 20, .sent = 31};
  EXPECT_EQ(InFlightBetween(own, subject), "an answer of the subject is on its way");
  own.received = 31;
  own.unread = 1;
  EXPECT_EQ(InFlightBetween(own, subject), "an answer of the subject is on its way");
  own.unread = 0;
  own.held_back = 3;
  EXPECT_EQ(InFlightBetween(own, subject), "a question is on its way to the subject");
  EXPECT_NE(InFlightBetween(own, std::nullopt), "");
}

TEST(InFlightTest, ReadsEnds) {
  const TcpEnd up{.state = TCP_ESTABLISHED, .counted = true};
  LinkAccount link{.fd = 1, .read = 0, .written = 20};
  // Our FIN counts as a byte received: nothing is missing.
  TcpEnd half{.state = TCP_CLOSE_WAIT, .counted = true, .received = 21};
  EXPECT_EQ(InFlight(link, {.state = TCP_FIN_WAIT2, .counted = true}, half), "");
  half = {.state = TCP_ESTABLISHED, .counted = true, .received = 20};
  EXPECT_EQ(InFlight(link, {.state = TCP_FIN_WAIT1, .counted = true}, half),
            "our FIN is under way");
  const TcpEnd ended{.state = TCP_FIN_WAIT2, .counted = true, .received = 20};
  EXPECT_NE(InFlight(link, up, ended), "");
  EXPECT_NE(InFlight(link, up, std::nullopt), "");
  link.end_seen = true;
  EXPECT_EQ(InFlight(link, up, ended), "");
  EXPECT_EQ(InFlight(link, up, std::nullopt), "");
}

TEST(TimerFdTest, IsRead) {
  const TimerFd armed = ParseTimerFd(
      "pos:\t0\nflags:\t02\nclockid: 1\nticks: 0\nsettime flags: 00\nit_value: (1, 49406829)\n"
      "it_interval: (1, 0)\n");
  EXPECT_EQ(armed.remaining_ns, 1'049'406'829u);
  EXPECT_EQ(armed.expirations, 0u);
  EXPECT_EQ(ParseTimerFd("ticks: 3\nit_value: (0, 0)\n").expirations, 3u);
}

}  // namespace
}  // namespace counterpart::effects
