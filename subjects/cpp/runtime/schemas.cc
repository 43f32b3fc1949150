#include "runtime/schemas.h"

#include "counterpart/testbed/v1/testbed.pb.h"
#include "runtime/mutation.h"
#include "runtime/schema_id.h"

namespace subject {
namespace {

using google::protobuf::Descriptor;

const ChannelArgument* FindChannel(const Method& method, uint32_t field) {
  for (const auto& channel : method.channels) {
    if (channel.field_number == field) return &channel;
  }
  return nullptr;
}

Violation Broken(wire::ProtocolErrorCode code, std::string rule, const std::string& name) {
  return {code, std::move(rule), "schema of " + name};
}

}  // namespace

void Announcer::AddTypes(const Descriptor* type, wire::Schema& said) {
  for (auto& description : Describe(type)) {
    if (Mutated("leaves_out_what_a_type_refers_to") &&
        description.full_name() != type->full_name()) {
      continue;
    }
    if (types_.insert(description.type_id()).second) *said.add_types() = std::move(description);
  }
}

wire::Schema Announcer::Missing(const Method& method, wire::BindingRole role, uint32_t field) {
  wire::Schema said;
  if (!bindings_.insert({method.name, role, field}).second) return said;
  auto* binding = said.add_bindings();
  binding->set_method(method.name);
  binding->set_role(role);
  const Descriptor* type = method.request;
  if (role == wire::BINDING_ROLE_RESPONSE) {
    type = method.response;
    if (method.error != nullptr) {
      AddTypes(method.error, said);
      binding->set_error_type_id(TypeId(method.error));
    }
  } else if (role == wire::BINDING_ROLE_CHANNEL) {
    const ChannelArgument* channel = FindChannel(method, field);
    type = channel->item;
    binding->set_channel_field(field);
    binding->set_initial_credit(channel->initial_credit);
  }
  AddTypes(type, said);
  binding->set_type_id(TypeId(type));
  return said;
}

bool Tracker::BoundError(const std::string& method) const {
  const auto found = bindings_.find({method, wire::BINDING_ROLE_RESPONSE, 0});
  return found != bindings_.end() && found->second.binding.error_type_id() != 0;
}

bool Tracker::InCycle(uint64_t type_id) const {
  std::set<uint64_t> reached;
  std::vector<uint64_t> todo{type_id};
  while (!todo.empty()) {
    const auto type = types_.find(todo.back());
    todo.pop_back();
    if (type == types_.end()) continue;
    for (const auto& field : type->second.message().fields()) {
      if (field.type_id() == type_id) return true;
      if (field.type_id() != 0 && reached.insert(field.type_id()).second) {
        todo.push_back(field.type_id());
      }
    }
  }
  return false;
}

void Tracker::KeepStreamsOf(const Tracker& older) {
  for (const auto& [key, bound] : older.bindings_) {
    const auto method = methods_.find(std::get<0>(key));
    if (method == methods_.end() || method->second.channels.empty() ||
        !method->second.channels.front().to_callee) {
      continue;
    }
    bindings_.emplace(key, bound);
    types_.insert(older.types_.begin(), older.types_.end());
  }
}

MaybeViolation Tracker::Learn(const wire::Schema& schema) {
  for (const auto& type : schema.types()) {
    if (type.type_id() == 0 || type.body_case() == wire::TypeSchema::BODY_NOT_SET) {
      return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_INVALID, "schema.type-id", type.full_name());
    }
    const bool fresh = types_.emplace(type.type_id(), type).second;
    if (!fresh && !Mutated("duplicate_schema_accepted")) {  // r[schema.principles.once-per-type]
      return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_DUPLICATE, "schema.principles.once-per-type",
                    type.full_name());
    }
  }
  for (const auto& type : schema.types()) {
    // The ids of a cycle hash the group, whose members may carry other names here.
    if (!InCycle(type.type_id()) && TypeId(type) != type.type_id() &&
        !Mutated("accepts_any_type_id")) {
      return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_INVALID, "schema.type-id", type.full_name());
    }
    for (const auto& field : type.message().fields()) {
      if (field.type_id() != 0 && !types_.contains(field.type_id())) {
        return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required",
                      type.full_name() + "." + field.name());
      }
    }
  }
  for (const auto& binding : schema.bindings()) {
    const BindingKey key{binding.method(), binding.role(), binding.channel_field()};
    if (bindings_.contains(key) && !Mutated("duplicate_schema_accepted")) {
      return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_DUPLICATE, "schema.principles.once-per-type",
                    binding.method());
    }
    if (!types_.contains(binding.type_id()) ||
        (binding.error_type_id() != 0 && !types_.contains(binding.error_type_id()))) {
      return Broken(wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required",
                    binding.method());
    }
    bindings_[key] = {binding, Judge(binding)};
  }
  return std::nullopt;
}

