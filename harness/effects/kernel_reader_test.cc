// The check for calm against the real kernel: small children that sleep, wait and hide in the ways
// that are easily misread. Nothing here is judged by a clock; a look is repeated until the child is
// where it says it goes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/effects/kernel_witness.h"
#include "harness/effects/linux_reader.h"
#include "harness/effects/tcp_diag.h"
#include "harness/effects/wait_self_test.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;

class Child {
 public:
  explicit Child(const std::function<void()>& life) {
    pid_ = fork();
    if (pid_ != 0) return;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    life();
    _exit(0);
  }
  ~Child() {
    killpg(pid_, SIGKILL);  // with what it forked
    kill(pid_, SIGKILL);    // also before it has a group of its own
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

std::unique_ptr<KernelWitness> WitnessOf(pid_t pid, CheckSteps steps = {}) {
  return MakeSnapshotWitness(MakeLinuxReader(pid, "COUNTERPART_TOKEN=none"), steps);
}

// Looks until the view says something that is not of a moment: calm, or what is awaited.
KernelView Settled(KernelWitness& witness, const std::string& awaited) {
  OurEnds ends;
  while (true) {
    KernelView view = witness.Look(&ends, microseconds(0), Certainty::kOneLook);
    if (view.state != KernelView::State::kBusy) return view;
    if (!awaited.empty() && view.evidence.find(awaited) != std::string::npos) return view;
  }
}

void PauseForEver() {
  while (true) pause();
}

TEST(RealKernelTest, ASleeperIsAtRest) {
  const Child child(PauseForEver);
  const KernelView view = Settled(*WitnessOf(child.pid()), "");
  EXPECT_EQ(view.tier, 1) << view.evidence;
}

TEST(RealKernelTest, ATimerFdIsSeen) {
  const Child child([] {
    const int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    const itimerspec in_a_while = {{0, 0}, {0, 900'000'000}};
    timerfd_settime(fd, 0, &in_a_while, nullptr);
    PauseForEver();
  });
  // It is awaited; and once it has fired, with nobody to read it, there is nothing to wait for.
  const auto witness = WitnessOf(child.pid());
  EXPECT_EQ(Settled(*witness, "timerfd").state, KernelView::State::kBusy);
  EXPECT_EQ(Settled(*witness, "").tier, 1);
  EXPECT_EQ(Settled(*WitnessOf(child.pid(), {.wake_sources = false}), "timerfd").tier, 1);
}

TEST(RealKernelTest, APosixTimerIsUnknown) {
  const Child child([] {
    timer_t timer;
    sigevent none = {};
    none.sigev_notify = SIGEV_NONE;
    timer_create(CLOCK_MONOTONIC, &none, &timer);
    PauseForEver();
  });
  const auto witness = WitnessOf(child.pid());
  EXPECT_NE(Settled(*witness, "a POSIX timer").state, KernelView::State::kQuiescent);
  EXPECT_EQ(Settled(*witness, "").tier, 3);
}

TEST(RealKernelTest, AnIoUringIsUnknown) {
  io_uring_params tried = {};
  const int here = static_cast<int>(syscall(SYS_io_uring_setup, 4, &tried));
  if (here < 0) GTEST_SKIP() << "this kernel gives no io_uring";
  close(here);
  const Child child([] {
    io_uring_params params = {};
    syscall(SYS_io_uring_setup, 4, &params);
    PauseForEver();
  });
  const auto witness = WitnessOf(child.pid());
  EXPECT_NE(Settled(*witness, "io_uring").state, KernelView::State::kQuiescent);
  EXPECT_EQ(Settled(*witness, "").tier, 3);
}

TEST(RealKernelTest, ASocketsTimeoutIsSeen) {
  const Child child([] {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) _exit(1);
    const timeval soon = {0, 900'000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    char byte;
    while (true) [[maybe_unused]] const ssize_t ignored = recv(ends[0], &byte, 1, 0);
  });
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "recvfrom").state, KernelView::State::kBusy);
  EXPECT_EQ(Settled(*WitnessOf(child.pid(), {.socket_timeouts = false}), "recvfrom").tier, 1);
}

TEST(RealKernelTest, APipeHasNoTimeout) {
  const Child child([] {
    int ends[2];
    if (pipe(ends) != 0) _exit(1);
    char byte;
    [[maybe_unused]] const ssize_t ignored = read(ends[0], &byte, 1);
  });
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "").tier, 1);
}

