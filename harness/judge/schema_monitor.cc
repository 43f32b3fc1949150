// Announcements: once each, before first use, true to their ids. Tracking is per connection,
// attachment and sender.  r[schema.tracking.sender]
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "harness/judge/judge.h"
#include "harness/wire/schema_id.h"

namespace counterpart::judge {
namespace {

using wire::v1::Binding;

struct Announced {
  std::set<uint64_t> types;
  std::set<std::string> bindings;
};

std::string Key(wire::v1::BindingRole role, const std::string& method, uint32_t field) {
  return std::to_string(role) + " " + method + " " + std::to_string(field);
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
    if (message.has_schema()) OnSchema(frame, mine, judge);
    if (message.has_request()) {
      const auto& request = message.request();
      methods_[{link.link, Index(frame.from), on, request.request_id()}] = request.method();
      for (const auto& ref : request.channels()) {
        channels_[{link.link, on, ref.channel_id()}] = {request.method(), ref.field_number()};
      }
      // An unknown method has no argument type to announce.
      Used(frame, mine, others, Key(wire::v1::BINDING_ROLE_ARGUMENTS, request.method(), 0), judge);
    }
    if (message.has_response() && !message.response().has_runtime_error()) {
      const auto method =
          methods_.find({link.link, Index(Other(frame.from)), on, message.response().request_id()});
      if (method != methods_.end()) {
        Used(frame, mine, others, Key(wire::v1::BINDING_ROLE_RESPONSE, method->second, 0), judge);
      }
    }
    if (message.has_channel_item()) {
      const auto use = channels_.find({link.link, on, message.channel_item().channel_id()});
      if (use != channels_.end()) {
        Used(frame, mine, others,
             Key(wire::v1::BINDING_ROLE_CHANNEL, use->second.method, use->second.field), judge);
      }
    }
  }

 private:
  void OnSchema(const ObservedFrame& frame, Announced& mine, Judge& judge) {
    for (const auto& type : frame.message->schema().types()) {
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
      if (!mine.bindings.insert(Key(binding.role(), binding.method(), binding.channel_field()))
               .second) {
        judge.Violation("schema.principles.once-per-type", frame.from,
                        "announced a binding of " + binding.method() + " twice", &frame);
      }
      for (const uint64_t id : {binding.type_id(), binding.error_type_id()}) {
        if (id != 0 && !mine.types.contains(id)) {
          judge.Violation("schema.exchange.required", frame.from,
                          "bound " + binding.method() + " to a type it did not announce", &frame);
        }
      }
    }
  }

  // `others`: what the same sender has announced on each connection of the link.
  static void Used(const ObservedFrame& frame, const Announced& mine, const OnConnections& others,
                   const std::string& key, Judge& judge) {
    const bool elsewhere =
        std::any_of(others.begin(), others.end(), [&](const OnConnections::value_type& other) {
          return &other.second != &mine && other.second.bindings.contains(key);
        });
    if (mine.bindings.contains(key)) {
      judge.Held("schema.exchange.required");
      if (elsewhere) judge.Held("schema.tracking.connection");
    } else if (elsewhere) {
      judge.Violation(
          "schema.tracking.connection", frame.from,
          "used " + key.substr(2) + ", which it has announced on another connection only", &frame);
    } else {
      judge.Violation("schema.exchange.required", frame.from,
                      "used " + key.substr(2) + " without announcing it", &frame);
    }
  }

  std::map<std::pair<uint32_t, Side>, OnConnections> announced_;  // by link and sender
  std::map<std::tuple<uint32_t, int, uint64_t, uint64_t>, std::string> methods_;
  std::map<std::tuple<uint32_t, uint64_t, uint64_t>, ChannelUse> channels_;
};

}  // namespace

std::unique_ptr<Monitor> NewSchemaMonitor() { return std::make_unique<SchemaMonitor>(); }

}  // namespace counterpart::judge
