#include "harness/tests/frame_script.h"

#include <google/protobuf/text_format.h>

#include <cctype>

namespace counterpart::tests {

bool WithFrame(const std::string& line, const std::function<void(peer::ObservedFrame&)>& use) {
  using google::protobuf::TextFormat;
  peer::ObservedFrame frame{.from = peer::Side::kHarness, .link = 1, .harness_dialled = true};
  size_t at = 0;
  if (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at]))) {
    frame.link = static_cast<uint32_t>(line[at++] - '0');
  }
  if (at == line.size() || (line[at] != 'H' && line[at] != 'S')) return false;
  frame.from = line[at++] == 'H' ? peer::Side::kHarness : peer::Side::kSubject;
  if (at < line.size() && line[at] == '!') {
    frame.deliberate = "on purpose";
    ++at;
  }
  if (at == line.size() || line[at++] != ' ') return false;
  std::string text = line.substr(at);
  const auto eat = [&text](const std::string& word) {
    if (!text.starts_with(word)) return false;
    text.erase(0, word.size());
    return true;
  };
  wire::v1::Prologue prologue;
  wire::v1::Handshake handshake;
  wire::v1::Message message;
  if (eat("malformed")) {
    frame.malformed = "not a payload of this phase";
  } else if (eat("prologue ")) {
    if (!TextFormat::ParseFromString(text, &prologue)) return false;
    frame.prologue = &prologue;
  } else if (eat("handshake ")) {
    if (!TextFormat::ParseFromString(text, &handshake)) return false;
    frame.handshake = &handshake;
  } else {
    if (!TextFormat::ParseFromString(text, &message)) return false;
    frame.message = &message;
  }
  use(frame);
  return true;
}

}  // namespace counterpart::tests
