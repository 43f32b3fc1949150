#include "harness/tests/memory_peer.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "harness/wire/schema_id.h"

namespace counterpart::tests {

using control::v1::CallStatus;
using control::v1::EndStatus;
using control::v1::Outcome;
using peer::Method;
using wire::v1::Message;
using wire::v1::Request;
using wire::v1::Response;

namespace {

constexpr uint32_t kMagic = 0x54525043;
constexpr uint32_t kMaxPayload = 16u << 20;
constexpr uint32_t kGrant = 4;  // where the application waits on a channel without credit

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const unsigned char c : bytes) {
    hex.push_back("0123456789abcdef"[c >> 4]);
    hex.push_back("0123456789abcdef"[c & 15]);
  }
  return hex;
}

uint64_t ProtocolSchema() {
  static const uint64_t id = wire::SchemaId(*Message::descriptor());
  return id;
}

CallStatus StatusOf(wire::v1::RuntimeErrorCode code, bool idem) {
  switch (code) {
    case wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD:
      return control::v1::CALL_STATUS_UNKNOWN_METHOD;
    case wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD:
      return control::v1::CALL_STATUS_INVALID_PAYLOAD;
    case wire::v1::RUNTIME_ERROR_CODE_CANCELLED:
      return control::v1::CALL_STATUS_CANCELLED;
    case wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE:
      return control::v1::CALL_STATUS_INDETERMINATE;
    case wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED:  // r[retry.gc.settled-below]
      return idem ? control::v1::CALL_STATUS_OPERATION_EXPIRED
                  : control::v1::CALL_STATUS_INDETERMINATE;
    default:
      return control::v1::CALL_STATUS_OTHER_RUNTIME_ERROR;
  }
}

Response RuntimeError(wire::v1::RuntimeErrorCode code) {
  Response response;
  response.mutable_runtime_error()->set_code(code);
  return response;
}

uint64_t IdOf(const Message& message) {
  switch (message.payload_case()) {
    case Message::kPing:
      return message.ping().nonce();
    case Message::kPong:
      return message.pong().nonce();
    case Message::kRequest:
      return message.request().request_id();
    case Message::kResponse:
      return message.response().request_id();
    case Message::kCancelRequest:
      return message.cancel_request().request_id();
    case Message::kChannelItem:
      return message.channel_item().channel_id();
    case Message::kCloseChannel:
      return message.close_channel().channel_id();
    case Message::kResetChannel:
      return message.reset_channel().channel_id();
    case Message::kGrantCredit:
      return message.grant_credit().channel_id();
    default:
      return 0;
  }
}

std::string KindOf(const Message& message) {
  const auto* oneof = Message::descriptor()->FindOneofByName("payload");
  const auto* field = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  return field == nullptr ? "" : field->name();
}

}  // namespace

struct MemoryPeer::End {
  Session* session = nullptr;
  uint64_t id = 0;
  const Method* method = nullptr;
  const peer::ChannelArgument* argument = nullptr;
  bool sending = false;
  uint64_t credit = 0;  // left to us (sending) or to the other side (receiving)
  std::deque<uint64_t> items;
  uint32_t arrived = 0;
  bool closed = false, aborted = false, reset = false, defunct = false;

  bool over() const { return closed || reset || defunct; }
  EndStatus Status() const {
    if (defunct) return control::v1::END_STATUS_DEFUNCT;
    if (reset) return control::v1::END_STATUS_RESET;
    if (aborted) return control::v1::END_STATUS_ABORTED;
    return closed ? control::v1::END_STATUS_CLOSED : control::v1::END_STATUS_OPEN;
  }
};

struct MemoryPeer::Link {
  uint32_t id = 0;
  bool dialled = false;
  enum class Phase : uint8_t { kPrologue, kHandshake, kMessages, kOver } phase = Phase::kPrologue;
  std::string input;
  std::string presented;
  Session* session = nullptr;
};

struct MemoryPeer::Operation {
  enum class State : uint8_t { kLive, kSealed, kReleased, kIndeterminate } state = State::kLive;
  std::string method, arguments;
  uint32_t executions = 0;
  std::vector<uint64_t> attached;  // request ids of this attachment
  Response outcome;
};

struct MemoryPeer::Session {
  std::string id, key, next_key;
  bool initiator = false, resumable = false, over = false;
  uint32_t generation = 0;
  uint32_t limit = 0;  // of attempts in flight to the other side
  Link* link = nullptr;
  uint64_t next_request = 0, next_channel = 0, next_operation = 1;
  std::set<uint64_t> types, types_read;
  std::set<std::string> bindings, bindings_read;
  uint32_t announced_limit = 0;   // of attempts in flight to us
  std::set<uint64_t> unanswered;  // requests of the other side
  uint64_t last_request_read = 0, last_channel_read = 0;
  uint64_t expired_below = 0;                     // r[retry.gc.settled-below]
  std::map<std::string, std::string> mismatched;  // bindings, and the field that differs
  std::map<uint64_t, Operation> operations;
  std::set<uint64_t> started;  // operations whose handler has
  std::map<uint64_t, std::unique_ptr<End>> ends;
  std::set<uint64_t> current;  // ends of this attachment

  uint64_t NextId(uint64_t& last, bool wrong_parity) {
    const bool odd = initiator != wrong_parity;  // the initiator asks for odd ids
    last = last == 0 ? (odd ? 1 : 2) : last + 2;
    return last;
  }
  // r[rpc.id.monotone]
  bool IsNew(uint64_t id, uint64_t& last) const {
    if ((id % 2 == 1) == initiator || id <= last) return false;
    last = id;
    return true;
  }
  uint32_t closing_question = 0;  // CloseSession, once Goodbye has been sent
};

struct MemoryPeer::Call {
  Session* session = nullptr;
  uint32_t question = 0;
  std::string method_name, arguments, handle;
  const Method* method = nullptr;
  uint64_t operation = 0, request = 0;
  uint32_t attempts = 0;
  std::vector<Ends> ends;  // by attempt
  bool in_flight = false, resolved = false;
};

struct MemoryPeer::Handler {
  Session* session = nullptr;
  uint64_t operation = 0;
  const Method* method = nullptr;
  std::vector<testbed::v1::Step> steps;
  size_t step = 0;
  uint32_t done = 0;  // items of the step
  End* input = nullptr;
  End* output = nullptr;
  std::string text, padding;
  uint64_t sum = 0;
  uint32_t count = 0;
  bool over = false;
};

struct MemoryPeer::Pending {
  uint32_t question = 0;
  control::v1::ExecuteRequest command;
  uint32_t done = 0;
  std::vector<uint64_t> values;
  bool answered = false;
};

MemoryPeer::MemoryPeer(PeerOutput* out, Flaw flaw) : out_(out), flaw_(flaw) {}

