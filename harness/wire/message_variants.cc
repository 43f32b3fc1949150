#include "harness/wire/message_variants.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

#include <functional>
#include <utility>

namespace counterpart::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;
using WireFormat = google::protobuf::internal::WireFormatLite;

constexpr uint64_t kNoSuchEnumValue = 99;
constexpr uint64_t kOneMoreThan32Bits = uint64_t{1} << 32;

std::string Varint(uint64_t value) {
  std::string bytes;
  {
    StringOutputStream out(&bytes);
    CodedOutputStream coded(&out);
    coded.WriteVarint64(value);
  }
  return bytes;
}

std::string Fixed(uint64_t value, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

// One field as it stands in a payload. `body`: without tag and length.
struct Raw {
  const FieldDescriptor* field = nullptr;
  int wire_type = 0;
  std::string body;
  std::string Encode() const {
    std::string bytes =
        Varint(static_cast<uint64_t>(field->number()) << 3 | static_cast<uint64_t>(wire_type));
    if (wire_type == WireFormat::WIRETYPE_LENGTH_DELIMITED) bytes += Varint(body.size());
    return bytes + body;
  }
};

// The fields of a valid message, in the order of its bytes.
std::vector<Raw> Split(const Descriptor& type, const std::string& bytes) {
  std::vector<Raw> fields;
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    Raw raw;
    raw.field = type.FindFieldByNumber(WireFormat::GetTagFieldNumber(tag));
    raw.wire_type = WireFormat::GetTagWireType(tag);
    uint64_t number = 0;
    uint32_t small = 0;
    switch (raw.wire_type) {
      case WireFormat::WIRETYPE_VARINT:
        in.ReadVarint64(&number);
        raw.body = Varint(number);
        break;
      case WireFormat::WIRETYPE_FIXED64:
        in.ReadLittleEndian64(&number);
        raw.body = Fixed(number, 8);
        break;
      case WireFormat::WIRETYPE_FIXED32:
        in.ReadLittleEndian32(&small);
        raw.body = Fixed(small, 4);
        break;
      default:
        in.ReadVarint32(&small);
        in.ReadString(&raw.body, static_cast<int>(small));
        break;
    }
    fields.push_back(std::move(raw));
  }
  return fields;
}

std::string Join(const std::vector<Raw>& fields) {
  std::string bytes;
  for (const Raw& raw : fields) bytes += raw.Encode();
  return bytes;
}

// Another value of the same type.
Raw Other(Raw raw) {
  switch (raw.wire_type) {
    case WireFormat::WIRETYPE_VARINT:
      raw.body = Varint(1);
      break;
    case WireFormat::WIRETYPE_FIXED64:
      raw.body = Fixed(1, 8);
      break;
    case WireFormat::WIRETYPE_FIXED32:
      raw.body = Fixed(1, 4);
      break;
    default:
      // Of a message nothing: it merges with what follows.
      raw.body = raw.field->message_type() == nullptr ? "other" : "";
      break;
  }
  return raw;
}

// The number as a text, the text as a number.
Raw Retyped(Raw raw) {
  const bool text = raw.wire_type == WireFormat::WIRETYPE_LENGTH_DELIMITED;
  raw.wire_type = text ? WireFormat::WIRETYPE_VARINT : WireFormat::WIRETYPE_LENGTH_DELIMITED;
  raw.body = text ? Varint(1) : "";
  return raw;
}

using Wrap = std::function<std::string(const std::string&)>;

class Collector {
 public:
  explicit Collector(std::vector<Variant>* all) : all_(all) {}

