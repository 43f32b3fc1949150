// Drives the fuzz target without a fuzzer: the published vectors, and a fixed number of mutations
// of them that are the same in every run.
//
//   wire_fuzz_replay SPEC_VECTORS [MUTATIONS]    20000 if left out
//   wire_fuzz_replay --corpus SPEC_VECTORS DIR   writes the seeds as files, for libFuzzer
//   wire_fuzz_replay --file FILE...              runs these inputs
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void RunOne(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string Unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string Framed(const std::string& payload) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(payload.size() >> shift));
  }
  return bytes + payload;
}

// Every vector as an input, with each limit.
std::vector<std::string> Seeds(const std::filesystem::path& vectors) {
  std::vector<std::string> streams;
  const YAML::Node framing = YAML::LoadFile(vectors / "framing.yaml");
  for (const char* list : {"whole", "refused", "incomplete"}) {
    for (const auto& row : framing[list]) streams.push_back(Unhex(row["bytes"].as<std::string>()));
  }
  const YAML::Node messages = YAML::LoadFile(vectors / "messages.yaml");
  std::string all;
  for (const char* list : {"encoded", "decoded", "refused"}) {
    for (const auto& row : messages[list]) {
      streams.push_back(Framed(Unhex(row["hex"].as<std::string>())));
      all += streams.back();
    }
  }
  streams.push_back(all);
  std::vector<std::string> seeds;
  for (const std::string& stream : streams) {
    for (char limit = 0; limit < 6; ++limit) {
      seeds.push_back(std::string{limit, static_cast<char>(seeds.size() % 19)} + stream);
    }
  }
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string Next() {
    std::string input = Any();
    for (uint64_t steps = 1 + Below(4); steps > 0; --steps) Change(input);
    return input;
  }

 private:
  void Change(std::string& input) {
    if (input.size() < 3) input += Any();
    const size_t at = Below(input.size());
    switch (Below(7)) {
      case 0:
        input[at] = static_cast<char>(input[at] ^ (1 << Below(8)));
        break;
      case 1:
        input[at] = static_cast<char>(Below(256));
        break;
      case 2:
        input.erase(at, 1 + Below(8));
        break;
      case 3:
        input.insert(at, 1 + Below(4), static_cast<char>(Below(256)));
        break;
      case 4:
        input.resize(at);
        break;
      case 5:
        input += Any().substr(2);
        break;
      default:  // a length at the edge of something
        for (const uint32_t length : {kEdges[Below(std::size(kEdges))]}) {
          std::string field;
          for (int i = 0; i < 4; ++i) field.push_back(static_cast<char>(length >> (8 * i)));
          input.replace(at, 4, field);
        }
        break;
    }
  }
  const std::string& Any() { return seeds_[Below(seeds_.size())]; }
  uint64_t Below(uint64_t n) {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
  }

  static constexpr uint32_t kEdges[] = {0,     1,       255,           256,        65535,     65536,
                                        65537, 1 << 24, (1 << 24) + 1, 0x7fffffff, 0xffffffff};
  const std::vector<std::string>& seeds_;
  uint64_t state_ = 20000;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words[0] == "--file") {
    for (size_t i = 1; i < words.size(); ++i) {
      std::ifstream in(words[i], std::ios::binary);
      RunOne({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
    }
    return 0;
  }
  const bool corpus = words.size() == 3 && words[0] == "--corpus";
  if (words.empty() || (!corpus && words.size() > 2)) {
    std::cerr << "usage: wire_fuzz_replay SPEC_VECTORS [MUTATIONS]\n"
                 "       wire_fuzz_replay --corpus SPEC_VECTORS DIR\n"
                 "       wire_fuzz_replay --file FILE...\n";
    return 2;
  }
  const std::vector<std::string> seeds = Seeds(words[corpus ? 1 : 0]);
  if (corpus) {
    std::filesystem::create_directories(words[2]);
    for (size_t i = 0; i < seeds.size(); ++i) {
      std::ofstream(std::filesystem::path(words[2]) / std::to_string(i), std::ios::binary)
          << seeds[i];
    }
    return 0;
  }
  for (const std::string& seed : seeds) RunOne(seed);
  Mutator mutator(seeds);
  const int mutations = words.size() == 2 ? std::stoi(words[1]) : 20000;
  for (int i = 0; i < mutations; ++i) RunOne(mutator.Next());
  std::cout << seeds.size() << " seeds and " << mutations << " mutations hold\n";
}