MemoryPeer::~MemoryPeer() = default;

// ---------------------------------------------------------------- from outside

void MemoryPeer::OnControl(uint32_t question, const control::v1::ControlRequest& request) {
  Control(question, request);
  Pump();
}

void MemoryPeer::OnAccepted(uint32_t id) {
  auto link = std::make_unique<Link>();
  link->id = id;
  links_[id] = std::move(link);
}

void MemoryPeer::OnBytes(uint32_t id, std::string_view bytes) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link& link = *found->second;
  link.input.append(bytes);
  while (link.phase != Link::Phase::kOver && link.input.size() >= 4) {
    uint32_t length = 0;
    for (int i = 3; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(link.input[i]);
    // r[link.limit]: by the length alone
    const uint32_t most = announced_max_payload_ == 0 ? kMaxPayload : announced_max_payload_;
    if (length > most && flaw_ != Flaw::kBlindToLength) {
      Break(link, wire::v1::PROTOCOL_ERROR_CODE_PAYLOAD_TOO_LARGE, "link.limit");
      break;
    }
    if (link.input.size() - 4 < length) break;
    const std::string payload = link.input.substr(4, length);
    link.input.erase(0, 4 + length);
    OnPayload(link, payload);
    Pump();
  }
  Pump();
}

void MemoryPeer::OnEnd(uint32_t id) {
  const auto found = links_.find(id);
  if (found == links_.end() || found->second->phase == Link::Phase::kOver) return;
  Link& link = *found->second;
  link.phase = Link::Phase::kOver;
  Session* session = link.session;
  if (session != nullptr && session->link == &link) Detach(*session);
  const bool ours = link.dialled && (connected_ == nullptr || connected_ == session);
  if (ours && (connect_question_ != 0 || (session != nullptr && !session->over))) Dial();
  Pump();
}

// ---------------------------------------------------------------- control plane

void MemoryPeer::Control(uint32_t question, const control::v1::ControlRequest& request) {
  control::v1::ControlReply reply;
  if (request.has_execute()) {
    Execute(question, request.execute());
  } else if (request.has_journal()) {
    auto& journal = *reply.mutable_journal();
    for (const auto& event : journal_) *journal.add_events() = event;
    out_->Answer(question, reply);
  } else if (request.has_reset()) {
    auto& held = *reply.mutable_reset();
    held.set_listeners(listening_ ? 1 : 0);
    for (const auto& [id, link] : links_) {
      if (link->phase != Link::Phase::kOver) held.set_links(held.links() + 1);
    }
    for (const auto& session : sessions_) {
      if (!session->over) held.set_sessions(held.sessions() + 1);
      for (const auto& [id, end] : session->ends) {
        if (!end->over()) held.set_channels(held.channels() + 1);
      }
    }
    for (const auto& call : calls_) {
      if (!call->resolved) held.set_calls(held.calls() + 1);
    }
    for (const auto& handler : handlers_) {
      if (!handler->over) held.set_handlers(held.handlers() + 1);
    }
    if (flaw_ == Flaw::kLeaks) held.set_channels(held.channels() + 1);
    out_->Answer(question, reply);
  }
}

void MemoryPeer::Refuse(uint32_t question) {
  control::v1::ControlReply reply;
  auto& refusal = *reply.mutable_execute()->mutable_refusal();
  refusal.set_reason(control::v1::REFUSAL_REASON_INVALID);
  refusal.set_text("no such session, handle or command here");
  out_->Answer(question, reply);
}

void MemoryPeer::Done(uint32_t question, Outcome outcome) {
  control::v1::ControlReply reply;
  *reply.mutable_execute()->mutable_outcome() = std::move(outcome);
  out_->Answer(question, reply);
}

void MemoryPeer::Execute(uint32_t question, const control::v1::ExecuteRequest& command) {
  const auto session_of = [this](const std::string& id) -> Session* {
    for (const auto& session : sessions_) {
      if (session->id == id && !session->over) return session.get();
    }
    return nullptr;
  };
  Outcome outcome;
  if (command.has_listen()) {
    listening_ = true;
    accept_limit_ = command.listen().max_concurrent_requests();
    announced_max_payload_ = command.listen().max_payload();
    accept_resumable_ = command.listen().resumable();
    outcome.mutable_listening()->set_port(kPort);
    Done(question, outcome);
  } else if (command.has_connect()) {
    connect_ = command.connect();
    announced_max_payload_ = connect_.max_payload();
    connect_question_ = question;
    dials_left_ = std::max(connect_.max_attempts(), 1u);
    Dial();
  } else if (command.has_call()) {
    Session* session = session_of(command.call().session_id());
    if (session == nullptr) return Refuse(question);
    auto call = std::make_unique<Call>();
    call->session = session;
    call->question = question;
    call->method_name = command.call().method();
    call->method = peer::FindMethod(call->method_name);
    call->arguments = command.call().arguments();
    call->handle = command.call().handle();
    call->operation = session->next_operation++;
    calls_.push_back(std::move(call));
    // There is nothing it could announce.
    if (calls_.back()->method == nullptr) {
      Resolve(*calls_.back(), control::v1::CALL_STATUS_UNKNOWN_METHOD);
    }
  } else if (command.has_cancel()) {
    for (const auto& call : calls_) {
      if (call->handle != command.cancel().handle() || call->resolved) continue;
      Message cancel;
      cancel.mutable_cancel_request()->set_request_id(call->request);
      if (call->in_flight) Send(*call->session, cancel);
      Resolve(*call, control::v1::CALL_STATUS_CANCELLED);
    }
    outcome.mutable_done();
    Done(question, outcome);
  } else if (command.has_release()) {
    gates_.insert(command.release().gate());
    outcome.mutable_done();
    Done(question, outcome);
  } else if (command.has_ping()) {
    Session* session = session_of(command.ping().session_id());
    if (session == nullptr || session->link == nullptr) return Refuse(question);
    auto pending = std::make_unique<Pending>();
    pending->question = question;
    pending->command = command;
    pending_.push_back(std::move(pending));
    Message ping;
    ping.mutable_ping()->set_nonce(1);
    Send(*session, ping);
  } else if (command.has_close_session()) {
    Session* session = session_of(command.close_session().session_id());
    if (session == nullptr || session->link == nullptr) return Refuse(question);
    session->closing_question = question;
    Message goodbye;
    goodbye.mutable_goodbye();
    Send(*session, goodbye);
  } else if (command.has_expire_session()) {
    Session* session = session_of(command.expire_session().session_id());
    if (session == nullptr) return Refuse(question);
    EndSession(*session, control::v1::CALL_STATUS_SESSION_SHUTDOWN);
    outcome.mutable_done();
    Done(question, outcome);
  } else if (command.has_channel_send() || command.has_channel_receive() ||
             command.has_channel_close() || command.has_channel_reset() ||
             command.has_await_event()) {
    auto pending = std::make_unique<Pending>();
    pending->question = question;
    pending->command = command;
    pending_.push_back(std::move(pending));
  } else {
    Refuse(question);
  }
}

