#include "harness/peer/traffic.h"

#include "harness/peer/reading.h"
#include "harness/peer/testbed.h"

namespace counterpart::peer {

using wire::v1::Message;

void Traffic::OnMessage(Seat from, uint32_t link, const Message& message) {
  ++counts_[{from, KindOf(message)}];
  switch (message.payload_case()) {
    case Message::kRequest: {
      const auto& request = message.request();
      Operation& operation = operations_[from][request.operation_id()];
      operation.id = request.operation_id();
      operation.method = request.method();
      operation.arguments = request.arguments();
      Attempt& attempt = operation.attempts.emplace_back();
      attempt.request_id = request.request_id();
      attempt.link = link;
      const Method* method = FindMethod(request.method());
      for (const auto& ref : request.channels()) {
        const ChannelArgument* argument =
            method == nullptr ? nullptr : method->Channel(ref.field_number());
        if (argument == nullptr) continue;
        auto stream = std::make_shared<Stream>();
        stream->sender = argument->to_callee ? from : Across(from);
        stream->credit = argument->initial_credit;
        attempt.streams[ref.field_number()] = stream;
        streams_[{link, ref.channel_id()}] = std::move(stream);
      }
      break;
    }
    case Message::kResponse:
      for (auto& [id, operation] : operations_[Across(from)]) {
        for (Attempt& attempt : operation.attempts) {
          if (attempt.request_id == message.response().request_id() && attempt.link == link) {
            attempt.response = message.response();
          }
        }
      }
      break;
    case Message::kCancelRequest:
      for (auto& [id, operation] : operations_[from]) {
        for (Attempt& attempt : operation.attempts) {
          if (attempt.request_id == message.cancel_request().request_id() && attempt.link == link) {
            attempt.cancelled = true;
          }
        }
      }
      break;
    case Message::kChannelItem:
      if (Stream* stream = FindStream(link, message.channel_item().channel_id())) {
        uint64_t value = 0;
        DecodeNumber(message.channel_item().item(), &value);
        stream->values.push_back(value);
      }
      break;
    case Message::kCloseChannel:
      if (Stream* stream = FindStream(link, message.close_channel().channel_id())) {
        stream->closed = true;
        stream->aborted = message.close_channel().aborted();
      }
      break;
    case Message::kResetChannel:
      if (Stream* stream = FindStream(link, message.reset_channel().channel_id())) {
        stream->reset = true;
      }
      break;
    case Message::kGrantCredit:
      if (Stream* stream = FindStream(link, message.grant_credit().channel_id())) {
        stream->credit += message.grant_credit().credit();
      }
      break;
    default:
      break;
  }
}

const Operation* Traffic::Find(Seat caller, const std::string& method, const std::string& arguments,
                               uint64_t after) const {
  for (const auto& [id, operation] : operations_[caller]) {
    if (id > after && operation.method == method && operation.arguments == arguments) {
      return &operation;
    }
  }
  return nullptr;
}

uint64_t Traffic::newest_operation(Seat caller) const {
  return operations_[caller].empty() ? 0 : operations_[caller].rbegin()->first;
}

uint32_t Traffic::Count(Seat from, const std::string& kind) const {
  const auto found = counts_.find({from, kind});
  return found == counts_.end() ? 0 : found->second;
}

Stream* Traffic::FindStream(uint32_t link, uint64_t channel) {
  const auto found = streams_.find({link, channel});
  return found == streams_.end() ? nullptr : found->second.get();
}

}  // namespace counterpart::peer
