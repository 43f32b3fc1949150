// Metadata of calls: what is sent is what is given, and what may go on does.
#include <map>
#include <string>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using peer::Call;
using peer::Incoming;
using peer::Session;
using wire::v1::MetadataEntry;
using wire::v1::Response;

constexpr uint32_t kNoPropagate = 1u << 1;
constexpr uint32_t kUnknownFlags = 1u << 31 | 1u << 7;  // of a newer version of the protocol

struct Entry {
  std::string key, value;
  uint32_t flags = 0;
  bool operator==(const Entry&) const = default;
};
using Entries = std::vector<Entry>;

// A key twice, with others between; flags nobody knows; a key, and a value, of no bytes.
const Entries& Sent() {
  static const auto* sent =
      new Entries{{"twice", "first", 0},  {"flagged", "kept", kUnknownFlags},
                  {"", "no key", 0},      {"local", "here only", kNoPropagate},
                  {"twice", "second", 0}, {"no value", "", kUnknownFlags | kNoPropagate},
                  {"twice", "first", 0}};
  return *sent;
}

template <class To, class From>
To Copied(const From& from) {
  To to;
  for (const auto& one : from) {
    auto* entry = to.Add();
    entry->set_key(one.key);
    entry->set_value(one.value);
    entry->set_flags(one.flags);
  }
  return to;
}

template <class From>
Entries Read(const From& from) {
  Entries entries;
  for (const auto& one : from) entries.push_back({one.key(), one.value(), one.flags()});
  return entries;
}

std::map<std::string, std::vector<std::string>> ValuesByKey(const Entries& entries) {
  std::map<std::string, std::vector<std::string>> values;
  for (const Entry& entry : entries) values[entry.key].push_back(entry.value);
  return values;
}

// co_await: these are the entries, each rule looked at by itself.
Task<> RequireSame(Peer& peer, const Entries& got, const Entries& wanted, std::string whom) {
  const auto values = ValuesByKey(got), due = ValuesByKey(wanted);
  bool keys = values.size() == due.size();
  for (const auto& [key, some] : due) keys &= values.contains(key);
  std::string all = whom + " is given the metadata that was sent, every key of it";
  co_await peer.Require(keys, "rpc.metadata", std::move(all));
  std::string twice = whom + " is given each entry of a key, in the order sent";
  co_await peer.Require(values == due, "rpc.metadata.duplicates", std::move(twice));
  std::map<std::string, uint32_t> flags;
  for (const Entry& entry : wanted) flags[entry.key] = entry.flags;
  bool kept = true;
  for (const Entry& entry : got) kept &= flags[entry.key] == entry.flags;
  std::string flagged = whom + " is given each entry with all of its flags, known or not";
  co_await peer.Require(kept, "rpc.metadata.unknown-flags", std::move(flagged));
  std::string order = whom + " is given the entries in the order sent";
  co_await peer.Require(got == wanted, "rpc.metadata", std::move(order));
}

// ---------------------------------------------------------------- rpc_metadata_is_…

using WireEntries = google::protobuf::RepeatedPtrField<MetadataEntry>;
using ControlEntries = google::protobuf::RepeatedPtrField<control::v1::Metadata>;