MemoryPeer::End* MemoryPeer::FindEnd(const control::v1::ChannelEnd& named) {
  for (const auto& call : calls_) {
    if (call->handle != named.handle() || call->ends.empty()) continue;
    const size_t attempt = named.attempt() == 0 ? call->ends.size() : named.attempt();
    if (attempt > call->ends.size()) return nullptr;
    const Ends& ends = call->ends[attempt - 1];
    const auto found = ends.find(named.field_number());
    return found == ends.end() ? nullptr : found->second;
  }
  return nullptr;
}

// Whether it moved.
bool MemoryPeer::TryPending(Pending& pending) {
  const auto& command = pending.command;
  Outcome outcome;
  bool moved = false;
  if (command.has_ping()) {
    if (pending.done == 0) return false;
    outcome.mutable_done();
  } else if (command.has_await_event()) {
    const auto& event = command.await_event();
    bool started = false;
    for (const auto& session : sessions_) {
      started |=
          session->id == event.session_id() && session->started.contains(event.operation_id());
    }
    if (!started) return false;
    outcome.mutable_done();
  } else if (command.has_channel_close()) {
    End* end = FindEnd(command.channel_close().end());
    if (end == nullptr) return false;
    CloseEnd(*end);
    outcome.mutable_done();
  } else if (command.has_channel_reset()) {
    End* end = FindEnd(command.channel_reset().end());
    if (end == nullptr) return false;
    ResetEnd(*end);
    outcome.mutable_done();
  } else if (command.has_channel_send()) {
    const auto& send = command.channel_send();
    End* end = FindEnd(send.end());
    if (end == nullptr) return false;
    while (pending.done < send.count() && SendItem(*end, send.first() + pending.done)) {
      ++pending.done;
      moved = true;
    }
    if (pending.done < send.count() && !end->over()) return moved;
    outcome.mutable_sent()->set_accepted(pending.done);
    outcome.mutable_sent()->set_status(end->Status());
  } else if (command.has_channel_receive()) {
    const auto& receive = command.channel_receive();
    End* end = FindEnd(receive.end());
    if (end == nullptr) return false;
    uint64_t value = 0;
    const auto full = [&] { return receive.count() != 0 && pending.done == receive.count(); };
    while (!full() && TakeItem(*end, &value)) {
      pending.values.push_back(value);
      ++pending.done;
      moved = true;
    }
    if (!full() && !end->over()) return moved;
    for (const uint64_t taken : pending.values) outcome.mutable_received()->add_values(taken);
    outcome.mutable_received()->set_status(full() ? control::v1::END_STATUS_OPEN : end->Status());
  }
  pending.answered = true;
  Done(pending.question, std::move(outcome));
  return true;
}

// ---------------------------------------------------------------- links and sessions

void MemoryPeer::Dial() {
  while (dials_left_ > 0) {
    --dials_left_;
    const uint32_t id = out_->Dial(static_cast<uint16_t>(connect_.port()));
    if (id == 0) continue;
    auto link = std::make_unique<Link>();
    link->id = id;
    link->dialled = true;
    link->session = connected_;
    wire::v1::Prologue prologue;
    prologue.mutable_hello()->set_magic(kMagic);
    prologue.mutable_hello()->set_max_payload(announced_max_payload_);
    prologue.mutable_hello()->set_version(1);
    prologue.mutable_hello()->set_conduit(wire::v1::CONDUIT_BARE);
    Link& dialled = *link;
    links_[id] = std::move(link);
    SendPayload(dialled, prologue);
    return;
  }
  ConnectFailed(control::v1::FAILURE_REASON_CONNECT_GAVE_UP);
}

void MemoryPeer::ConnectFailed(control::v1::FailureReason reason) {
  if (connected_ != nullptr) {
    EndSession(*connected_, control::v1::CALL_STATUS_SESSION_SHUTDOWN);
  }
  if (connect_question_ == 0) return;
  Outcome outcome;
  outcome.mutable_failed()->set_reason(reason);
  Done(connect_question_, std::move(outcome));
  connect_question_ = 0;
}

void MemoryPeer::CloseLink(Link& link) {
  if (link.phase == Link::Phase::kOver) return;
  link.phase = Link::Phase::kOver;
  out_->Close(link.id);
}

void MemoryPeer::SendPayload(Link& link, const google::protobuf::Message& payload) {
  const std::string body = payload.SerializeAsString();
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(body.size() >> shift));
  }
  out_->Write(link.id, bytes + body);
}

void MemoryPeer::Journal(const Session& session, const Message& message, bool sent) {
  control::v1::JournalEvent event;
  event.set_seq(journal_.size() + 1);
  event.set_session_id(session.id);
  event.set_generation(session.generation);
  event.mutable_frame()->set_sent(sent);
  event.mutable_frame()->set_kind(KindOf(message));
  event.mutable_frame()->set_id(IdOf(message));
  event.mutable_frame()->set_connection_id(message.connection_id());
  journal_.push_back(std::move(event));
}

void MemoryPeer::Send(Session& session, const Message& message) {
  if (session.link == nullptr) return;
  const bool omitted =
      flaw_ == Flaw::kJournalOmits && (message.has_response() || message.has_request());
  if (!omitted) Journal(session, message, true);
  SendPayload(*session.link, message);
}

std::string MemoryPeer::Mint(const char* what, size_t size) {
  std::string minted = what + std::to_string(++minted_);
  minted.resize(size, '.');
  return minted;
}

void MemoryPeer::Break(Link& link, wire::v1::ProtocolErrorCode code, const std::string& rule) {
  switch (link.phase) {
    case Link::Phase::kPrologue: {
      wire::v1::Prologue reject;
      reject.mutable_reject()->set_reason(wire::v1::TRANSPORT_REJECT_REASON_MALFORMED);
      if (!link.dialled) SendPayload(link, reject);
      break;
    }
    case Link::Phase::kHandshake: {
      wire::v1::Handshake sorry;
      sorry.mutable_sorry()->set_reason(wire::v1::SORRY_REASON_MALFORMED);
      SendPayload(link, sorry);
      break;
    }
    default: {
      if (flaw_ == Flaw::kClosesSilently) break;
      Message message;
      message.mutable_protocol_error()->set_code(
          flaw_ == Flaw::kWrongErrorCode ? wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_INVALID : code);
      message.mutable_protocol_error()->set_rule(rule);
      if (link.session != nullptr) Send(*link.session, message);
      break;
    }
  }
  Session* session = link.session;
  CloseLink(link);
  if (session != nullptr) {
    EndSession(*session, control::v1::CALL_STATUS_PROTOCOL_ERROR);
  } else if (link.dialled) {
    ConnectFailed(control::v1::FAILURE_REASON_PROTOCOL_ERROR);
  }
}

