// Schema type ids: a content hash of the canonical description of a message or enum type.
// r[schema.type-id.canonical]
#ifndef COUNTERPART_WIRE_SCHEMA_ID_H_
#define COUNTERPART_WIRE_SCHEMA_ID_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Descriptor;
class EnumDescriptor;
}  // namespace google::protobuf

namespace counterpart::wire::v1 {
class TypeSchema;
}

namespace counterpart::wire {

// The id of a message type, by its compiled descriptor.
uint64_t SchemaId(const google::protobuf::Descriptor& type);

// Full name of a type compiled into this program to its id; 0 if there is none of that name.
uint64_t SchemaIdOf(std::string_view full_name);

// Announcement of a type and of every type it refers to, referred-to types first.
std::vector<v1::TypeSchema> DescribeTypes(const google::protobuf::Descriptor& type);

// The id an announced, non-recursive description hashes to. A recursive one cannot be checked on
// its own: 0.
uint64_t SchemaId(const v1::TypeSchema& announced);

}  // namespace counterpart::wire

#endif  // COUNTERPART_WIRE_SCHEMA_ID_H_
