#include "harness/effects/start_line.h"

#include <charconv>
#include <cstdio>
#include <vector>

namespace counterpart::effects {
namespace {

constexpr char kExpected[] =
    "expected \"counterpart-subject 1 BINDING\" as the first line on stdout, with BINDING one of "
    "\"grpc 127.0.0.1:PORT\", \"grpc-stream 127.0.0.1:PORT\" and \"stdio\"";

Error Wrong(std::string what) { return Error{Error::Kind::kSubject, std::move(what)}; }

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == line.npos) return words;
    line.remove_prefix(space + 1);
  }
}

std::string ItSaid(std::string_view said) {
  return said.empty() ? "; it said nothing" : "; it said " + Quoted(said);
}

}  // namespace

std::string Quoted(std::string_view bytes, size_t longest) {
  std::string out = "\"";
  for (const char c : bytes.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  out += '"';
  if (bytes.size() > longest) out += "… (" + std::to_string(bytes.size()) + " bytes)";
  return out;
}

Result<StartLine> ParseStartLine(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() > kLongestStartLine) return StartLineTooLong(line);
  const std::vector<std::string_view> words = Words(line);
  if (words.size() < 3 || words[0] != "counterpart-subject") {
    return Wrong(std::string(kExpected) + "; it said " + Quoted(line));
  }
  if (words[1] != "1") {
    return Wrong("the subject speaks version " + Quoted(words[1]) +
                 " of the control plane; this harness speaks version \"1\"");
  }
  if (words[2] == "stdio" && words.size() == 3) return StartLine{};
  const bool stream = words[2] == "grpc-stream";
  if ((words[2] != "grpc" && !stream) || words.size() != 4) {
    return Wrong(std::string(kExpected) + "; it said " + Quoted(line));
  }
  constexpr std::string_view kLoopback = "127.0.0.1:";
  const std::string_view address = words[3];
  if (!address.starts_with(kLoopback)) {
    return Wrong("the subject serves at " + Quoted(address) +
                 "; it must serve at 127.0.0.1 and nowhere else");
  }
  const std::string_view digits = address.substr(kLoopback.size());
  uint32_t port = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc{} || end != digits.data() + digits.size() || port == 0 || port > 0xffff) {
    return Wrong("the subject serves at " + Quoted(address) +
                 ", which names no port from 1 to 65535");
  }
  return StartLine{stream ? StartLine::Binding::kGrpcStream : StartLine::Binding::kGrpc,
                   std::string(address), static_cast<uint16_t>(port)};
}

Error StartLineTooLong(std::string_view said) {
  return Wrong("the first line on stdout is longer than " + std::to_string(kLongestStartLine) +
               " bytes; " + kExpected + "; it said " + Quoted(said));
}

Error StartLineMissing(std::string_view said, std::string_view ending) {
  return Wrong("the subject " + std::string(ending) + " before it said where it serves; " +
               kExpected + ItSaid(said));
}

Error StartLineNotSaid(std::string_view said, std::string_view state) {
  return Wrong("the subject " + std::string(state) + " and has not said where it serves; " +
               kExpected + ItSaid(said));
}

}  // namespace counterpart::effects
