#include "harness/cli/protobuf_log.h"

#include <google/protobuf/stubs/logging.h>

#include <iostream>
#include <mutex>
#include <set>
#include <string>

namespace counterpart::cli {
namespace {

// From any thread. The text names a field and never what is in it, so there are few of them.
void Say(google::protobuf::LogLevel, const char*, int, const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(text).second) std::cerr << "counterpart: protobuf: " + text + "\n";
}

}  // namespace

void SayOnceWhatProtobufSays() { google::protobuf::SetLogHandler(Say); }

}  // namespace counterpart::cli
