#include "harness/effects/stdio_control.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "counterpart/control/v1/control.pb.h"

namespace counterpart::effects {

void StdioControl::Ask(uint64_t id, const std::string& request, Credential /*none here*/) {
  if (broken_) {
    sink_->Push({.id = id, .failure = why_broken_});
    return;
  }
  counterpart::control::v1::ControlRequest parsed;
  if (!parsed.ParseFromString(request)) {
    sink_->Push({.id = id, .failure = "not a ControlRequest"});
    return;
  }
  parsed.set_id(id);
  pending_.insert(id);
  unsent_ += wire::Frame(parsed.SerializeAsString());
}

void StdioControl::OnWritable() {
  if (!*stdin_) return Break("the subject's stdin was closed");
  size_t sent = 0;
  while (sent < unsent_.size()) {
    const ssize_t n = write(stdin_->get(), unsent_.data() + sent, unsent_.size() - sent);
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      if (errno != EAGAIN) {
        return Break(std::string("the subject's stdin takes no more: ") + std::strerror(errno));
      }
      break;
    }
  }
  unsent_.erase(0, sent);
}

void StdioControl::OnOutput(std::string_view bytes) {
  while (!broken_) {
    const std::optional<std::string> payload = decoder_.Next(bytes);
    if (!payload) {
      if (const auto refused = decoder_.refused_length()) {
        Break("the subject announced a control message of " + std::to_string(*refused) + " bytes");
      }
      return;
    }
    counterpart::control::v1::ControlReply reply;
    if (!reply.ParseFromString(*payload)) {
      return Break("the subject wrote something else than a ControlReply to its stdout");
    }
    if (pending_.erase(reply.id()) == 0) {
      return Break("the subject answered question " + std::to_string(reply.id()) +
                   ", which is not open");
    }
    const uint64_t id = reply.id();
    reply.clear_id();
    sink_->Push({.id = id, .answered = true, .reply = reply.SerializeAsString()});
  }
}

void StdioControl::Break(const std::string& why) {
  if (broken_) return;
  broken_ = true;
  why_broken_ = why;
  unsent_.clear();
  for (const uint64_t id : std::exchange(pending_, {})) sink_->Push({.id = id, .failure = why});
}

}  // namespace counterpart::effects