// Blocked on a lock that `holder` has; the path of the file is the test's own.
TEST(RealKernelTest, ALockThatSomebodyElseHoldsIsNoRest) {
  std::string path = testing::TempDir() + "counterpart-lock-XXXXXX";
  const int made = mkstemp(path.data());
  ASSERT_GE(made, 0);
  close(made);
  const auto wait_for_lock = [&path] {
    const int fd = open(path.c_str(), O_RDWR);
    flock(fd, LOCK_EX);
    PauseForEver();
  };
  // Taken by a process that has ended, and left to another that has the file: as flock(1) does.
  int said[2];
  ASSERT_EQ(pipe(said), 0);
  const Child holder([&] {
    const int fd = open(path.c_str(), O_RDWR);
    if (fork() == 0) {
      flock(fd, LOCK_EX);
      _exit(0);
    }
    wait(nullptr);
    [[maybe_unused]] const ssize_t ignored = write(said[1], "x", 1);
    PauseForEver();
  });
  char byte;
  ASSERT_EQ(read(said[0], &byte, 1), 1);
  const Child waiter(wait_for_lock);
  const KernelView view = Settled(*WitnessOf(waiter.pid()), "waits for a file lock");
  EXPECT_EQ(view.state, KernelView::State::kBusy);
  EXPECT_NE(view.evidence.find("that process " + std::to_string(holder.pid()) + " ("),
            std::string::npos)
      << view.evidence;
  EXPECT_EQ(Settled(*WitnessOf(waiter.pid(), {.file_locks = false}), "").tier, 1);
  // Among its own processes it is a wait like any other.
  const Child both([&path] {
    const std::string other = path + ".own";
    const int fd = open(other.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(fd, LOCK_EX);
    if (fork() == 0) {
      const int again = open(other.c_str(), O_RDWR);
      unlink(other.c_str());
      flock(again, LOCK_EX);
    }
    PauseForEver();
  });
  EXPECT_EQ(Settled(*WitnessOf(both.pid()), "").tier, 1);
  unlink(path.c_str());
}

// An acknowledgement may be delayed by 40 ms; what was sent is where it was sent all the same.
TEST(RealKernelTest, WhatIsNotAcknowledgedMayHaveArrived) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int near = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(near, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const int far = accept(listener, nullptr, nullptr);
  ASSERT_GE(far, 0);
  TcpDiag diag;
  LinkAccount link{.fd = near, .path = PathOf(near).value()};
  // Seen at least once: not acknowledged, and nothing in flight.
  bool seen = false;
  for (int i = 0; i < 1000 && !seen; ++i) {
    const int delayed = 0;
    setsockopt(far, IPPROTO_TCP, TCP_QUICKACK, &delayed, sizeof delayed);
    ASSERT_EQ(write(near, "x", 1), 1);
    ++link.written;
    std::string in_flight;
    do {
      in_flight = InFlight(link, diag.OwnEnd(near).value(), diag.FarEnd(link.path));
    } while (in_flight.ends_with("bytes to the subject"));
    EXPECT_EQ(in_flight, "");
    int unacknowledged = 0;
    ioctl(near, SIOCOUTQ, &unacknowledged);
    seen = unacknowledged > 0;
    char byte;
    ASSERT_EQ(read(far, &byte, 1), 1);
  }
  EXPECT_TRUE(seen);
  for (const int fd : {listener, near, far}) close(fd);
}

TEST(RealKernelTest, AResumedWaitIsUnknown) {
  // A sleep that was stopped goes on as restart_syscall: how long, only the kernel knows.
  const Child child([] {
    const timespec long_time = {1000, 0};
    nanosleep(&long_time, nullptr);
  });
  const auto witness = WitnessOf(child.pid());
  EXPECT_EQ(Settled(*witness, "").tier, 1);
  kill(child.pid(), SIGSTOP);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED);
  EXPECT_NE(Settled(*witness, "is in state T").state, KernelView::State::kQuiescent);
  kill(child.pid(), SIGCONT);
  const KernelView view = Settled(*witness, "restart_syscall");
  EXPECT_EQ(view.state, KernelView::State::kBusy) << view.evidence;
}

TEST(RealKernelTest, AStopIsNoRest) {
  const Child child([] { raise(SIGSTOP); });
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "is in state T").state, KernelView::State::kBusy);
}

// State D: between vfork and the end of the child's use of its memory.
TEST(RealKernelTest, UninterruptibleSleepIsNoRest) {
  const Child child([] {
    if (vfork() == 0) PauseForEver();
  });
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "is in state D").state, KernelView::State::kBusy);
}