  // The variants of one message; `wrap` puts its bytes back where they belong.
  void Collect(const Descriptor& type, const std::string& bytes, const std::string& path,
               const Wrap& wrap) {
    const std::vector<Raw> fields = Split(type, bytes);
    for (size_t i = 0; i < fields.size(); ++i) {
      const Raw& raw = fields[i];
      const std::string name = path.empty() ? raw.field->name() : path + "." + raw.field->name();
      const auto with = [&](std::vector<Raw> here) {
        std::vector<Raw> all(fields.begin(), fields.begin() + static_cast<std::ptrdiff_t>(i));
        all.insert(all.end(), here.begin(), here.end());
        all.insert(all.end(), fields.begin() + static_cast<std::ptrdiff_t>(i) + 1, fields.end());
        return wrap(Join(all));
      };
      const auto with_value = [&](std::string body) {
        Raw changed = raw;
        changed.body = std::move(body);
        return with({changed});
      };
      Add(Wrong::kAbsent, name, "", with({}));
      Add(Wrong::kWireType, name, "", with({Retyped(raw)}));
      // Truncated with all that encloses it: the length before it says more than there is.
      const std::string before =
          Join({fields.begin(), fields.begin() + static_cast<std::ptrdiff_t>(i)});
      const std::string tag = Varint(static_cast<uint64_t>(raw.field->number()) << 3 |
                                     static_cast<uint64_t>(raw.wire_type));
      if (!raw.body.empty()) {
        Add(Wrong::kTruncated, name, "",
            wrap(before + tag +
                 (raw.wire_type == WireFormat::WIRETYPE_LENGTH_DELIMITED ? Varint(raw.body.size())
                                                                         : "")));
      }
      Add(Wrong::kRepeated, name, "", with({Other(raw), raw}));
      AddOutOfRange(raw, name, with_value);
      if (raw.field->message_type() != nullptr) {
        Add(Wrong::kUndecodable, name, "", with_value("\xff\xff\xff"));
        const auto deeper = [&](const std::string& inner) { return with_value(inner); };
        Collect(*raw.field->message_type(), raw.body, name, deeper);
      }
    }
  }

 private:
  void Add(Wrong wrong, const std::string& field, std::string value, std::string bytes) {
    Variant& variant = all_->emplace_back();
    variant.wrong = wrong;
    variant.field = field;
    variant.value = std::move(value);
    variant.bytes = std::move(bytes);
  }

  template <class WithValue>
  void AddOutOfRange(const Raw& raw, const std::string& name, const WithValue& with_value) {
    const auto number = [&](uint64_t value) {
      Add(Wrong::kOutOfRange, name, std::to_string(value), with_value(Varint(value)));
    };
    switch (raw.field->type()) {
      case FieldDescriptor::TYPE_UINT64:
        number(0);
        number(UINT64_MAX);
        break;
      case FieldDescriptor::TYPE_UINT32:
        number(0);
        number(UINT32_MAX);
        number(kOneMoreThan32Bits + 1);
        break;
      case FieldDescriptor::TYPE_ENUM:
        number(0);
        number(kNoSuchEnumValue);
        break;
      case FieldDescriptor::TYPE_BOOL:
        number(2);
        break;
      case FieldDescriptor::TYPE_FIXED64:
        Add(Wrong::kOutOfRange, name, "0", with_value(Fixed(0, 8)));
        break;
      case FieldDescriptor::TYPE_STRING:
        Add(Wrong::kUndecodable, name, "", with_value("\xc3\x28"));
        break;
      default:
        break;
    }
  }

  std::vector<Variant>* all_;
};

}  // namespace

const char* Name(Wrong wrong) {
  static constexpr const char* kNames[] = {"absent",   "of another wire type", "truncated",
                                           "repeated", "out of range",         "undecodable"};
  return kNames[static_cast<size_t>(wrong)];
}

std::string Variant::Text() const {
  return field + " " + Name(wrong) + (value.empty() ? "" : ": " + value);
}

std::vector<Variant> VariantsOf(const google::protobuf::Message& payload) {
  std::vector<Variant> all;
  Collector collector(&all);
  const Wrap as_it_is = [](const std::string& bytes) { return bytes; };
  collector.Collect(*payload.GetDescriptor(), payload.SerializeAsString(), "", as_it_is);
  return all;
}

}  // namespace counterpart::wire
