// The pure layers call no clock, socket, file, thread or source of chance.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

namespace {

const std::regex& Impure() {
  static const std::regex impure(
      "clock::now|clock_gettime|gettimeofday|\\b(std::)?time\\(|\\bs?rand\\(|random_device|mt19937|"
      "\\bsocket\\(|::(connect|send|recv|open|read|write)\\(|\\bfopen|fstream|std::j?thread|"
      "\\bu?sleep|sleep_for|getenv|epoll|\\bpoll\\(|\\bfork\\(");
  return impure;
}

TEST(Purity, PureLayersTouchNoWorld) {
  size_t files = 0;
  for (const char* layer : {"wire", "machine", "peer", "explore", "judge", "scenarios"}) {
    const auto folder = std::filesystem::path(SOURCE_ROOT) / "harness" / layer;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
      if (file.path().extension() != ".cc" && file.path().extension() != ".h") continue;
      ++files;
      std::ifstream in(file.path());
      std::string line;
      for (int number = 1; std::getline(in, line); ++number) {
        line = line.substr(0, line.find("//"));
        EXPECT_FALSE(std::regex_search(line, Impure()))
            << file.path() << ":" << number << ": " << line;
      }
    }
  }
  EXPECT_GT(files, 30u);
}

TEST(Purity, TheListKnowsTheWorld) {
  for (const char* call : {"std::chrono::steady_clock::now()", "time(nullptr)", "rand()",
                           "::connect(fd)", "usleep(1)", "std::thread t", "getenv(\"A\")"})
    EXPECT_TRUE(std::regex_search(call, Impure())) << call;
}

}  // namespace
