// Type ids: content hashes of canonical type descriptions.  r[schema.type-id.canonical]
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "runtime/wire.h"

namespace subject {

// The id of a type; groups of types that refer to each other in a cycle are hashed as one.
// r[schema.type-id.recursive]
uint64_t TypeId(const google::protobuf::Descriptor* type);
uint64_t TypeId(const google::protobuf::EnumDescriptor* type);

// The id that an announced description of a type in no cycle must have.
uint64_t TypeId(const wire::TypeSchema& description);

// Descriptions of the type and of all it refers to, referred-to types first.
// r[schema.tracking.transitive]
std::vector<wire::TypeSchema> Describe(const google::protobuf::Descriptor* type);

}  // namespace subject