void MemoryPeer::OnPayload(Link& link, const std::string& payload) {
  constexpr auto kMalformed = wire::v1::PROTOCOL_ERROR_CODE_MALFORMED;
  if (link.phase == Link::Phase::kPrologue) {
    wire::v1::Prologue prologue;
    if (!prologue.ParseFromString(payload) || prologue.kind_case() == 0) {
      return Break(link, kMalformed, "wire.envelope");
    }
    OnPrologue(link, prologue);
  } else if (link.phase == Link::Phase::kHandshake) {
    wire::v1::Handshake handshake;
    if (!handshake.ParseFromString(payload) || handshake.kind_case() == 0) {
      return Break(link, kMalformed, "wire.envelope");
    }
    OnHandshake(link, handshake);
  } else {
    Message message;
    if (!message.ParseFromString(payload) || message.payload_case() == 0) {
      return Break(link, kMalformed, "wire.envelope");
    }
    OnMessage(link, message);
  }
}

void MemoryPeer::OnPrologue(Link& link, const wire::v1::Prologue& prologue) {
  if (link.dialled) {
    if (!prologue.has_accept()) {
      CloseLink(link);
      return ConnectFailed(control::v1::FAILURE_REASON_REJECTED);
    }
    wire::v1::Handshake handshake;
    auto& hello = *handshake.mutable_hello();
    hello.set_parity(wire::v1::PARITY_ODD);
    hello.mutable_settings()->set_max_concurrent_requests(connect_.max_concurrent_requests());
    hello.set_protocol_schema(ProtocolSchema());
    if (connected_ != nullptr) hello.set_resume_key(connected_->key);
    link.phase = Link::Phase::kHandshake;
    return SendPayload(link, handshake);
  }
  wire::v1::Prologue answer;
  const auto& hello = prologue.hello();
  auto reason = wire::v1::TRANSPORT_REJECT_REASON_UNSPECIFIED;
  if (!prologue.has_hello()) {
    reason = wire::v1::TRANSPORT_REJECT_REASON_MALFORMED;
  } else if (hello.magic() != kMagic) {
    reason = wire::v1::TRANSPORT_REJECT_REASON_BAD_MAGIC;
  } else if (hello.version() != 1) {
    reason = wire::v1::TRANSPORT_REJECT_REASON_UNSUPPORTED_VERSION;
  } else if (hello.conduit() != wire::v1::CONDUIT_BARE) {
    reason = wire::v1::TRANSPORT_REJECT_REASON_UNSUPPORTED_CONDUIT;
  }
  if (reason != wire::v1::TRANSPORT_REJECT_REASON_UNSPECIFIED) {
    answer.mutable_reject()->set_reason(reason);
    SendPayload(link, answer);
    return CloseLink(link);
  }
  answer.mutable_accept()->set_max_payload(announced_max_payload_);
  link.phase = Link::Phase::kHandshake;
  SendPayload(link, answer);
}

void MemoryPeer::OnHello(Link& link, const wire::v1::Hello& hello) {
  Session* session = nullptr;
  link.presented = hello.resume_key();
  wire::v1::Handshake answer;
  if (!link.presented.empty()) {
    for (const auto& known : sessions_) {
      if (known->over || flaw_ == Flaw::kForgetsSession) continue;
      if (known->next_key == link.presented) {  // which retires its predecessor
        known->key = known->next_key;
        known->next_key.clear();
      }
      if (known->key == link.presented) session = known.get();
    }
    if (session == nullptr) {
      answer.mutable_sorry()->set_reason(wire::v1::SORRY_REASON_UNKNOWN_SESSION);
      SendPayload(link, answer);
      return CloseLink(link);
    }
  } else {
    sessions_.push_back(std::make_unique<Session>());
    session = sessions_.back().get();
    session->id = Mint("session ", 16);
    session->resumable = accept_resumable_;
    session->over = true;  // until LetsGo
  }
  const size_t size = flaw_ == Flaw::kShortKey ? 8 : 16;
  if (session->resumable && session->next_key.empty()) {
    session->next_key =
        flaw_ == Flaw::kKeepsKey && !session->key.empty() ? session->key : Mint("key ", size);
  }
  session->limit = hello.settings().max_concurrent_requests();
  link.session = session;
  auto& yourself = *answer.mutable_hello_yourself();
  yourself.mutable_settings()->set_max_concurrent_requests(accept_limit_);
  session->announced_limit = accept_limit_;
  yourself.set_protocol_schema(ProtocolSchema());
  yourself.set_resume_key(session->next_key);
  yourself.set_session_id(session->id);
  SendPayload(link, answer);
}

