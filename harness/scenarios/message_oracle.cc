#include "harness/scenarios/message_oracle.h"

#include <limits>

#include "harness/judge/machine_table.h"
#include "harness/peer/testbed.h"
#include "harness/scenarios/protocol_codes.h"

namespace counterpart::scenarios {
namespace {

using wire::v1::Message;

Owed Legal(const char* rule) { return {rule, {}}; }

// Whether the table has a row for what a message does to this end, in time or late.
bool Allows(const SubjectEnd& end, const std::string& event) {
  const auto& next =
      judge::AllMachines().at(end.receives ? "channel_receiver" : "channel_sender").next;
  if (event == "close" && end.late_close) return false;
  return next.contains({end.state, event}) || next.contains({end.state, "late_" + event});
}

Owed OfItem(const SubjectEnd& end) {
  if (!end.receives) return {"rpc.channel.ends", {kChannelState}};
  if (end.late_close || !Allows(end, "item")) {
    Owed owed{"rpc.channel.data-after-close", {kChannelState}};
    if (end.credit == 0) owed.codes.insert(kExceeded);
    return owed;
  }
  if (end.credit == 0) return {"rpc.flow-control.credit.exceeded", {kExceeded}};
  return Legal("rpc.channel.lifecycle");
}

Owed OfClose(const SubjectEnd& end) {
  if (end.receives && Allows(end, "close")) return Legal("rpc.channel.lifecycle");
  return {"rpc.channel.ends", {kChannelState}};
}

Owed OfReset(const SubjectEnd& end) {
  if (!end.receives && Allows(end, "reset")) return Legal("rpc.channel.lifecycle");
  return {"rpc.channel.ends", {kChannelState}};
}

Owed OfCredit(const SubjectEnd& end, uint32_t credit) {
  if (end.receives || !Allows(end, "credit")) return {"rpc.channel.ends", {kChannelState}};
  const bool ended = end.state == "Closed";
  if (!ended && end.credit + credit > std::numeric_limits<uint32_t>::max()) {
    return {"rpc.flow-control.credit.overflow", {kOverflow}};
  }
  return Legal("rpc.flow-control.credit.grant");
}

Owed OnChannel(const Ground& ground, uint64_t id, const Message& message) {
  const auto found = ground.ends.find(id);
  if (found == ground.ends.end()) return {"rpc.channel.unknown", {kBadChannel}};
  switch (message.payload_case()) {
    case Message::kChannelItem:
      return OfItem(found->second);
    case Message::kCloseChannel:
      return OfClose(found->second);
    case Message::kResetChannel:
      return OfReset(found->second);
    default:
      return OfCredit(found->second, message.grant_credit().credit());
  }
}

bool IsNew(const Ground& ground, uint64_t id, uint64_t newest) {
  return id > newest && (id % 2 == 1) == ground.harness_odd;
}

// What is wrong with it first is for its reader to say: several things may be.
Owed OfRequest(const Ground& ground, const wire::v1::Request& request) {
  Owed owed;
  const auto broken = [&owed](const char* rule, std::set<Code> codes) {
    if (owed.rule.empty()) owed.rule = rule;
    owed.codes.insert(codes.begin(), codes.end());
  };
  if (!IsNew(ground, request.request_id(), ground.newest_request)) {
    broken("rpc.id.monotone", {kBadRequest});
  }
  if (request.operation_id() == 0) broken("retry.op-id.scope", {kMalformed, kBadRequest});
  if (!ground.announced.contains(request.method())) {
    broken("schema.exchange.required", {kSchemaMissing});
  }
  uint64_t newest = ground.newest_channel;
  for (const auto& ref : request.channels()) {
    if (!IsNew(ground, ref.channel_id(), newest)) broken("rpc.id.monotone", {kBadChannel});
    newest = ref.channel_id();
  }
  const peer::Method* method = peer::FindMethod(request.method());
  if (method != nullptr) {
    bool same = request.channels_size() == static_cast<int>(method->channels.size());
    for (int i = 0; same && i < request.channels_size(); ++i) {
      same = request.channels(i).field_number() ==
             method->channels[static_cast<size_t>(i)].field_number;
    }
    if (!same) broken("rpc.channel.allocation", {kMalformed, kBadChannel, kUnexpected});
  }
  return owed.codes.empty() ? Legal("wire.envelope") : owed;
}

Owed OfResponse(const Ground& ground, const wire::v1::Response& response) {
  if (!ground.in_flight.contains(response.request_id())) {
    Owed owed{"rpc.response.one-per-request", {kBadRequest}};
    if (response.outcome_case() == wire::v1::Response::OUTCOME_NOT_SET) {
      owed.codes.insert(kMalformed);
    }
    return owed;
  }
  switch (response.outcome_case()) {
    case wire::v1::Response::kOk:
      if (!ground.response_announced) return {"schema.exchange.required", {kSchemaMissing}};
      break;
    case wire::v1::Response::kUserError:
      if (!ground.error_announced) return {"schema.exchange.required", {kSchemaMissing}};
      break;
    case wire::v1::Response::kRuntimeError:
      break;
    default:
      return {"rpc.response.shape", {kMalformed}};
  }
  return Legal("rpc.response.shape");
}

Owed Elsewhere(const Message& message) {
  switch (message.payload_case()) {
    case Message::kProtocolError:
    case Message::kPing:
    case Message::kPong:
    case Message::kGoodbye:
      return {"session.message.connection-id", {kUnexpected, kBadConnection}};
    default:
      return {"connection.unknown", {kBadConnection}};
  }
}

}  // namespace

Owed Judged(const Ground& ground, const Message* message) {
  if (message == nullptr || message->payload_case() == Message::PAYLOAD_NOT_SET) {
    return {"wire.envelope", {kMalformed}};
  }
  if (message->connection_id() != 0) return Elsewhere(*message);
  switch (message->payload_case()) {
    case Message::kPing:
      return Legal("session.keepalive");
    case Message::kPong:  // none is outstanding
      return {"session.keepalive", {kUnexpected}};
    case Message::kRequest:
      return OfRequest(ground, message->request());
    case Message::kResponse:
      return OfResponse(ground, message->response());
    case Message::kCancelRequest: {
      const uint64_t id = message->cancel_request().request_id();
      const bool stale = id != 0 && id <= ground.stale_requests;
      if (stale) return {"session.resume.discard", {kBadRequest}};
      return Legal("rpc.cancel");
    }
    case Message::kChannelItem:
      return OnChannel(ground, message->channel_item().channel_id(), *message);
    case Message::kCloseChannel:
      return OnChannel(ground, message->close_channel().channel_id(), *message);
    case Message::kResetChannel:
      return OnChannel(ground, message->reset_channel().channel_id(), *message);
    case Message::kGrantCredit:
      return OnChannel(ground, message->grant_credit().channel_id(), *message);
    default:
      return {"connection.unknown", {kBadConnection, kUnexpected}};
  }
}

}  // namespace counterpart::scenarios