std::string Tracker::Mismatch(const std::string& method, wire::BindingRole role,
                              uint32_t field) const {
  const auto found = bindings_.find({method, role, field});
  if (found == bindings_.end() || found->second.mismatch.empty()) return "";
  return Mutated("names_no_field_of_a_mismatch") ? "types differ" : found->second.mismatch;
}

std::string Tracker::Judge(const wire::Binding& binding) const {
  const auto method = methods_.find(binding.method());
  if (method == methods_.end()) return "";  // legal, and of no use
  std::set<uint64_t> seen;
  switch (binding.role()) {
    case wire::BINDING_ROLE_ARGUMENTS:
      return Compare(binding.type_id(), method->second.request, seen);
    case wire::BINDING_ROLE_RESPONSE: {
      if (Mutated("checks_no_types_of_responses")) return "";
      std::string why = Compare(binding.type_id(), method->second.response, seen);
      if (why.empty() && binding.error_type_id() != 0 && method->second.error != nullptr) {
        why = Compare(binding.error_type_id(), method->second.error, seen);
      }
      return why;
    }
    case wire::BINDING_ROLE_CHANNEL: {
      const ChannelArgument* channel = FindChannel(method->second, binding.channel_field());
      if (channel == nullptr) return "";
      if (channel->initial_credit != binding.initial_credit()) {
        return "channel field " + std::to_string(binding.channel_field()) + " of " +
               binding.method() + ": initial credit " + std::to_string(binding.initial_credit()) +
               " is " + std::to_string(channel->initial_credit) + " here";
      }
      return Compare(binding.type_id(), channel->item, seen);
    }
    default:
      return "";
  }
}

// r[schema.compat]
std::string Tracker::Compare(uint64_t theirs, const Descriptor* ours,
                             std::set<uint64_t>& seen) const {
  if (theirs == TypeId(ours) || !seen.insert(theirs).second) return "";
  if (Mutated("ignores_type_mismatch")) return "";
  const wire::TypeSchema& type = types_.at(theirs);
  if (!type.has_message()) return type.full_name() + " is not the message " + ours->full_name();
  std::set<int> present;
  for (const auto& field : type.message().fields()) {
    present.insert(static_cast<int>(field.number()));
    const auto* own = Mutated("matches_fields_by_name")
                          ? ours->FindFieldByName(field.name())
                          : ours->FindFieldByNumber(static_cast<int>(field.number()));
    if (own == nullptr && Mutated("matches_fields_by_name")) {
      return "field " + field.name() + " of " + type.full_name() + " is unknown here";
    }
    if (own == nullptr && Mutated("refuses_fields_it_lacks")) {
      return "field " + field.name() + " of " + type.full_name() + " is unknown here";
    }
    if (own == nullptr) continue;  // r[schema.translation.unknown-fields]
    const auto cardinality = own->is_repeated()    ? wire::CARDINALITY_REPEATED
                             : own->has_presence() ? wire::CARDINALITY_OPTIONAL
                                                   : wire::CARDINALITY_IMPLICIT;
    if (field.kind() != static_cast<uint32_t>(own->type()) || field.cardinality() != cardinality) {
      return "field " + own->name() + " of " + type.full_name() + " has kind " +
             std::to_string(field.kind()) + "/" + std::to_string(field.cardinality()) + ", in " +
             ours->full_name() + " it has " + std::to_string(own->type()) + "/" +
             std::to_string(cardinality);
    }
    if (own->message_type() != nullptr) {
      std::string why = Compare(field.type_id(), own->message_type(), seen);
      if (!why.empty()) return why;
    }
  }
  for (int i = 0; i < ours->field_count(); ++i) {  // r[schema.errors.missing-required]
    const auto* own = ours->field(i);
    if (Mutated("asks_for_every_field") && !present.contains(own->number())) {
      return "field " + own->name() + " is not in " + type.full_name();
    }
    if (own->options().GetExtension(counterpart::testbed::v1::required) &&
        !present.contains(own->number()) && !Mutated("asks_for_no_required_field")) {
      return "field " + own->name() + ", required by " + ours->full_name() + ", is not in " +
             type.full_name();
    }
  }
  return "";
}

}  // namespace subject
