// Channels on an undisturbed session: streaming, credit, closing, resetting.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::Incoming;
using peer::Session;
using wire::v1::Response;

// Field numbers of the testbed's channel arguments.
constexpr uint32_t kGenerateOutput = 3;
constexpr uint32_t kSumInput = 3;
constexpr uint32_t kTransformInput = 3;
constexpr uint32_t kTransformOutput = 4;
constexpr uint32_t kInitialCredit = 16;

testbed::v1::GenerateRequest Generate(uint64_t first, uint32_t count) {
  testbed::v1::GenerateRequest request;
  request.set_first(first);
  request.set_count(count);
  return request;
}

std::vector<uint64_t> Values(const Outcome& outcome) {
  return {outcome.received().values().begin(), outcome.received().values().end()};
}

// co_await: a Receive command got just these values, and this end.
Task<> RequireReceived(Peer& peer, const Outcome& outcome, std::vector<uint64_t> values,
                       control::v1::EndStatus status, const std::string& rule) {
  const bool same =
      outcome.has_received() && Values(outcome) == values && outcome.received().status() == status;
  std::string wanted = "the application takes all " + std::to_string(values.size()) +
                       " items in order, then sees " + peer::ShortName(status) + "; it took " +
                       std::to_string(outcome.received().values_size()) + " and saw " +
                       peer::ShortName(outcome.received().status());
  co_await peer.Require(same, rule, std::move(wanted));
}

Task<> RequireSum(Peer& peer, const Response& response, uint64_t sum, uint32_t count,
                  const std::string& rule = "rpc.channel.close") {
  testbed::v1::SumResponse reply;
  const bool ok = response.has_ok() && reply.ParseFromString(response.ok()) && reply.sum() == sum &&
                  reply.count() == count;
  co_await peer.Require(ok, rule,
                        "everything sent before the close is delivered, then the end of stream");
}

testbed::v1::SumResponse SumReply(uint64_t sum, uint32_t count) {
  testbed::v1::SumResponse reply;
  reply.set_sum(sum);
  reply.set_count(count);
  return reply;
}

// co_await: at rest the subject's end is Reset, or perhaps Closed: each goes with the harness's
// own. r[rpc.channel.joint-states]
Task<> RequireAtRest(Peer& peer, const Session& session, const Channel& channel, bool or_closed) {
  co_await peer.Settle();
  std::vector<control::v1::JournalEvent> journal = co_await peer.JournalSoFar();
  const auto machine = channel.harness_sends() ? control::v1::MACHINE_CHANNEL_RECEIVER
                                               : control::v1::MACHINE_CHANNEL_SENDER;
  std::string state = "no state at all";
  for (const auto& event : journal) {
    if (event.session_id() == session.id && event.transition().machine() == machine &&
        event.transition().key() == channel.id()) {
      state = event.transition().to_state();
    }
  }
  const bool legal = state == "Reset" || (or_closed && state == "Closed");
  std::string wanted =
      "at rest the subject's end of a channel is as the harness's allows, not " + state;
  co_await peer.Require(legal, "rpc.channel.joint-states", std::move(wanted));
}

// ---------------------------------------------------------------- channeling_generate_…

