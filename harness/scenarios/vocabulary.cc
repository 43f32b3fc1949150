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

Task<> RequireEcho(Peer& peer, const Response& response, const std::string& text) {
  testbed::v1::EchoResponse reply;
  const bool ok =
      response.has_ok() && reply.ParseFromString(response.ok()) && reply.text() == text;
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
  const std::string handle = "probe" + std::to_string(session.incoming().size());
  const uint32_t question =
      peer.StartCallBySubject(session, "Echo", Echo(kText).SerializeAsString(), handle);
  Incoming* incoming = co_await session.NextRequest("a further Request", rule);
  session.RespondOk(*incoming, EchoReply(kText));
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await RequireOk(peer, outcome, EchoReply(kText).SerializeAsString());
}

}  // namespace counterpart::scenarios
