#include "harness/peer/testbed.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

namespace counterpart::peer {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;

const Descriptor* Type(const std::string& full_name) {
  return full_name.empty() ? nullptr
                           : DescriptorPool::generated_pool()->FindMessageTypeByName(full_name);
}

Method Describe(const MethodDescriptor& descriptor) {
  Method method;
  method.name = descriptor.service()->full_name() + "/" + descriptor.name();
  method.idem = descriptor.options().GetExtension(testbed::v1::idem);
  method.persist = descriptor.options().GetExtension(testbed::v1::persist);
  method.arguments = descriptor.input_type();
  method.response = descriptor.output_type();
  method.error = Type(descriptor.options().GetExtension(testbed::v1::error));
  for (int i = 0; i < descriptor.input_type()->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.input_type()->field(i);
    if (!field.options().HasExtension(testbed::v1::channel)) continue;
    const auto& argument = field.options().GetExtension(testbed::v1::channel);
    method.channels.push_back(
        {.field_number = static_cast<uint32_t>(field.number()),
         .to_callee = argument.direction() == testbed::v1::CHANNEL_DIRECTION_TO_CALLEE,
         .initial_credit = argument.initial_credit(),
         .item = Type(argument.item())});
  }
  std::sort(method.channels.begin(), method.channels.end(),
            [](const auto& a, const auto& b) { return a.field_number < b.field_number; });
  return method;
}

std::map<std::string, Method, std::less<>> DescribeAll() {
  std::map<std::string, Method, std::less<>> methods;
  // Touching one message links the file's descriptors into the pool.
  const auto* file = testbed::v1::EchoRequest::descriptor()->file();
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      Method method = Describe(*file->service(s)->method(m));
      methods.emplace(file->service(s)->method(m)->name(), method);
      methods.emplace(method.name, method);
    }
  }
  return methods;
}

}  // namespace

const ChannelArgument* Method::Channel(uint32_t field_number) const {
  for (const ChannelArgument& channel : channels) {
    if (channel.field_number == field_number) return &channel;
  }
  return nullptr;
}

const Method* FindMethod(std::string_view name) {
  static const auto* methods = new std::map<std::string, Method, std::less<>>(DescribeAll());
  const auto found = methods->find(name);
  return found == methods->end() ? nullptr : &found->second;
}

std::string EncodeNumber(uint64_t value) {
  testbed::v1::Number number;
  number.set_value(value);
  return number.SerializeAsString();
}

bool DecodeNumber(const std::string& bytes, uint64_t* value) {
  testbed::v1::Number number;
  if (!number.ParseFromString(bytes)) return false;
  *value = number.value();
  return true;
}

}  // namespace counterpart::peer