void MemoryPeer::OnHandshake(Link& link, const wire::v1::Handshake& handshake) {
  if (!link.dialled) {
    if (handshake.has_hello() && link.session == nullptr) return OnHello(link, handshake.hello());
    if (!handshake.has_lets_go() || link.session == nullptr) {
      link.session = nullptr;
      return Break(link, wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.handshake");
    }
    Session& session = *link.session;
    // r[session.resume.key-rotation]: LetsGo retires the key its Hello presented.
    if (!link.presented.empty() && link.presented != session.key) return CloseLink(link);
    session.key = session.next_key;
    session.next_key.clear();
    return Bind(link);
  }
  if (handshake.has_sorry()) {
    CloseLink(link);
    return ConnectFailed(control::v1::FAILURE_REASON_SORRY);
  }
  if (!handshake.has_hello_yourself()) {
    return Break(link, wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.handshake");
  }
  const auto& yourself = handshake.hello_yourself();
  if (connected_ == nullptr) {
    sessions_.push_back(std::make_unique<Session>());
    connected_ = sessions_.back().get();
    connected_->id = yourself.session_id();
    connected_->initiator = true;
    connected_->announced_limit = connect_.max_concurrent_requests();
  }
  connected_->key = yourself.resume_key();
  connected_->resumable = connect_.resume() && !connected_->key.empty();
  connected_->limit = yourself.settings().max_concurrent_requests();
  link.session = connected_;
  wire::v1::Handshake lets_go;
  if (flaw_ == Flaw::kHelloInsteadOfGo) {
    lets_go.mutable_hello()->set_parity(wire::v1::PARITY_ODD);
  } else {
    lets_go.mutable_lets_go();
  }
  SendPayload(link, lets_go);
  dials_left_ = std::max(connect_.max_attempts(), 1u);
  Bind(link);
  if (connect_question_ == 0) return;
  Outcome outcome;
  outcome.mutable_connected()->set_session_id(connected_->id);
  Done(connect_question_, std::move(outcome));
  connect_question_ = 0;
}

// r[session.resume.bind]
void MemoryPeer::Bind(Link& link) {
  Session& session = *link.session;
  if (session.link != nullptr) {
    Link& old = *session.link;
    Detach(session);
    CloseLink(old);
  }
  session.over = false;
  session.link = &link;
  ++session.generation;
  link.phase = Link::Phase::kMessages;
  session.types.clear();
  session.types_read.clear();
  session.bindings.clear();
  session.bindings_read.clear();
  session.mismatched.clear();
  session.unanswered.clear();
}

// The attachment is over; the session, if it can be resumed, is not.
void MemoryPeer::Detach(Session& session) {
  session.link = nullptr;
  for (const uint64_t id : session.current) {
    End& end = *session.ends.at(id);
    if (!end.over()) end.defunct = true;
  }
  session.current.clear();
  for (const auto& handler : handlers_) {  // r[retry.channel.detach]
    if (handler->over || handler->session != &session || handler->method->channels.empty()) {
      continue;
    }
    handler->over = true;
    session.operations.at(handler->operation).state =
        handler->method->idem ? Operation::State::kReleased : Operation::State::kIndeterminate;
  }
  for (auto& [id, operation] : session.operations) operation.attached.clear();
  for (const auto& call : calls_) {
    if (call->session != &session || !call->in_flight) continue;
    if (flaw_ != Flaw::kNeverReattempts) call->in_flight = false;
    const bool channels = call->method != nullptr && !call->method->channels.empty();
    if (channels && !call->method->idem) Resolve(*call, control::v1::CALL_STATUS_INDETERMINATE);
  }
  if (!session.resumable) EndSession(session, control::v1::CALL_STATUS_SESSION_SHUTDOWN);
}

void MemoryPeer::EndSession(Session& session, CallStatus status) {
  if (session.over) return;
  session.over = true;
  if (session.link != nullptr) {
    Link& link = *session.link;
    session.link = nullptr;
    CloseLink(link);
  }
  for (auto& [id, end] : session.ends) {
    if (!end->over()) end->defunct = true;
  }
  for (const auto& handler : handlers_) {
    if (handler->session == &session) handler->over = true;
  }
  for (const auto& call : calls_) {
    if (call->session != &session || call->resolved) continue;
    // r[rpc.error.ambiguous]
    const bool safe = call->attempts == 0 || (call->method != nullptr && call->method->idem);
    Resolve(*call, safe || status == control::v1::CALL_STATUS_PROTOCOL_ERROR
                       ? status
                       : control::v1::CALL_STATUS_INDETERMINATE);
  }
}

// ---------------------------------------------------------------- messages

// Whether the connection it names is one for such a message; if not, the link is broken off.
bool MemoryPeer::InPlace(Link& link, const Message& message) {
  if (message.connection_id() == 0) {
    if (!message.has_open_connection() && !message.has_accept_connection() &&
        !message.has_reject_connection() && !message.has_close_connection()) {
      return true;
    }
    Break(link, wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "connection.root");
    return false;
  }
  if (message.has_open_connection() &&
      (message.connection_id() % 2 == 1) != link.session->initiator) {
    Message answer;  // r[connection.open.rejection]
    answer.set_connection_id(message.connection_id());
    answer.mutable_reject_connection()->set_reason("no acceptor here");
    Send(*link.session, answer);
    return false;
  }
  if (message.has_ping() || message.has_pong() || message.has_goodbye()) {
    Break(link, wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.message.connection-id");
    return false;
  }
  Break(link, wire::v1::PROTOCOL_ERROR_CODE_BAD_CONNECTION, "connection.unknown");
  return false;
}

void MemoryPeer::OnMessage(Link& link, const Message& message) {
  if (!InPlace(link, message)) return;
  Session& session = *link.session;
  Journal(session, message, false);
  if (flaw_ == Flaw::kJournalInvents) Journal(session, message, false);
  Message answer;
  switch (message.payload_case()) {
    case Message::kPing:
      answer.mutable_pong()->set_nonce(message.ping().nonce() +
                                       (flaw_ == Flaw::kWrongPong ? 1 : 0));
      Send(session, answer);
      break;
    case Message::kPong: {
      bool asked = false;
      for (const auto& pending : pending_) {
        if (!pending->command.has_ping()) continue;
        asked = true;
        ++pending->done;
      }
      if (!asked) {
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.keepalive");
      }
      break;
    }
    case Message::kGoodbye:
      if (session.closing_question != 0) {
        control::v1::Outcome outcome;
        outcome.mutable_done();
        EndSession(session, control::v1::CALL_STATUS_SESSION_SHUTDOWN);
        Done(session.closing_question, outcome);
        break;
      }
      if (flaw_ == Flaw::kPingsIntoGoodbye) {
        answer.mutable_ping()->set_nonce(99);
        Send(session, answer);
      }
      if (flaw_ != Flaw::kNoGoodbye) {
        answer.mutable_goodbye();
        Send(session, answer);
      }
      if (flaw_ == Flaw::kSpeaksAfterGoodbye) {
        answer.mutable_ping()->set_nonce(99);
        Send(session, answer);
      }
      EndSession(session, control::v1::CALL_STATUS_SESSION_SHUTDOWN);
      break;
    case Message::kProtocolError:
      EndSession(session, control::v1::CALL_STATUS_PROTOCOL_ERROR);
      break;
    case Message::kSchema:
      OnSchema(link, message.schema());
      break;
    case Message::kRequest:
      if (!session.IsNew(message.request().request_id(), session.last_request_read)) {
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "rpc.id.monotone");
      }
      if (message.request().operation_id() == 0) {
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_MALFORMED, "retry.op-id.scope");
      }
      for (const wire::v1::ChannelRef& channel : message.request().channels()) {
        if (session.IsNew(channel.channel_id(), session.last_channel_read)) continue;
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID, "rpc.id.monotone");
      }
      if (!IsAnnounced(session, wire::v1::BINDING_ROLE_ARGUMENTS, message.request().method())) {
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING,
                     "schema.exchange.required");
      }
      session.unanswered.insert(message.request().request_id());
      if (session.unanswered.size() > session.announced_limit) {
        return Break(link, wire::v1::PROTOCOL_ERROR_CODE_REQUEST_LIMIT_EXCEEDED,
                     "rpc.flow-control.max-concurrent-requests.inbound");
      }
      OnRequest(session, message.request());
      break;
    case Message::kResponse:
      OnResponse(link, message.response());
      break;
    case Message::kCancelRequest:
      for (const auto& handler : handlers_) {
        auto& operation = session.operations[handler->operation];
        const auto& attached = operation.attached;
        if (handler->over || handler->session != &session ||
            std::find(attached.begin(), attached.end(), message.cancel_request().request_id()) ==
                attached.end()) {
          continue;
        }
        handler->over = true;
        operation.state = Operation::State::kReleased;
        Respond(session, message.cancel_request().request_id(), handler->method->name,
                RuntimeError(wire::v1::RUNTIME_ERROR_CODE_CANCELLED));
      }
      break;
    case Message::kChannelItem:
    case Message::kCloseChannel:
    case Message::kResetChannel:
    case Message::kGrantCredit:
      OnChannel(link, message);
      break;
    default:
      break;
  }
}