Task<> GenerateServerToClient(Peer& peer) {
  constexpr uint32_t kItems = 100;
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Generate", Generate(1, kItems));
    Channel* output = call->channels[kGenerateOutput];
    std::vector<uint64_t> values = co_await output->ReceiveAll();
    const bool clean = output->closed_by_subject() && !output->aborted_by_subject();
    co_await peer.Require(values == Sequence(1, kItems) && clean, "rpc.channel.no-silent-drop",
                          "every item arrives once, in order, then a clean close");
    Response response = co_await session->ResponseTo(*call);
    co_await peer.Require(response.has_ok(), "rpc.response.shape", "Generate returns ok");
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(
      *session, "Generate", Generate(1, kItems).SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  const uint32_t receiving = peer.Start(ReceiveItems("call", kGenerateOutput, 0, 1));
  Channel* output = incoming->channels[kGenerateOutput];
  co_await output->Send(1, kItems);
  output->Close();
  testbed::v1::GenerateResponse reply;
  reply.set_emitted(kItems);
  session->RespondOk(*incoming, reply);
  Outcome received = co_await peer.OutcomeOf(receiving, "the application to take all items");
  co_await RequireReceived(peer, received, Sequence(1, kItems), control::v1::END_STATUS_CLOSED,
                           "rpc.channel.no-silent-drop");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- channeling_sum_…

// The harness sends `count` items and gets the sum, or the other way round.
Task<> SumOver(Peer& peer, const char* method, uint32_t count) {
  Session* session = co_await peer.Establish();
  const uint64_t sum = uint64_t{count} * (count + 1) / 2;
  if (peer.harness_calls()) {
    testbed::v1::SumRequest request;  // same fields in Sum and SumFromZero: none that matter
    Call* call = session->StartCall(method, request);
    Channel* input = call->channels[kSumInput];
    co_await input->Send(1, count);
    input->Close();
    Response response = co_await session->ResponseTo(*call);
    co_await RequireSum(peer, response, sum, count);
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, method, "", "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* input = incoming->channels[kSumInput];
  const uint32_t sending = peer.Start(SendItems("call", kSumInput, 1, count));
  std::vector<uint64_t> values = co_await input->Receive(count);
  co_await peer.Require(values == Sequence(1, count), "rpc.channel.no-silent-drop",
                        "every item arrives once, in order");
  Outcome sent = co_await peer.OutcomeOf(sending, "the application's sends to be accepted");
  co_await peer.Require(
      sent.sent().accepted() == count && sent.sent().status() == control::v1::END_STATUS_OPEN,
      "rpc.flow-control.credit.grant", "sends go on as credit comes");
  const uint32_t closing = peer.Start(CloseEnd("call", kSumInput));
  co_await peer.Until(
      "CloseChannel", [input] { return input->closed_by_subject(); }, "rpc.channel.close");
  Outcome closed = co_await peer.OutcomeOf(closing, "the close to end");
  session->RespondOk(*incoming, SumReply(sum, count));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, SumReply(sum, count).SerializeAsString());
}

Task<> SumClientToServer(Peer& peer) { return SumOver(peer, "Sum", 100); }
Task<> ZeroInitialCredit(Peer& peer) { return SumOver(peer, "SumFromZero", 10); }

// ---------------------------------------------------------------- channeling_transform

Task<> Transform(Peer& peer) {
  constexpr uint32_t kItems = 40;
  Session* session = co_await peer.Establish();
  std::vector<uint64_t> doubled;
  for (uint64_t i = 1; i <= kItems; ++i) doubled.push_back(2 * i);
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Transform", testbed::v1::TransformRequest());
    Channel* input = call->channels[kTransformInput];
    Channel* output = call->channels[kTransformOutput];
    std::vector<uint64_t> values;
    for (uint32_t i = 1; i <= kItems; ++i) {
      co_await input->Send(i, 1);
      std::vector<uint64_t> one = co_await output->Receive(1);
      values.insert(values.end(), one.begin(), one.end());
    }
    input->Close();
    std::vector<uint64_t> rest = co_await output->ReceiveAll();
    co_await peer.Require(values == doubled && rest.empty(), "rpc.channel.no-silent-drop",
                          "each item comes back doubled, in order");
    Response response = co_await session->ResponseTo(*call);
    co_await peer.Require(response.has_ok(), "rpc.response.shape", "Transform returns ok");
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "Transform", "", "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* input = incoming->channels[kTransformInput];
  Channel* output = incoming->channels[kTransformOutput];
  peer.Start(SendItems("call", kTransformInput, 1, kItems));
  const uint32_t receiving = peer.Start(ReceiveItems("call", kTransformOutput, 0, 1));
  for (uint32_t i = 1; i <= kItems; ++i) {
    std::vector<uint64_t> one = co_await input->Receive(1);
    co_await peer.Require(one.size() == 1 && one[0] == i, "rpc.channel.no-silent-drop",
                          "every item arrives once, in order");
    co_await output->Send(2 * i, 1);
  }
  peer.Start(CloseEnd("call", kTransformInput));
  co_await peer.Until(
      "CloseChannel", [input] { return input->closed_by_subject(); }, "rpc.channel.close");
  output->Close();
  testbed::v1::TransformResponse reply;
  reply.set_count(kItems);
  session->RespondOk(*incoming, reply);
  Outcome received = co_await peer.OutcomeOf(receiving, "the application to take all items");
  co_await RequireReceived(peer, received, doubled, control::v1::END_STATUS_CLOSED,
                           "rpc.channel.no-silent-drop");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- channel_outlives_its_call

// Only the harness may answer a call whose channels go on: a handler of the testbed returns last.
Task<> OutlivesItsCall(Peer& peer) {
  const std::string rule = "rpc.channel.lifecycle";
  constexpr uint32_t kBefore = 3, kAfter = 5;
  Session* session = co_await peer.Establish();
  const std::vector<uint64_t> all = Sequence(1, kBefore + kAfter);
  // The caller takes what comes behind the Response.
  testbed::v1::GenerateRequest asked = Generate(1, kBefore + kAfter);
  const uint32_t generate =
      peer.StartCallBySubject(*session, "Generate", asked.SerializeAsString(), "takes");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* output = incoming->channels[kGenerateOutput];
  const uint32_t receiving = peer.Start(ReceiveItems("takes", kGenerateOutput, 0, 1));
  co_await output->Send(1, kBefore);
  testbed::v1::GenerateResponse emitted;
  emitted.set_emitted(kBefore + kAfter);
  session->RespondOk(*incoming, emitted);
  CallOutcome outcome = co_await peer.CallOutcomeOf(generate);
  co_await RequireOk(peer, outcome, emitted.SerializeAsString());
  co_await output->Send(kBefore + 1, kAfter);
  output->Close();
  Outcome received = co_await peer.OutcomeOf(receiving, "the application to take all items");
  co_await RequireReceived(peer, received, all, control::v1::END_STATUS_CLOSED, rule);
  // And sends behind the Response.
  const uint32_t sum = peer.StartCallBySubject(*session, "Sum", "", "sends");
  incoming = co_await session->NextRequest("the subject's second Request");
  Channel* input = incoming->channels[kSumInput];
  session->RespondOk(*incoming, SumReply(0, 0));
  CallOutcome answered = co_await peer.CallOutcomeOf(sum);
  co_await RequireOk(peer, answered, SumReply(0, 0).SerializeAsString());
  peer.Start(SendItems("sends", kSumInput, 1, kBefore + kAfter));
  std::vector<uint64_t> values = co_await input->Receive(kBefore + kAfter);
  co_await peer.Require(values == all, rule, "the application sends on behind the Response");
  peer.Start(CloseEnd("sends", kSumInput));
  co_await peer.Until(
      "CloseChannel", [input] { return input->closed_by_subject(); }, rule);
}

// ---------------------------------------------------------------- channel_credit_exhaustion_…

Task<> CreditExhaustion(Peer& peer) {
  constexpr uint32_t kItems = 40;
  Session* session = co_await peer.Establish();
  Channel* channel = nullptr;
  Call* call = nullptr;
  Incoming* incoming = nullptr;
  uint32_t question = 0, sending = 0;
  if (peer.harness_calls()) {
    call = session->StartCall("Generate", Generate(1, kItems));
    channel = call->channels[kGenerateOutput];
  } else {
    question = peer.StartCallBySubject(*session, "Sum", "", "call");
    incoming = co_await session->NextRequest("the subject's Request");
    channel = incoming->channels[kSumInput];
    sending = peer.Start(SendItems("call", kSumInput, 1, kItems));
  }
  channel->set_auto_grant(false);
  // Without a word about it, all of the credit that the channel was declared with.
  const bool all = co_await peer.ReadyBeforeQuiet("the items of the initial credit", [channel] {
    return channel->received() >= kInitialCredit;
  });
  std::string initial = "the sender uses the whole initial credit of " +
                        std::to_string(kInitialCredit) + ", and stopped after " +
                        std::to_string(channel->received());
  co_await peer.Require(all, "rpc.flow-control.credit.initial", std::move(initial));
  // At zero the sender waits: the fence and quiescence prove that nothing more is on its way.
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(channel->received() == kInitialCredit,
                        "rpc.flow-control.credit.zero-blocks", "at zero credit the sender waits");
  const bool over =
      peer.harness_calls() ? call->response.has_value() : peer.question(sending).answered;
  co_await peer.Require(!over, "rpc.flow-control.credit.zero-blocks",
                        "a send without credit waits, and does not fail");
  channel->Grant(2);
  channel->Grant(0);
  channel->Grant(3);
  co_await peer.Until(
      "the items of 2, 0 and 3 credit more",
      [channel] { return channel->received() >= kInitialCredit + 5; },
      "rpc.flow-control.credit.grant");
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(channel->received() == kInitialCredit + 5, "rpc.flow-control.credit.grant",
                        "grants add up, each item costs one");
  channel->Grant(kItems - kInitialCredit - 5);
  std::vector<uint64_t> values = co_await channel->Receive(kItems);
  co_await peer.Require(values == Sequence(1, kItems), "rpc.channel.no-silent-drop",
                        "nothing is lost while the sender waits for credit");
  // All of the credit is spent by now.
  const auto closed = [channel] { return channel->closed_by_subject(); };
  if (peer.harness_calls()) {
    co_await peer.Until("CloseChannel, which costs no credit", closed,
                        "rpc.flow-control.credit.spend");
    Response response = co_await session->ResponseTo(*call);
    co_await peer.Require(response.has_ok(), "rpc.response.shape", "Generate returns ok");
    co_return;
  }
  Outcome sent = co_await peer.OutcomeOf(sending, "the application's sends to be accepted");
  co_await peer.Require(sent.sent().accepted() == kItems, "rpc.flow-control.credit.zero-blocks",
                        "a send that waited for credit ends once there is some");
  peer.Start(CloseEnd("call", kSumInput));
  co_await peer.Until("CloseChannel, which costs no credit", closed,
                      "rpc.flow-control.credit.spend");
  session->RespondOk(*incoming, SumReply(1, 1));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, SumReply(1, 1).SerializeAsString());
}

// ---------------------------------------------------------------- channel_over_credit_is_refused

Task<> OverCredit(Peer& peer) {
  const std::string rule = "rpc.flow-control.credit.exceeded";
  Session* session = co_await peer.Establish();
  Channel* channel = nullptr;
  uint32_t question = 0;
  if (peer.harness_calls()) {
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    Call* call = session->StartCall("Sum", request);
    channel = call->channels[kSumInput];
  } else {
    question =
        peer.StartCallBySubject(*session, "Generate", Generate(1, 1).SerializeAsString(), "call");
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    channel = incoming->channels[kGenerateOutput];
  }
  // Nobody takes an item, so nothing is granted: the 17th is over.
  for (uint32_t i = 1; i <= kInitialCredit; ++i) channel->SendNow(i);
  channel->SendNow(kInitialCredit + 1, rule);
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED, rule);
  peer.Release("gate");
  if (!peer.harness_calls()) {
    CallOutcome outcome = co_await peer.CallOutcomeOf(question, "session.protocol-error.effect");
    co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PROTOCOL_ERROR,
                          "session.protocol-error.effect",
                          "pending calls of a session that died of a violation fail with it");
  }
}

