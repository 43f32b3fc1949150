#include "harness/peer/session.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <utility>

#include "harness/peer/peer.h"
#include "harness/wire/schema_id.h"

namespace counterpart::peer {

using google::protobuf::Descriptor;
using wire::v1::Message;

// ---------------------------------------------------------------- channel

Channel::Channel(Session* session, uint64_t connection, uint64_t id,
                 const ChannelArgument* argument, bool harness_sends, const Method* method)
    : session_(session),
      connection_(connection),
      id_(id),
      argument_(argument),
      method_(method),
      harness_sends_(harness_sends),
      generation_(session->generation) {
  credit_ = argument->initial_credit;
  granted_ = argument->initial_credit;
}

bool Channel::SendHere(Message message, std::string deliberate) {
  return session_->SendOn(connection_, std::move(message), std::move(deliberate));
}

bool Channel::ended() const {
  return detached_ || closed_by_subject_ || reset_by_harness_ || closed_by_harness_ ||
         reset_by_subject_;
}

Task<> Channel::Send(uint64_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (credit_ == 0) {
      co_await session_->peer().Until(
          "credit on channel " + std::to_string(id_), [this] { return credit_ > 0 || ended(); },
          "rpc.flow-control.credit.replenish");
    }
    if (ended()) co_return;
    SendNow(first + i);
  }
}

void Channel::SendNow(uint64_t value, std::string deliberate) {
  session_->AnnounceItems(*method_, *argument_, connection_);
  if (credit_ > 0) --credit_;
  Message message;
  message.mutable_channel_item()->set_channel_id(id_);
  message.mutable_channel_item()->set_item(EncodeNumber(value));
  // What breaks a rule is for no application to see.
  const bool meant = deliberate.empty();
  if (SendHere(std::move(message), std::move(deliberate)) && meant) written_.push_back(value);
}

void Channel::Close(bool aborted) {
  closed_by_harness_ = true;
  Message message;
  message.mutable_close_channel()->set_channel_id(id_);
  message.mutable_close_channel()->set_aborted(aborted);
  end_written_ = SendHere(std::move(message)) && !aborted;
}

Task<std::vector<uint64_t>> Channel::Receive(uint32_t count) {
  std::vector<uint64_t> values;
  while (values.size() < count) {
    if (items_.empty()) {
      if (ended()) break;
      // r[rpc.flow-control.credit.replenish]: waiting on an empty channel with none outstanding.
      if (auto_grant_ && granted_ == received_) Grant(std::max(argument_->initial_credit, 4u));
      co_await session_->peer().Until(
          "an item on channel " + std::to_string(id_),
          [this] { return !items_.empty() || ended(); }, "rpc.channel.no-silent-drop");
      continue;
    }
    values.push_back(items_.front());
    items_.pop_front();
    ++taken_;
    GrantForTaken();
  }
  co_return values;
}

Task<std::vector<uint64_t>> Channel::ReceiveAll() {
  std::vector<uint64_t> values = co_await Receive(UINT32_MAX);
  co_return values;
}

Task<> Channel::AwaitReceived(uint64_t count) {
  co_await session_->peer().Until(
      std::to_string(count) + " items on channel " + std::to_string(id_),
      [this, count] { return received_ >= count; }, "rpc.channel.no-silent-drop");
}

void Channel::GrantForTaken() {
  if (!auto_grant_ || ended()) return;
  // As late as half: small enough to keep the sender going, large enough to exercise waiting.
  if (granted_ - received_ > argument_->initial_credit / 2) return;
  const uint64_t target = taken_ + std::max<uint64_t>(argument_->initial_credit, 1);
  if (target > granted_) Grant(static_cast<uint32_t>(target - granted_));
}

void Channel::Grant(uint32_t credit) {
  granted_ += credit;
  Message message;
  message.mutable_grant_credit()->set_channel_id(id_);
  message.mutable_grant_credit()->set_credit(credit);
  SendHere(std::move(message));
}

void Channel::Reset() {
  reset_by_harness_ = true;
  items_.clear();
  Message message;
  message.mutable_reset_channel()->set_channel_id(id_);
  SendHere(std::move(message));
}

void Channel::OnItem(uint64_t value) {
  ++received_;
  if (!reset_by_harness_) items_.push_back(value);
}

