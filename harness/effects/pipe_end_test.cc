#include "harness/effects/pipe_end.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace counterpart::effects {
namespace {

// What a child of another thread has of ours keeps a pipe open.
TEST(PipeEndTest, IsClosedForWhoeverReads) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const int number = write_end.get();
  UniqueFd held(fcntl(number, F_DUPFD_CLOEXEC, 100));
  ASSERT_TRUE(held);
  std::atomic<bool> let_go = false;
  std::thread holder([&] {
    while (fcntl(number, F_GETFD) >= 0) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    let_go = true;
    held.Close();
  });
  CloseWritingEnd(&write_end);
  EXPECT_TRUE(let_go);
  char byte = 0;
  EXPECT_EQ(read(read_end.get(), &byte, 1), 0) << "the end of the pipe is not to be seen";
  holder.join();
}

TEST(PipeEndTest, AClosedOneIsLeftAlone) {
  UniqueFd none;
  CloseWritingEnd(&none);
  EXPECT_FALSE(none);
}

}  // namespace
}  // namespace counterpart::effects
