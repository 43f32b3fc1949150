#include "runtime/service.h"

#include <algorithm>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "runtime/mutation.h"

namespace subject {

namespace options = counterpart::testbed::v1;

Methods MethodsOf(const google::protobuf::ServiceDescriptor* service) {
  Methods methods;
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* declared = service->method(i);
    Method method;
    method.name = service->full_name() + "/" + declared->name();
    method.request = declared->input_type();
    method.response = declared->output_type();
    const std::string error = declared->options().GetExtension(options::error);
    method.error = error.empty() ? nullptr : service->file()->pool()->FindMessageTypeByName(error);
    method.idem = declared->options().GetExtension(options::idem);
    method.persist = declared->options().GetExtension(options::persist);
    for (int j = 0; j < method.request->field_count(); ++j) {
      const auto* field = method.request->field(j);
      if (!field->options().HasExtension(options::channel)) continue;
      const auto& option = field->options().GetExtension(options::channel);
      method.channels.push_back({static_cast<uint32_t>(field->number()),
                                 option.direction() == options::CHANNEL_DIRECTION_TO_CALLEE,
                                 service->file()->pool()->FindMessageTypeByName(option.item()),
                                 option.initial_credit()});
    }
    std::sort(method.channels.begin(), method.channels.end(),
              [](const auto& a, const auto& b) { return a.field_number < b.field_number; });
    methods.emplace(method.name, std::move(method));
  }
  return methods;
}

std::string ForbiddenAmong(const Methods& methods) {
  if (Mutated("registers_persist_streams")) return "";
  for (const auto& [name, method] : methods) {
    if (method.persist && !method.channels.empty()) return name;
  }
  return "";
}

}  // namespace subject