namespace {
std::string BindingKey(wire::v1::BindingRole role, const std::string& method, uint32_t field) {
  return std::to_string(role) + " " + method + " " + std::to_string(field);
}
}  // namespace

bool MemoryPeer::IsAnnounced(const Session& session, wire::v1::BindingRole role,
                             const std::string& method) const {
  return session.bindings_read.contains(BindingKey(role, method, 0));
}

void MemoryPeer::OnSchema(Link& link, const wire::v1::Schema& schema) {
  Session& session = *link.session;
  bool fresh = true;
  for (const auto& type : schema.types()) {
    if (wire::SchemaId(type) != type.type_id()) {
      return Break(link, wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_INVALID, "schema.type-id");
    }
    fresh &= session.types_read.insert(type.type_id()).second;
  }
  for (const auto& binding : schema.bindings()) {
    const auto key = BindingKey(binding.role(), binding.method(), binding.channel_field());
    fresh &= session.bindings_read.insert(key).second;
    const Method* method = peer::FindMethod(binding.method());
    if (method == nullptr || binding.role() == wire::v1::BINDING_ROLE_CHANNEL) continue;
    const auto* own =
        binding.role() == wire::v1::BINDING_ROLE_ARGUMENTS ? method->arguments : method->response;
    for (const auto& type : schema.types()) {  // r[schema.errors.type-mismatch]
      if (type.type_id() != binding.type_id()) continue;
      for (const auto& field : type.message().fields()) {
        const auto* known = own->FindFieldByNumber(static_cast<int>(field.number()));
        if (known != nullptr && field.kind() != static_cast<uint32_t>(known->type())) {
          session.mismatched[key] = "field " + known->name();
        }
      }
    }
  }
  if (!fresh) {
    Break(link, wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_DUPLICATE, "schema.principles.once-per-type");
  }
}

void MemoryPeer::OnChannel(Link& link, const Message& message) {
  Session& session = *link.session;
  const auto found = session.ends.find(IdOf(message));
  if (found == session.ends.end()) {
    return Break(link, wire::v1::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID, "rpc.channel.unknown");
  }
  End& end = *found->second;
  const bool towards_receiver = message.has_channel_item() || message.has_close_channel();
  if (towards_receiver == end.sending) {
    return Break(link, wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE, "rpc.channel.ends");
  }
  if (towards_receiver) {
    if (end.reset) return;
    if (end.closed) {
      return Break(link, wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE,
                   "rpc.channel.data-after-close");
    }
  }
  if (message.has_channel_item()) {
    if (end.credit == 0) {
      return Break(link, wire::v1::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED,
                   "rpc.flow-control.credit.exceeded");
    }
    --end.credit;
    uint64_t value = 0;
    peer::DecodeNumber(message.channel_item().item(), &value);
    if (++end.arrived == 3 && flaw_ == Flaw::kDropsItem) return;
    end.items.push_back(value);
  } else if (message.has_close_channel()) {
    end.closed = true;
    end.aborted = message.close_channel().aborted();
  } else if (message.has_reset_channel()) {
    end.reset = true;
  } else if (end.credit + message.grant_credit().credit() > UINT32_MAX) {
    Break(link, wire::v1::PROTOCOL_ERROR_CODE_CREDIT_OVERFLOW, "rpc.flow-control.credit.overflow");
  } else {
    end.credit += message.grant_credit().credit();
  }
}

// ---------------------------------------------------------------- callee

void MemoryPeer::OnRequest(Session& session, const Request& request) {
  if (flaw_ == Flaw::kCrashes) return out_->Die("signal 11");
  if (flaw_ == Flaw::kMute) return;
  // r[rpc.channel.abandon]: the ends of what does not run are ended first.
  const auto respond = [&](Response response) {
    const Method* method = peer::FindMethod(request.method());
    for (const auto& ref : request.channels()) {
      const auto* argument = method == nullptr ? nullptr : method->Channel(ref.field_number());
      if (argument == nullptr) continue;
      End* end = AddEnd(session, ref.channel_id(), *method, *argument, !argument->to_callee);
      if (end->sending) {
        CloseEnd(*end, /*aborted=*/true);
      } else {
        ResetEnd(*end);
      }
    }
    Respond(session, request.request_id(), request.method(), std::move(response));
  };
  const auto respond_error = [&](wire::v1::RuntimeErrorCode code) { respond(RuntimeError(code)); };
  const Method* method = peer::FindMethod(request.method());
  if (method == nullptr) return respond_error(wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD);
  session.expired_below = std::max(session.expired_below, request.settled_below());
  if (request.operation_id() < session.expired_below) {
    return respond_error(wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED);
  }
  const auto mismatch =
      session.mismatched.find(BindingKey(wire::v1::BINDING_ROLE_ARGUMENTS, method->name, 0));
  if (mismatch != session.mismatched.end()) {
    Response refusal = RuntimeError(wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH);
    refusal.mutable_runtime_error()->set_text(mismatch->second);
    return respond(std::move(refusal));
  }
  const auto [found, fresh] = session.operations.try_emplace(request.operation_id());
  Operation& operation = found->second;
  if (fresh) {
    operation.method = request.method();
    operation.arguments = request.arguments();
  } else if (operation.method != request.method() || operation.arguments != request.arguments()) {
    return respond_error(wire::v1::RUNTIME_ERROR_CODE_OPERATION_CONFLICT);
  }
  operation.attached.push_back(request.request_id());
  if (!fresh && operation.state == Operation::State::kLive) return;
  if (operation.state == Operation::State::kSealed) {
    return respond(operation.outcome);
  }
  if (!fresh && !method->idem) return respond_error(wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE);
  operation.state = Operation::State::kLive;
  StartHandler(session, operation, request);
}

