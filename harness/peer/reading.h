// How frames read: one line for people that is the same in every run that behaves the same.
#ifndef COUNTERPART_PEER_READING_H_
#define COUNTERPART_PEER_READING_H_

#include <map>
#include <string>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/wire/v1/wire.pb.h"

namespace counterpart::peer {

// Names random values (session ids, resume keys) by their first occurrence in the run.
class Names {
 public:
  std::string Of(const char* prefix, const std::string& value);

 private:
  std::map<std::string, std::map<std::string, int>> names_;
};

std::string Read(const wire::v1::Prologue& prologue);
std::string Read(const wire::v1::Handshake& handshake, Names& names);
std::string Read(const wire::v1::Message& message);
std::string Read(const wire::v1::StableHandshake& handshake, Names& names);
std::string Read(const wire::v1::StableFrame& frame);
std::string Read(const control::v1::ControlRequest& request);
std::string Read(const control::v1::ControlReply& reply);

// Member name of the oneof that is set, "" if none is: "hello", "channel_item", ….
std::string KindOf(const wire::v1::Prologue& prologue);
std::string KindOf(const wire::v1::Handshake& handshake);
std::string KindOf(const wire::v1::Message& message);
std::string KindOf(const wire::v1::StableHandshake& handshake);
std::string KindOf(const wire::v1::StableFrame& frame);

// Enum value names without their prefix: "CREDIT_EXCEEDED".
std::string ShortName(wire::v1::ProtocolErrorCode code);
std::string ShortName(wire::v1::RuntimeErrorCode code);
std::string ShortName(wire::v1::SorryReason reason);
std::string ShortName(control::v1::CallStatus status);
std::string ShortName(control::v1::EndStatus status);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_READING_H_
