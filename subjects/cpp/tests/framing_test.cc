// Payload boundaries survive any split of the stream.  r[link.message], r[link.limit]
#include "runtime/framing.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

namespace subject {
namespace {

using Payloads = std::vector<std::string>;

std::string Bytes(const std::string& hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

Payloads PayloadsOf(const YAML::Node& vector) {
  Payloads payloads;
  for (const YAML::Node& hex : vector["payloads"]) payloads.push_back(Bytes(hex.as<std::string>()));
  return payloads;
}

// Reads `stream` in pieces of `step` bytes.
Payloads Read(Decoder& decoder, const std::string& stream, size_t step) {
  Payloads payloads;
  for (size_t at = 0; at < stream.size(); at += step) {
    decoder.Feed(std::string_view(stream).substr(at, step));
    while (auto payload = decoder.Next()) payloads.push_back(*payload);
  }
  return payloads;
}

TEST(FramingTest, VectorsInAnyPieces) {
  const YAML::Node vectors = YAML::LoadFile(SPEC_DIR "/vectors/framing.yaml");
  for (const char* list : {"whole", "refused", "incomplete"}) {
    ASSERT_GT(vectors[list].size(), 0u) << list;
    for (const YAML::Node& vector : vectors[list]) {
      const std::string stream = Bytes(vector["bytes"].as<std::string>());
      const Payloads payloads = PayloadsOf(vector);
      const uint32_t limit = vector["limit"] ? vector["limit"].as<uint32_t>() : 16 << 20;
      for (const size_t step : {size_t{1}, size_t{3}, stream.size() + 1}) {
        SCOPED_TRACE(vector["name"].as<std::string>() + " by " + std::to_string(step));
        Decoder decoder(limit);
        EXPECT_EQ(Read(decoder, stream, step), payloads);
        EXPECT_EQ(decoder.oversize(), std::string_view(list) == "refused");
        EXPECT_FALSE(decoder.Next());
      }
      if (std::string_view(list) != "whole") continue;
      std::string written;
      for (const std::string& payload : payloads) written += Framed(payload);
      EXPECT_EQ(written, stream);
    }
  }
}

TEST(FramingTest, LengthAboveTheLimitIsRefusedBeforeItsBodyAndSticks) {
  Decoder decoder(10);
  decoder.Feed(Framed("0123456789"));
  EXPECT_EQ(decoder.Next(), "0123456789");
  decoder.Feed(Framed("0123456789a").substr(0, 4));
  EXPECT_FALSE(decoder.Next());
  EXPECT_TRUE(decoder.oversize());
  decoder.set_limit(100);
  decoder.Feed("0123456789a" + Framed("x"));
  EXPECT_FALSE(decoder.Next());
  EXPECT_TRUE(decoder.oversize());
}

TEST(FramingTest, ANewLimitHoldsForWhatWasBufferedToo) {
  Decoder decoder(1);
  decoder.Feed(Framed("a") + Framed("bc"));
  EXPECT_EQ(decoder.Next(), "a");
  decoder.set_limit(2);
  EXPECT_EQ(decoder.Next(), "bc");
}

}  // namespace
}  // namespace subject
