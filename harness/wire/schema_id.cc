#include "harness/wire/schema_id.h"

#include <google/protobuf/descriptor.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "counterpart/wire/v1/wire.pb.h"

namespace counterpart::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr uint64_t kGroupMember = uint64_t{1} << 63;

void PutU32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
void PutU64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
void PutString(std::string& out, std::string_view text) {
  PutU32(out, static_cast<uint32_t>(text.size()));
  out.append(text);
}

std::string Sha256(std::string_view bytes) {
  // Looked up once: to find it takes as long as to use it.
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             kSha256, nullptr);
  return digest;
}

uint64_t FirstEight(std::string_view digest) {
  uint64_t id = 0;
  for (int i = 0; i < 8; ++i) id |= uint64_t{static_cast<unsigned char>(digest[i])} << (8 * i);
  return id;
}

std::string CanonicalBytes(const v1::TypeSchema& type) {
  std::string out;
  if (type.has_enum_()) {
    out.push_back('E');
    PutString(out, type.full_name());
    PutU32(out, static_cast<uint32_t>(type.enum_().values_size()));
    for (const auto& value : type.enum_().values()) {
      PutU32(out, static_cast<uint32_t>(value.number()));
      PutString(out, value.name());
    }
    return out;
  }
  out.push_back('M');
  PutString(out, type.full_name());
  PutU32(out, static_cast<uint32_t>(type.message().fields_size()));
  for (const auto& field : type.message().fields()) {
    PutU32(out, field.number());
    PutString(out, field.name());
    out.push_back(static_cast<char>(field.cardinality()));
    out.push_back(static_cast<char>(field.kind()));
    PutU32(out, field.oneof_index());
    PutU64(out, field.type_id());
  }
  return out;
}

v1::Cardinality CardinalityOf(const FieldDescriptor& field) {
  if (field.is_repeated()) return v1::CARDINALITY_REPEATED;
  return field.has_presence() ? v1::CARDINALITY_OPTIONAL : v1::CARDINALITY_IMPLICIT;
}

v1::TypeSchema DescribeEnum(const EnumDescriptor& type) {
  v1::TypeSchema schema;
  schema.set_full_name(type.full_name());
  std::vector<std::pair<int, std::string>> values;
  for (int i = 0; i < type.value_count(); ++i) {
    values.emplace_back(type.value(i)->number(), type.value(i)->name());
  }
  std::sort(values.begin(), values.end());
  schema.mutable_enum_();
  for (const auto& [number, name] : values) {
    auto* value = schema.mutable_enum_()->add_values();
    value->set_number(number);
    value->set_name(name);
  }
  schema.set_type_id(FirstEight(Sha256(CanonicalBytes(schema))));
  return schema;
}

std::vector<const FieldDescriptor*> FieldsByNumber(const Descriptor& type) {
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < type.field_count(); ++i) fields.push_back(type.field(i));
  std::sort(fields.begin(), fields.end(),
            [](const auto* a, const auto* b) { return a->number() < b->number(); });
  return fields;
}

// Describes types depth first. Types in a reference cycle are found as the strongly connected
// components of the message graph (Tarjan), and hashed as one group.
class Describer {
 public:
  uint64_t Id(const Descriptor& type) {
    if (!ids_.contains(&type)) Visit(type);
    return ids_.at(&type);
  }
  std::vector<v1::TypeSchema> TakeDescribed() { return std::move(described_); }

 private:
  struct Node {
    int index, low;
    bool on_stack;
  };

  void Visit(const Descriptor& type) {
    nodes_[&type] = {next_index_, next_index_, true};
    ++next_index_;
    stack_.push_back(&type);
    for (const FieldDescriptor* field : FieldsByNumber(type)) {
      if (field->message_type() == nullptr) continue;
      const Descriptor* next = field->message_type();
      if (!nodes_.contains(next)) {
        Visit(*next);
        nodes_[&type].low = std::min(nodes_[&type].low, nodes_[next].low);
      } else if (nodes_[next].on_stack) {
        nodes_[&type].low = std::min(nodes_[&type].low, nodes_[next].index);
      }
    }
    if (nodes_[&type].low != nodes_[&type].index) return;
    std::vector<const Descriptor*> group;
    const Descriptor* member = nullptr;
    do {
      member = stack_.back();
      stack_.pop_back();
      nodes_[member].on_stack = false;
      group.push_back(member);
    } while (member != &type);
    Finish(std::move(group));
  }

