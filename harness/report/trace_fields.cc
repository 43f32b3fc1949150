#include "harness/report/trace_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/wire/v1/wire.pb.h"
#include "harness/report/safe_text.h"
#include "harness/wire/framing.h"

namespace counterpart::report {
namespace {

using effects::EffectKind;
using effects::IngressKind;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using machine::Entry;
using machine::EntryKind;

constexpr size_t kWholeBytes = 48;     // longer ones by size and hash
constexpr size_t kWholeString = 2000;  // the same for text
constexpr uint32_t kSensitive = 1;     // bit of MetadataEntry.flags

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

std::string BytesText(std::string_view bytes) {
  if (bytes.size() <= kWholeBytes) return Hex(bytes);
  return Hex(bytes.substr(0, 16)) + "… " + std::to_string(bytes.size()) + " B " +
         machine::HashText(machine::HashBytes(bytes));
}

std::string StringText(const std::string& text) {
  if (text.size() <= kWholeString) return "\"" + Printable(text) + "\"";
  return "\"" + Printable(text, 64) + "\" " + std::to_string(text.size()) + " B " +
         machine::HashText(machine::HashBytes(text));
}

// A key and value of metadata that must be in no artifact.
bool IsSensitive(const Message& message) {
  const FieldDescriptor* flags = message.GetDescriptor()->FindFieldByName("flags");
  return flags != nullptr && flags->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 &&
         (message.GetReflection()->GetUInt32(message, flags) & kSensitive) != 0;
}

void Flatten(const Message& message, const std::string& prefix, std::vector<EntryField>* out);

// The `index`-th value of a repeated field, or the value of a singular one if `index` is -1.
void FlattenValue(const Message& message, const FieldDescriptor* field, int index,
                  const std::string& path, std::vector<EntryField>* out) {
  const Reflection* r = message.GetReflection();
  const bool one = index < 0;
  std::string value;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& inner =
          one ? r->GetMessage(message, field) : r->GetRepeatedMessage(message, field, index);
      const size_t before = out->size();
      Flatten(inner, path, out);
      if (out->size() == before) out->push_back({path, "{}"});
      return;
    }
    case FieldDescriptor::CPPTYPE_INT32:
      value = std::to_string(one ? r->GetInt32(message, field)
                                 : r->GetRepeatedInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      value = std::to_string(one ? r->GetInt64(message, field)
                                 : r->GetRepeatedInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      value = std::to_string(one ? r->GetUInt32(message, field)
                                 : r->GetRepeatedUInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      value = std::to_string(one ? r->GetUInt64(message, field)
                                 : r->GetRepeatedUInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      value = (one ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index))
                  ? "true"
                  : "false";
      break;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number =
          one ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index);
      const auto* known = field->enum_type()->FindValueByNumber(number);
      value = known != nullptr ? known->name() : std::to_string(number);
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          one ? r->GetString(message, field) : r->GetRepeatedString(message, field, index);
      if (field->name() == "value" && IsSensitive(message)) {
        value = "SENSITIVE, " + std::to_string(text.size()) + " B";
      } else {
        value = field->type() == FieldDescriptor::TYPE_BYTES ? BytesText(text) : StringText(text);
      }
      break;
    }
    default:  // no floats in these protos
      value = "?";
      break;
  }
  out->push_back({path, std::move(value)});
}

void Flatten(const Message& message, const std::string& prefix, std::vector<EntryField>* out) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string path = prefix.empty() ? field->name() : prefix + "." + field->name();
    if (!field->is_repeated()) {
      FlattenValue(message, field, -1, path, out);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      FlattenValue(message, field, i, path + "[" + std::to_string(i) + "]", out);
    }
  }
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    out->push_back({prefix + (prefix.empty() ? "" : ".") + "unknown field " +
                        std::to_string(unknown.field(i).number()),
                    "?"});
  }
}

