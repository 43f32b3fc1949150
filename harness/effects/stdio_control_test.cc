#include "harness/effects/stdio_control.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "counterpart/control/v1/control.pb.h"

namespace counterpart::effects {
namespace {

struct Pipe {
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
  UniqueFd read, write;
};

std::string Settle() {
  control::v1::ControlRequest request;
  request.mutable_settle();
  return request.SerializeAsString();
}

// The number of a closed descriptor is that of the next one that anybody opens.
TEST(StdioControlTest, WritesToNobodyElseOnceItsPipeIsClosed) {
  ControlSink sink;
  Pipe stdin_pipe;
  StdioControl control(&stdin_pipe.write, &sink);
  const int number = stdin_pipe.write.get();
  stdin_pipe.write.Close();
  std::vector<Pipe> others;
  const auto reopened = [&others, number] {
    for (const Pipe& other : others) {
      if (other.write.get() == number || other.read.get() == number) return true;
    }
    return false;
  };
  while (!reopened()) others.emplace_back();

  control.Ask(7, Settle(), Credential::kOurs);
  control.Flush();
  for (const Pipe& other : others) {
    char byte = 0;
    EXPECT_EQ(read(other.read.get(), &byte, 1), -1) << "a question was written to a stranger";
  }
  const std::vector<ControlCompletion> completions = sink.Take();
  ASSERT_EQ(completions.size(), 1u);
  EXPECT_FALSE(completions[0].answered);
  EXPECT_EQ(completions[0].failure, "the subject's stdin was closed");
}

}  // namespace
}  // namespace counterpart::effects