  void Finish(std::vector<const Descriptor*> group) {
    std::sort(group.begin(), group.end(),
              [](const auto* a, const auto* b) { return a->full_name() < b->full_name(); });
    const bool recursive = group.size() > 1 || RefersToItself(*group[0]);
    std::map<const Descriptor*, uint64_t> member_ids;
    if (recursive) {
      for (size_t i = 0; i < group.size(); ++i) member_ids[group[i]] = kGroupMember | i;
    }
    std::vector<v1::TypeSchema> schemas;
    std::string group_bytes = "G";
    PutU32(group_bytes, static_cast<uint32_t>(group.size()));
    for (const Descriptor* member : group) {
      schemas.push_back(DescribeMessage(*member, member_ids));
      group_bytes += CanonicalBytes(schemas.back());
    }
    const std::string group_hash = Sha256(group_bytes);
    for (size_t i = 0; i < group.size(); ++i) {
      std::string member_bytes = group_hash;
      PutU32(member_bytes, static_cast<uint32_t>(i));
      ids_[group[i]] = FirstEight(Sha256(recursive ? member_bytes : CanonicalBytes(schemas[i])));
    }
    for (size_t i = 0; i < group.size(); ++i) {
      if (recursive) schemas[i] = DescribeMessage(*group[i], ids_);
      schemas[i].set_type_id(ids_[group[i]]);
      described_.push_back(std::move(schemas[i]));
    }
  }

  static bool RefersToItself(const Descriptor& type) {
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->message_type() == &type) return true;
    }
    return false;
  }

  v1::TypeSchema DescribeMessage(const Descriptor& type,
                                 const std::map<const Descriptor*, uint64_t>& members) {
    v1::TypeSchema schema;
    schema.set_full_name(type.full_name());
    schema.mutable_message();
    for (const FieldDescriptor* field : FieldsByNumber(type)) {
      auto* out = schema.mutable_message()->add_fields();
      out->set_number(static_cast<uint32_t>(field->number()));
      out->set_name(field->name());
      out->set_cardinality(CardinalityOf(*field));
      out->set_kind(static_cast<uint32_t>(field->type()));
      if (const auto* oneof = field->real_containing_oneof()) {
        out->set_oneof_index(static_cast<uint32_t>(oneof->index()) + 1);
      }
      if (const Descriptor* message = field->message_type()) {
        const auto member = members.find(message);
        out->set_type_id(member != members.end() ? member->second : ids_.at(message));
      } else if (const EnumDescriptor* enumeration = field->enum_type()) {
        if (!enums_.contains(enumeration)) {
          described_.push_back(DescribeEnum(*enumeration));
          enums_[enumeration] = described_.back().type_id();
        }
        out->set_type_id(enums_[enumeration]);
      }
    }
    return schema;
  }

  std::map<const Descriptor*, Node> nodes_;
  std::vector<const Descriptor*> stack_;
  int next_index_ = 0;
  std::map<const Descriptor*, uint64_t> ids_;
  std::map<const EnumDescriptor*, uint64_t> enums_;
  std::vector<v1::TypeSchema> described_;
};

struct Description {
  uint64_t id;
  std::vector<v1::TypeSchema> types;  // it and what it refers to
};

Description Describe(const Descriptor& type) {
  Describer describer;
  const uint64_t id = describer.Id(type);
  return {id, describer.TakeDescribed()};
}

// What is compiled in never changes, and every session announces it: described once. Other pools
// may end, and their addresses be used again. Threads share nothing here.
const Description& Compiled(const Descriptor& type) {
  thread_local std::unordered_map<const Descriptor*, Description> described;
  const auto known = described.find(&type);
  if (known != described.end()) return known->second;
  return described.emplace(&type, Describe(type)).first->second;
}

bool IsCompiled(const Descriptor& type) {
  return type.file()->pool() == DescriptorPool::generated_pool();
}

}  // namespace

uint64_t SchemaId(const Descriptor& type) {
  return IsCompiled(type) ? Compiled(type).id : Describe(type).id;
}

uint64_t SchemaIdOf(std::string_view full_name) {
  const auto* type =
      DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(full_name));
  return type == nullptr ? 0 : SchemaId(*type);
}

std::vector<v1::TypeSchema> DescribeTypes(const Descriptor& type) {
  return IsCompiled(type) ? Compiled(type).types : Describe(type).types;
}

uint64_t SchemaId(const v1::TypeSchema& announced) {
  for (const auto& field : announced.message().fields()) {
    if (field.type_id() == announced.type_id() && field.type_id() != 0) return 0;
  }
  return FirstEight(Sha256(CanonicalBytes(announced)));
}

}  // namespace counterpart::wire