// co_await: handlers of the subject hand on what they were given, to whoever it is for.
Task<> HandedOnByHandlers(Peer& peer, Session& session) {
  session.in_every_request.mutable_metadata()->CopyFrom(Copied<WireEntries>(Sent()));
  Call* call = session.StartCall("EchoMetadata", testbed::v1::EchoMetadataRequest());
  Response response = co_await session.ResponseTo(*call, "rpc.metadata");
  co_await peer.Require(response.has_ok(), "rpc.metadata.unknown-keys",
                        "metadata nobody knows fails no call");
  co_await RequireSame(peer, Read(response.metadata()), Sent(), "a handler");
  testbed::v1::EchoMetadataRequest onward;
  onward.set_pass_on(true);
  Call* outer = session.StartCall("EchoMetadata", onward);
  Incoming* inner = co_await session.NextRequest("the call that the handler makes in turn");
  const Entries passed = Read(inner->request.metadata());
  Entries due;
  for (const Entry& entry : Sent()) {
    if ((entry.flags & kNoPropagate) == 0) due.push_back(entry);
  }
  bool local = false;
  for (const Entry& entry : passed) local |= (entry.flags & kNoPropagate) != 0;
  co_await peer.Require(!local, "rpc.metadata.no-propagate",
                        "what is marked NO_PROPAGATE goes into no call that a handler makes");
  co_await RequireSame(peer, passed, due, "whom a handler calls");
  session.RespondOk(*inner, testbed::v1::EchoMetadataResponse());
  Response ended = co_await session.ResponseTo(*outer, "rpc.metadata");
  co_await peer.Require(ended.has_ok(), "rpc.metadata", "the outer call ends with its own answer");
  // r[retry.seal.replay-exact]: metadata is part of the outcome.
  peer.Close(*session.link, CutBySeed(peer));
  co_await peer.Resume(session);
  session.in_every_request.clear_metadata();
  Call* again = session.Reattempt(*call, "retry.resume.reattempt");
  Response replay = co_await session.ResponseTo(*again, "retry.seal.replay-exact");
  co_await peer.Require(replay.ok() == response.ok() && Read(replay.metadata()) == Sent(),
                        "retry.seal.replay-exact",
                        "a replay has the metadata of the Response, byte for byte");
}

// co_await: calls of the subject carry what its application gives, and bring it what was answered.
Task<> HandedOnByCallers(Peer& peer, Session& session) {
  const uint32_t question = peer.StartCallBySubject(session, "EchoMetadata", "", "call", 0,
                                                    Copied<ControlEntries>(Sent()));
  Incoming* incoming = co_await session.NextRequest("the subject's Request");
  co_await RequireSame(peer, Read(incoming->request.metadata()), Sent(), "the callee");
  Response response;
  response.set_ok(testbed::v1::EchoMetadataResponse().SerializeAsString());
  response.mutable_metadata()->CopyFrom(Copied<WireEntries>(Sent()));
  session.RespondAgain(*incoming, response);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "rpc.metadata");
  co_await peer.Require(outcome.status() == control::v1::CALL_STATUS_OK,
                        "rpc.metadata.unknown-keys", "metadata nobody knows fails no call");
  co_await RequireSame(peer, Read(outcome.metadata()), Sent(), "the application");
}

Task<> MetadataIsHandedOn(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    co_await HandedOnByHandlers(peer, *session);
  } else {
    co_await HandedOnByCallers(peer, *session);
  }
}

// ---------------------------------------------------------------- rpc_sensitive_…

constexpr uint32_t kSensitive = 1u << 0;

// Of this run alone, and so that any log can be searched for it.
std::string Secret(Peer& peer) {
  std::string secret = "secret-";
  for (const char byte : peer.MintBytes("a sensitive value", 12)) {
    secret.push_back(static_cast<char>('a' + static_cast<unsigned char>(byte) % 26));
  }
  return secret;
}

// co_await: a text that somebody may read does not have the value; nor, in a replay, its stars.
Task<> RequireWithout(Peer& peer, const std::string& text, const std::string& secret,
                      const char* what) {
  const bool without =
      text.find(secret) == text.npos && text.find(std::string(secret.size(), '*')) == text.npos;
  std::string wanted = std::string("a SENSITIVE value appears in no ") + what;
  co_await peer.Require(without, "rpc.metadata.sensitive", std::move(wanted));
}

// co_await: neither the subject's journal and output have it, nor the harness's own trace.
Task<> RequireNowhere(Peer& peer, const std::string& secret) {
  co_await peer.Settle();
  std::vector<control::v1::JournalEvent> journal = co_await peer.JournalSoFar();
  std::string told;
  for (const auto& event : journal) told += event.SerializeAsString();
  co_await RequireWithout(peer, told, secret, "journal");
  std::string output = co_await peer.ReadOutput(/*errors=*/true);
  co_await RequireWithout(peer, output, secret, "line on stdout or stderr");
  bool traced = false;
  for (const machine::Entry& entry : peer.machine().trace().entries()) {
    for (const std::string* said : {&entry.effect.bytes, &entry.ingress.bytes, &entry.ingress.text,
                                    &entry.reading.label, &entry.reading.text}) {
      traced |= said->find(secret) != said->npos;
    }
  }
  co_await peer.Require(!traced, "rpc.metadata.sensitive", "a SENSITIVE value is in no trace");
}

