#include "harness/peer/reading.h"

#include <google/protobuf/descriptor.h>

#include "harness/machine/trace.h"
#include "harness/peer/testbed.h"

namespace counterpart::peer {
namespace {

using google::protobuf::Descriptor;

// `number`: of the member that is set, 0 if none is.
std::string OneofMember(const google::protobuf::Message& message, int number) {
  return number == 0 ? "" : message.GetDescriptor()->FindFieldByNumber(number)->name();
}

std::string WithoutPrefix(const std::string& name, const char* prefix) {
  return name.rfind(prefix, 0) == 0 ? name.substr(std::string(prefix).size()) : name;
}

std::string ShortMethod(const std::string& method) {
  const size_t slash = method.rfind('/');
  return slash == std::string::npos ? method : method.substr(slash + 1);
}

// Contents by size and hash: enough to tell two apart, nothing that could be secret.
std::string Opaque(const std::string& bytes) {
  return std::to_string(bytes.size()) + " B " +
         machine::HashText(machine::HashBytes(bytes)).substr(0, 6);
}

std::string Number(uint64_t number) { return std::to_string(number); }

std::string ItemText(const std::string& bytes) {
  uint64_t value = 0;
  return DecodeNumber(bytes, &value) ? Number(value) : Opaque(bytes);
}

std::string ReadSchema(const wire::v1::Schema& schema) {
  std::string text = "Schema";
  for (const auto& type : schema.types()) {
    const size_t dot = type.full_name().rfind('.');
    text += " " + (dot == std::string::npos ? type.full_name() : type.full_name().substr(dot + 1));
  }
  for (const auto& binding : schema.bindings()) {
    text += "; " + ShortMethod(binding.method()) + " ";
    switch (binding.role()) {
      case wire::v1::BINDING_ROLE_ARGUMENTS:
        text += "arguments";
        break;
      case wire::v1::BINDING_ROLE_RESPONSE:
        text += "response";
        break;
      default:
        text += "channel " + Number(binding.channel_field());
        break;
    }
  }
  return text;
}

std::string ReadResponse(const wire::v1::Response& response) {
  const std::string text = "Response #" + Number(response.request_id()) + " ";
  switch (response.outcome_case()) {
    case wire::v1::Response::kOk:
      return text + "ok " + Opaque(response.ok());
    case wire::v1::Response::kUserError:
      return text + "user error " + Opaque(response.user_error());
    case wire::v1::Response::kRuntimeError:
      return text + ShortName(response.runtime_error().code());
    default:
      return text + "without outcome";
  }
}

std::string ReadRequest(const wire::v1::Request& request) {
  std::string text = "Request #" + Number(request.request_id()) + " " +
                     ShortMethod(request.method()) + " op " + Number(request.operation_id()) +
                     " (" + Opaque(request.arguments()) + ")";
  for (const auto& channel : request.channels()) {
    text +=
        " field " + Number(channel.field_number()) + " = channel " + Number(channel.channel_id());
  }
  return text;
}

}  // namespace

std::string Names::Of(const char* prefix, const std::string& value) {
  if (value.empty()) return "none";
  auto& known = names_[prefix];
  const int next = static_cast<int>(known.size()) + 1;
  return prefix + std::to_string(known.try_emplace(value, next).first->second);
}

std::string KindOf(const wire::v1::Prologue& p) { return OneofMember(p, p.kind_case()); }
std::string KindOf(const wire::v1::Handshake& h) { return OneofMember(h, h.kind_case()); }
std::string KindOf(const wire::v1::Message& m) { return OneofMember(m, m.payload_case()); }
std::string KindOf(const wire::v1::StableHandshake& h) { return OneofMember(h, h.kind_case()); }
std::string KindOf(const wire::v1::StableFrame& f) { return OneofMember(f, f.kind_case()); }

std::string ShortName(wire::v1::ProtocolErrorCode code) {
  return WithoutPrefix(wire::v1::ProtocolErrorCode_Name(code), "PROTOCOL_ERROR_CODE_");
}
std::string ShortName(wire::v1::RuntimeErrorCode code) {
  return WithoutPrefix(wire::v1::RuntimeErrorCode_Name(code), "RUNTIME_ERROR_CODE_");
}
std::string ShortName(wire::v1::SorryReason reason) {
  return WithoutPrefix(wire::v1::SorryReason_Name(reason), "SORRY_REASON_");
}
std::string ShortName(control::v1::CallStatus status) {
  return WithoutPrefix(control::v1::CallStatus_Name(status), "CALL_STATUS_");
}
std::string ShortName(control::v1::EndStatus status) {
  return WithoutPrefix(control::v1::EndStatus_Name(status), "END_STATUS_");
}

std::string Read(const wire::v1::Prologue& prologue) {
  switch (prologue.kind_case()) {
    case wire::v1::Prologue::kHello:
      return "TransportHello version " + Number(prologue.hello().version()) + " " +
             WithoutPrefix(wire::v1::Conduit_Name(prologue.hello().conduit()), "CONDUIT_");
    case wire::v1::Prologue::kAccept:
      return "TransportAccept";
    case wire::v1::Prologue::kReject:
      return "TransportReject " +
             WithoutPrefix(wire::v1::TransportRejectReason_Name(prologue.reject().reason()),
                           "TRANSPORT_REJECT_REASON_");
    default:
      return "empty Prologue";
  }
}

std::string Read(const wire::v1::Handshake& handshake, Names& names) {
  switch (handshake.kind_case()) {
    case wire::v1::Handshake::kHello:
      return std::string("Hello ") +
             (handshake.hello().parity() == wire::v1::PARITY_ODD ? "odd" : "even") +
             (handshake.hello().resume_key().empty()
                  ? ""
                  : " resume " + names.Of("K", handshake.hello().resume_key()));
    case wire::v1::Handshake::kHelloYourself:
      return "HelloYourself session " + names.Of("S", handshake.hello_yourself().session_id()) +
             " key " + names.Of("K", handshake.hello_yourself().resume_key());
    case wire::v1::Handshake::kSorry:
      return "Sorry " + ShortName(handshake.sorry().reason());
    case wire::v1::Handshake::kLetsGo:
      return "LetsGo";
    default:
      return "empty Handshake";
  }
}

namespace {

std::string Received(bool any, uint32_t last) {
  return any ? ", last received " + Number(last) : std::string();
}

}  // namespace

std::string Read(const wire::v1::StableHandshake& handshake, Names& names) {
  switch (handshake.kind_case()) {
    case wire::v1::StableHandshake::kClientHello: {
      const auto& hello = handshake.client_hello();
      return "ClientHello " +
             (hello.resume_key().empty() ? "from " + Number(hello.first_seq())
                                         : "resume " + names.Of("C", hello.resume_key())) +
             Received(hello.has_last_received(), hello.last_received());
    }
    case wire::v1::StableHandshake::kServerHello: {
      const auto& hello = handshake.server_hello();
      return "ServerHello key " + names.Of("C", hello.resume_key()) + " from " +
             Number(hello.first_seq()) + Received(hello.has_last_received(), hello.last_received());
    }
    case wire::v1::StableHandshake::kReject:
      return "StableReject";
    default:
      return "empty StableHandshake";
  }
}

// What it brings: a Handshake or a Message, whose members have other numbers.
std::string Read(const wire::v1::StableFrame& frame) {
  if (frame.has_ack()) return "StableAck";  // of what, depends on when it was sent
  const std::string number = "#" + Number(frame.data().seq()) + " ";
  wire::v1::Message message;
  if (message.ParseFromString(frame.data().item()) && !KindOf(message).empty()) {
    return number + Read(message);
  }
  wire::v1::Handshake handshake;
  handshake.ParseFromString(frame.data().item());
  Names none;
  return number + (handshake.has_hello()            ? "Hello"
                   : handshake.has_hello_yourself() ? "HelloYourself"
                                                    : Read(handshake, none));
}

std::string Read(const wire::v1::Message& message) {
  using wire::v1::Message;
  const std::string on =
      message.connection_id() == 0 ? "" : " on connection " + Number(message.connection_id());
  switch (message.payload_case()) {
    case Message::kProtocolError:
      return "ProtocolError " + ShortName(message.protocol_error().code()) + " (" +
             message.protocol_error().rule() + ")";
    case Message::kPing:
      return "Ping " + Number(message.ping().nonce()) + on;
    case Message::kPong:
      return "Pong " + Number(message.pong().nonce()) + on;
    case Message::kGoodbye:
      return "Goodbye" + on;
    case Message::kOpenConnection:
      return "OpenConnection" + on;
    case Message::kAcceptConnection:
      return "AcceptConnection" + on;
    case Message::kRejectConnection:
      return "RejectConnection" + on;
    case Message::kCloseConnection:
      return "CloseConnection" + on;
    case Message::kSchema:
      return ReadSchema(message.schema()) + on;
    case Message::kRequest:
      return ReadRequest(message.request()) + on;
    case Message::kResponse:
      return ReadResponse(message.response()) + on;
    case Message::kCancelRequest:
      return "CancelRequest #" + Number(message.cancel_request().request_id()) + on;
    case Message::kChannelItem:
      return "ChannelItem " + Number(message.channel_item().channel_id()) + ": " +
             ItemText(message.channel_item().item()) + on;
    case Message::kCloseChannel:
      return "CloseChannel " + Number(message.close_channel().channel_id()) +
             (message.close_channel().aborted() ? " aborted" : "") + on;
    case Message::kResetChannel:
      return "ResetChannel " + Number(message.reset_channel().channel_id()) + on;
    case Message::kGrantCredit:
      return "GrantCredit " + Number(message.grant_credit().channel_id()) + " +" +
             Number(message.grant_credit().credit()) + on;
    default:
      return "empty Message" + on;
  }
}

std::string Read(const control::v1::ControlRequest& request) {
  if (!request.has_execute()) return OneofMember(request, request.kind_case());
  const auto& execute = request.execute();
  std::string text = "command " + Number(execute.command_id()) + ": " +
                     OneofMember(execute, execute.command_case());
  if (execute.has_call()) {
    text += " " + ShortMethod(execute.call().method()) + " as " + execute.call().handle();
  } else if (execute.has_channel_send()) {
    text += " " + Number(execute.channel_send().count()) + " items";
  } else if (execute.has_release()) {
    text += " " + execute.release().gate();
  }
  return text;
}

std::string Read(const control::v1::ControlReply& reply) {
  if (!reply.has_execute()) return "answer: " + OneofMember(reply, reply.kind_case());
  if (reply.execute().has_refusal()) {
    return "refused: " +
           WithoutPrefix(control::v1::RefusalReason_Name(reply.execute().refusal().reason()),
                         "REFUSAL_REASON_");
  }
  const auto& outcome = reply.execute().outcome();
  switch (outcome.kind_case()) {
    case control::v1::Outcome::kCall:
      return "call: " + ShortName(outcome.call().status()) + " after " +
             Number(outcome.call().attempts()) + " attempts";
    case control::v1::Outcome::kSent:
      return "sent " + Number(outcome.sent().accepted()) + ", " +
             ShortName(outcome.sent().status());
    case control::v1::Outcome::kReceived:
      return "received " + Number(static_cast<uint64_t>(outcome.received().values_size())) + ", " +
             ShortName(outcome.received().status());
    case control::v1::Outcome::kFailed:
      return "failed: " + WithoutPrefix(control::v1::FailureReason_Name(outcome.failed().reason()),
                                        "FAILURE_REASON_");
    default:
      return OneofMember(outcome, outcome.kind_case());
  }
}

}  // namespace counterpart::peer
