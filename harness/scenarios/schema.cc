// Schema announcements: strict, in both directions.
#include <set>

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

// ---------------------------------------------------------------- types of another sender

// What the harness says of a type of its own making: the testbed's with changes, under the id that
// the changed description hashes to.
struct OtherType {
  std::vector<wire::v1::TypeSchema> types;  // referred-to types first, the changed one last
  uint64_t id = 0;
};

OtherType Changed(const google::protobuf::Descriptor& type,
                  void (*change)(wire::v1::MessageSchema& message)) {
  OtherType other;
  other.types = wire::DescribeTypes(type);
  wire::v1::TypeSchema& changed = other.types.back();
  change(*changed.mutable_message());
  changed.set_type_id(wire::SchemaId(changed));
  other.id = changed.type_id();
  // What it refers to no more is not described.
  std::set<uint64_t> referred = {other.id};
  for (auto type = other.types.rbegin(); type != other.types.rend(); ++type) {
    if (!referred.contains(type->type_id())) continue;
    for (const auto& field : type->message().fields()) referred.insert(field.type_id());
  }
  std::erase_if(other.types, [&referred](const wire::v1::TypeSchema& type) {
    return !referred.contains(type.type_id());
  });
  return other;
}

void Announce(Session& session, const peer::Method& method, wire::v1::BindingRole role,
              const OtherType& other) {
  wire::v1::Binding binding;
  binding.set_method(method.name);
  binding.set_role(role);
  binding.set_type_id(other.id);
  session.AnnounceOther(other.types, std::move(binding));
}

// Field 1 is called otherwise.
void Rename(wire::v1::MessageSchema& message) { message.mutable_fields(0)->set_name("words"); }

// There is a field 99.
void AddField(wire::v1::MessageSchema& message) {
  wire::v1::FieldSchema& added = *message.add_fields();
  added.set_number(99);
  added.set_name("added_later");
  added.set_kind(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  added.set_cardinality(wire::v1::CARDINALITY_IMPLICIT);
}

// There is no field 1.
void LoseFirst(wire::v1::MessageSchema& message) {
  message.mutable_fields()->erase(message.mutable_fields()->begin());
}

// Field 1 becomes a number.
void ChangeKind(wire::v1::MessageSchema& message) {
  message.mutable_fields(0)->set_kind(google::protobuf::FieldDescriptorProto::TYPE_UINT64);
}

// An ok whose bytes are of the type that was announced, whatever the testbed's is.
void RespondAs(Session& session, Incoming& incoming, std::string ok) {
  wire::v1::Message message;
  message.mutable_response()->set_request_id(incoming.request.request_id());
  message.mutable_response()->set_ok(std::move(ok));
  incoming.response = message.response();
  session.Send(std::move(message));
}

// ---------------------------------------------------------------- schema_compatible_types_…

// A difference that fields matched by number bridge, of a method's arguments and response, as their
// sender has them.
struct Bridged {
  const char* method;
  void (*change)(wire::v1::MessageSchema& message);
  const char* bytes;  // a value of the changed type: a text that says "kept"
  const char* rule;
  const char* because;
};

constexpr Bridged kBridged[] = {
    {"Echo", &Rename, "\x0a\x04kept", "schema.translation.by-number",
     "a field is found by its number, whatever its name"},
    {"EchoIdem", &AddField, "\x0a\x04kept\x9a\x06\x03new", "schema.translation.unknown-fields",
     "a field that the receiver's type lacks is skipped"},
    {"EchoTree", &LoseFirst, "\x12\x04kept", "schema.translation.missing-optional",
     "a field that the sender's type lacks has its default"},
};

// Whether the handler was given that text, and the default of everything else.
bool Kept(const Bridged& one, const std::string& ok) {
  if (std::string_view(one.method) == "EchoTree") {
    testbed::v1::EchoTreeResponse reply;
    return reply.ParseFromString(ok) && reply.label() == "kept" && reply.tree().value() == 0 &&
           reply.tree().children().empty();
  }
  testbed::v1::EchoResponse reply;  // EchoIdemResponse has the same fields
  return reply.ParseFromString(ok) && reply.text() == "kept" && reply.padding().empty();
}

Task<> CompatibleTypes(Peer& peer) {
  Session* session = co_await peer.Establish();
  for (const Bridged& one : kBridged) {
    const peer::Method* method = peer::FindMethod(one.method);
    const std::string rule = one.rule;
    if (peer.harness_calls()) {
      const OtherType other = Changed(*method->arguments, one.change);
      Announce(*session, *method, wire::v1::BINDING_ROLE_ARGUMENTS, other);
      peer::Call* call = session->StartBareCall(method->name, one.bytes);
      wire::v1::Response response = co_await session->ResponseTo(*call, rule);
      const bool kept = response.has_ok() && Kept(one, response.ok());
      co_await peer.Require(kept, rule, one.because);
    } else {
      const uint32_t question = peer.StartCallBySubject(*session, one.method, "", one.method);
      Incoming* incoming = co_await session->NextRequest("the subject's Request");
      const OtherType other = Changed(*method->response, one.change);
      Announce(*session, *method, wire::v1::BINDING_ROLE_RESPONSE, other);
      RespondAs(*session, *incoming, one.bytes);
      control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
      co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK, rule, one.because);
    }
  }
  peer.Judged("schema.compat");
}

