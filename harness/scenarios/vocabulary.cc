#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {

using peer::Call;
using peer::Incoming;
using peer::Session;
using wire::v1::Response;

testbed::v1::EchoRequest Echo(const std::string& text) {
  testbed::v1::EchoRequest request;
  request.set_text(text);
  return request;
}

testbed::v1::EchoResponse EchoReply(const std::string& text) {
  testbed::v1::EchoResponse response;
  response.set_text(text);
  return response;
}

testbed::v1::EchoRequest WaitingEcho(const std::string& text, const std::string& gate) {
  testbed::v1::EchoRequest request = Echo(text);
  request.mutable_program()->add_steps()->mutable_wait()->set_gate(gate);
  return request;
}

control::v1::ExecuteRequest SendItems(const std::string& handle, uint32_t field, uint64_t first,
                                      uint32_t count, uint32_t attempt) {
  control::v1::ExecuteRequest command;
  auto& send = *command.mutable_channel_send();
  send.mutable_end()->set_handle(handle);
  send.mutable_end()->set_field_number(field);
  send.mutable_end()->set_attempt(attempt);
  send.set_first(first);
  send.set_count(count);
  return command;
}

control::v1::ExecuteRequest ReceiveItems(const std::string& handle, uint32_t field, uint32_t count,
                                         uint32_t attempt) {
  control::v1::ExecuteRequest command;
  auto& receive = *command.mutable_channel_receive();
  receive.mutable_end()->set_handle(handle);
  receive.mutable_end()->set_field_number(field);
  receive.mutable_end()->set_attempt(attempt);
  receive.set_count(count);
  return command;
}

control::v1::ExecuteRequest CloseEnd(const std::string& handle, uint32_t field, uint32_t attempt) {
  control::v1::ExecuteRequest command;
  auto& end = *command.mutable_channel_close()->mutable_end();
  end.set_handle(handle);
  end.set_field_number(field);
  end.set_attempt(attempt);
  return command;
}

control::v1::ExecuteRequest ResetEnd(const std::string& handle, uint32_t field, uint32_t attempt) {
  control::v1::ExecuteRequest command;
  auto& end = *command.mutable_channel_reset()->mutable_end();
  end.set_handle(handle);
  end.set_field_number(field);
  end.set_attempt(attempt);
  return command;
}

std::vector<uint64_t> Sequence(uint64_t first, uint32_t count) {
  std::vector<uint64_t> values;
  for (uint32_t i = 0; i < count; ++i) values.push_back(first + i);
  return values;
}

peer::How CutBySeed(Peer& peer) {
  return peer.machine().Choose(2, "cut by") == 0 ? peer::How::kRst : peer::How::kFin;
}

Task<> CutAndResume(Peer& peer, peer::Session& session) {
  peer.Close(*session.link, CutBySeed(peer));
  co_await peer.Resume(session);
}

Task<> CutAndForget(Peer& peer, peer::Session& session, const peer::SessionOptions& options) {
  peer.Close(*session.link, CutBySeed(peer));
  peer::Link* link = co_await peer.OpenLink(options);
  link->end_expected = true;
  co_await peer.DoPrologue(*link);
  auto hello = co_await peer.NextInbound(*link, "Hello", "session.handshake.resume");
  co_await peer.Require(hello && hello->handshake && hello->handshake->has_hello() &&
                            hello->handshake->hello().resume_key() == session.resume_key,
                        "session.handshake.resume", "the redial presents the resume key");
  wire::v1::Handshake sorry;
  sorry.mutable_sorry()->set_reason(wire::v1::SORRY_REASON_UNKNOWN_SESSION);
  peer.Send(*link, sorry);
  session.lost = true;
}

Task<peer::Session*> SessionInPlace(Peer& peer, const peer::SessionOptions& options,
                                    std::string rule) {
  co_await peer.Until(
      "the subject to open another session", [&peer] { return peer.has_accepted(); },
      std::move(rule));
  peer::Session* fresh = peer.NewSession(options);
  peer::Link* link = peer.TakeAccepted();
  co_await peer.DoPrologue(*link);
  co_await peer.DoHandshake(*link, *fresh, "");
  co_return fresh;
}

