// Messages that are wrong in one field, and messages that the state of a channel end does not
// allow. Neither is listed by hand: the fields come from the descriptors (wire/message_variants.h),
// the states from spec/machines/, and what the subject owes to each is said by the oracle
// (message_oracle.h): a refusal by one of some codes, or the behaviour of the message that the
// bytes merge to. Each variant has a session of its own.
#include "harness/scenarios/malformed.h"

#include <array>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/judge/machine_table.h"
#include "harness/scenarios/message_oracle.h"
#include "harness/scenarios/vocabulary.h"
#include "harness/wire/message_variants.h"

namespace counterpart::scenarios {
namespace {

using peer::Call;
using peer::Channel;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::ObservedFrame;
using peer::Session;
using peer::Side;
using wire::Variant;
using wire::Wrong;
using wire::v1::Message;

constexpr uint32_t kChannelField = 3;  // of Generate's output and of Sum's input
constexpr uint64_t kInitialCredit = 16;
constexpr char kEnvelope[] = "wire.envelope";

// What a provocation is made on.
struct Bench {
  Peer& peer;
  Session& session;
  std::string name;  // of gate and handle: each bench has its own
  Ground ground = {};
  Message message = {};               // the valid one
  std::optional<uint32_t> call = {};  // of the subject's application, unresolved
  bool receives = false;              // the application has the receiving end of a channel
};

// One provocation: bytes, what they are, and what is owed to them.
struct Provocation {
  std::string text;
  std::string bytes;
  Owed owed;
  bool or_malformed = false;  // it may be refused as malformed as well
};

// ---------------------------------------------------------------- one provocation

// As they are, and shown to the monitors as what they merge to.
void SendBytes(Bench& bench, const Provocation& provocation) {
  Message message;
  if (!message.ParseFromString(provocation.bytes)) message.Clear();
  ObservedFrame frame{.from = Side::kHarness};
  frame.message = &message;
  const bool lax = !provocation.owed.legal() || provocation.or_malformed;
  if (lax) frame.deliberate = provocation.owed.rule;
  bench.peer.SendShown(*bench.session.link, provocation.bytes, provocation.text, std::move(frame));
}

std::string CodesOf(const Provocation& provocation) {
  std::string text;
  for (const auto code : provocation.owed.codes) {
    text += (text.empty() ? "" : " or ") + peer::ShortName(code);
  }
  return text;
}

// co_await: it was refused, and rightly so.
Task<> JudgeRefusal(Bench& bench, const Provocation& provocation, Link& link) {
  const Owed& owed = provocation.owed;
  const auto code = bench.session.protocol_error()->code();
  const bool malformed =
      provocation.or_malformed && code == wire::v1::PROTOCOL_ERROR_CODE_MALFORMED;
  std::string legal = provocation.text + ": it is legal, and not refused with " +
                      peer::ShortName(code) + " (" + bench.session.protocol_error()->rule() + ")";
  co_await bench.peer.Require(!owed.legal() || malformed, owed.rule, std::move(legal));
  std::string wanted = provocation.text + ": it is refused with " + CodesOf(provocation) +
                       ", not with " + peer::ShortName(code);
  co_await bench.peer.Require(malformed || owed.codes.contains(code), owed.rule, std::move(wanted));
  Link* ending = &link;
  co_await bench.peer.Until(
      "the link to end after a ProtocolError", [ending] { return ending->end.has_value(); },
      "session.protocol-error.delivery");
  bench.peer.Close(link, How::kFin);
  bench.session.Detach();
}

// co_await: what was sent is refused as it must be, or the session goes on.
Task<> Provoke(Bench& bench, const Provocation& provocation) {
  Peer& peer = bench.peer;
  Session* session = &bench.session;
  Link* link = session->link;
  session->ExpectProtocolError();
  link->end_expected = true;
  peer.machine().Note("variant", provocation.text);
  SendBytes(bench, provocation);
  const bool legal = provocation.owed.legal();
  const uint64_t ping = legal ? session->SendPing() : 0;
  std::string awaited = legal ? "the session to live on after " : "a ProtocolError for ";
  awaited += provocation.text;
  co_await peer.Until(
      std::move(awaited),
      [session, link, ping, legal] {
        return session->protocol_error().has_value() || link->end.has_value() ||
               (legal && session->PongSeen(ping));
      },
      provocation.owed.rule);
  if (session->protocol_error()) {
    co_await JudgeRefusal(bench, provocation, *link);
  } else {
    std::string wanted = provocation.text + ": no link ends without a reason";
    co_await peer.Require(!link->end.has_value(), provocation.owed.rule, std::move(wanted));
  }
}

// co_await: nothing of the bench is left open.
Task<> Clear(Bench& bench) {
  Peer& peer = bench.peer;
  peer.Release(bench.name);
  if (bench.session.attached()) co_await bench.session.SayGoodbye();
  if (!bench.call) co_return;
  control::v1::CallOutcome outcome =
      co_await peer.CallOutcomeOf(*bench.call, "session.protocol-error.effect");
  if (!bench.receives) co_return;
  const uint32_t letting_go = peer.Start(ResetEnd(bench.name, kChannelField));
  co_await peer.Answered(letting_go, "the application to let go of a channel end");
}

// co_await: another session; the one before is over.
Task<Session*> Fresh(Peer& peer) {
  if (!peer.sessions().empty()) peer.ForgetConnect();
  Session* session = co_await peer.Establish();
  co_return session;
}

std::string BenchName(const Peer& peer, size_t number) {
  return "bench " + std::to_string(number) + (peer.harness_calls() ? "" : " called");
}

// ---------------------------------------------------------------- channels to provoke on

// A channel of which the harness has the sending end, and nobody takes anything.
Task<Channel*> Sending(Bench& bench, const testbed::v1::Program& program) {
  if (bench.peer.harness_calls()) {
    testbed::v1::SumRequest request;
    *request.mutable_program() = program;
    Call* call = bench.session.StartCall("Sum", request);
    co_return call->channels[kChannelField];
  }
  testbed::v1::GenerateRequest request;
  request.set_count(1);
  bench.receives = true;
  bench.call = bench.peer.StartCallBySubject(bench.session, "Generate", request.SerializeAsString(),
                                             bench.name);
  Incoming* incoming = co_await bench.session.NextRequest("the subject's Request");
  co_return incoming->channels[kChannelField];
}

// The same, of which it has the receiving end.
Task<Channel*> Receiving(Bench& bench, const testbed::v1::Program& program) {
  if (bench.peer.harness_calls()) {
    testbed::v1::GenerateRequest request;
    *request.mutable_program() = program;
    Call* call = bench.session.StartCall("Generate", request);
    co_return call->channels[kChannelField];
  }
  bench.call = bench.peer.StartCallBySubject(bench.session, "Sum", "", bench.name);
  Incoming* incoming = co_await bench.session.NextRequest("the subject's Request");
  co_return incoming->channels[kChannelField];
}

testbed::v1::Program Waiting(const Bench& bench) {
  testbed::v1::Program program;
  program.add_steps()->mutable_wait()->set_gate(bench.name);
  return program;
}

SubjectEnd End(bool receives, const char* state, uint64_t credit) {
  SubjectEnd end;
  end.receives = receives;
  end.state = state;
  end.credit = credit;
  return end;
}

// ---------------------------------------------------------------- fields of one message

Task<> PingBench(Bench& bench) {
  bench.message.mutable_ping()->set_nonce(77);
  co_return;
}

Task<> CancelBench(Bench& bench) {
  bench.message.mutable_cancel_request()->set_request_id(bench.session.odd_parity() ? 9001 : 9002);
  co_return;
}

Task<> RequestBench(Bench& bench) {
  const peer::Method* sum = peer::FindMethod("Sum");
  bench.session.AnnounceArguments(*sum);
  bench.ground.announced.insert(sum->name);
  const uint64_t id = bench.session.odd_parity() ? 9001 : 9002;
  wire::v1::Request& request = *bench.message.mutable_request();
  request.set_request_id(id);
  request.set_operation_id(bench.session.NextOperationId());
  request.set_method(sum->name);
  testbed::v1::SumRequest arguments;
  *arguments.mutable_program() = Waiting(bench);
  request.set_arguments(arguments.SerializeAsString());
  request.add_channels()->set_field_number(kChannelField);
  request.mutable_channels(0)->set_channel_id(id);
  request.add_metadata()->set_key("key");
  request.mutable_metadata(0)->set_value("value");
  request.mutable_metadata(0)->set_flags(4);
  request.set_settled_below(1);
  co_return;
}

// co_await: a call of the subject that waits for its response.
Task<wire::v1::Response*> Unanswered(Bench& bench) {
  const std::string echo = Echo("x").SerializeAsString();
  bench.call = bench.peer.StartCallBySubject(bench.session, "Echo", echo, bench.name);
  Incoming* incoming = co_await bench.session.NextRequest("the subject's Request");
  bench.session.AnnounceResponse(*incoming->method);
  bench.ground.in_flight.insert(incoming->request.request_id());
  bench.ground.response_announced = bench.ground.error_announced = true;
  wire::v1::Response* response = bench.message.mutable_response();
  response->set_request_id(incoming->request.request_id());
  response->add_metadata()->set_key("key");
  response->mutable_metadata(0)->set_value("value");
  response->mutable_metadata(0)->set_flags(4);
  co_return response;
}

Task<> ResponseBench(Bench& bench) {
  wire::v1::Response* response = co_await Unanswered(bench);
  response->set_ok(EchoReply("x").SerializeAsString());
}

Task<> ErrorBench(Bench& bench) {
  wire::v1::Response* response = co_await Unanswered(bench);
  response->mutable_runtime_error()->set_code(wire::v1::RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED);
  response->mutable_runtime_error()->set_text("text");
}

Task<> ItemBench(Bench& bench) {
  Channel* channel = co_await Sending(bench, Waiting(bench));
  channel->SendNow(1);  // its type is announced with it
  bench.ground.ends[channel->id()] = End(true, "Open", kInitialCredit - 1);
  bench.message.mutable_channel_item()->set_channel_id(channel->id());
  bench.message.mutable_channel_item()->set_item(peer::EncodeNumber(2));
}

Task<> CloseBench(Bench& bench) {
  Channel* channel = co_await Sending(bench, Waiting(bench));
  bench.ground.ends[channel->id()] = End(true, "Open", kInitialCredit);
  bench.message.mutable_close_channel()->set_channel_id(channel->id());
  bench.message.mutable_close_channel()->set_aborted(true);
}

Task<> ResetBench(Bench& bench) {
  Channel* channel = co_await Receiving(bench, Waiting(bench));
  bench.ground.ends[channel->id()] = End(false, "Open", kInitialCredit);
  bench.message.mutable_reset_channel()->set_channel_id(channel->id());
}

Task<> CreditBench(Bench& bench) {
  Channel* channel = co_await Receiving(bench, Waiting(bench));
  bench.ground.ends[channel->id()] = End(false, "Open", kInitialCredit);
  bench.message.mutable_grant_credit()->set_channel_id(channel->id());
  bench.message.mutable_grant_credit()->set_credit(1);
}

using Prepare = Task<> (*)(Bench& bench);

// co_await: every variant of the message that `prepare` makes.
Task<> PlayFields(Peer& peer, Prepare prepare) {
  size_t count = 1;
  for (size_t i = 0; i < count; ++i) {
    Session* session = co_await Fresh(peer);
    Bench bench{.peer = peer, .session = *session, .name = BenchName(peer, i)};
    bench.ground.harness_odd = session->odd_parity();
    co_await prepare(bench);
    const std::vector<Variant> variants = wire::VariantsOf(bench.message);
    count = variants.size();
    const Variant& variant = variants.at(i);  // none at all: no green that tried nothing
    Message merged;
    const bool decodes = merged.ParseFromString(variant.bytes);
    Provocation provocation;
    provocation.text = variant.Text();
    provocation.bytes = variant.bytes;
    provocation.owed = Judged(bench.ground, decodes ? &merged : nullptr);
    provocation.or_malformed = variant.wrong == Wrong::kWireType;
    co_await Provoke(bench, provocation);
    co_await Clear(bench);
  }
  Session* session = co_await Fresh(peer);
  co_await RequireOneCall(peer, *session, kEnvelope);
}

// ---------------------------------------------------------------- states of a channel end

// The end of the subject is brought to a state of its table, by both sides' own means.
Task<Channel*> ReceivingEndIn(Bench& bench, const std::string& state) {
  testbed::v1::Program program = Waiting(bench);
  if (state == "Reset") program.mutable_steps()->begin()->mutable_reset_input();
  if (state == "Reset") program.add_steps()->mutable_wait()->set_gate(bench.name);
  if (state == "Closed") program.clear_steps();
  Channel* channel = co_await Sending(bench, program);
  uint64_t credit = kInitialCredit;
  // One item at least announces their type, and is what a closing end has not delivered yet.
  channel->SendNow(1);
  --credit;
  if (state == "Closing" || state == "Closed") channel->Close();
  if (!bench.peer.harness_calls() && state == "Closed") {
    control::v1::Outcome outcome = co_await bench.peer.Execute(
        ReceiveItems(bench.name, kChannelField, 0), "the application to take the stream");
  }
  if (!bench.peer.harness_calls() && state == "Reset") {
    control::v1::Outcome outcome = co_await bench.peer.Execute(ResetEnd(bench.name, kChannelField),
                                                               "the application to reset");
  }
  if (state == "Reset") {
    co_await bench.peer.Until(
        "ResetChannel", [channel] { return channel->reset_by_subject(); }, "rpc.channel.reset");
  }
  co_await bench.session.Fence();
  co_await bench.peer.Settle();
  bench.ground.ends[channel->id()] = End(true, state.c_str(), credit);
  co_return channel;
}

Task<Channel*> SendingEndIn(Bench& bench, const std::string& state) {
  testbed::v1::Program program = Waiting(bench);
  if (state == "Closed") {
    program.mutable_steps()->begin()->mutable_close_output();
    program.add_steps()->mutable_wait()->set_gate(bench.name);
  }
  Channel* channel = co_await Receiving(bench, program);
  if (!bench.peer.harness_calls() && state == "Closed") {
    control::v1::Outcome outcome = co_await bench.peer.Execute(CloseEnd(bench.name, kChannelField),
                                                               "the application to close");
  }
  if (state == "Closed") {
    co_await bench.peer.Until(
        "CloseChannel", [channel] { return channel->closed_by_subject(); }, "rpc.channel.close");
  }
  if (state == "Reset") channel->Reset();
  co_await bench.session.Fence();
  co_await bench.peer.Settle();
  bench.ground.ends[channel->id()] = End(false, state.c_str(), kInitialCredit);
  co_return channel;
}

// co_await: an end of an older attachment, which none of the messages may name any more.
Task<Channel*> EndOfBefore(Bench& bench, bool receives) {
  const testbed::v1::Program program = Waiting(bench);
  Channel* channel = nullptr;
  if (receives) {
    channel = co_await Sending(bench, program);
  } else {
    channel = co_await Receiving(bench, program);
  }
  co_await bench.session.Fence();
  bench.peer.Close(*bench.session.link, CutBySeed(bench.peer));
  co_await bench.peer.Resume(bench.session);
  co_return channel;
}

// The four messages that are about a channel.
std::array<Message, 4> AboutChannel(uint64_t id) {
  std::array<Message, 4> all;
  all[0].mutable_channel_item()->set_channel_id(id);
  all[0].mutable_channel_item()->set_item(peer::EncodeNumber(1));
  all[1].mutable_close_channel()->set_channel_id(id);
  all[2].mutable_reset_channel()->set_channel_id(id);
  all[3].mutable_grant_credit()->set_channel_id(id);
  all[3].mutable_grant_credit()->set_credit(1);
  return all;
}

// States of a table in which an end can be held while something is sent to it. Reserved and
// ReservedClosing last until the handler runs, which nobody can hold up; what they allow, Open and
// Closing allow as well. Defunct: of the older attachment.
std::vector<std::string> StatesOf(bool receives) {
  std::set<std::string> states;
  for (const auto& [from, to] :
       judge::AllMachines().at(receives ? "channel_receiver" : "channel_sender").next) {
    states.insert(from.first);
    states.insert(to);
  }
  states.erase("Reserved");
  states.erase("ReservedClosing");
  return {states.begin(), states.end()};
}

Provocation InState(const Bench& bench, const Message& message, const std::string& state) {
  Provocation provocation;
  provocation.bytes = message.SerializeAsString();
  provocation.text = peer::KindOf(message) + " for a channel end in " + state;
  provocation.owed = Judged(bench.ground, &message);
  if (state == "Defunct") {
    provocation.owed = {"session.resume.discard",
                        {wire::v1::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID,
                         wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE}};
  }
  return provocation;
}

Task<> PlayStates(Peer& peer, bool receives) {
  size_t number = 0;
  for (const std::string& state : StatesOf(receives)) {
    for (size_t kind = 0; kind < 4; ++kind) {
      Session* session = co_await Fresh(peer);
      Bench bench{.peer = peer, .session = *session, .name = BenchName(peer, number++)};
      Channel* channel = nullptr;
      if (state == "Defunct") {
        channel = co_await EndOfBefore(bench, receives);
      } else if (receives) {
        channel = co_await ReceivingEndIn(bench, state);
      } else {
        channel = co_await SendingEndIn(bench, state);
      }
      const std::array<Message, 4> all = AboutChannel(channel->id());
      const Provocation provocation = InState(bench, all[kind], state);
      co_await Provoke(bench, provocation);
      // r[rpc.channel.ends]: one close may cross a reset, and no second one.
      if (provocation.owed.legal() && state == "Reset" && receives && kind == 1) {
        bench.ground.ends[channel->id()].late_close = true;
        const Provocation second = InState(bench, all[kind], "Reset, once more");
        co_await Provoke(bench, second);
      }
      co_await Clear(bench);
    }
  }
  Session* session = co_await Fresh(peer);
  co_await RequireOneCall(peer, *session, "rpc.channel.ends");
}

Task<> ReceivingStates(Peer& peer) { return PlayStates(peer, true); }
Task<> SendingStates(Peer& peer) { return PlayStates(peer, false); }

// ---------------------------------------------------------------- the table

struct Row {
  const char* name;
  const char* group;
  const char* summary;
  Prepare prepare;
  const char* need;
  // Of which direction; both if neither. What runs a request tells executions by session id, and
  // where the harness accepts it mints the same ones whenever a seed is run.
  bool only_called = false, only_calling = false;
};

constexpr std::array kRows = {
    Row{"malformed_ping", "session", "A Ping that is wrong in any field is refused, or answered.",
        &PingBench, "keepalive"},
    Row{"malformed_cancel_request", "rpc",
        "A CancelRequest that is wrong in any field is refused, or harmless.", &CancelBench,
        "cancel"},
    Row{"malformed_request", "rpc",
        "A Request that is wrong in any field is refused, or served as what it merges to.",
        &RequestBench, "channels", /*only_called=*/true},
    Row{"malformed_response", "rpc",
        "A Response that is wrong in any field is refused, or taken as what it merges to.",
        &ResponseBench, "root_calls", false, /*only_calling=*/true},
    Row{"malformed_error_response", "rpc",
        "A Response with a runtime error that is wrong in any field is refused, or taken.",
        &ErrorBench, "root_calls", false, /*only_calling=*/true},
    Row{"malformed_channel_item", "channel",
        "A ChannelItem that is wrong in any field is refused, or taken as what it merges to.",
        &ItemBench, "channels"},
    Row{"malformed_close_channel", "channel",
        "A CloseChannel that is wrong in any field is refused, or taken as what it merges to.",
        &CloseBench, "channels"},
    Row{"malformed_reset_channel", "channel",
        "A ResetChannel that is wrong in any field is refused, or taken as what it merges to.",
        &ResetBench, "channels"},
    Row{"malformed_grant_credit", "channel",
        "A GrantCredit that is wrong in any field is refused, or taken as what it merges to.",
        &CreditBench, "channels"},
};

template <size_t kRow>
Task<> Play(Peer& peer) {
  return PlayFields(peer, kRows[kRow].prepare);
}

template <size_t... kEach>
std::vector<Scenario> AllFields(std::index_sequence<kEach...>) {
  std::vector<Scenario> all;
  const auto add = [&all](const Row& row, Task<> (*play)(Peer&)) {
    const std::vector<std::string> rules = {kEnvelope}, none;
    std::vector<Direction> directions;
    if (!row.only_calling) directions.push_back(Direction::kHarnessToSubject);
    if (!row.only_called) directions.push_back(Direction::kSubjectToHarness);
    all.push_back({row.name,
                   row.group,
                   row.summary,
                   directions,
                   row.only_calling ? none : rules,
                   row.only_called ? none : rules,
                   {"bare", "root_calls", row.need},
                   play});
  };
  (add(kRows[kEach], &Play<kEach>), ...);
  return all;
}

}  // namespace

std::vector<Scenario> MalformedScenarios() {
  std::vector<Scenario> all = AllFields(std::make_index_sequence<kRows.size()>());
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> rules = {"rpc.channel.ends", "session.resume.discard"};
  const std::vector<std::string> needs = {"root_calls", "channels", "resume"};
  all.push_back(
      {"illegal_for_a_receiving_end", "channel",
       "In each state a receiving end refuses each message that its table does not allow.", both,
       rules, rules, needs, &ReceivingStates});
  all.push_back({"illegal_for_a_sending_end", "channel",
                 "In each state a sending end refuses each message that its table does not allow.",
                 both, rules, rules, needs, &SendingStates});
  return all;
}

}  // namespace counterpart::scenarios
