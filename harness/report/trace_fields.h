// What one entry of a trace says, field by field: the request or answer itself, and the frame or
// control message inside it, decoded. For showing it, and for naming where two entries differ.
#ifndef COUNTERPART_REPORT_TRACE_FIELDS_H_
#define COUNTERPART_REPORT_TRACE_FIELDS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/machine/trace.h"

namespace google::protobuf {
class Message;
}

namespace counterpart::report {

// "message.request.method" → "counterpart.testbed.v1.Testbed/Echo". Repeated fields have an index
// ("channels[0].channel_id"). Bytes are hexadecimal; long ones are given by size and hash, with
// their beginning. A value marked SENSITIVE is given by its size only.
struct EntryField {
  std::string path, value;
};

// In the order of field numbers; what is at its default is left out. Bytes that are no frame or
// message of spec/proto are one field, `bytes`.
std::vector<EntryField> FieldsOf(const machine::Entry& entry);
// The same of any message.
std::vector<EntryField> FieldsOf(const google::protobuf::Message& message);

// The frame or control message inside an entry; null if there is none.
std::unique_ptr<google::protobuf::Message> MessageIn(const machine::Entry& entry);
// Puts such a message back, changed.
void PutMessage(const google::protobuf::Message& message, machine::Entry* entry);

// Whether a field of this name has a value that is chosen anew in every run.
bool IsVolatile(std::string_view name);

// Gives values that are chosen anew in every run (ports, session ids, resume keys, epochs) the
// name of their first occurrence: "session_id 1".
class Masks {
 public:
  // Only of what such a field may be: all else is left as it is.
  void Apply(std::vector<EntryField>* fields);

 private:
  std::map<std::string, std::string> names_;
  std::map<std::string, int> counts_;
};

// The first field in which the two differ, as `a` and `b` have it; "(absent)" where one has none.
struct FieldDifference {
  std::string path, a, b;
};
std::optional<FieldDifference> FirstDifference(const std::vector<EntryField>& a,
                                               const std::vector<EntryField>& b);

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_TRACE_FIELDS_H_
