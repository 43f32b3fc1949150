#include "testbed/registration.h"

#include <optional>

#include "testbed/program.h"

namespace subject {

CommandLog::Work Registration(Runtime& runtime, const std::string& service) {
  const std::optional<Methods> methods = TestbedMethods(service);
  if (!methods) return nullptr;
  return [&runtime, methods](const CommandLog::Finish& finish) {
    const std::string forbidden = ForbiddenAmong(*methods);
    if (!forbidden.empty()) {
      return finish(Failed(control::FAILURE_REASON_METHOD_FORBIDDEN, forbidden, ""));
    }
    runtime.methods.insert(methods->begin(), methods->end());
    finish(Done());
  };
}

}  // namespace subject