TEST(RealKernelTest, AnUnreapedChildIsNoUnrest) {
  const Child child([] {
    if (fork() == 0) _exit(0);
    PauseForEver();
  });
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "").tier, 1);
}

// Ended, and nobody has taken note of it.
TEST(RealKernelTest, WhatHasEndedAndIsNotReapedIsDead) {
  const Child child([] { _exit(0); });
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT);
  const auto witness = MakeSnapshotWitness(MakeLinuxReader(child.pid(), "COUNTERPART_TOKEN=none"),
                                           {}, {.span = std::chrono::seconds(1)});
  const KernelView view = Settled(*witness, "dead: ");
  EXPECT_EQ(view.state, KernelView::State::kUnjudgeable);
  ASSERT_TRUE(view.fixpoint.has_value());
  EXPECT_EQ(view.fixpoint->threads.at(0).state, 'Z');
}

TEST(RealKernelTest, WhatLeavesTheTreeIsFoundByItsToken) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int said[2];
  ASSERT_EQ(pipe(said), 0);
  const Child child([&said] {
    dup2(said[1], 1);
    setenv("COUNTERPART_TOKEN", "of-this-test", 1);
    execl("/bin/sh", "sh", "-c", "(setsid sh -c 'echo $$; while :; do :; done' &); exec sleep 1000",
          nullptr);
    _exit(1);
  });
  close(said[1]);
  std::string line;
  for (char byte = 0; read(said[0], &byte, 1) == 1 && byte != '\n';) line += byte;
  const pid_t spinner = std::atoi(line.c_str());
  ASSERT_GT(spinner, 0);
  OurEnds ends;
  const auto with =
      MakeSnapshotWitness(MakeLinuxReader(child.pid(), "COUNTERPART_TOKEN=of-this-test"));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(with->Look(&ends, microseconds(0), Certainty::kOneLook).state,
              KernelView::State::kBusy);
  }
  // Without the token only the sleeper is left to see.
  EXPECT_EQ(Settled(*WitnessOf(child.pid()), "").tier, 1);
  kill(spinner, SIGKILL);
  while (waitpid(spinner, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// ---------------------------------------------------------------- the self-test

TEST(WaitSelfTest, TrustsThisKernel) {
  EXPECT_TRUE(WaitSelfTest().trusted) << WaitSelfTest().reason;
  EXPECT_STREQ(WaitSelfTest().tier(), "T1");
}

TEST(WaitSelfTest, IsOneForAllThreads) {
  const SelfTestResult* seen[4] = {};
  std::vector<std::thread> threads;
  for (const SelfTestResult*& result : seen) {
    threads.emplace_back([&result] { result = &WaitSelfTest(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const SelfTestResult* result : seen) EXPECT_EQ(result, seen[0]);
  EXPECT_TRUE(seen[0]->trusted) << seen[0]->reason;
}

// Calls the first `right` children what they are, and any other one at rest.
SelfTestResult TryGullible(int right) {
  class Gullible final : public KernelWitness {
    void OnStarted() override {}
    void OnActivity() override {}
    KernelView Look(OurEnds*, microseconds, Certainty) override {
      return {.state = KernelView::State::kQuiescent};
    }
  };
  return TryWitness([&right](pid_t root) -> std::unique_ptr<KernelWitness> {
    if (right-- > 0) return WitnessOf(root);
    return std::make_unique<Gullible>();
  });
}

TEST(WaitSelfTest, DoesNotTrustACheckThatMissesUnrest) {
  EXPECT_EQ(TryGullible(1).reason, "a spinning child was taken for one at rest");
  const SelfTestResult result = TryGullible(2);
  EXPECT_EQ(result.reason, "a child that hands a byte to and fro was taken for one at rest");
  EXPECT_FALSE(result.trusted);
  EXPECT_STREQ(result.tier(), "T3");
  EXPECT_TRUE(TryGullible(3).trusted);
}

TEST(WaitSelfTest, DoesNotTrustAKernelThatTellsNothing) {
  class Blind final : public KernelWitness {
    void OnStarted() override {}
    void OnActivity() override {}
    KernelView Look(OurEnds*, microseconds, Certainty) override {
      return {.evidence = "what thread 1 does cannot be read"};
    }
  };
  const SelfTestResult result = TryWitness([](pid_t) { return std::make_unique<Blind>(); });
  EXPECT_EQ(result.reason,
            "a sleeping child was not taken for one at rest: what thread 1 does cannot be read");
}

}  // namespace
}  // namespace counterpart::effects
