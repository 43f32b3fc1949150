// Framing and schema ids against the published vectors.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "counterpart/wire/v1/wire.pb.h"
#include "harness/wire/framing.h"
#include "harness/wire/schema_id.h"

namespace counterpart::wire {
namespace {

std::string Unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

YAML::Node Vectors(const std::string& name) {
  return YAML::LoadFile(std::string(SOURCE_ROOT) + "/spec/vectors/" + name);
}

// Every payload of `bytes`, fed `step` bytes at a time.
std::vector<std::string> Decode(FrameDecoder& decoder, std::string_view bytes, size_t step) {
  std::vector<std::string> payloads;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (auto payload = decoder.Next(piece)) payloads.push_back(*payload);
    if (decoder.refused_length()) break;
  }
  return payloads;
}

std::vector<std::string> Payloads(const YAML::Node& row) {
  std::vector<std::string> payloads;
  for (const auto& hex : row["payloads"]) payloads.push_back(Unhex(hex.as<std::string>()));
  return payloads;
}

TEST(Framing, DecodesEveryVectorInAnySplit) {
  const YAML::Node vectors = Vectors("framing.yaml");
  ASSERT_GT(vectors["whole"].size(), 0u);
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1} << 20}) {
    for (const auto& row : vectors["whole"]) {
      SCOPED_TRACE(row["name"].as<std::string>());
      const std::string bytes = Unhex(row["bytes"].as<std::string>());
      FrameDecoder decoder;
      EXPECT_EQ(Decode(decoder, bytes, step), Payloads(row));
      EXPECT_EQ(decoder.pending_bytes(), 0u);
      std::string framed;
      for (const auto& payload : Payloads(row)) framed += Frame(payload);
      EXPECT_EQ(framed, bytes);
    }
    for (const auto& row : vectors["incomplete"]) {
      SCOPED_TRACE(row["name"].as<std::string>());
      const std::string bytes = Unhex(row["bytes"].as<std::string>());
      FrameDecoder decoder;
      EXPECT_EQ(Decode(decoder, bytes, step), Payloads(row));
      size_t whole = 0;
      for (const auto& payload : Payloads(row)) whole += kLengthBytes + payload.size();
      EXPECT_EQ(decoder.pending_bytes(), bytes.size() - whole);
      EXPECT_FALSE(decoder.refused_length());
    }
    for (const auto& row : vectors["refused"]) {
      SCOPED_TRACE(row["name"].as<std::string>());
      FrameDecoder decoder(row["limit"].as<uint32_t>());
      EXPECT_EQ(Decode(decoder, Unhex(row["bytes"].as<std::string>()), step), Payloads(row));
      ASSERT_TRUE(decoder.refused_length());
      EXPECT_GT(*decoder.refused_length(), row["limit"].as<uint32_t>());
      // For good: nothing after it is read as a payload.
      std::string more = Frame("x");
      std::string_view rest = more;
      EXPECT_FALSE(decoder.Next(rest));
    }
  }
}

TEST(Schema, IdsOfTheCompiledTypesAreThePublishedOnes) {
  testbed::v1::Channel::descriptor();  // links the testbed's types in
  size_t checked = 0;
  for (const auto& row : Vectors("schema_ids.yaml")["types"]) {
    const std::string type = row["type"].as<std::string>();
    const uint64_t id = SchemaIdOf(type);
    if (id == 0) continue;  // a type of the vectors' own file
    EXPECT_EQ(id, std::stoull(row["id"].as<std::string>(), nullptr, 16)) << type;
    ++checked;
  }
  EXPECT_GT(checked, 5u);
  EXPECT_EQ(SchemaIdOf("no.such.Type"), 0u);
}

}  // namespace
}  // namespace counterpart::wire