// ---------------------------------------------------------------- schema_kind_mismatch_…

// A value of the changed type that has the field.
constexpr char kNumber[] = "\x08\x05";

Task<> KindMismatch(Peer& peer) {
  const std::string rule = "schema.errors.type-mismatch";
  Session* session = co_await peer.Establish();
  const peer::Method* echo = peer::FindMethod("Echo");
  if (peer.harness_calls()) {
    const OtherType other = Changed(*echo->arguments, &ChangeKind);
    Announce(*session, *echo, wire::v1::BINDING_ROLE_ARGUMENTS, other);
    peer::Call* call = session->StartBareCall(echo->name, kNumber);
    wire::v1::Response response = co_await session->ResponseTo(*call, rule);
    const wire::v1::RuntimeError& error = response.runtime_error();
    co_await peer.Require(error.code() == wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, rule,
                          "a field of another kind fails the call with SCHEMA_MISMATCH");
    peer::Call* needless = session->StartBareCall(echo->name, "");
    wire::v1::Response early = co_await session->ResponseTo(*needless, "schema.errors.early");
    const auto code = early.runtime_error().code();
    co_await peer.Require(code == wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH,
                          "schema.errors.early", "it fails a call too whose value lacks the field");
    co_await peer.Require(error.text().find("text") != std::string::npos, "schema.errors.content",
                          "the text names the field; it says: " + error.text());
    co_await session->Fence();
    co_await peer.Settle();
    auto executions = co_await peer.ReadExecutions();
    co_await peer.Require(executions.empty(), rule, "the handler does not run");
    // The connection lives, and another binding is not concerned.
    peer::Call* other_call = session->StartCall("EchoIdem", Echo("unharmed"));
    wire::v1::Response alive = co_await session->ResponseTo(*other_call, "schema.errors.early");
    co_await RequireEcho(peer, alive, "unharmed");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  const OtherType other = Changed(*echo->response, &ChangeKind);
  Announce(*session, *echo, wire::v1::BINDING_ROLE_RESPONSE, other);
  incoming->other_type = true;
  RespondAs(*session, *incoming, kNumber);
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_SCHEMA_MISMATCH, rule,
                        "a response whose type has a field of another kind is SCHEMA_MISMATCH");
  co_await peer.Require(outcome.attempts() == 1, "schema.errors.not-retryable",
                        "a call that failed so is not attempted again");
  const uint32_t needless =
      peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "again");
  incoming = co_await session->NextRequest("the subject's second Request");
  incoming->other_type = true;
  RespondAs(*session, *incoming, "");
  control::v1::CallOutcome early = co_await peer.CallOutcomeOf(needless, "schema.errors.early");
  co_await peer.Require(early.status() == control::v1::CALL_STATUS_SCHEMA_MISMATCH,
                        "schema.errors.early", "so is one whose value lacks the field");
}

