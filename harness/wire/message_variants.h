// Every way in which one field of a valid payload can be wrong, generated from its descriptor: no
// list of messages or fields is kept anywhere.
#ifndef COUNTERPART_WIRE_MESSAGE_VARIANTS_H_
#define COUNTERPART_WIRE_MESSAGE_VARIANTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace counterpart::wire {

enum class Wrong : uint8_t {
  kAbsent,       // the field is left out
  kWireType,     // it is there as another wire type
  kTruncated,    // the payload ends behind its tag, or inside its value
  kRepeated,     // it is there twice, the first time with another value
  kOutOfRange,   // a value that its type has no name or no room for
  kUndecodable,  // what is inside it, a message or a text, cannot be read
};
const char* Name(Wrong wrong);

struct Variant {
  Wrong wrong = Wrong::kAbsent;
  std::string field;         // by its path: "request.channels.channel_id"
  std::string value;         // what is out of range; "" where there is nothing to say
  std::string bytes;         // of the payload, without a length field
  std::string Text() const;  // "request.channels.channel_id out of range: 0"
};

// Of every field that is set in `payload`, at any depth, in the order of the bytes.
std::vector<Variant> VariantsOf(const google::protobuf::Message& payload);

}  // namespace counterpart::wire

#endif  // COUNTERPART_WIRE_MESSAGE_VARIANTS_H_