// ---------------------------------------------------------------- channel_item_after_close_…

Task<> ItemAfterClose(Peer& peer) {
  const std::string rule = "rpc.channel.data-after-close";
  Session* session = co_await peer.Establish();
  Channel* channel = nullptr;
  if (peer.harness_calls()) {
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    channel = session->StartCall("Sum", request)->channels[kSumInput];
  } else {
    peer.StartCallBySubject(*session, "Generate", Generate(1, 1).SerializeAsString(), "call");
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    channel = incoming->channels[kGenerateOutput];
  }
  channel->SendNow(1);
  channel->Close();
  channel->SendNow(2, rule);
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE, rule);
  peer.Release("gate");
  if (!peer.harness_calls()) {
    // What was received before the session died stays deliverable, and so does the clean end.
    Outcome received =
        co_await peer.Execute(ReceiveItems("call", kGenerateOutput, 0, 1), "the item kept");
    co_await RequireReceived(peer, received, Sequence(1, 1), control::v1::END_STATUS_CLOSED,
                             "rpc.channel.detach.buffered");
  }
}

// ---------------------------------------------------------------- channel_reset_stops_sender

Task<> ResetStopsSender(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    Call* call = session->StartCall("Generate", Generate(1, 1000));
    Channel* output = call->channels[kGenerateOutput];
    std::vector<uint64_t> some = co_await output->Receive(5);
    output->Reset();
    // Everything after the Pong would be an item after the reset: the monitor judges that.
    co_await session->Fence();
    Response response = co_await session->ResponseTo(*call, "rpc.channel.reset");
    testbed::v1::GenerateResponse reply;
    co_await peer.Require(reply.ParseFromString(response.ok()) && reply.emitted() < 1000,
                          "rpc.channel.reset", "the handler's send fails once it is reset");
    co_await RequireAtRest(peer, *session, *output, /*or_closed=*/false);
    co_await RequireAlive(peer, *session, "rpc.error.scope");
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "Sum", "", "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* input = incoming->channels[kSumInput];
  const uint32_t sending = peer.Start(SendItems("call", kSumInput, 1, 1000));
  std::vector<uint64_t> some = co_await input->Receive(5);
  input->Reset();
  Outcome sent =
      co_await peer.OutcomeOf(sending, "the application's send to fail", "rpc.channel.reset");
  co_await peer.Require(
      sent.sent().status() == control::v1::END_STATUS_RESET && sent.sent().accepted() < 1000,
      "rpc.channel.reset", "a send fails once the receiver has reset");
  co_await session->Fence();
  co_await RequireAtRest(peer, *session, *input, /*or_closed=*/false);
  session->RespondOk(*incoming, SumReply(0, 5));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, SumReply(0, 5).SerializeAsString());
}