// ---------------------------------------------------------------- schema_unbridgeable_…

// Both Tree methods lose their label, which is required.
void LoseLabel(wire::v1::MessageSchema& message) {
  message.mutable_fields()->erase(message.mutable_fields()->begin() + 1);
}

// Field 1 becomes a list.
void ChangeCardinality(wire::v1::MessageSchema& message) {
  message.mutable_fields(0)->set_cardinality(wire::v1::CARDINALITY_REPEATED);
}

// A difference that fields matched by number cannot bridge.
struct Unbridgeable {
  const char* method;
  void (*change)(wire::v1::MessageSchema& message);
  const char* rule;
  const char* field;  // that the text must name, of arguments and response alike; "" if they differ
};

constexpr Unbridgeable kUnbridgeable[] = {
    {"EchoTree", &LoseLabel, "schema.errors.missing-required", "label"},
    {"Echo", &ChangeCardinality, "schema.errors.type-mismatch", "text"},
    {"EchoMetadata", &ChangeKind, "schema.errors.type-mismatch", ""},
};

Task<> UnbridgeableTypes(Peer& peer) {
  Session* session = co_await peer.Establish();
  for (const Unbridgeable& one : kUnbridgeable) {
    const peer::Method* method = peer::FindMethod(one.method);
    std::string text;
    if (peer.harness_calls()) {
      const OtherType other = Changed(*method->arguments, one.change);
      Announce(*session, *method, wire::v1::BINDING_ROLE_ARGUMENTS, other);
      peer::Call* call = session->StartBareCall(method->name, "");
      wire::v1::Response response = co_await session->ResponseTo(*call, one.rule);
      const auto code = response.runtime_error().code();
      co_await peer.Require(code == wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, one.rule,
                            "it fails the calls of its binding with SCHEMA_MISMATCH");
      co_await peer.Require(response.has_runtime_error(), "schema.errors",
                            "a difference that cannot be bridged is an error, never a value");
      text = response.runtime_error().text();
    } else {
      const uint32_t question = peer.StartCallBySubject(*session, one.method, "", one.method);
      Incoming* incoming = co_await session->NextRequest("the subject's Request");
      const OtherType other = Changed(*method->response, one.change);
      Announce(*session, *method, wire::v1::BINDING_ROLE_RESPONSE, other);
      incoming->other_type = true;
      RespondAs(*session, *incoming, "");
      control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, one.rule);
      co_await peer.Require(outcome.status() != control::v1::CALL_STATUS_OK, "schema.errors",
                            "a difference that cannot be bridged is an error, never a value");
      co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_SCHEMA_MISMATCH, one.rule,
                            "it fails the calls of its binding with SCHEMA_MISMATCH");
      text = outcome.text();
    }
    const bool named = text.find(one.field) != std::string::npos;
    co_await peer.Require(named, "schema.errors.content",
                          "the text names the field; it says: " + text);
  }
  if (!peer.harness_calls()) co_return;
  co_await session->Fence();
  co_await peer.Settle();
  auto executions = co_await peer.ReadExecutions();
  co_await peer.Require(executions.empty(), "schema.errors", "no handler runs on such a type");
}

// ---------------------------------------------------------------- schema_recursive_…

// A tree of three generations.
testbed::v1::Tree SomeTree() {
  testbed::v1::Tree tree;
  tree.set_value(1);
  tree.add_children()->set_value(2);
  tree.mutable_children(0)->add_children()->set_value(3);
  tree.add_children()->set_value(4);
  return tree;
}