void MemoryPeer::StartHandler(Session& session, Operation& operation, const Request& request) {
  auto handler = std::make_unique<Handler>();
  handler->session = &session;
  handler->operation = request.operation_id();
  handler->method = peer::FindMethod(request.method());
  for (const auto& ref : request.channels()) {
    const auto* argument = handler->method->Channel(ref.field_number());
    if (argument == nullptr) continue;
    End* end = AddEnd(session, ref.channel_id(), *handler->method, *argument, !argument->to_callee);
    (argument->to_callee ? handler->input : handler->output) = end;
  }
  testbed::v1::Program program;
  testbed::v1::Step natural;
  bool readable = true;
  const std::string name = handler->method->name.substr(handler->method->name.rfind('/') + 1);
  if (name.starts_with("Echo")) {
    testbed::v1::EchoRequest echo;
    readable = echo.ParseFromString(request.arguments());
    handler->text = echo.text();
    handler->padding = echo.padding();
    program = echo.program();
  } else if (name.starts_with("Generate")) {
    testbed::v1::GenerateRequest generate;
    readable = generate.ParseFromString(request.arguments());
    program = generate.program();
    natural.mutable_emit()->set_first(generate.first());
    natural.mutable_emit()->set_count(generate.count());
  } else if (name.starts_with("Sum")) {
    testbed::v1::SumRequest sum;
    readable = sum.ParseFromString(request.arguments());
    program = sum.program();
    natural.mutable_consume();
  } else {
    testbed::v1::TransformRequest transform;
    readable = transform.ParseFromString(request.arguments());
    program = transform.program();
    natural.mutable_forward();
  }
  if (!readable) {
    session.operations.erase(request.operation_id());
    return Respond(session, request.request_id(), request.method(),
                   RuntimeError(wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD));
  }
  handler->steps.assign(program.steps().begin(), program.steps().end());
  if (program.steps().empty() && natural.kind_case() != 0) {
    handler->steps.push_back(natural);
  }
  ++operation.executions;
  const auto line = Hex(session.id) + " " + std::to_string(request.operation_id()) + " " +
                    std::to_string(operation.executions) + " " +
                    std::to_string(session.generation) + "\n";
  out_->RecordExecution(line);
  if (flaw_ == Flaw::kRunsTwice) out_->RecordExecution(line);
  session.started.insert(request.operation_id());
  handlers_.push_back(std::move(handler));
}

// Whether it moved.
bool MemoryPeer::StepHandler(Handler& handler) {
  bool moved = false;
  while (handler.step < handler.steps.size()) {
    const testbed::v1::Step& step = handler.steps[handler.step];
    uint64_t value = 0;
    if (step.has_wait() && !gates_.contains(step.wait().gate())) return moved;
    if (step.has_panic()) {  // r[retry.seal.only-return]
      handler.over = true;
      Operation& operation = handler.session->operations.at(handler.operation);
      operation.state = Operation::State::kIndeterminate;
      for (const uint64_t request : operation.attached) {
        Respond(*handler.session, request, handler.method->name,
                RuntimeError(wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE));
      }
      return true;
    }
    if (step.has_fail()) {
      testbed::v1::TestbedError error;
      error.set_code(step.fail().code());
      error.set_text(step.fail().text());
      Response response;
      response.set_user_error(error.SerializeAsString());
      Return(handler, std::move(response));
      return true;
    }
    if (step.has_emit()) {
      while (handler.done < step.emit().count()) {
        if (!SendItem(*handler.output, step.emit().first() + handler.done)) {
          if (handler.output->over()) break;  // a failed send ends the step
          return moved;
        }
        ++handler.done;
        ++handler.count;
        moved = true;
      }
    }
    if (step.has_consume()) {
      while (step.consume().count() == 0 || handler.done < step.consume().count()) {
        if (!TakeItem(*handler.input, &value)) break;
        ++handler.done;
        ++handler.count;
        handler.sum += value;
        moved = true;
      }
      const bool full = step.consume().count() != 0 && handler.done == step.consume().count();
      if (!full && !handler.input->over()) return moved;
    }
    if (step.has_forward()) {
      const bool may = flaw_ == Flaw::kOverCredit || handler.output->credit > 0;
      if (!may || !TakeItem(*handler.input, &value)) {
        if (!handler.input->over() || !handler.input->items.empty()) return moved;
      } else {
        SendItem(*handler.output, 2 * value);
        ++handler.count;
        moved = true;
        continue;
      }
    }
    if (step.has_close_output()) CloseEnd(*handler.output);
    ++handler.step;
    handler.done = 0;
    moved = true;
  }
  if (handler.output != nullptr) CloseEnd(*handler.output);
  Response response;
  const std::string name = handler.method->name.substr(handler.method->name.rfind('/') + 1);
  if (name.starts_with("Echo")) {
    testbed::v1::EchoResponse echo;
    echo.set_text(handler.text);
    echo.set_padding(handler.padding);
    response.set_ok(echo.SerializeAsString());
  } else if (name.starts_with("Generate")) {
    testbed::v1::GenerateResponse generate;
    generate.set_emitted(handler.count);
    response.set_ok(generate.SerializeAsString());
  } else if (name.starts_with("Sum")) {
    testbed::v1::SumResponse sum;
    sum.set_sum(handler.sum);
    sum.set_count(handler.count);
    response.set_ok(sum.SerializeAsString());
  } else {
    testbed::v1::TransformResponse transform;
    transform.set_count(handler.count);
    response.set_ok(transform.SerializeAsString());
  }
  Return(handler, std::move(response));
  return true;
}

void MemoryPeer::Return(Handler& handler, Response response) {
  handler.over = true;
  Operation& operation = handler.session->operations.at(handler.operation);
  operation.state = Operation::State::kSealed;
  operation.outcome = response;
  for (const uint64_t request : operation.attached) {
    Respond(*handler.session, request, handler.method->name, response);
  }
}

void MemoryPeer::Respond(Session& session, uint64_t request_id, const std::string& method,
                         Response response) {
  const Method* known = peer::FindMethod(method);
  if (!response.has_runtime_error() && known != nullptr) {
    Announce(session, *known, wire::v1::BINDING_ROLE_RESPONSE, nullptr);
  }
  session.unanswered.erase(request_id);
  Message message;
  *message.mutable_response() = std::move(response);
  message.mutable_response()->set_request_id(request_id);
  Send(session, message);
  if (flaw_ == Flaw::kDoubleResponse) Send(session, message);
}

// ---------------------------------------------------------------- caller

void MemoryPeer::Attempt(Call& call) {
  Session& session = *call.session;
  const bool known = call.method != nullptr;
  if (known) Announce(session, *call.method, wire::v1::BINDING_ROLE_ARGUMENTS, nullptr);
  const bool repeat = flaw_ == Flaw::kRepeatsRequestId && session.next_request != 0;
  call.request = repeat ? session.next_request
                        : session.NextId(session.next_request, flaw_ == Flaw::kWrongParity);
  Message message;
  Request& request = *message.mutable_request();
  request.set_request_id(call.request);
  request.set_operation_id(call.operation);
  request.set_method(call.method_name);
  request.set_arguments(call.arguments);
  Ends& ends = call.ends.emplace_back();
  if (known) {
    for (const auto& argument : call.method->channels) {
      const uint64_t id = session.NextId(session.next_channel, flaw_ == Flaw::kWrongChannelParity);
      ends[argument.field_number] = AddEnd(session, id, *call.method, argument, argument.to_callee);
      auto& ref = *request.add_channels();
      ref.set_field_number(argument.field_number);
      ref.set_channel_id(id);
    }
  }
  ++call.attempts;
  call.in_flight = true;
  Send(session, message);
  if (flaw_ == Flaw::kCrashes) out_->Die("signal 11");
}

