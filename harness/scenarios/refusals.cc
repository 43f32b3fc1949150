// Messages that no state allows, one a scenario: the subject answers each with ProtocolError, tears
// the session down, and whatever call was waiting fails with that error.
#include <array>
#include <utility>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/protocol_codes.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"
#include "harness/wire/framing.h"

namespace counterpart::scenarios {
namespace {

using peer::Call;
using peer::Channel;
using peer::Incoming;
using peer::Method;
using peer::Session;
using wire::v1::Message;

constexpr uint32_t kChannelField = 3;  // of Generate's output and of Sum's input
constexpr uint64_t kElsewhere = 2;     // a connection that nobody opened

// What a provocation acts on.
struct Scene {
  Peer& peer;
  Session& session;
  std::string rule;           // that it breaks
  uint32_t pending_call = 0;  // a question: the subject's application waits for this call
};

struct Refusal {
  const char* name;
  const char* group;
  const char* summary;
  const char* rule;
  Code code;
  Code or_code;  // accepted as well, where the rule leaves it open
  const char* need;
  Task<> (*provoke)(Scene& scene);
  // A call of the harness goes before. Where the harness accepts, it makes none: what a subject has
  // executed it tells by session id, and the harness mints the same ones whenever a seed is run.
  bool calls_first = false;
};

void Send(Scene& scene, const Message& message) { scene.session.Send(message, scene.rule); }

// A whole payload that no Message says.
void SendPayload(Scene& scene, const std::string& bytes, const char* label) {
  scene.session.ExpectProtocolError();
  scene.peer.SendRaw(*scene.session.link, wire::Frame(bytes), label);
}

// ---------------------------------------------------------------- session, connections

Task<> PingElsewhere(Scene& scene) {
  Message message;
  message.set_connection_id(kElsewhere);
  message.mutable_ping()->set_nonce(1);
  Send(scene, message);
  co_return;
}

Task<> GoodbyeElsewhere(Scene& scene) {
  Message message;
  message.set_connection_id(kElsewhere);
  message.mutable_goodbye();
  Send(scene, message);
  co_return;
}

Task<> UnaskedPong(Scene& scene) {
  Message message;
  message.mutable_pong()->set_nonce(0x706f6e67);
  Send(scene, message);
  co_return;
}

Task<> UnknownConnection(Scene& scene) {
  Message message;
  message.set_connection_id(kElsewhere);
  message.mutable_cancel_request()->set_request_id(1);
  Send(scene, message);
  co_return;
}

Task<> CloseRoot(Scene& scene) {
  Message message;
  message.mutable_close_connection();
  Send(scene, message);
  co_return;
}

Task<> OpenRoot(Scene& scene) {
  Message message;
  message.mutable_open_connection()->set_parity(wire::v1::PARITY_ODD);
  message.mutable_open_connection()->mutable_settings()->set_max_concurrent_requests(1);
  Send(scene, message);
  co_return;
}

Task<> OpenOfWrongParity(Scene& scene) {
  Message message;
  message.set_connection_id(scene.session.odd_parity() ? 2 : 1);
  message.mutable_open_connection()->set_parity(wire::v1::PARITY_ODD);
  message.mutable_open_connection()->mutable_settings()->set_max_concurrent_requests(1);
  Send(scene, message);
  co_return;
}

// ---------------------------------------------------------------- payloads

Task<> EmptyPayload(Scene& scene) {
  SendPayload(scene, "", "an empty payload");
  co_return;
}

Task<> NoMember(Scene& scene) {
  SendPayload(scene, std::string("\xc8\x02\x07", 3), "a Message with a connection and no member");
  co_return;
}

Task<> OtherPhase(Scene& scene) {
  wire::v1::Handshake handshake;
  handshake.mutable_lets_go();
  SendPayload(scene, handshake.SerializeAsString(), "LetsGo among messages");
  co_return;
}

Task<> Undecodable(Scene& scene) {
  SendPayload(scene, "\xff\xff\xff", "a payload that does not decode");
  co_return;
}

Task<> NotUtf8(Scene& scene) {
  static constexpr char kMark[] = "mark";
  Message message;
  message.mutable_request()->set_request_id(scene.session.odd_parity() ? 1 : 2);
  message.mutable_request()->set_operation_id(1);
  message.mutable_request()->set_method(kMark);
  std::string bytes = message.SerializeAsString();
  bytes.replace(bytes.find(kMark), 2, "\xc3\x28");
  SendPayload(scene, bytes, "a Request whose method is not UTF-8");
  co_return;
}

// ---------------------------------------------------------------- requests

// An Echo with ids of the provocation's choice; its type is announced.
Message EchoWithIds(Scene& scene, uint64_t request_id, uint64_t operation_id) {
  const Method* echo = peer::FindMethod("Echo");
  scene.session.AnnounceArguments(*echo);
  Message message;
  wire::v1::Request& request = *message.mutable_request();
  request.set_request_id(request_id);
  request.set_operation_id(operation_id);
  request.set_method(echo->name);
  request.set_arguments(Echo("never executed").SerializeAsString());
  return message;
}

// A request id of the harness's parity, high enough to be new.
uint64_t NewId(const Scene& scene) { return scene.session.odd_parity() ? 10001 : 10002; }

Task<> RequestIdZero(Scene& scene) {
  Message message = EchoWithIds(scene, 0, scene.session.NextOperationId());
  Send(scene, message);
  co_return;
}

Task<> RequestIdOfWrongParity(Scene& scene) {
  Message message = EchoWithIds(scene, NewId(scene) + 1, scene.session.NextOperationId());
  Send(scene, message);
  co_return;
}

Task<> RequestIdReused(Scene& scene) {
  Call* call = scene.session.StartCall("Echo", Echo("the first of its id"));
  wire::v1::Response response = co_await scene.session.ResponseTo(*call);
  co_await RequireEcho(scene.peer, response, "the first of its id");
  Message message = EchoWithIds(scene, call->request_id, scene.session.NextOperationId());
  Send(scene, message);
}

Task<> OperationIdZero(Scene& scene) {
  Message message = EchoWithIds(scene, NewId(scene), 0);
  Send(scene, message);
  co_return;
}

Task<> ResponseToNothing(Scene& scene) {
  Message message;
  message.mutable_response()->set_request_id(scene.session.odd_parity() ? 2 : 1);
  message.mutable_response()->mutable_runtime_error()->set_code(
      wire::v1::RUNTIME_ERROR_CODE_CANCELLED);
  Send(scene, message);
  co_return;
}

// ---------------------------------------------------------------- channels

// A channel at rest whose handler, or whose application, does nothing: the harness sends on it.
Task<Channel*> Sending(Scene& scene) {
  if (scene.peer.harness_calls()) {
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    Call* call = scene.session.StartCall("Sum", request);
    co_return call->channels[kChannelField];
  }
  testbed::v1::GenerateRequest request;
  request.set_count(1);
  scene.pending_call =
      scene.peer.StartCallBySubject(scene.session, "Generate", request.SerializeAsString(), "call");
  Incoming* incoming = co_await scene.session.NextRequest("the subject's Request");
  co_return incoming->channels[kChannelField];
}

// The same, of which the harness has the receiving end.
Task<Channel*> Receiving(Scene& scene) {
  if (scene.peer.harness_calls()) {
    testbed::v1::GenerateRequest request;
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    Call* call = scene.session.StartCall("Generate", request);
    co_return call->channels[kChannelField];
  }
  scene.pending_call = scene.peer.StartCallBySubject(scene.session, "Sum", "", "call");
  Incoming* incoming = co_await scene.session.NextRequest("the subject's Request");
  co_return incoming->channels[kChannelField];
}

Message Item(uint64_t channel_id) {
  Message message;
  message.mutable_channel_item()->set_channel_id(channel_id);
  message.mutable_channel_item()->set_item(peer::EncodeNumber(1));
  return message;
}

Message CloseOf(uint64_t channel_id) {
  Message message;
  message.mutable_close_channel()->set_channel_id(channel_id);
  return message;
}

Message ResetOf(uint64_t channel_id) {
  Message message;
  message.mutable_reset_channel()->set_channel_id(channel_id);
  return message;
}

Message Credit(uint64_t channel_id, uint32_t credit) {
  Message message;
  message.mutable_grant_credit()->set_channel_id(channel_id);
  message.mutable_grant_credit()->set_credit(credit);
  return message;
}

Task<> UnknownItem(Scene& scene) {
  Send(scene, Item(NewId(scene)));
  co_return;
}

Task<> UnknownClose(Scene& scene) {
  Send(scene, CloseOf(NewId(scene)));
  co_return;
}

Task<> UnknownReset(Scene& scene) {
  Send(scene, ResetOf(NewId(scene)));
  co_return;
}

Task<> UnknownCredit(Scene& scene) {
  Send(scene, Credit(NewId(scene), 1));
  co_return;
}

// A Sum whose channel has an id of the provocation's choice.
Message SumWithChannel(Scene& scene, uint64_t channel_id) {
  const Method* sum = peer::FindMethod("Sum");
  scene.session.AnnounceArguments(*sum);
  Message message;
  wire::v1::Request& request = *message.mutable_request();
  request.set_request_id(NewId(scene));
  request.set_operation_id(scene.session.NextOperationId());
  request.set_method(sum->name);
  wire::v1::ChannelRef& channel = *request.add_channels();
  channel.set_field_number(kChannelField);
  channel.set_channel_id(channel_id);
  return message;
}

Task<> ChannelIdZero(Scene& scene) {
  Message message = SumWithChannel(scene, 0);
  Send(scene, message);
  co_return;
}

Task<> ChannelIdOfWrongParity(Scene& scene) {
  Message message = SumWithChannel(scene, NewId(scene) + 1);
  Send(scene, message);
  co_return;
}

Task<> ChannelIdReused(Scene& scene) {
  Call* call = scene.session.StartCall("Sum", testbed::v1::SumRequest());
  Channel* first = call->channels[kChannelField];
  first->Close();
  wire::v1::Response response = co_await scene.session.ResponseTo(*call);
  Message message = SumWithChannel(scene, first->id());
  Send(scene, message);
}

Task<> ItemTowardsSender(Scene& scene) {
  Channel* channel = co_await Receiving(scene);
  Send(scene, Item(channel->id()));
}

Task<> CloseTowardsSender(Scene& scene) {
  Channel* channel = co_await Receiving(scene);
  Send(scene, CloseOf(channel->id()));
}

Task<> CreditTowardsReceiver(Scene& scene) {
  Channel* channel = co_await Sending(scene);
  Send(scene, Credit(channel->id(), 1));
}

Task<> ResetTowardsReceiver(Scene& scene) {
  Channel* channel = co_await Sending(scene);
  Send(scene, ResetOf(channel->id()));
}

Task<> SecondClose(Scene& scene) {
  Channel* channel = co_await Sending(scene);
  channel->Close();
  Send(scene, CloseOf(channel->id()));
}

Task<> CreditOverflow(Scene& scene) {
  Channel* channel = co_await Receiving(scene);
  // Sixteen to begin with: the second grant is one too many, the first is not.
  channel->Grant(0xffffffff - 16);
  co_await scene.session.Fence();
  Send(scene, Credit(channel->id(), 1));
}

// ---------------------------------------------------------------- schemas

Task<> SchemaOfAnotherId(Scene& scene) {
  Message message;
  wire::v1::TypeSchema& type = *message.mutable_schema()->add_types();
  type.set_type_id(0x0123456789abcdef);
  type.set_full_name("counterpart.testbed.v1.NotOfThisId");
  type.mutable_message();
  Send(scene, message);
  co_return;
}

constexpr std::array kRefusals = {
    Refusal{"session_ping_off_the_root_is_refused", "session",
            "A Ping on a connection other than the root is a protocol error.",
            "session.message.connection-id", kUnexpected, kBadConnection, "bare", &PingElsewhere},
    Refusal{"session_goodbye_off_the_root_is_refused", "session",
            "A Goodbye on a connection other than the root is a protocol error.",
            "session.message.connection-id", kUnexpected, kBadConnection, "bare",
            &GoodbyeElsewhere},
    Refusal{"session_unasked_pong_is_refused", "session",
            "A Pong that answers no Ping is a protocol error.", "session.keepalive", kUnexpected,
            kUnexpected, "keepalive", &UnaskedPong},
    Refusal{"connection_unknown_is_refused", "connection",
            "A message on a connection that was never opened is a protocol error.",
            "connection.unknown", kBadConnection, kBadConnection, "bare", &UnknownConnection},
    Refusal{"connection_closing_the_root_is_refused", "connection",
            "Closing the root connection is a protocol error.", "connection.root", kUnexpected,
            kBadConnection, "bare", &CloseRoot},
    Refusal{"connection_opening_the_root_is_refused", "connection",
            "Opening the root connection is a protocol error.", "connection.root", kUnexpected,
            kBadConnection, "bare", &OpenRoot},
    Refusal{"connection_open_of_wrong_parity_is_refused", "connection",
            "Opening a connection whose id is of the other side's parity is a protocol error.",
            "connection.open", kBadConnection, kUnexpected, "bare", &OpenOfWrongParity},
    Refusal{"link_empty_payload_is_refused", "link",
            "A payload of no bytes is taken as one, and refused as malformed.",
            "link.message.empty", kMalformed, kMalformed, "bare", &EmptyPayload},
    Refusal{"wire_message_without_a_member_is_refused", "link",
            "A Message that names a connection and says nothing is refused as malformed.",
            "wire.envelope", kMalformed, kMalformed, "bare", &NoMember},
    Refusal{"wire_payload_of_another_phase_is_refused", "link",
            "A handshake's payload among messages is refused.", "wire.envelope", kMalformed,
            kUnexpected, "bare", &OtherPhase},
    Refusal{"wire_undecodable_payload_is_refused", "link",
            "A payload that does not decode is refused as malformed.", "wire.envelope", kMalformed,
            kMalformed, "bare", &Undecodable},
    Refusal{"wire_text_that_is_not_utf8_is_refused", "link",
            "A string that is not UTF-8 is refused as malformed.", "wire.envelope", kMalformed,
            kMalformed, "bare", &NotUtf8},
    Refusal{"rpc_request_id_zero_is_refused", "rpc", "A request id of 0 is a protocol error.",
            "rpc.id.monotone", kBadRequest, kBadRequest, "root_calls", &RequestIdZero},
    Refusal{"rpc_request_id_of_wrong_parity_is_refused", "rpc",
            "A request id of the other side's parity is a protocol error.", "rpc.id.monotone",
            kBadRequest, kBadRequest, "root_calls", &RequestIdOfWrongParity},
    Refusal{"rpc_request_id_reused_is_refused", "rpc",
            "A request id used before, if only by a call that is done, is a protocol error.",
            "rpc.id.monotone", kBadRequest, kBadRequest, "root_calls", &RequestIdReused,
            /*calls_first=*/true},
    Refusal{"rpc_response_to_nothing_is_refused", "rpc",
            "A Response to a request that nobody made is a protocol error.",
            "rpc.response.one-per-request", kBadRequest, kBadRequest, "root_calls",
            &ResponseToNothing},
    Refusal{"retry_operation_id_zero_is_refused", "retry",
            "A Request without an operation id is a protocol error.", "retry.op-id.scope",
            kMalformed, kBadRequest, "root_calls", &OperationIdZero},
    Refusal{"channel_item_on_unknown_is_refused", "channel",
            "An item for a channel that was never allocated is a protocol error.",
            "rpc.channel.unknown", kBadChannel, kBadChannel, "channels", &UnknownItem},
    Refusal{"channel_close_of_unknown_is_refused", "channel",
            "A close of a channel that was never allocated is a protocol error.",
            "rpc.channel.unknown", kBadChannel, kBadChannel, "channels", &UnknownClose},
    Refusal{"channel_reset_of_unknown_is_refused", "channel",
            "A reset of a channel that was never allocated is a protocol error.",
            "rpc.channel.unknown", kBadChannel, kBadChannel, "channels", &UnknownReset},
    Refusal{"channel_credit_for_unknown_is_refused", "channel",
            "Credit for a channel that was never allocated is a protocol error.",
            "rpc.channel.unknown", kBadChannel, kBadChannel, "channels", &UnknownCredit},
    Refusal{"channel_id_zero_is_refused", "channel", "A channel id of 0 is a protocol error.",
            "rpc.id.monotone", kBadChannel, kBadChannel, "channels", &ChannelIdZero},
    Refusal{"channel_id_of_wrong_parity_is_refused", "channel",
            "A channel id of the other side's parity is a protocol error.", "rpc.id.monotone",
            kBadChannel, kBadChannel, "channels", &ChannelIdOfWrongParity},
    Refusal{"channel_id_reused_is_refused", "channel",
            "A channel id used before, if only by a call that is done, is a protocol error.",
            "rpc.channel.allocation", kBadChannel, kBadChannel, "channels", &ChannelIdReused,
            /*calls_first=*/true},
    Refusal{"channel_item_towards_the_sender_is_refused", "channel",
            "An item from the receiving side is a protocol error.", "rpc.channel.ends",
            kChannelState, kChannelState, "channels", &ItemTowardsSender},
    Refusal{"channel_close_towards_the_sender_is_refused", "channel",
            "A close from the receiving side is a protocol error.", "rpc.channel.ends",
            kChannelState, kChannelState, "channels", &CloseTowardsSender},
    Refusal{"channel_credit_towards_the_receiver_is_refused", "channel",
            "Credit from the sending side is a protocol error.", "rpc.channel.ends", kChannelState,
            kChannelState, "channels", &CreditTowardsReceiver},
    Refusal{"channel_reset_towards_the_receiver_is_refused", "channel",
            "A reset from the sending side is a protocol error.", "rpc.channel.ends", kChannelState,
            kChannelState, "channels", &ResetTowardsReceiver},
    Refusal{"channel_second_close_is_refused", "channel",
            "A second close of a channel is a protocol error.", "rpc.channel.ends", kChannelState,
            kChannelState, "channels", &SecondClose},
    Refusal{"channel_credit_overflow_is_refused", "channel",
            "Credit of all that 32 bits can hold is accepted, and one more is a protocol error.",
            "rpc.flow-control.credit.overflow", kOverflow, kOverflow, "channels", &CreditOverflow},
    Refusal{"schema_of_another_id_is_refused", "schema",
            "A description of a type that does not hash to its id is a protocol error.",
            "schema.type-id", kSchemaInvalid, kSchemaInvalid, "schemas", &SchemaOfAnotherId},
};

Task<> Provoke(Peer& peer, const Refusal& refusal) {
  const std::string effect = "session.protocol-error.effect";
  Session* session = co_await peer.Establish();
  Scene scene{.peer = peer, .session = *session, .rule = refusal.rule};
  co_await refusal.provoke(scene);
  co_await session->AwaitProtocolError(refusal.code, refusal.rule, refusal.or_code);
  peer.Release("gate");
  if (scene.pending_call == 0) co_return;
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(scene.pending_call, effect);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PROTOCOL_ERROR, effect,
                        "pending calls of a session that died of a violation fail with it");
}

template <size_t kRow>
Task<> Play(Peer& peer) {
  return Provoke(peer, kRefusals[kRow]);
}

template <size_t... kRows>
std::vector<Scenario> All(std::index_sequence<kRows...>) {
  std::vector<Scenario> all;
  const auto add = [&all](const Refusal& refusal, Task<> (*play)(Peer&)) {
    const std::vector<std::string> rules = {refusal.rule}, none;
    std::vector<Direction> directions = {Direction::kHarnessToSubject};
    if (!refusal.calls_first) directions.push_back(Direction::kSubjectToHarness);
    all.push_back({refusal.name,
                   refusal.group,
                   refusal.summary,
                   directions,
                   rules,
                   refusal.calls_first ? none : rules,
                   {refusal.need},
                   play});
  };
  (add(kRefusals[kRows], &Play<kRows>), ...);
  return all;
}

}  // namespace

std::vector<Scenario> RefusalScenarios() {
  return All(std::make_index_sequence<kRefusals.size()>());
}

}  // namespace counterpart::scenarios