void Channel::OnClose(bool aborted) {
  closed_by_subject_ = true;
  aborted_by_subject_ = aborted;
}

// ---------------------------------------------------------------- session

Session::Session(Peer* peer, bool initiates, uint32_t limit_of_harness, uint32_t limit_of_subject)
    : harness_initiates(initiates),
      harness_limit(limit_of_harness),
      subject_limit(limit_of_subject),
      peer_(peer) {
  connections_[0].odd = initiates;  // the initiator asks for odd ids, if nothing else is said
}

Session::~Session() = default;

uint64_t Session::NextId(uint64_t& counter, bool odd) {
  counter = counter == 0 ? (odd ? 1 : 2) : counter + 2;
  return counter;
}

bool Session::Send(Message message, std::string deliberate) {
  return link != nullptr && peer_->Send(*link, message, std::move(deliberate));
}

bool Session::SendOn(uint64_t connection, Message message, std::string deliberate) {
  message.set_connection_id(connection);
  return Send(std::move(message), std::move(deliberate));
}

void Session::Announce(uint64_t connection, const std::string& key, const Descriptor* type,
                       wire::v1::Binding binding, const Descriptor* second) {
  Connection& on = connections_[connection];
  if (!on.announced_bindings.insert(key).second) return;
  Message message;
  wire::v1::Schema& schema = *message.mutable_schema();
  for (const Descriptor* root : {type, second}) {
    if (root == nullptr) continue;
    for (const wire::v1::TypeSchema& described : wire::DescribeTypes(*root)) {
      if (on.announced_types.insert(described.type_id()).second) *schema.add_types() = described;
    }
  }
  *schema.add_bindings() = std::move(binding);
  SendOn(connection, std::move(message));
}

void Session::AnnounceArguments(const Method& method, uint64_t connection) {
  wire::v1::Binding binding;
  binding.set_method(method.name);
  binding.set_role(wire::v1::BINDING_ROLE_ARGUMENTS);
  binding.set_type_id(wire::SchemaId(*method.arguments));
  Announce(connection, "arguments " + method.name, method.arguments, std::move(binding));
}

void Session::AnnounceResponse(const Method& method, uint64_t connection) {
  wire::v1::Binding binding;
  binding.set_method(method.name);
  binding.set_role(wire::v1::BINDING_ROLE_RESPONSE);
  binding.set_type_id(wire::SchemaId(*method.response));
  if (method.error != nullptr) binding.set_error_type_id(wire::SchemaId(*method.error));
  Announce(connection, "response " + method.name, method.response, std::move(binding),
           method.error);
}

void Session::AnnounceItems(const Method& method, const ChannelArgument& channel,
                            uint64_t connection) {
  wire::v1::Binding binding;
  binding.set_method(method.name);
  binding.set_role(wire::v1::BINDING_ROLE_CHANNEL);
  binding.set_channel_field(channel.field_number);
  binding.set_type_id(wire::SchemaId(*channel.item));
  binding.set_initial_credit(channel.initial_credit);
  Announce(connection, "channel " + method.name + " " + std::to_string(channel.field_number),
           channel.item, std::move(binding));
}

void Session::AnnounceOther(const std::vector<wire::v1::TypeSchema>& types,
                            wire::v1::Binding binding) {
  Message message;
  for (const wire::v1::TypeSchema& type : types) {
    if (connections_[0].announced_types.insert(type.type_id()).second)
      *message.mutable_schema()->add_types() = type;
  }
  if (binding.role() == wire::v1::BINDING_ROLE_ARGUMENTS) other_arguments_.insert(binding.method());
  *message.mutable_schema()->add_bindings() = std::move(binding);
  Send(std::move(message));
}

Channel* Session::AddChannel(uint64_t connection, uint64_t id, const Method& method,
                             const ChannelArgument& argument, bool harness_sends) {
  auto channel = std::make_unique<Channel>(this, connection, id, &argument, harness_sends, &method);
  Channel* added = channel.get();
  connections_[connection].channels[id] = std::move(channel);
  return added;
}

Channel* Session::FindChannel(uint64_t id, uint64_t connection) {
  const auto& channels = connections_[connection].channels;
  const auto found = channels.find(id);
  return found == channels.end() ? nullptr : found->second.get();
}