// Whether `bytes` are such a message: with a member that is known, and nothing that is not.
template <class T>
bool ReadAs(std::string_view bytes, T* message) {
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  std::vector<const FieldDescriptor*> set;
  message->GetReflection()->ListFields(*message, &set);
  return !set.empty() && message->GetReflection()->GetUnknownFields(*message).empty();
}

// The envelopes have no field number in common, so the bytes tell which one they are.
std::unique_ptr<Message> DecodePayload(std::string_view bytes) {
  const auto read = [bytes](auto message) -> std::unique_ptr<Message> {
    if (!ReadAs(bytes, message.get())) return nullptr;
    return message;
  };
  if (auto message = read(std::make_unique<wire::v1::Prologue>())) return message;
  if (auto message = read(std::make_unique<wire::v1::Handshake>())) return message;
  if (auto message = read(std::make_unique<wire::v1::Message>())) return message;
  if (auto message = read(std::make_unique<wire::v1::StableHandshake>())) return message;
  return read(std::make_unique<wire::v1::StableFrame>());
}

// What a write carries: one payload behind its length; nothing if it is a piece of one.
std::optional<std::string> PayloadOf(std::string_view bytes) {
  wire::FrameDecoder decoder(UINT32_MAX);
  std::optional<std::string> payload = decoder.Next(bytes);
  return bytes.empty() ? payload : std::nullopt;
}

template <class T>
std::unique_ptr<Message> DecodeControl(const std::string& bytes) {
  auto message = std::make_unique<T>();
  if (!message->ParseFromString(bytes)) return nullptr;
  return message;
}

// "message", "handshake", "stable_frame", "control".
std::string RootOf(const Message& message) {
  const std::string& name = message.GetDescriptor()->name();
  if (name.rfind("Control", 0) == 0) return "control";
  std::string root;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z' && !root.empty()) root += '_';
    root += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return root;
}

// The message inside, or the bytes as they are.
void FlattenInside(const Entry& entry, const std::string& bytes, std::vector<EntryField>* out) {
  if (const std::unique_ptr<Message> message = MessageIn(entry)) {
    const auto* stable = dynamic_cast<const wire::v1::StableFrame*>(message.get());
    const std::unique_ptr<Message> item =
        stable == nullptr ? nullptr : DecodePayload(stable->data().item());
    if (item == nullptr) return Flatten(*message, RootOf(*message), out);
    // What it carries is a frame of its own, and may hold values that are not to be shown.
    wire::v1::StableFrame around = *stable;
    around.mutable_data()->clear_item();
    Flatten(around, RootOf(around), out);
    Flatten(*item, RootOf(*message) + ".data.item." + RootOf(*item), out);
  } else if (!bytes.empty()) {
    out->push_back({"bytes", BytesText(bytes)});
  }
}

void AddNumber(const char* path, uint64_t number, std::vector<EntryField>* out) {
  if (number != 0) out->push_back({path, std::to_string(number)});
}

void FlattenEffect(const Entry& entry, std::vector<EntryField>* out) {
  const effects::Effect& effect = entry.effect;
  out->push_back({"kind", effects::Name(effect.kind)});
  AddNumber("subject", effect.subject, out);
  AddNumber("id", effect.id, out);
  AddNumber(effect.kind == EffectKind::kDial ? "port" : "number", effect.number, out);
  if (effect.kind != EffectKind::kReadExecutions) return FlattenInside(entry, effect.bytes, out);
  // The sessions whose executions are wanted, in hexadecimal.
  std::istringstream sessions(effect.bytes);
  for (std::string session; sessions >> session;) out->push_back({"session_id", session});
}

void FlattenIngress(const Entry& entry, std::vector<EntryField>* out) {
  const effects::Ingress& ingress = entry.ingress;
  out->push_back({"kind", effects::Name(ingress.kind)});
  AddNumber("subject", ingress.subject, out);
  AddNumber("id", ingress.id, out);
  AddNumber(ingress.kind == IngressKind::kListening ? "port" : "number", ingress.number, out);
  if (ingress.kind == IngressKind::kExecutions) {
    out->push_back({"executions", StringText(ingress.bytes)});
  } else {
    FlattenInside(entry, ingress.bytes, out);
  }
  if (!ingress.text.empty()) out->push_back({"text", StringText(ingress.text)});
}

}  // namespace

