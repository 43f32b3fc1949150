// The published messages, as the peer of the harness reads them off a link and writes them back.
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <memory>
#include <string>
#include <vector>

#include "harness/machine/machine.h"
#include "harness/peer/peer.h"
#include "harness/peer/reading.h"

namespace counterpart::peer {
namespace {

using effects::Ingress;
using effects::IngressKind;
using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

std::string Unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

// Keeps the last frame.
struct Witness : FrameObserver {
  std::unique_ptr<google::protobuf::Message> seen;
  std::string malformed;
  void OnFrame(const ObservedFrame& frame) override {
    seen.reset();
    malformed = frame.malformed;
    const auto keep = [this](const google::protobuf::Message* message) {
      if (message == nullptr) return;
      seen.reset(message->New());
      seen->CopyFrom(*message);
    };
    keep(frame.prologue);
    keep(frame.handshake);
    keep(frame.message);
  }
  void OnLinkEnd(uint32_t, LinkEnd, uint64_t, uint64_t) override {}
  void OnEnd(const ObservedEnd&) override {}
  void OnJudged(const std::string&) override {}
  void OnFinding(const machine::Finding&) override {}
};

// A peer with one link, about to read a payload of the phase that has this envelope.
struct Reader {
  Witness witness;
  machine::Machine machine{1, [] { return uint64_t{0}; }};
  Peer peer{&machine, Direction::kSubjectToHarness, &witness};

  explicit Reader(const std::string& envelope) {
    machine.set_observer(&peer);
    Ingress accepted;
    accepted.kind = IngressKind::kLinkAccepted;
    accepted.id = 1001;
    accepted.number = 1;
    machine.Ingest({accepted});
    wire::v1::Prologue hello;
    hello.mutable_hello();
    wire::v1::Handshake lets_go;
    lets_go.mutable_lets_go();
    if (envelope != "Prologue") Read(hello.SerializeAsString());
    if (envelope == "Message") Read(lets_go.SerializeAsString());
  }
  void Read(std::string payload) {
    Ingress ingress;
    ingress.kind = IngressKind::kPayload;
    ingress.id = 1001;
    ingress.bytes = std::move(payload);
    machine.Ingest({ingress});
  }
};

// Of the envelopes that the harness speaks; the stable conduit's are not among them.
std::vector<YAML::Node> Vectors(const char* list) {
  std::vector<YAML::Node> rows;
  const std::string path = std::string(SOURCE_ROOT) + "/spec/vectors/messages.yaml";
  for (const auto& row : YAML::LoadFile(path)[list]) {
    if (!row["envelope"].as<std::string>().starts_with("Stable")) rows.push_back(row);
  }
  return rows;
}

TEST(Payloads, EncodedOnesAreReadAndWrittenBackByteForByte) {
  const auto rows = Vectors("encoded");
  EXPECT_GT(rows.size(), 25u);
  for (const YAML::Node& row : rows) {
    SCOPED_TRACE(row["name"].as<std::string>());
    Reader reader(row["envelope"].as<std::string>());
    const std::string bytes = Unhex(row["hex"].as<std::string>());
    reader.Read(bytes);
    ASSERT_EQ(reader.witness.malformed, "");
    ASSERT_NE(reader.witness.seen, nullptr);
    std::unique_ptr<google::protobuf::Message> wanted(reader.witness.seen->New());
    ASSERT_TRUE(TextFormat::ParseFromString(row["textproto"].as<std::string>(), wanted.get()));
    EXPECT_TRUE(MessageDifferencer::Equals(*reader.witness.seen, *wanted))
        << reader.witness.seen->ShortDebugString();
    EXPECT_EQ(wanted->GetDescriptor()->name(), row["envelope"].as<std::string>());
    EXPECT_EQ(reader.witness.seen->SerializeAsString(), bytes);
    EXPECT_EQ(wanted->SerializeAsString(), bytes);
  }
}

TEST(Payloads, DecodedOnesMeanWhatTheySay) {
  const auto rows = Vectors("decoded");
  EXPECT_GT(rows.size(), 3u);
  for (const YAML::Node& row : rows) {
    SCOPED_TRACE(row["name"].as<std::string>());
    Reader reader(row["envelope"].as<std::string>());
    reader.Read(Unhex(row["hex"].as<std::string>()));
    ASSERT_EQ(reader.witness.malformed, "");
    ASSERT_NE(reader.witness.seen, nullptr);
    std::unique_ptr<google::protobuf::Message> wanted(reader.witness.seen->New());
    ASSERT_TRUE(TextFormat::ParseFromString(row["textproto"].as<std::string>(), wanted.get()));
    reader.witness.seen->DiscardUnknownFields();
    EXPECT_TRUE(MessageDifferencer::Equals(*reader.witness.seen, *wanted))
        << reader.witness.seen->ShortDebugString();
  }
}

TEST(Payloads, RefusedOnesAreNoPayloadOfTheirPhase) {
  const auto rows = Vectors("refused");
  EXPECT_GT(rows.size(), 8u);
  for (const YAML::Node& row : rows) {
    SCOPED_TRACE(row["name"].as<std::string>() + ": " + row["why"].as<std::string>());
    Reader reader(row["envelope"].as<std::string>());
    reader.Read(Unhex(row["hex"].as<std::string>()));
    EXPECT_NE(reader.witness.malformed, "");
    EXPECT_EQ(reader.witness.seen, nullptr);
  }
}

}  // namespace
}  // namespace counterpart::peer