// ---------------------------------------------------------------- channel_items_before_binding…

Task<> ItemsBeforeBinding(Peer& peer) {
  constexpr uint32_t kItems = 10;
  Session* session = co_await peer.Establish();
  // In one breath: the request, items up to the credit, the close. The handler cannot have bound
  // its end when they arrive.
  Call* call = session->StartCall("Sum", testbed::v1::SumRequest());
  Channel* input = call->channels[kSumInput];
  for (uint32_t i = 1; i <= kItems; ++i) input->SendNow(i);
  input->Close();
  Response response = co_await session->ResponseTo(*call, "rpc.channel.binding");
  co_await RequireSum(peer, response, kItems * (kItems + 1) / 2, kItems, "rpc.channel.binding");
}

// ---------------------------------------------------------------- channel_slow_consumer_…

Task<> SlowConsumer(Peer& peer) {
  constexpr uint32_t kItems = 60;
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    // The handler takes three, waits, takes the rest: meanwhile credit runs out.
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_consume()->set_count(3);
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    request.mutable_program()->add_steps()->mutable_consume()->set_count(0);
    Call* call = session->StartCall("Sum", request);
    Channel* input = call->channels[kSumInput];
    uint32_t sent = 0;
    while (true) {
      while (input->credit() > 0 && sent < kItems) input->SendNow(++sent);
      const bool more =
          co_await peer.ReadyBeforeQuiet("more credit", [input] { return input->credit() > 0; });
      if (!more) break;
    }
    co_await peer.Require(sent < kItems, "rpc.flow-control.credit.replenish",
                          "credit is granted for items taken: a consumer that waits grants none");
    peer.Release("gate");
    co_await input->Send(sent + 1, kItems - sent);
    input->Close();
    Response response = co_await session->ResponseTo(*call);
    co_await RequireSum(peer, response, uint64_t{kItems} * (kItems + 1) / 2, kItems);
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(
      *session, "Generate", Generate(1, kItems).SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* output = incoming->channels[kGenerateOutput];
  for (uint32_t i = 1; i <= kInitialCredit; ++i) output->SendNow(i);
  Outcome three = co_await peer.Execute(ReceiveItems("call", kGenerateOutput, 3, 1), "three items");
  co_await RequireReceived(peer, three, Sequence(1, 3), control::v1::END_STATUS_OPEN,
                           "rpc.channel.no-silent-drop");
  uint32_t sent = kInitialCredit;
  while (true) {
    while (output->credit() > 0 && sent < kItems) output->SendNow(++sent);
    const bool more =
        co_await peer.ReadyBeforeQuiet("more credit", [output] { return output->credit() > 0; });
    if (!more) break;
  }
  co_await peer.Require(sent < kItems, "rpc.flow-control.credit.replenish",
                        "credit is granted for items taken: a consumer that waits grants none");
  const uint32_t receiving = peer.Start(ReceiveItems("call", kGenerateOutput, 0, 1));
  co_await output->Send(sent + 1, kItems - sent);
  output->Close();
  testbed::v1::GenerateResponse reply;
  session->RespondOk(*incoming, reply);
  Outcome rest = co_await peer.OutcomeOf(receiving, "the application to take the rest");
  co_await RequireReceived(peer, rest, Sequence(4, kItems - 3), control::v1::END_STATUS_CLOSED,
                           "rpc.channel.no-silent-drop");
  CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- channel_close_race_…

Task<> CloseRace(Peer& peer) {
  Session* session = co_await peer.Establish();
  // The receiver resets while the sender closes: in which order either reads it is up to chance
  // and to this choice. Whatever wins, both ends rest in a final state and the session lives.
  const uint64_t race = peer.machine().Choose(3, "reset first, close first, crossing");
  const bool close_first = race == 1;
  const bool crossing = race == 2;
  if (peer.harness_calls()) {
    testbed::v1::SumRequest request;
    request.mutable_program()->add_steps()->mutable_consume()->set_count(1);
    request.mutable_program()->add_steps()->mutable_wait()->set_gate("gate");
    request.mutable_program()->add_steps()->mutable_reset_input();
    Call* call = session->StartCall("Sum", request);
    Channel* input = call->channels[kSumInput];
    input->SendNow(1);
    if (close_first) {
      input->SendNow(2);
      input->Close();
      peer.Release("gate");
    } else if (crossing) {
      // The reset is written, and not read before the close is.
      peer.StopReading(*session->link);
      peer.Release("gate");
      co_await peer.Settle();
      input->SendNow(2);
      input->Close();
      peer.ResumeReading(*session->link);
    } else {
      peer.Release("gate");
      input->SendNow(2);
      input->Close();
    }
    Response response = co_await session->ResponseTo(*call, "strict.channel.close-race");
    co_await peer.Require(response.has_ok(), "strict.channel.close-race",
                          "the call ends well whoever won the race");
    co_await RequireAlive(peer, *session, "strict.channel.close-race");
    // The harness, who sends, has closed.
    co_await RequireAtRest(peer, *session, *input, /*or_closed=*/true);
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "Sum", "", "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  Channel* input = incoming->channels[kSumInput];
  Outcome sent = co_await peer.Execute(SendItems("call", kSumInput, 1, 2), "two items sent");
  if (close_first) {
    const uint32_t closing = peer.Start(CloseEnd("call", kSumInput));
    input->Reset();
    co_await peer.Answered(closing, "the close to end");
  } else if (crossing) {
    peer.StopReading(*session->link);
    Outcome closed = co_await peer.Execute(CloseEnd("call", kSumInput), "the close to end");
    input->Reset();
    peer.ResumeReading(*session->link);
  } else {
    input->Reset();
    const uint32_t closing = peer.Start(CloseEnd("call", kSumInput));
    co_await peer.Answered(closing, "the close to end");
  }
  co_await session->Fence("strict.channel.close-race");
  co_await RequireAtRest(peer, *session, *input, /*or_closed=*/true);
  session->RespondOk(*incoming, SumReply(0, 2));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "strict.channel.close-race");
  co_await RequireOk(peer, outcome, SumReply(0, 2).SerializeAsString());
}

}  // namespace

std::vector<Scenario> ChannelScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  const std::vector<std::string> needs = {"root_calls", "channels"};
  return {
      {"channeling_generate_server_to_client",
       "channel",
       "A handler streams to its caller; every item arrives once, in order, then the end.",
       both,
       {"rpc.channel.no-silent-drop", "rpc.flow-control.credit.spend"},
       {"rpc.channel.no-silent-drop", "rpc.flow-control.credit.grant"},
       needs,
       &GenerateServerToClient},
      {"channeling_sum_client_to_server",
       "channel",
       "A caller streams to the handler; everything before the close counts.",
       both,
       {"rpc.channel.close"},
       {"rpc.channel.close", "rpc.channel.no-silent-drop"},
       needs,
       &SumClientToServer},
      {"channeling_transform",
       "channel",
       "Two channels at once, one each way, do not hold each "
       "other up.",
       both,
       {"rpc.channel.no-silent-drop"},
       {"rpc.channel.no-silent-drop"},
       needs,
       &Transform},
      {"channel_outlives_its_call",
       "channel",
       "Items go on behind the Response, either way, until the channel itself is closed.",
       {Direction::kSubjectToHarness},
       {},
       {"rpc.channel.lifecycle"},
       needs,
       &OutlivesItsCall},
      {"channel_credit_exhaustion_blocks_sender",
       "channel",
       "At zero credit the sender waits; grants add up and set it going again; a close is free.",
       both,
       {"rpc.flow-control.credit.zero-blocks", "rpc.flow-control.credit.spend",
        "rpc.flow-control.credit.grant", "rpc.flow-control.credit",
        "rpc.flow-control.credit.initial"},
       {"rpc.flow-control.credit.zero-blocks", "rpc.flow-control.credit.spend",
        "rpc.flow-control.credit.grant", "rpc.flow-control.credit",
        "rpc.flow-control.credit.initial"},
       needs,
       &CreditExhaustion},
      {"channel_zero_initial_credit",
       "channel",
       "A channel declared with no credit starts with the receiver's first grant.",
       both,
       {"rpc.flow-control.credit.grant"},
       {"rpc.flow-control.credit.grant"},
       needs,
       &ZeroInitialCredit},
      {"channel_over_credit_is_refused",
       "channel",
       "An item beyond the credit is a protocol error that ends the session.",
       both,
       {"rpc.flow-control.credit.exceeded"},
       {"rpc.flow-control.credit.exceeded", "session.protocol-error.effect"},
       needs,
       &OverCredit},
      {"channel_item_after_close_is_refused",
       "channel",
       "An item after CloseChannel is a protocol error.",
       both,
       {"rpc.channel.data-after-close", "strict.channel.fsm"},
       {"rpc.channel.data-after-close", "rpc.channel.detach.buffered", "strict.channel.fsm"},
       needs,
       &ItemAfterClose},
      {"channel_reset_stops_sender",
       "channel",
       "A reset stops the sender at once, and its send fails; the session lives.",
       both,
       {"rpc.channel.reset", "rpc.channel.joint-states"},
       {"rpc.channel.reset", "rpc.channel.joint-states"},
       needs,
       &ResetStopsSender},
      {"channel_items_before_binding_are_kept",
       "channel",
       "Items that arrive before the handler takes its end are kept, in order.",
       {Direction::kHarnessToSubject},
       {"rpc.channel.binding"},
       {},
       needs,
       &ItemsBeforeBinding},
      {"channel_slow_consumer_loses_nothing",
       "channel",
       "A consumer that waits grants no credit and loses nothing.",
       both,
       {"rpc.flow-control.credit.replenish", "rpc.channel.close"},
       {"rpc.flow-control.credit.replenish", "rpc.channel.no-silent-drop"},
       needs,
       &SlowConsumer},
      {"channel_close_race_settles_alike",
       "channel",
       "Close and reset that cross leave both ends at rest and the session alive.",
       both,
       {"strict.channel.close-race", "rpc.channel.joint-states"},
       {"strict.channel.close-race", "rpc.channel.joint-states"},
       needs,
       &CloseRace},
  };
}

}  // namespace counterpart::scenarios
