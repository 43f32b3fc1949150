// Envelopes are decoded as the golden vectors say.  r[wire.envelope]
#include "runtime/wire.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <string>

namespace subject {
namespace {

std::string Bytes(const std::string& hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

// Nothing if they are as the vector says, else what is wrong.
template <typename Envelope>
std::string Wrong(const YAML::Node& vector) {
  auto decoded = DecodeEnvelope<Envelope>(Bytes(vector["hex"].as<std::string>()));
  if (!vector["textproto"]) return decoded ? "taken for one" : "";
  if (!decoded) return "refused";
  decoded->DiscardUnknownFields();
  Envelope wanted;
  if (!google::protobuf::TextFormat::ParseFromString(vector["textproto"].as<std::string>(),
                                                     &wanted)) {
    return "no text of such an envelope";
  }
  std::string difference;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  differencer.Compare(wanted, *decoded);
  return difference;
}

std::string Wrong(const YAML::Node& vector) {
  const auto envelope = vector["envelope"].as<std::string>();
  if (envelope == "Prologue") return Wrong<wire::Prologue>(vector);
  if (envelope == "StableHandshake") return Wrong<wire::StableHandshake>(vector);
  if (envelope == "StableFrame") return Wrong<wire::StableFrame>(vector);
  if (envelope == "Handshake") return Wrong<wire::Handshake>(vector);
  if (envelope == "Message") return Wrong<wire::Message>(vector);
  return "no envelope " + envelope;
}

TEST(EnvelopeTest, IsDecodedAndRefusedAsTheGoldenVectorsSay) {
  const YAML::Node vectors = YAML::LoadFile(SPEC_DIR "/vectors/messages.yaml");
  for (const char* list : {"encoded", "decoded", "refused"}) {
    EXPECT_GT(vectors[list].size(), 0u) << list;
    for (const YAML::Node& vector : vectors[list]) {
      EXPECT_EQ(Wrong(vector), "") << list << " " << vector["name"].as<std::string>();
    }
  }
}

}  // namespace
}  // namespace subject