Task<> RecursiveTypes(Peer& peer) {
  const std::string rule = "schema.type-id.recursive";
  Session* session = co_await peer.Establish();
  testbed::v1::EchoTreeRequest request;
  *request.mutable_tree() = SomeTree();
  request.set_label("oak");
  testbed::v1::EchoTreeResponse reply;
  *reply.mutable_tree() = SomeTree();
  reply.set_label("oak");
  if (peer.harness_calls()) {
    peer::Call* call = session->StartCall("EchoTree", request);
    wire::v1::Response response = co_await session->ResponseTo(*call, rule);
    testbed::v1::EchoTreeResponse got;
    const bool same = response.has_ok() && got.ParseFromString(response.ok()) &&
                      got.SerializeAsString() == reply.SerializeAsString();
    co_await peer.Require(same, "schema.compat", "a value of a recursive type comes back whole");
    co_return;
  }
  const uint32_t question =
      peer.StartCallBySubject(*session, "EchoTree", request.SerializeAsString(), "call");
  Incoming* incoming = co_await session->NextRequest("the subject's Request", rule);
  session->RespondOk(*incoming, reply);
  control::v1::CallOutcome outcome = co_await peer.CallOutcomeOf(question, "schema.compat");
  co_await RequireOk(peer, outcome, reply.SerializeAsString());
}

// ---------------------------------------------------------------- schema_resume_…

Task<> ResumeStartsFromNothing(Peer& peer) {
  const std::string rule = "schema.tracking.attachment";
  Session* session = co_await peer.Establish();
  co_await RequireOneCall(peer, *session, rule);
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  // The same again: what was announced before the cut has to be announced anew, by either side.
  co_await RequireOneCall(peer, *session, rule);
  // And what is not is missing, though it was once there.
  peer.Close(*session->link, CutBySeed(peer));
  co_await peer.Resume(*session);
  wire::v1::Message message;
  if (peer.harness_calls()) {
    wire::v1::Request& request = *message.mutable_request();
    request.set_request_id(1001);
    request.set_operation_id(session->NextOperationId());
    request.set_method(peer::FindMethod("Echo")->name);
    request.set_arguments(Echo("unannounced").SerializeAsString());
  } else {
    peer.StartCallBySubject(*session, "Echo", Echo("x").SerializeAsString(), "last");
    Incoming* incoming = co_await session->NextRequest("the subject's Request");
    message.mutable_response()->set_request_id(incoming->request.request_id());
    message.mutable_response()->set_ok(EchoReply("x").SerializeAsString());
  }
  session->Send(std::move(message), rule);
  co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, rule);
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
      {"schema_compatible_types_are_translated",
       "schema",
       "Fields match by number: renamed, missing and added ones make no difference.",
       both,
       {"schema.translation.by-number", "schema.translation.missing-optional",
        "schema.translation.unknown-fields", "schema.compat"},
       {"schema.translation.by-number", "schema.translation.missing-optional",
        "schema.translation.unknown-fields", "schema.compat"},
       {"root_calls", "schemas"},
       &CompatibleTypes},
      {"schema_kind_mismatch_fails_the_call",
       "schema",
       "A field of another kind fails every call of its binding, and nothing else.",
       both,
       {"schema.errors.type-mismatch", "schema.errors.early", "schema.errors.content"},
       {"schema.errors.type-mismatch", "schema.errors.early", "schema.errors.not-retryable"},
       {"root_calls", "schemas"},
       &KindMismatch},
      {"schema_unbridgeable_types_fail_their_calls",
       "schema",
       "What fields matched by number cannot bridge fails every call of its binding.",
       both,
       {"schema.errors", "schema.errors.missing-required", "schema.errors.type-mismatch",
        "schema.errors.content"},
       {"schema.errors", "schema.errors.missing-required", "schema.errors.type-mismatch",
        "schema.errors.content"},
       {"root_calls", "schemas"},
       &UnbridgeableTypes},
      {"schema_recursive_types_are_whole",
       "schema",
       "A type that refers to itself has the id of its group, and its values come through whole.",
       both,
       {"schema.type-id.recursive", "schema.tracking.transitive"},
       {"schema.type-id.recursive", "schema.tracking.transitive"},
       {"root_calls", "schemas"},
       &RecursiveTypes},
      {"schema_resume_starts_from_nothing",
       "schema",
       "What was announced on one link counts on that link only, in both directions.",
       both,
       {"schema.tracking.attachment", "session.resume.schemas"},
       {"schema.tracking.attachment", "session.resume.schemas"},
       {"root_calls", "schemas", "resume"},
       &ResumeStartsFromNothing},
  };
}

}  // namespace counterpart::scenarios
