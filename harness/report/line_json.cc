#include "harness/report/line_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <memory>
#include <optional>
#include <vector>

#include "harness/report/json_text.h"
#include "harness/report/safe_text.h"

namespace counterpart::report {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void MakeSafe(Message& message, size_t limit) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        MakeSafe(field->is_repeated() ? *reflection.MutableRepeatedMessage(&message, field, i)
                                      : *reflection.MutableMessage(&message, field),
                 limit);
      } else if (field->type() != FieldDescriptor::TYPE_STRING) {
        continue;
      } else if (field->is_repeated()) {
        reflection.SetRepeatedString(
            &message, field, i, SafeText(reflection.GetRepeatedString(message, field, i), limit));
      } else {
        reflection.SetString(&message, field,
                             SafeText(reflection.GetString(message, field), limit));
      }
    }
  }
}

}  // namespace

std::string ToJsonLine(const Message& message, size_t limit) {
  const std::unique_ptr<Message> safe(message.New());
  safe->CopyFrom(message);
  MakeSafe(*safe, limit);
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string line;
  // Cannot fail: the type is known and every string is UTF-8.
  (void)google::protobuf::util::MessageToJsonString(*safe, &line, options);
  line.push_back('\n');
  return line;
}

Status FromJsonLine(std::string_view line, const std::string& place, Message* message) {
  const std::string what = "a " + message->GetDescriptor()->name() + " of report.proto";
  if (const std::optional<size_t> fault = JsonObjectFault(line)) {
    const std::string near = OneLine(line.substr(*fault, 24));
    return Error{Error::Kind::kUsage,
                 place + ":" + std::to_string(*fault + 1) + ": no JSON object from here on" +
                     (near.empty() ? " (the line ends)" : " (\"" + near + "\")") +
                     "; each line must be " + what +
                     ". Delete this line to read the rest, or write the file again."};
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage({line.data(), line.size()}, message, options);
  if (parsed.ok()) return {};
  return Error{Error::Kind::kUsage,
               place + ": JSON, but not " + what + ": " +
                   OneLine({parsed.message().data(), parsed.message().size()}, 300) +
                   ". Correct the field or delete this line."};
}

}  // namespace counterpart::report