Task<> RequireUnknownSession(Peer& peer, peer::Session& session, std::string key) {
  peer::Link* link = co_await peer.OpenLink(peer::SessionOptions());
  link->end_expected = true;
  co_await peer.DoPrologue(*link);
  wire::v1::Handshake hello;
  *hello.mutable_hello() = peer.NewHello(session, std::move(key));
  peer.Send(*link, hello);
  auto answer = co_await peer.NextInbound(*link, "Sorry", "session.resume.unknown");
  const bool sorry = answer && answer->handshake && answer->handshake->has_sorry() &&
                     answer->handshake->sorry().reason() == wire::v1::SORRY_REASON_UNKNOWN_SESSION;
  co_await peer.Require(sorry, "session.resume.unknown",
                        "a key of no session is answered by Sorry(UNKNOWN_SESSION)");
  co_await peer.AwaitEnd(*link, "session.handshake.sorry");
  peer.Close(*link, peer::How::kFin);
}

Task<> AwaitHandlerEnded(Peer& peer, const peer::Session& session, const peer::Call& call) {
  control::v1::ExecuteRequest await;
  await.mutable_await_event()->set_session_id(session.id);
  await.mutable_await_event()->set_handler_ended(true);
  await.mutable_await_event()->set_operation_id(call.operation_id);
  control::v1::Outcome ended = co_await peer.Execute(std::move(await), "the handler to end");
}

Task<> RequireEcho(Peer& peer, const Response& response, const std::string& text) {
  testbed::v1::EchoResponse reply;
  const bool ok = response.has_ok() && reply.ParseFromString(response.ok()) && reply.text() == text;
  co_await peer.Require(ok, "rpc.response.shape", "Echo returns the text it was given");
}

Task<> RequireOk(Peer& peer, const control::v1::CallOutcome& outcome, const std::string& value) {
  const bool ok = outcome.status() == control::v1::CALL_STATUS_OK && outcome.value() == value;
  std::string wanted = "the application is given the value of the response, not " +
                       peer::ShortName(outcome.status());
  co_await peer.Require(ok, "rpc.response.one-per-request", std::move(wanted));
}

Task<> RequireAlive(Peer& peer, Session& session, const std::string& rule) {
  co_await session.Fence();
  Call* call = session.StartCall("Echo", Echo("alive"));
  Response response = co_await session.ResponseTo(*call, rule);
  co_await RequireEcho(peer, response, "alive");
}

Task<> RequireCallWorks(Peer& peer, Session& session, const std::string& rule) {
  static constexpr char kText[] = "still works";
  // Handles are unique within a run: the number of calls so far tells them apart.
  const std::string handle = "probe" + std::to_string(peer.subject_calls().size());
  const uint32_t question =
      peer.StartCallBySubject(session, "Echo", Echo(kText).SerializeAsString(), handle);
  Incoming* incoming = co_await session.NextRequest("a further Request", rule);
  session.RespondOk(*incoming, EchoReply(kText));
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await RequireOk(peer, outcome, EchoReply(kText).SerializeAsString());
}

Task<> RequireOneCall(Peer& peer, Session& session, const std::string& rule) {
  if (peer.harness_calls()) {
    co_await RequireAlive(peer, session, rule);
  } else {
    co_await RequireCallWorks(peer, session, rule);
  }
}

Task<> RequireLost(Peer& peer, uint32_t question, control::v1::CallStatus due, std::string awaited,
                   const std::string& rule) {
  control::v1::CallOutcome lost = co_await peer.CallOutcomeOf(question, std::move(awaited));
  std::string wanted = std::string("a call in flight whose session is lost ends ") +
                       peer::ShortName(due) + ", not " + peer::ShortName(lost.status());
  co_await peer.Require(lost.status() == due, rule, std::move(wanted));
}

Task<> RequireExecutions(Peer& peer, uint64_t operation_id, size_t times, const std::string& rule) {
  size_t ran = 0;
  std::vector<peer::ObservedEnd::Execution> executions = co_await peer.ReadExecutions();
  for (const auto& execution : executions) ran += execution.operation_id == operation_id;
  std::string wanted = "operation " + std::to_string(operation_id) + " is executed " +
                       std::to_string(times) + " times, not " + std::to_string(ran);
  co_await peer.Require(ran == times, rule, std::move(wanted));
}

}  // namespace counterpart::scenarios