Call* Session::StartCall(const std::string& method, const google::protobuf::Message& arguments,
                         uint64_t operation_id) {
  return StartCallRaw(*FindMethod(method), arguments.SerializeAsString(), operation_id);
}

Call* Session::StartCallOn(uint64_t connection, const std::string& method,
                           const google::protobuf::Message& arguments, uint64_t operation_id,
                           std::string deliberate) {
  return Start(connection, *FindMethod(method), arguments.SerializeAsString(), operation_id,
               std::move(deliberate));
}

Call* Session::StartCallBreaking(const std::string& rule, const std::string& method,
                                 const google::protobuf::Message& arguments) {
  return StartCallRaw(*FindMethod(method), arguments.SerializeAsString(), 0, rule);
}

void Session::AnnounceUnknown(const std::string& method_name) {
  Method method = *FindMethod("Echo");
  method.name = method_name;
  AnnounceArguments(method);
}

Call* Session::StartCallRaw(const Method& method, std::string arguments, uint64_t operation_id,
                            std::string deliberate) {
  return Start(0, method, std::move(arguments), operation_id, std::move(deliberate));
}

Call* Session::Start(uint64_t connection, const Method& method, std::string arguments,
                     uint64_t operation_id, std::string deliberate) {
  AnnounceArguments(method, connection);
  Connection& on = connections_[connection];
  auto call = std::make_unique<Call>();
  call->connection = connection;
  call->request_id = NextId(on.next_request_id, on.odd);
  call->operation_id = operation_id == 0 ? NextOperationId() : operation_id;
  call->method = &method;
  call->method_name = method.name;
  call->arguments = std::move(arguments);
  call->generation = generation;
  call->breaking = !deliberate.empty();
  Message message;
  wire::v1::Request& request = *message.mutable_request();
  request = in_every_request;
  request.set_request_id(call->request_id);
  request.set_operation_id(call->operation_id);
  request.set_method(method.name);
  request.set_arguments(call->arguments);
  for (const ChannelArgument& argument : method.channels) {
    Channel* channel = AddChannel(connection, NextId(on.next_channel_id, on.odd), method, argument,
                                  /*harness_sends=*/argument.to_callee);
    call->channels[argument.field_number] = channel;
    auto* ref = request.add_channels();
    ref->set_field_number(argument.field_number);
    ref->set_channel_id(channel->id());
  }
  Call* started = call.get();
  on.calls[call->request_id] = started;
  calls_.push_back(std::move(call));
  started->delivered = SendOn(connection, std::move(message), std::move(deliberate));
  return started;
}

Call* Session::Reattempt(const Call& call, std::string deliberate) {
  if (call.method == nullptr) {
    AnnounceUnknown(call.method_name);
    return StartBareCall(call.method_name, call.arguments, call.operation_id);
  }
  return Start(call.connection, *call.method, call.arguments, call.operation_id,
               std::move(deliberate));
}

Call* Session::StartBareCall(const std::string& method_name, std::string arguments,
                             uint64_t operation_id) {
  auto call = std::make_unique<Call>();
  Connection& root = connections_[0];
  call->request_id = NextId(root.next_request_id, root.odd);
  call->operation_id = operation_id == 0 ? NextOperationId() : operation_id;
  call->method_name = method_name;
  call->arguments = arguments;
  call->generation = generation;
  call->other_type = other_arguments_.contains(method_name);
  Message message;
  *message.mutable_request() = in_every_request;
  message.mutable_request()->set_request_id(call->request_id);
  message.mutable_request()->set_operation_id(call->operation_id);
  message.mutable_request()->set_method(method_name);
  message.mutable_request()->set_arguments(std::move(arguments));
  Call* started = call.get();
  root.calls[call->request_id] = started;
  calls_.push_back(std::move(call));
  started->delivered = Send(std::move(message));
  return started;
}

Task<wire::v1::Response> Session::ResponseTo(Call& call, std::string rule) {
  Call* awaited = &call;
  co_await peer_->Until(
      "the response to request " + std::to_string(call.request_id),
      [awaited] { return awaited->response.has_value(); }, std::move(rule));
  co_return *awaited->response;
}

