// Schema announcements: strict, in both directions.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"
#include "harness/wire/schema_id.h"

namespace counterpart::scenarios {
namespace {

using peer::Incoming;
using peer::Session;

wire::v1::Message Announcement(const google::protobuf::Descriptor& type) {
  wire::v1::Message message;
  for (const wire::v1::TypeSchema& described : wire::DescribeTypes(type)) {
    *message.mutable_schema()->add_types() = described;
  }
  return message;
}

// ---------------------------------------------------------------- schema_duplicate_…

Task<> DuplicateAnnouncement(Peer& peer) {
  const std::string rule = "schema.principles.once-per-type";
  Session* session = co_await peer.Establish();
  wire::v1::Message once = Announcement(*testbed::v1::Number::descriptor());
  session->Send(once);
  co_await session->Fence();
  session->Send(once, rule);
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_DUPLICATE, rule);
}

// ---------------------------------------------------------------- schema_missing_…

Task<> MissingAnnouncement(Peer& peer) {
  const std::string rule = "schema.exchange.required";
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    wire::v1::Message message;
    wire::v1::Request& request = *message.mutable_request();
    request.set_request_id(1);
    request.set_operation_id(1);
    request.set_method(peer::FindMethod("Echo")->name);
    request.set_arguments(Echo("unannounced").SerializeAsString());
    session->Send(message, rule);
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, rule);
    auto executions = co_await peer.ReadExecutions();
    co_await peer.Require(executions.empty(), rule, "an unannounced Request executes nothing");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  wire::v1::Message message;
  message.mutable_response()->set_request_id(incoming->request.request_id());
  message.mutable_response()->set_ok(EchoReply("x").SerializeAsString());
  session->Send(message, rule);
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, rule);
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_PROTOCOL_ERROR,
                        "session.protocol-error.effect",
                        "pending calls of a session that died of a violation fail with it");
}

}  // namespace

std::vector<Scenario> SchemaScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  return {
      {"schema_duplicate_announcement_is_refused",
       "schema",
       "Announcing a type twice on one connection and attachment is a protocol error.",
       both,
       {"schema.principles.once-per-type"},
       {"schema.principles.once-per-type"},
       {"schemas"},
       &DuplicateAnnouncement},
      {"schema_missing_announcement_is_refused",
       "schema",
       "A Request or Response whose types were not announced is a protocol error.",
       both,
       {"schema.exchange.required"},
       {"schema.exchange.required", "session.protocol-error.effect"},
       {"root_calls", "schemas"},
       &MissingAnnouncement},
  };
}

}  // namespace counterpart::scenarios