Task<> SensitiveStaysUnseen(Peer& peer) {
  const std::string secret = Secret(peer);
  peer.machine().Conceal(secret);
  const Entries entries = {{"authorization", secret, kSensitive}};
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    session->in_every_request.mutable_metadata()->CopyFrom(Copied<WireEntries>(entries));
    testbed::v1::EchoRequest crash = Echo("no value");
    crash.mutable_program()->add_steps()->mutable_panic();
    const peer::Method& echo = *peer::FindMethod("Echo");
    session->AnnounceUnknown("no.such/Method");
    // One after the other: which of several is answered first is the subject's to say.
    for (int i = 0; i < 4; ++i) {
      Call* call = i == 0   ? session->StartCall("Echo", Echo("fine"))
                   : i == 1 ? session->StartCall("Echo", crash)
                   : i == 2 ? session->StartCallRaw(echo, "\x0a\x7f", 0)
                            : session->StartBareCall("no.such/Method", "");
      Response response = co_await session->ResponseTo(*call);
      co_await RequireWithout(peer, response.runtime_error().text(), secret, "error text");
    }
    Call* given = session->StartCall("EchoMetadata", testbed::v1::EchoMetadataRequest());
    Response response = co_await session->ResponseTo(*given);
    const bool same = response.metadata_size() == 1 &&
                      machine::Machine::Reads(response.metadata(0).value(), secret);
    co_await peer.Require(same, "rpc.metadata", "whom it is for is given a SENSITIVE value");
    co_await RequireNowhere(peer, secret);
    // The one text that is left: what the subject says of a violation.
    wire::v1::Message zero;
    *zero.mutable_request() = session->in_every_request;
    zero.mutable_request()->set_request_id(10001);
    zero.mutable_request()->set_method(echo.name);
    session->Send(std::move(zero), "retry.op-id.scope");
    co_await session->AwaitProtocolError(wire::v1::PROTOCOL_ERROR_CODE_MALFORMED,
                                         "retry.op-id.scope",
                                         wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID);
    co_await RequireWithout(peer, session->protocol_error()->text(), secret, "ProtocolError");
    co_await RequireNowhere(peer, secret);
    co_return;
  }
  const uint32_t question = peer.StartCallBySubject(*session, "EchoMetadata", "", "call", 0,
                                                    Copied<ControlEntries>(entries));
  Incoming* incoming = co_await session->NextRequest("the subject's Request");
  const bool same = incoming->request.metadata_size() == 1 &&
                    machine::Machine::Reads(incoming->request.metadata(0).value(), secret);
  co_await peer.Require(same, "rpc.metadata", "whom it is for is given a SENSITIVE value");
  Response response;
  response.mutable_runtime_error()->set_code(wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD);
  response.mutable_metadata()->CopyFrom(Copied<WireEntries>(entries));
  session->RespondAgain(*incoming, response);
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "rpc.metadata");
  co_await RequireWithout(peer, outcome.text(), secret, "error text");
  co_await RequireNowhere(peer, secret);
}

}  // namespace

std::vector<Scenario> MetadataScenarios() {
  return {
      {"rpc_sensitive_values_stay_unseen",
       "rpc",
       "A SENSITIVE value reaches whom it is for, and no journal, output, error text or trace.",
       {Direction::kHarnessToSubject, Direction::kSubjectToHarness},
       {"rpc.metadata.sensitive"},
       {"rpc.metadata.sensitive"},
       {"root_calls"},
       &SensitiveStaysUnseen,
       /*exclusive=*/true},
      {"rpc_metadata_is_handed_on",
       "rpc",
       "Metadata is given as it was sent, entry by entry, and goes on unless it is marked not to.",
       {Direction::kHarnessToSubject, Direction::kSubjectToHarness},
       {"rpc.metadata", "rpc.metadata.duplicates", "rpc.metadata.unknown-flags",
        "rpc.metadata.no-propagate", "retry.seal.replay-exact"},
       {"rpc.metadata", "rpc.metadata.duplicates", "rpc.metadata.unknown-flags"},
       {"root_calls", "resume", "operations"},
       &MetadataIsHandedOn},
  };
}

}  // namespace counterpart::scenarios
