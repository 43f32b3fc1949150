// Announcements: once each, before first use, true to their ids. Tracking is per connection,
// attachment and sender.  r[schema.tracking.sender]
#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/peer/testbed.h"
#include "harness/wire/schema_id.h"

namespace counterpart::judge {
namespace {

using wire::v1::Binding;

struct Announced {
  std::set<uint64_t> types;
  std::set<std::string> bindings;
  std::map<uint64_t, std::set<uint64_t>> refers;  // by type, to types

  bool Reaches(uint64_t from, uint64_t to) const {
    std::set<uint64_t> reached;
    std::vector<uint64_t> todo{from};
    while (!todo.empty()) {
      const auto type = refers.find(todo.back());
      todo.pop_back();
      if (type == refers.end()) continue;
      for (const uint64_t next : type->second) {
        if (next == to) return true;
        if (reached.insert(next).second) todo.push_back(next);
      }
    }
    return false;
  }
};

std::string Key(wire::v1::BindingRole role, const std::string& method, uint32_t field) {
  return std::to_string(role) + " " + method + " " + std::to_string(field);
}

// The same for people: "the response of …/Echo", "channel 3 of …/Sum".
std::string Described(const std::string& key) {
  const size_t last = key.rfind(' ');
  const std::string method = key.substr(2, last - 2);
  switch (static_cast<wire::v1::BindingRole>(key.front() - '0')) {
    case wire::v1::BINDING_ROLE_ARGUMENTS:
      return "the arguments of " + method;
    case wire::v1::BINDING_ROLE_RESPONSE:
      return "the response of " + method;
    default:
      return "channel" + key.substr(last) + " of " + method;
  }
}

// What a channel id stands for on a link.
struct ChannelUse {
  std::string method;
  uint32_t field = 0;
};

using OnConnections = std::map<uint64_t, Announced>;

class SchemaMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.message == nullptr) return;
    const auto& message = *frame.message;
    const uint64_t on = message.connection_id();
    OnConnections& others = announced_[{link.link, frame.from}];
    Announced& mine = others[on];
    Announced& ever = ever_announced_[{link.session_id, frame.from, on}];
    if (message.has_schema()) OnSchema(frame, mine, ever, judge);
    const Uses uses = {link.link, mine, others, ever};
    if (message.has_request()) {
      const auto& request = message.request();
      methods_[{link.link, Index(frame.from), on, request.request_id()}] = request.method();
      for (const auto& ref : request.channels()) {
        channels_[{link.link, on, ref.channel_id()}] = {request.method(), ref.field_number()};
      }
      // An unknown method has no argument type to announce.
      Used(frame, uses, Key(wire::v1::BINDING_ROLE_ARGUMENTS, request.method(), 0), judge);
    }
    if (message.has_response() && !message.response().has_runtime_error()) {
      const auto method =
          methods_.find({link.link, Index(Other(frame.from)), on, message.response().request_id()});
      if (method != methods_.end()) {
        Used(frame, uses, Key(wire::v1::BINDING_ROLE_RESPONSE, method->second, 0), judge);
      }
    }
    if (message.has_channel_item()) {
      const auto use = channels_.find({link.link, on, message.channel_item().channel_id()});
      if (use != channels_.end()) {
        Used(frame, uses,
             Key(wire::v1::BINDING_ROLE_CHANNEL, use->second.method, use->second.field), judge);
      }
    }
  }

 private:
  // What a side has announced where it now uses something: on this link, and in its session.
  struct Uses {
    uint32_t link;
    const Announced& mine;
    const OnConnections& others;  // of the same link
    const Announced& ever;
  };

  void OnSchema(const ObservedFrame& frame, Announced& mine, Announced& ever, Judge& judge) {
    // Before any of it counts as known: a cycle is told by what refers to what.
    for (const auto& type : frame.message->schema().types()) {
      for (const auto& field : type.message().fields()) {
        if (field.type_id() != 0) mine.refers[type.type_id()].insert(field.type_id());
      }
    }
    for (const auto& type : frame.message->schema().types()) {
      if (frame.from == Side::kSubject) OnType(frame, type, mine, judge);
      if (!mine.types.insert(type.type_id()).second) {
        judge.Violation("schema.principles.once-per-type", frame.from,
                        "announced type " + type.full_name() + " twice", &frame);
      } else {
        judge.Held("schema.principles.once-per-type");
      }
      const uint64_t id = wire::SchemaId(type);
      if (id != 0 && id != type.type_id()) {
        judge.Violation("schema.type-id.canonical", frame.from,
                        "announced " + type.full_name() +
                            " under an id its description does not "
                            "hash to",
                        &frame);
      } else if (id != 0) {
        judge.Held("schema.type-id.canonical");
      }
    }
    for (const Binding& binding : frame.message->schema().bindings()) {
      ever.bindings.insert(Key(binding.role(), binding.method(), binding.channel_field()));
      if (!mine.bindings.insert(Key(binding.role(), binding.method(), binding.channel_field()))
               .second) {
        judge.Violation("schema.principles.once-per-type", frame.from,
                        "announced a binding of " + binding.method() + " twice", &frame);
      }
      for (const uint64_t id : {binding.type_id(), binding.error_type_id()}) {
        if (id != 0 && !mine.types.contains(id)) {
          judge.Violation(frame.from == Side::kSubject ? "schema.tracking.transitive"
                                                       : "schema.exchange.required",
                          frame.from,
                          "bound " + binding.method() + " to a type it did not announce", &frame);
        }
      }
    }
  }

  // What a description of the subject's says of other types, and of itself if it is in a cycle.
  void OnType(const ObservedFrame& frame, const wire::v1::TypeSchema& type, const Announced& mine,
              Judge& judge) {
    // r[schema.tracking.transitive]
    bool refers = false;
    for (const auto& field : type.message().fields()) {
      const uint64_t id = field.type_id();
      if (id == 0) continue;
      refers = true;
      if (!mine.types.contains(id) && !mine.Reaches(id, type.type_id())) {
        judge.Violation("schema.tracking.transitive", frame.from,
                        "announced " + type.full_name() + " before, or without, the type of its " +
                            field.name(),
                        &frame);
        return;
      }
    }
    if (refers) judge.Held("schema.tracking.transitive");
    // r[schema.type-id.recursive]: such an id is of its group, and the harness knows the testbed's.
    if (!mine.Reaches(type.type_id(), type.type_id())) return;
    const auto* known =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type.full_name());
    if (known == nullptr) return;
    if (wire::SchemaId(*known) == type.type_id()) {
      judge.Held("schema.type-id.recursive");
    } else {
      judge.Violation("schema.type-id.recursive", frame.from,
                      "announced " + type.full_name() +
                          ", which refers to itself, under an id that is not its group's",
                      &frame);
    }
  }

  void Used(const ObservedFrame& frame, const Uses& uses, const std::string& key, Judge& judge) {
    const bool subject = frame.from == Side::kSubject;
    // r[schema.tracking.connection]
    const bool elsewhere = std::any_of(
        uses.others.begin(), uses.others.end(), [&](const OnConnections::value_type& other) {
          return &other.second != &uses.mine && other.second.bindings.contains(key);
        });
    if (uses.mine.bindings.contains(key)) {
      judge.Held("schema.exchange.required");
      if (elsewhere) judge.Held("schema.tracking.connection");
      if (!subject) return;
      judge.Held("schema.tracking.sender");
      // r[schema.tracking.attachment]: announced anew, though it had been before.
      std::set<uint32_t>& links = used_on_[{&uses.ever, key}];
      links.insert(uses.link);
      if (links.size() > 1) judge.Held("schema.tracking.attachment");
      return;
    }
    if (elsewhere) {
      judge.Violation(
          "schema.tracking.connection", frame.from,
          "used the type of " + Described(key) + ", announced on another connection only", &frame);
      return;
    }
    judge.Violation(!subject                           ? "schema.exchange.required"
                    : uses.ever.bindings.contains(key) ? "schema.tracking.attachment"
                                                       : "schema.tracking.sender",
                    frame.from, "used the type of " + Described(key) + " without announcing it",
                    &frame);
  }

  std::map<std::pair<uint32_t, Side>, OnConnections> announced_;  // by link and sender
  // By session, sender and connection.
  std::map<std::tuple<std::string, Side, uint64_t>, Announced> ever_announced_;
  // The links on which the subject has used a binding, by what it has announced in the session.
  std::map<std::pair<const Announced*, std::string>, std::set<uint32_t>> used_on_;
  std::map<std::tuple<uint32_t, int, uint64_t, uint64_t>, std::string> methods_;
  std::map<std::tuple<uint32_t, uint64_t, uint64_t>, ChannelUse> channels_;
};

}  // namespace

std::unique_ptr<Monitor> NewSchemaMonitor() { return std::make_unique<SchemaMonitor>(); }

}  // namespace counterpart::judge
