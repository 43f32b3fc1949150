#include "runtime/schema_id.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/mutation.h"

namespace subject {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using Group = std::vector<const Descriptor*>;

constexpr uint64_t kMemberBit = uint64_t{1} << 63;

template <typename Integer>
void Append(std::string& bytes, Integer value) {
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    bytes.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

void AppendString(std::string& bytes, const std::string& text) {
  Append<uint32_t>(bytes, text.size());
  bytes += text;
}

std::string Sha256(const std::string& bytes) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
         reinterpret_cast<uint8_t*>(hash.data()));
  return hash;
}

uint64_t FirstEight(const std::string& hash) {
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id |= uint64_t{static_cast<uint8_t>(hash[i])} << (8 * i);
  return id;
}

std::vector<const FieldDescriptor*> Fields(const Descriptor* type) {
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < type->field_count(); ++i) fields.push_back(type->field(i));
  std::sort(fields.begin(), fields.end(),
            [](auto* a, auto* b) { return a->number() < b->number(); });
  return fields;
}

void Reach(const Descriptor* type, std::set<const Descriptor*>& reached) {
  for (int i = 0; i < type->field_count(); ++i) {
    const Descriptor* next = type->field(i)->message_type();
    if (next != nullptr && reached.insert(next).second) Reach(next, reached);
  }
}

// The members of the type's cycle in canonical order; empty if it is in none.
Group CycleOf(const Descriptor* type) {
  std::set<const Descriptor*> reached;
  Reach(type, reached);
  if (!reached.contains(type)) return {};
  Group group;
  for (const Descriptor* other : reached) {
    std::set<const Descriptor*> back;
    Reach(other, back);
    if (back.contains(type)) group.push_back(other);
  }
  std::sort(group.begin(), group.end(),
            [](auto* a, auto* b) { return a->full_name() < b->full_name(); });
  return group;
}

wire::FieldSchema DescribeField(const FieldDescriptor* field) {
  wire::FieldSchema said;
  said.set_number(field->number());
  said.set_name(field->name());
  said.set_cardinality(field->is_repeated()    ? wire::CARDINALITY_REPEATED
                       : field->has_presence() ? wire::CARDINALITY_OPTIONAL
                                               : wire::CARDINALITY_IMPLICIT);
  said.set_kind(field->type());
  if (const auto* oneof = field->real_containing_oneof()) said.set_oneof_index(oneof->index() + 1);
  return said;
}

std::string CanonicalBytes(const wire::TypeSchema& type) {
  std::string bytes;
  if (type.has_message()) {
    bytes = "M";
    AppendString(bytes, type.full_name());
    Append<uint32_t>(bytes, type.message().fields_size());
    for (const auto& field : type.message().fields()) {
      Append<uint32_t>(bytes, field.number());
      AppendString(bytes, field.name());
      Append<uint8_t>(bytes, field.cardinality());
      Append<uint8_t>(bytes, field.kind());
      Append<uint32_t>(bytes, field.oneof_index());
      Append<uint64_t>(bytes, field.type_id());
    }
  } else {
    bytes = "E";
    AppendString(bytes, type.full_name());
    Append<uint32_t>(bytes, type.enum_().values_size());
    for (const auto& value : type.enum_().values()) {
      Append<int32_t>(bytes, value.number());
      AppendString(bytes, value.name());
    }
  }
  return bytes;
}

// A message whose references to members of `group` are numbers in it, not ids.
wire::TypeSchema DescribeMessage(const Descriptor* type, const Group& group) {
  wire::TypeSchema said;
  said.set_full_name(type->full_name());
  said.mutable_message();
  for (const FieldDescriptor* field : Fields(type)) {
    auto* described = said.mutable_message()->add_fields();
    *described = DescribeField(field);
    if (const Descriptor* nested = field->message_type()) {
      const auto member = std::find(group.begin(), group.end(), nested);
      described->set_type_id(member != group.end()
                                 ? kMemberBit | static_cast<uint64_t>(member - group.begin())
                                 : TypeId(nested));
    } else if (field->enum_type() != nullptr) {
      described->set_type_id(TypeId(field->enum_type()));
    }
  }
  return said;
}

wire::TypeSchema DescribeEnum(const EnumDescriptor* type) {
  wire::TypeSchema said;
  said.set_full_name(type->full_name());
  std::vector<std::pair<int, std::string>> values;
  for (int i = 0; i < type->value_count(); ++i) {
    values.emplace_back(type->value(i)->number(), type->value(i)->name());
  }
  std::sort(values.begin(), values.end());
  said.mutable_enum_();
  for (const auto& [number, name] : values) {
    auto* value = said.mutable_enum_()->add_values();
    value->set_number(number);
    value->set_name(name);
  }
  return said;
}

void DescribeInto(const Descriptor* type, std::set<std::string>& seen,
                  std::vector<wire::TypeSchema>& said) {
  if (!seen.insert(type->full_name()).second) return;
  for (const FieldDescriptor* field : Fields(type)) {
    if (field->message_type() != nullptr) {
      DescribeInto(field->message_type(), seen, said);
    } else if (const auto* nested = field->enum_type();
               nested != nullptr && seen.insert(nested->full_name()).second) {
      said.push_back(DescribeEnum(nested));
      said.back().set_type_id(TypeId(nested));
    }
  }
  said.push_back(DescribeMessage(type, {}));
  said.back().set_type_id(TypeId(type));
}

}  // namespace

uint64_t TypeId(const EnumDescriptor* type) { return TypeId(DescribeEnum(type)); }

uint64_t TypeId(const wire::TypeSchema& description) {
  std::string bytes = CanonicalBytes(description);
  // (The protocol's own schema must stay what it is: without it there is no session.)
  if (Mutated("type_ids_of_its_own_making") &&
      description.full_name().starts_with("counterpart.testbed.")) {
    bytes += "!";
  }
  return FirstEight(Sha256(bytes));
}

uint64_t TypeId(const Descriptor* type) {
  static auto* known = new std::map<const Descriptor*, uint64_t>;  // the loop's alone
  if (const auto found = known->find(type); found != known->end()) return found->second;
  const Group group = CycleOf(type);
  uint64_t id = 0;
  if (group.empty()) {
    id = TypeId(DescribeMessage(type, {}));
  } else {
    std::string bytes = "G";
    Append<uint32_t>(bytes, group.size());
    for (const Descriptor* member : group) bytes += CanonicalBytes(DescribeMessage(member, group));
    std::string member = Sha256(bytes);
    if (!Mutated("gives_a_cycle_one_id")) {
      Append<uint32_t>(member, std::find(group.begin(), group.end(), type) - group.begin());
    }
    id = FirstEight(Sha256(member));
  }
  return (*known)[type] = id;
}

std::vector<wire::TypeSchema> Describe(const Descriptor* type) {
  std::set<std::string> seen;
  std::vector<wire::TypeSchema> said;
  DescribeInto(type, seen, said);
  return said;
}

}  // namespace subject