void Session::Cancel(Call& call) {
  call.cancelled = true;
  Message message;
  message.mutable_cancel_request()->set_request_id(call.request_id);
  SendOn(call.connection, std::move(message));
}

Task<Incoming*> Session::NextRequest(std::string awaited, std::string rule) {
  co_await peer_->Until(
      std::move(awaited), [this] { return waiting_requests() > 0; }, std::move(rule));
  co_return incoming_[taken_requests_++].get();
}

void Session::Respond(Incoming& incoming, wire::v1::Response response) {
  response.set_request_id(incoming.request.request_id());
  incoming.response = response;
  Message message;
  *message.mutable_response() = std::move(response);
  SendOn(incoming.connection, std::move(message));
}

void Session::RespondAgain(Incoming& incoming, const wire::v1::Response& response) {
  if (!response.has_runtime_error() && incoming.method != nullptr) {
    AnnounceResponse(*incoming.method, incoming.connection);
  }
  Respond(incoming, response);
}

void Session::RespondOk(Incoming& incoming, const google::protobuf::Message& value) {
  AnnounceResponse(*incoming.method, incoming.connection);
  wire::v1::Response response;
  response.set_ok(value.SerializeAsString());
  Respond(incoming, std::move(response));
}

void Session::RespondUserError(Incoming& incoming, const google::protobuf::Message& error) {
  AnnounceResponse(*incoming.method, incoming.connection);
  wire::v1::Response response;
  response.set_user_error(error.SerializeAsString());
  Respond(incoming, std::move(response));
}

void Session::RespondRuntimeError(Incoming& incoming, wire::v1::RuntimeErrorCode code) {
  wire::v1::Response response;
  response.mutable_runtime_error()->set_code(code);
  response.mutable_runtime_error()->set_text("as the scenario wants it");
  Respond(incoming, std::move(response));
}

uint64_t Session::SendPing() {
  const uint64_t nonce = next_nonce_++;
  Message message;
  message.mutable_ping()->set_nonce(nonce);
  Send(std::move(message));
  return nonce;
}

Task<> Session::Fence(std::string rule) {
  const uint64_t nonce = SendPing();
  co_await peer_->Until(
      "Pong " + std::to_string(nonce), [this, nonce] { return PongSeen(nonce); }, std::move(rule));
}

Task<> Session::SayGoodbye() {
  if (link == nullptr) co_return;
  Link* old = link;
  goodbye_expected_ = true;
  goodbye_sent_ = true;
  old->end_expected = true;
  Message message;
  message.mutable_goodbye();
  Send(std::move(message));
  co_await peer_->Until(
      "Goodbye in answer to Goodbye",
      [this, old] { return goodbye_received_ || old->end.has_value(); }, "session.goodbye");
  co_await peer_->Require(goodbye_received_, "session.goodbye",
                          "a Goodbye is answered by Goodbye before the link closes");
  peer_->Close(*old, How::kFin);
  Detach();
}

Task<> Session::AwaitProtocolError(wire::v1::ProtocolErrorCode accepted, std::string rule,
                                   wire::v1::ProtocolErrorCode or_accepted) {
  protocol_error_expected_ = true;
  Link* old = link;
  if (old == nullptr) co_return;
  old->end_expected = true;
  co_await peer_->Until(
      "a ProtocolError",
      [this, old] { return protocol_error_.has_value() || old->end.has_value(); }, rule);
  co_await peer_->Require(protocol_error_.has_value(), "session.protocol-error",
                          "a violation is answered by a ProtocolError before the link closes");
  const auto code = protocol_error_->code();
  std::string wanted = "ProtocolError has code " + ShortName(accepted) + ", not " + ShortName(code);
  const bool right =
      code == accepted ||
      (or_accepted != wire::v1::PROTOCOL_ERROR_CODE_UNSPECIFIED && code == or_accepted);
  co_await peer_->Require(right, std::move(rule), std::move(wanted));
  co_await peer_->Until(
      "the link to end after a ProtocolError", [old] { return old->end.has_value(); },
      "session.protocol-error.delivery");
  peer_->Close(*old, How::kFin);
  Detach();
}