std::unique_ptr<Message> MessageIn(const Entry& entry) {
  if (entry.kind == EntryKind::kEffect) {
    const effects::Effect& effect = entry.effect;
    if (effect.kind == EffectKind::kAsk) {
      return DecodeControl<control::v1::ControlRequest>(effect.bytes);
    }
    if (effect.kind != EffectKind::kWrite) return nullptr;
    const std::optional<std::string> payload = PayloadOf(effect.bytes);
    return payload ? DecodePayload(*payload) : nullptr;
  }
  if (entry.kind != EntryKind::kIngress) return nullptr;
  const effects::Ingress& ingress = entry.ingress;
  if (ingress.kind == IngressKind::kAnswer) {
    return DecodeControl<control::v1::ControlReply>(ingress.bytes);
  }
  return ingress.kind == IngressKind::kPayload ? DecodePayload(ingress.bytes) : nullptr;
}

void PutMessage(const Message& message, Entry* entry) {
  std::string bytes = message.SerializeAsString();
  if (entry->kind == EntryKind::kIngress) {
    entry->ingress.bytes = std::move(bytes);
  } else {
    entry->effect.bytes =
        entry->effect.kind == EffectKind::kWrite ? wire::Frame(bytes) : std::move(bytes);
  }
}

bool IsVolatile(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "port", "session_id", "resume_key", "epoch", "origin_session", "after_seq", "nonce"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::vector<EntryField> FieldsOf(const Entry& entry) {
  std::vector<EntryField> fields;
  switch (entry.kind) {
    case EntryKind::kEffect:
      FlattenEffect(entry, &fields);
      break;
    case EntryKind::kIngress:
      FlattenIngress(entry, &fields);
      break;
    case EntryKind::kNote:
      fields.push_back({"note", StringText(entry.reading.label)});
      break;
    case EntryKind::kChoice:
      fields.push_back({"choice", std::to_string(entry.choice)});
      fields.push_back({"of", StringText(entry.reading.label)});
      break;
  }
  return fields;
}

std::vector<EntryField> FieldsOf(const Message& message) {
  std::vector<EntryField> fields;
  Flatten(message, "", &fields);
  return fields;
}

void Masks::Apply(std::vector<EntryField>* fields) {
  for (EntryField& field : *fields) {
    const size_t dot = field.path.rfind('.');
    const std::string name = dot == std::string::npos ? field.path : field.path.substr(dot + 1);
    if (!IsVolatile(name)) continue;
    const auto [known, added] = names_.try_emplace(name + "\n" + field.value);
    if (added) known->second = name + " " + std::to_string(++counts_[name]);
    field.value = known->second;
  }
}

std::optional<FieldDifference> FirstDifference(const std::vector<EntryField>& a,
                                               const std::vector<EntryField>& b) {
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i].path == b[i].path && a[i].value == b[i].value) ++i;
  if (i == a.size() && i == b.size()) return std::nullopt;
  const auto has = [](const std::vector<EntryField>& fields, const std::string& path) {
    return std::any_of(fields.begin(), fields.end(),
                       [&path](const EntryField& field) { return field.path == path; });
  };
  if (i < a.size() && i < b.size() && a[i].path == b[i].path) {
    return FieldDifference{a[i].path, a[i].value, b[i].value};
  }
  // One of the two has a field more here.
  if (i < a.size() && !has(b, a[i].path)) return FieldDifference{a[i].path, a[i].value, "(absent)"};
  if (i < b.size()) return FieldDifference{b[i].path, "(absent)", b[i].value};
  return FieldDifference{a[i].path, a[i].value, "(absent)"};
}

}  // namespace counterpart::report