void MemoryPeer::OnResponse(Link& link, const Response& response) {
  for (const auto& call : calls_) {
    if (call->session != link.session || call->request != response.request_id()) continue;
    if (!call->in_flight) return;  // a call that was cancelled
    if (!response.has_runtime_error() &&
        !IsAnnounced(*link.session, wire::v1::BINDING_ROLE_RESPONSE, call->method_name)) {
      return Break(link, wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required");
    }
    if (!response.has_runtime_error() &&
        link.session->mismatched.contains(
            BindingKey(wire::v1::BINDING_ROLE_RESPONSE, call->method_name, 0))) {
      return Resolve(*call, control::v1::CALL_STATUS_SCHEMA_MISMATCH);
    }
    if (response.has_ok()) {
      Resolve(*call, control::v1::CALL_STATUS_OK, response.ok());
    } else if (response.has_user_error()) {
      Resolve(*call, control::v1::CALL_STATUS_USER_ERROR, response.user_error());
    } else {
      const bool idem = call->method != nullptr && call->method->idem;
      Resolve(*call, StatusOf(response.runtime_error().code(), idem));
    }
    return;
  }
  Break(link, wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "rpc.response.one-per-request");
}

void MemoryPeer::Resolve(Call& call, CallStatus status, std::string value) {
  call.in_flight = false;
  call.resolved = true;
  Outcome outcome;
  outcome.mutable_call()->set_status(status);
  outcome.mutable_call()->set_value(std::move(value));
  outcome.mutable_call()->set_attempts(call.attempts);
  outcome.mutable_call()->set_operation_id(call.operation);
  Done(call.question, std::move(outcome));
}

// ---------------------------------------------------------------- channels and announcements

void MemoryPeer::Announce(Session& session, const Method& method, wire::v1::BindingRole role,
                          const peer::ChannelArgument* channel) {
  if (flaw_ == Flaw::kNoAnnouncement) return;
  const uint32_t field = channel == nullptr ? 0 : channel->field_number;
  const std::string key = BindingKey(role, method.name, field);
  const bool again = flaw_ == Flaw::kAnnouncesTwice;
  if (!session.bindings.insert(key).second && !again) return;
  Message message;
  auto& schema = *message.mutable_schema();
  auto& binding = *schema.add_bindings();
  binding.set_method(method.name);
  binding.set_role(role);
  const google::protobuf::Descriptor* type = method.arguments;
  if (role == wire::v1::BINDING_ROLE_RESPONSE) type = method.response;
  if (channel != nullptr) {
    type = channel->item;
    binding.set_channel_field(field);
    binding.set_initial_credit(channel->initial_credit);
  }
  binding.set_type_id(wire::SchemaId(*type));
  const bool error = role == wire::v1::BINDING_ROLE_RESPONSE && method.error != nullptr;
  if (error) binding.set_error_type_id(wire::SchemaId(*method.error));
  for (const auto* root : {type, error ? method.error : nullptr}) {
    if (root == nullptr) continue;
    for (const auto& described : wire::DescribeTypes(*root)) {
      if (session.types.insert(described.type_id()).second || again) {
        *schema.add_types() = described;
      }
    }
  }
  Send(session, message);
}

MemoryPeer::End* MemoryPeer::AddEnd(Session& session, uint64_t id, const Method& method,
                                    const peer::ChannelArgument& argument, bool sending) {
  auto end = std::make_unique<End>();
  end->session = &session;
  end->id = id;
  end->method = &method;
  end->argument = &argument;
  end->sending = sending;
  end->credit = argument.initial_credit;
  End* added = end.get();
  session.ends[id] = std::move(end);
  session.current.insert(id);
  return added;
}

bool MemoryPeer::SendItem(End& end, uint64_t value) {
  if (end.over() || (end.credit == 0 && flaw_ != Flaw::kOverCredit)) return false;
  if (end.credit > 0) --end.credit;
  Announce(*end.session, *end.method, wire::v1::BINDING_ROLE_CHANNEL, end.argument);
  Message message;
  message.mutable_channel_item()->set_channel_id(end.id);
  message.mutable_channel_item()->set_item(peer::EncodeNumber(value));
  Send(*end.session, message);
  return true;
}

// r[rpc.flow-control.credit.replenish]: one for each item taken, and where nothing is outstanding.
bool MemoryPeer::TakeItem(End& end, uint64_t* value) {
  const bool taken = !end.items.empty();
  uint32_t grant = 0;
  if (taken) {
    *value = end.items.front();
    end.items.pop_front();
    grant = 1;
  } else if (end.credit == 0) {
    grant = kGrant;
  }
  if (grant > 0 && !end.over()) {
    end.credit += grant;
    Message message;
    message.mutable_grant_credit()->set_channel_id(end.id);
    message.mutable_grant_credit()->set_credit(grant);
    Send(*end.session, message);
  }
  return taken;
}

void MemoryPeer::CloseEnd(End& end, bool aborted) {
  if (end.over()) return;
  Message message;
  message.mutable_close_channel()->set_channel_id(end.id);
  message.mutable_close_channel()->set_aborted(aborted);
  Send(*end.session, message);
  if (flaw_ == Flaw::kItemAfterClose) {
    end.credit = 1;
    SendItem(end, 0);
  }
  end.closed = true;
}

void MemoryPeer::ResetEnd(End& end) {
  if (end.over()) return;
  Message message;
  message.mutable_reset_channel()->set_channel_id(end.id);
  Send(*end.session, message);
  end.reset = true;
}

// ---------------------------------------------------------------- until nothing moves

void MemoryPeer::Pump() {
  bool moved = true;
  while (moved) {
    moved = false;
    for (size_t i = 0; i < handlers_.size(); ++i) {
      if (!handlers_[i]->over) moved |= StepHandler(*handlers_[i]);
    }
    for (size_t i = 0; i < calls_.size(); ++i) {
      Call& call = *calls_[i];
      if (call.resolved || call.in_flight || call.session->link == nullptr) continue;
      const auto in_flight =
          std::count_if(calls_.begin(), calls_.end(), [&call](const auto& other) {
            return other->session == call.session && other->in_flight;
          });
      if (static_cast<uint32_t>(in_flight) >= call.session->limit) continue;
      Attempt(call);
      moved = true;
    }
    for (size_t i = 0; i < pending_.size(); ++i) {
      if (!pending_[i]->answered) moved |= TryPending(*pending_[i]);
    }
  }
}

}  // namespace counterpart::tests