void Session::Attach(Link* new_link, uint32_t new_generation) {
  link = new_link;
  generation = new_generation;
  goodbye_sent_ = goodbye_expected_ = false;  // a Goodbye that was lost with its link
  waiting_openings_.clear();
  for (auto& [connection, on] : connections_) {
    // r[schema.tracking.sender]: a new attachment starts from nothing
    on.announced_types.clear();
    on.announced_bindings.clear();
    // r[session.resume.connections]
    const auto& listed = new_link->listed_by_subject;
    if (connection == 0 || new_generation == 1) continue;
    if (!on.open() || std::find(listed.begin(), listed.end(), connection) == listed.end()) {
      on.lost = true;
    }
  }
  new_link->session = this;
  auto inbox = std::exchange(new_link->inbox, {});
  for (const Link::Inbound& inbound : inbox) {
    if (inbound.message) OnMessage(*inbound.message, inbound.entry);
  }
}

void Session::Detach() {
  if (link != nullptr) link->session = nullptr;
  link = nullptr;
  for (auto& [connection, on] : connections_) EndChannels(on);
}

void Session::EndChannels(Connection& connection) {
  for (auto& [id, channel] : connection.channels) channel->OnDetach();
}

void Session::OnMessage(const Message& message, uint64_t entry) {
  proven = true;
  const uint64_t connection = message.connection_id();
  if (connection != 0 && OnConnectionMatter(message)) return;
  switch (message.payload_case()) {
    case Message::kPing: {
      ++pings_received_;
      if (goodbye_sent_) break;  // r[session.goodbye]: ours was the last message
      Message pong;
      pong.mutable_pong()->set_nonce(message.ping().nonce());
      Send(std::move(pong));
      break;
    }
    case Message::kPong:
      pongs_.insert(message.pong().nonce());
      break;
    case Message::kProtocolError:
      protocol_error_ = message.protocol_error();
      if (link != nullptr) link->end_expected = true;
      if (!protocol_error_expected_) {
        peer_->Unexpected(refusal_rule.empty() ? message.protocol_error().rule() : refusal_rule,
                          "the subject refused legal traffic: " + Read(message) + ": " +
                              message.protocol_error().text(),
                          "ProtocolError", entry);
      }
      break;
    case Message::kGoodbye:
      goodbye_received_ = true;
      if (link != nullptr) link->end_expected = true;
      if (!goodbye_expected_) {
        peer_->Unexpected("session.goodbye", "the subject said Goodbye unasked", "Goodbye", entry);
      } else if (!goodbye_sent_) {
        goodbye_sent_ = true;
        Message goodbye;
        goodbye.mutable_goodbye();
        Send(std::move(goodbye));
      }
      break;
    case Message::kRequest: {
      auto incoming = std::make_unique<Incoming>();
      incoming->request = message.request();
      incoming->method = FindMethod(message.request().method());
      incoming->generation = generation;
      incoming->connection = connection;
      for (const auto& ref : message.request().channels()) {
        const ChannelArgument* argument =
            incoming->method == nullptr ? nullptr : incoming->method->Channel(ref.field_number());
        if (argument == nullptr) continue;
        incoming->channels[ref.field_number()] = AddChannel(
            connection, ref.channel_id(), *incoming->method, *argument, !argument->to_callee);
      }
      connections_[connection].incoming[message.request().request_id()] = incoming.get();
      incoming_.push_back(std::move(incoming));
      break;
    }
    case Message::kResponse: {
      const auto& calls = connections_[connection].calls;
      const auto call = calls.find(message.response().request_id());
      if (call != calls.end() && call->second->generation == generation &&
          !call->second->response) {
        call->second->response = message.response();
      }
      break;
    }
    case Message::kCancelRequest: {
      const auto& incoming = connections_[connection].incoming;
      const auto found = incoming.find(message.cancel_request().request_id());
      if (found != incoming.end()) found->second->cancelled = true;
      break;
    }
    case Message::kChannelItem: {
      uint64_t value = 0;
      DecodeNumber(message.channel_item().item(), &value);
      if (Channel* channel = FindChannel(message.channel_item().channel_id(), connection)) {
        channel->OnItem(value);
      }
      break;
    }
    case Message::kCloseChannel:
      if (Channel* channel = FindChannel(message.close_channel().channel_id(), connection)) {
        channel->OnClose(message.close_channel().aborted());
      }
      break;
    case Message::kResetChannel:
      if (Channel* channel = FindChannel(message.reset_channel().channel_id(), connection))
        channel->OnReset();
      break;
    case Message::kGrantCredit:
      if (Channel* channel = FindChannel(message.grant_credit().channel_id(), connection)) {
        channel->OnCredit(message.grant_credit().credit());
      }
      break;
    default:
      break;  // announcements are the monitors'
  }
}

