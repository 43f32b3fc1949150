// Type ids are the golden ones.  r[schema.type-id.canonical], r[schema.type-id.recursive]
#include "runtime/schema_id.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"

namespace subject {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptor;

class SchemaIdTest : public testing::Test {
 protected:
  SchemaIdTest() : vectors_(YAML::LoadFile(SPEC_DIR "/vectors/schema_ids.yaml")) {
    google::protobuf::FileDescriptorProto file;
    const bool parsed = google::protobuf::TextFormat::ParseFromString(
        vectors_["recursive_file"].as<std::string>(), &file);
    EXPECT_TRUE(parsed);
    files_ = {wire::Message::descriptor()->file(),
              counterpart::testbed::v1::Number::descriptor()->file(), pool_.BuildFile(file)};
  }

  // The message of that name, or null.
  const Descriptor* Message(const std::string& name) const {
    for (const FileDescriptor* file : files_) {
      if (const auto* type = file->pool()->FindMessageTypeByName(name)) return type;
    }
    return nullptr;
  }

  const EnumDescriptor* Enum(const std::string& name) const {
    for (const FileDescriptor* file : files_) {
      if (const auto* type = file->pool()->FindEnumTypeByName(name)) return type;
    }
    return nullptr;
  }

  YAML::Node vectors_;
  DescriptorPool pool_;
  std::vector<const FileDescriptor*> files_;
};

TEST_F(SchemaIdTest, IdsAreTheGoldenOnes) {
  std::set<std::string> seen;
  for (const YAML::Node& vector : vectors_["types"]) {
    const auto name = vector["type"].as<std::string>();
    const uint64_t id = std::stoull(vector["id"].as<std::string>(), nullptr, 16);
    seen.insert(name);
    if (const Descriptor* message = Message(name)) {
      EXPECT_EQ(TypeId(message), id) << name;
    } else if (const EnumDescriptor* enumeration = Enum(name)) {
      EXPECT_EQ(TypeId(enumeration), id) << name;
    } else {
      ADD_FAILURE() << "no compiled type " << name;
    }
  }
  for (const FileDescriptor* file : files_) {  // and there are none without a vector
    for (int i = 0; i < file->message_type_count(); ++i) {
      EXPECT_TRUE(seen.contains(std::string(file->message_type(i)->full_name())));
    }
    for (int i = 0; i < file->enum_type_count(); ++i) {
      EXPECT_TRUE(seen.contains(std::string(file->enum_type(i)->full_name())));
    }
  }
}

// Whether a type refers to another one, directly or through others.
bool Reaches(const Descriptor* from, const Descriptor* to) {
  std::set<const Descriptor*> seen;
  std::vector<const Descriptor*> next = {from};
  while (!next.empty()) {
    const Descriptor* type = next.back();
    next.pop_back();
    for (int i = 0; i < type->field_count(); ++i) {
      const Descriptor* referred = type->field(i)->message_type();
      if (referred == to) return true;
      if (referred != nullptr && seen.insert(referred).second) next.push_back(referred);
    }
  }
  return false;
}

// What one side announces has, for the other, the id that was announced.
TEST_F(SchemaIdTest, DescriptionsHashToTheirIds) {
  for (const YAML::Node& vector : vectors_["types"]) {
    const Descriptor* message = Message(vector["type"].as<std::string>());
    if (message == nullptr) continue;
    std::set<uint64_t> before;
    for (const wire::TypeSchema& description : Describe(message)) {
      EXPECT_TRUE(before.insert(description.type_id()).second) << "announced twice";
      const Descriptor* described = Message(description.full_name());
      if (described == nullptr || !Reaches(described, described)) {  // else it has its group's
        EXPECT_EQ(TypeId(description), description.type_id()) << description.full_name();
      }
    }
    EXPECT_TRUE(before.contains(TypeId(message)));
  }
}

}  // namespace
}  // namespace subject
