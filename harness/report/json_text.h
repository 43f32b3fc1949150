// JSON by hand, for the dialects that have no message in spec/proto.
#ifndef COUNTERPART_REPORT_JSON_TEXT_H_
#define COUNTERPART_REPORT_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace counterpart::report {

// A JSON string, quotes included; invalid UTF-8 becomes U+FFFD.
std::string JsonQuote(std::string_view text);

// Whether `text` is one well-formed JSON object (RFC 8259, nested at most 200 deep): what a
// browser will parse, no leniency.
bool IsJsonObject(std::string_view text);

// The byte at which `text` stops being one; nothing if it is one.
std::optional<size_t> JsonObjectFault(std::string_view text);

// Writes values in the order of the calls and keeps the commas. The caller keeps the nesting.
class JsonWriter {
 public:
  JsonWriter& Open(char bracket);   // '{' or '['
  JsonWriter& Close(char bracket);  // '}' or ']'
  JsonWriter& Key(std::string_view name);
  JsonWriter& Text(std::string_view value);
  JsonWriter& Number(uint64_t value);
  JsonWriter& Raw(std::string_view json);
  JsonWriter& Bool(bool value) { return Raw(value ? "true" : "false"); }

  // Key and value in one, left out when empty.
  JsonWriter& Field(std::string_view name, std::string_view value);

  std::string Take() { return std::move(out_); }

 private:
  void Separate();
  std::string out_;
  bool fresh_ = true;  // nothing stands before the next value on this level
};

}  // namespace counterpart::report

#endif  // COUNTERPART_REPORT_JSON_TEXT_H_