// ---------------------------------------------------------------- virtual connections

const Connection* Session::FindConnection(uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : &found->second;
}

std::vector<uint64_t> Session::open_connections() const {
  std::vector<uint64_t> open;
  for (const auto& [connection, on] : connections_) {
    if (connection != 0 && on.open()) open.push_back(connection);
  }
  return open;
}

uint64_t Session::OpenConnection(bool odd, uint32_t limit) {
  const uint64_t connection = NextId(next_connection_id_, odd_parity());
  Connection& on = connections_[connection];
  on.odd = odd;
  on.opened_by_harness = true;
  Message message;
  wire::v1::OpenConnection& open = *message.mutable_open_connection();
  open.set_parity(odd ? wire::v1::PARITY_ODD : wire::v1::PARITY_EVEN);
  open.mutable_settings()->set_max_concurrent_requests(limit);
  SendOn(connection, std::move(message));
  return connection;
}

Task<bool> Session::OpeningAnswered(uint64_t connection, std::string rule) {
  co_await peer_->Until(
      "the answer to OpenConnection " + std::to_string(connection),
      [this, connection] {
        return connections_[connection].accepted || rejections_.contains(connection);
      },
      std::move(rule));
  co_return connections_[connection].accepted;
}

void Session::AcceptConnection(uint64_t connection, uint32_t limit) {
  std::erase(waiting_openings_, connection);
  connections_[connection].accepted = true;
  Message message;
  message.mutable_accept_connection()->mutable_settings()->set_max_concurrent_requests(limit);
  SendOn(connection, std::move(message));
}

void Session::RejectConnection(uint64_t connection, std::string reason) {
  std::erase(waiting_openings_, connection);
  Message message;
  message.mutable_reject_connection()->set_reason(std::move(reason));
  SendOn(connection, std::move(message));
}

void Session::CloseConnection(uint64_t connection) {
  Connection& on = connections_[connection];
  on.closed_by_harness = true;
  EndChannels(on);
  Message message;
  message.mutable_close_connection();
  SendOn(connection, std::move(message));
}

Task<> Session::AwaitClosed(uint64_t connection, std::string rule) {
  co_await peer_->Until(
      "CloseConnection " + std::to_string(connection),
      [this, connection] { return connections_[connection].closed_by_subject; }, std::move(rule));
}

void Session::OnOpening(uint64_t connection, const wire::v1::OpenConnection& open) {
  connections_[connection].odd = open.parity() != wire::v1::PARITY_ODD;  // r[connection.parity]
  waiting_openings_.push_back(connection);
  if (!answers_openings) return;
  const auto theirs = std::count_if(connections_.begin(), connections_.end(), [](const auto& each) {
    return each.first != 0 && !each.second.opened_by_harness && each.second.open();
  });
  if (static_cast<uint32_t>(theirs) < accepts_connections) {
    AcceptConnection(connection, harness_limit);
  } else {
    RejectConnection(connection, "no more than " + std::to_string(accepts_connections));
  }
}

bool Session::OnConnectionMatter(const Message& message) {
  const uint64_t id = message.connection_id();
  switch (message.payload_case()) {
    case Message::kOpenConnection:
      OnOpening(id, message.open_connection());
      return true;
    case Message::kAcceptConnection:
      connections_[id].accepted = true;
      return true;
    case Message::kRejectConnection:
      rejections_[id] = message.reject_connection();
      return true;
    case Message::kCloseConnection: {
      Connection& on = connections_[id];
      on.closed_by_subject = true;
      EndChannels(on);
      if (!on.closed_by_harness && echoes_closes) CloseConnection(id);
      return true;
    }
    default:
      // r[connection.close.echo]: what crosses a close of ours is discarded.
      return !connections_[id].open();
  }
}

}  // namespace counterpart::peer
