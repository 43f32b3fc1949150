// Every rule that a monitor enforces frame by frame: a legal sequence that it lets pass, and one
// frame more that it names the rule for.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/judge/judge.h"
#include "harness/judge/spec_text.h"
#include "harness/tests/frame_script.h"
#include "harness/wire/schema_id.h"

namespace counterpart::judge {
namespace {

using machine::Finding;
using machine::Level;

struct Row {
  const char* what;
  std::unique_ptr<Monitor> (*monitor)();
  std::vector<std::string> legal;
  std::string illegal;  // "": the row only shows what is legal
  const char* rule;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.what; }

// One monitor, and links of one session: link n is its attachment of generation n.
struct Bench {
  Judge judge;
  std::unique_ptr<Monitor> monitor;
  std::map<uint32_t, LinkContext> links;

  explicit Bench(std::unique_ptr<Monitor> m) : monitor(std::move(m)) {
    judge.set_report([this](Finding finding) { judge.OnFinding(finding); });
  }
  void Say(const std::string& line) {
    EXPECT_TRUE(tests::WithFrame(line, [this](peer::ObservedFrame& frame) {
      const auto [found, fresh] = links.try_emplace(frame.link);
      LinkContext& link = found->second;
      if (fresh) {
        link.link = frame.link;
        link.harness_dialled = true;
        link.session_id = "session";
        link.limit[0] = link.limit[1] = 2;
      }
      monitor->OnFrame(frame, link, judge);
    })) << line;
  }
  std::string Seen() const {
    const Finding& reason = judge.verdict().reason();
    return judge.verdict().level() == Level::kNone ? "nothing" : reason.rule + ": " + reason.text;
  }
};

// A Request of the testbed with the id, and an operation of the same number.
std::string Request(int id, const std::string& method, const std::string& more = "") {
  const std::string number = std::to_string(id);
  return "request { request_id: " + number + " operation_id: " + number +
         " method: 'counterpart.testbed.v1.Testbed/" + method + "' " + more + " }";
}
std::string Ref(int field, int channel) {
  return "channels { field_number: " + std::to_string(field) +
         " channel_id: " + std::to_string(channel) + " }";
}
std::string Item(int channel) {
  return "channel_item { channel_id: " + std::to_string(channel) + " }";
}
std::string Close(int channel) {
  return "close_channel { channel_id: " + std::to_string(channel) + " }";
}
std::string Reset(int channel) {
  return "reset_channel { channel_id: " + std::to_string(channel) + " }";
}
std::string Credit(int channel, const std::string& credit) {
  return "grant_credit { channel_id: " + std::to_string(channel) + " credit: " + credit + " }";
}
std::string Answer(int id) { return "response { request_id: " + std::to_string(id) + " ok: 'r' }"; }

// Generate: the subject sends on field 3, with credit for 16. Sum: the harness does.
const std::string kGenerate = "H " + Request(1, "Generate", Ref(3, 1));
const std::string kSum = "H " + Request(1, "Sum", Ref(3, 1));

// The announcement of a type of the testbed, bound to a method in a role.
std::string Announce(const google::protobuf::Descriptor* type, const std::string& bindings) {
  std::string text = "schema { ";
  if (type != nullptr) {
    for (const auto& described : wire::DescribeTypes(*type)) {
      text += "types { " + described.ShortDebugString() + " } ";
    }
  }
  return text + bindings + " }";
}
std::string Binding(const std::string& method, const char* role,
                    const google::protobuf::Descriptor& type, const std::string& more = "") {
  return "bindings { method: 'counterpart.testbed.v1.Testbed/" + method + "' role: " + role +
         " type_id: " + std::to_string(wire::SchemaId(type)) + " " + more + " } ";
}

std::vector<Row> MessageRows() {
  const auto monitor = &NewMessageMonitor;
  return {
      {"PongWithoutPing",
       monitor,
       {"H ping { nonce: 1 }", "S pong { nonce: 1 }"},
       "S pong { nonce: 1 }",
       "session.keepalive"},
      {"PongOutOfOrder",
       monitor,
       {"H ping { nonce: 1 }", "H ping { nonce: 2 }"},
       "S pong { nonce: 2 }",
       "session.keepalive"},
      {"PongOnAnotherLink",
       monitor,
       {"H ping { nonce: 1 }"},
       "2S pong { nonce: 1 }",
       "session.keepalive"},
      {"PingOnAConnection",
       monitor,
       {"S ping { nonce: 1 }"},
       "S connection_id: 1 ping {}",
       "session.message.connection-id"},
      {"PongOnAConnection",
       monitor,
       {"H ping {}"},
       "S connection_id: 1 pong {}",
       "session.message.connection-id"},
      {"GoodbyeOnAConnection",
       monitor,
       {},
       "S connection_id: 1 goodbye {}",
       "session.message.connection-id"},
      {"ProtocolErrorOnAConnection",
       monitor,
       {},
       "S connection_id: 1 protocol_error {}",
       "session.message.connection-id"},
      {"RefusalBehindThePong",
       monitor,
       {"H " + Request(1, "NoSuchMethod"), "H ping { nonce: 1 }", "S pong { nonce: 1 }"},
       "S response { request_id: 1 runtime_error { code: RUNTIME_ERROR_CODE_UNKNOWN_METHOD } }",
       "session.keepalive.fence"},
      {"ValueBehindThePong",
       monitor,
       {"H " + Request(1, "Echo"), "H ping { nonce: 1 }", "S pong { nonce: 1 }", "S " + Answer(1)},
       "",
       ""},
      {"MessageAfterGoodbye",
       monitor,
       {"H goodbye {}", "S goodbye {}"},
       "S ping {}",
       "session.goodbye"},
      {"MessageAfterProtocolError",
       monitor,
       {"S protocol_error {}", "H ping {}"},
       "S ping {}",
       "session.protocol-error.delivery"},
  };
}

std::vector<Row> ConnectionRows() {
  const auto monitor = &NewConnectionMonitor;
  const std::string open = "H connection_id: 1 open_connection { parity: PARITY_ODD }";
  const std::string accept = "S connection_id: 1 accept_connection {}";
  const std::string close = "connection_id: 1 close_connection {}";
  return {
      {"RequestOnAnUnopenedConnection",
       monitor,
       {"S " + Request(2, "Echo")},
       "S connection_id: 3 " + Request(4, "Echo"),
       "connection.open"},
      {"RequestOnARejectedConnection",
       monitor,
       {open, "S connection_id: 1 reject_connection { reason: 'no' }"},
       "S connection_id: 1 " + Request(2, "Echo"),
       "connection.open"},
      {"RequestOnAConnectionNotAnsweredYet",
       monitor,
       {open},
       "S connection_id: 1 " + Request(2, "Echo"),
       "connection.open"},
      {"AnswerToAConnectionOfItsOwn",
       monitor,
       {"S connection_id: 2 open_connection { parity: PARITY_ODD }"},
       "S connection_id: 2 accept_connection {}",
       "connection.open"},
      {"ConnectionIdOfTheOtherParity",
       monitor,
       {"S connection_id: 2 open_connection { parity: PARITY_ODD }"},
       "S connection_id: 5 open_connection { parity: PARITY_ODD }",
       "connection.open"},
      {"ConnectionIdUsedBefore",
       monitor,
       {"S connection_id: 2 open_connection { parity: PARITY_ODD }",
        "H connection_id: 2 reject_connection { reason: 'no' }"},
       "S connection_id: 2 open_connection { parity: PARITY_ODD }",
       "connection.open"},
      {"ClosesTheRoot", monitor, {}, "S close_connection {}", "connection.root"},
      {"OpensWithoutParity",
       monitor,
       {},
       "S connection_id: 2 open_connection {}",
       "connection.parity"},
      {"AnswersTwice", monitor, {open, accept}, accept, "connection.open"},
      {"SpeaksAfterItsClose",
       monitor,
       {open, accept, "S connection_id: 1 " + Request(2, "Echo"), "S " + close},
       "S connection_id: 1 " + Request(4, "Echo"),
       "connection.close"},
      {"ClosesTwice", monitor, {open, accept, "S " + close}, "S " + close, "connection.close"},
      {"SpeaksAfterItsEcho",
       monitor,
       {open, accept, "H " + close, "S connection_id: 1 " + Request(2, "Echo"), "S " + close,
        "H ping { nonce: 1 }", "S pong { nonce: 1 }"},
       "S connection_id: 1 " + Request(4, "Echo"),
       "connection.close"},
      {"EchoesNoClose",
       monitor,
       {open, accept, "H ping { nonce: 1 }", "H " + close, "S pong { nonce: 1 }",
        "H ping { nonce: 2 }"},
       "S pong { nonce: 2 }",
       "connection.close.echo"},
      {"ClosesThatCross",
       monitor,
       {open, accept, "S " + close, "H " + close, "H ping { nonce: 1 }", "S pong { nonce: 1 }"},
       "",
       ""},
      {"ListsWhatItHasClosed",
       monitor,
       {open, accept, "S " + close, "2H handshake hello { resume_key: 'k' }"},
       "2S handshake hello_yourself { open_connections: 1 }",
       "session.resume.connections"},
      {"ListsWhatNobodyOpened",
       monitor,
       {"2H handshake hello { resume_key: 'k' }"},
       "2S handshake hello_yourself { open_connections: 1 }",
       "session.resume.connections"},
      {"ListsWhatItHasAcceptedUnread",
       monitor,
       {open, "2H handshake hello { resume_key: 'k' }",
        "2S handshake hello_yourself { open_connections: 1 }"},
       "",
       ""},
      {"SpeaksOnWhatAResumeLeftOut",
       monitor,
       {open, accept, "2H handshake hello { resume_key: 'k' }",
        "2S handshake hello_yourself { open_connections: 1 }", "2H handshake lets_go {}"},
       "2S connection_id: 1 " + Request(2, "Echo"),
       "session.resume.connections"},
      {"KeepsWhatBothList",
       monitor,
       {open, accept, "2H handshake hello { resume_key: 'k' open_connections: 1 }",
        "2S handshake hello_yourself { open_connections: 1 }", "2H handshake lets_go {}",
        "2S connection_id: 1 " + Request(2, "Echo")},
       "",
       ""},
  };
}

std::vector<Row> RequestRows() {
  const auto monitor = &NewRequestMonitor;
  const std::string echo = "H " + Request(1, "Echo");
  return {
      {"RequestIdOfTheOtherParity",
       monitor,
       {"S " + Request(2, "Echo")},
       "S " + Request(5, "Echo"),
       "session.parity"},
      {"RequestIdZero",
       monitor,
       {},
       "S request { request_id: 0 operation_id: 1 method: 'M' }",
       "rpc.request.id-allocation"},
      {"RequestIdFalls",
       monitor,
       {"S " + Request(4, "Echo")},
       "S " + Request(2, "Echo"),
       "rpc.id.monotone"},
      {"RequestIdRepeats",
       monitor,
       {"S " + Request(4, "Echo")},
       "S request { request_id: 4 operation_id: 9 method: 'M' }",
       "rpc.id.monotone"},
      {"RequestIdFallsInTheNextGeneration",
       monitor,
       {"S " + Request(4, "Echo")},
       "2S " + Request(2, "Echo"),
       "rpc.id.monotone"},
      {"OverTheLimit",
       monitor,
       {"S " + Request(2, "Echo"), "S " + Request(4, "Echo"), "H " + Answer(2),
        "S " + Request(6, "Echo")},
       "S " + Request(8, "Echo"),
       "rpc.flow-control.max-concurrent-requests.outbound"},
      {"NoOperationId",
       monitor,
       {},
       "S request { request_id: 2 method: 'M' }",
       "retry.op-id.scope"},
      {"AttemptBelowSettled",
       monitor,
       {"S " + Request(2, "Echo", "settled_below: 2")},
       "S request { request_id: 4 operation_id: 1 method: 'M' }",
       "retry.gc.settled-below"},
      {"OperationWithOtherBytes",
       monitor,
       {"S request { request_id: 2 operation_id: 1 method: 'M' arguments: 'a' }",
        "2S request { request_id: 4 operation_id: 1 method: 'M' arguments: 'a' }"},
       "3S request { request_id: 6 operation_id: 1 method: 'M' arguments: 'b' }",
       "retry.op-id.payload-binding"},
      {"OperationWithAnotherMethod",
       monitor,
       {"S request { request_id: 2 operation_id: 1 method: 'M' }"},
       "2S request { request_id: 4 operation_id: 1 method: 'N' }",
       "retry.op-id.payload-binding"},
      // An id is of the session that minted it, and binds in every one that names that.
      {"OperationOfAnotherSessionWithOtherBytes",
       monitor,
       {"S request { request_id: 2 operation_id: 1 method: 'M' }",
        "S request { request_id: 4 operation_id: 1 method: 'N' origin_session: 'a' }"},
       "2S request { request_id: 6 operation_id: 1 method: 'M' origin_session: 'a' }",
       "retry.op-id.payload-binding"},
      {"TwoAttemptsInOneGeneration",
       monitor,
       {"S request { request_id: 2 operation_id: 1 method: 'M' }"},
       "S request { request_id: 4 operation_id: 1 method: 'M' }",
       "retry.resume.reattempt"},
      {"SecondResponse",
       monitor,
       {echo, "S " + Answer(1)},
       "S " + Answer(1),
       "rpc.response.one-per-request"},
      {"ResponseToNothing", monitor, {echo}, "S " + Answer(3), "rpc.response.one-per-request"},
      {"ResponseToItsOwnRequest",
       monitor,
       {"S " + Request(2, "Echo")},
       "S " + Answer(2),
       "rpc.response.one-per-request"},
      {"ResponseOfAnOlderGeneration", monitor, {echo}, "2S " + Answer(1), "session.resume.discard"},
      {"ResponseWithoutOutcome",
       monitor,
       {echo},
       "S response { request_id: 1 }",
       "rpc.response.shape"},
  };
}

std::vector<Row> ChannelRows() {
  const auto monitor = &NewChannelMonitor;
  std::vector<std::string> sixteen = {kGenerate};
  for (int i = 0; i < 16; ++i) sixteen.push_back("S " + Item(1));
  std::vector<std::string> granted = sixteen;
  granted.push_back("H " + Credit(1, "2"));
  granted.push_back("S " + Item(1));
  granted.push_back("S " + Item(1));
  const std::vector<std::string> fenced_reset = {kGenerate,      "S " + Item(1), "H " + Reset(1),
                                                 "S " + Item(1), "H ping {}",    "S pong {}"};
  return {
      {"ItemBeyondInitialCredit", monitor, sixteen, "S " + Item(1), "rpc.flow-control.credit"},
      {"ItemBeyondGrantedCredit", monitor, granted, "S " + Item(1), "rpc.flow-control.credit"},
      {"ItemFromZeroCredit",
       monitor,
       {"S " + Request(2, "SumFromZero", Ref(3, 2)), "H " + Credit(2, "1"), "S " + Item(2)},
       "S " + Item(2),
       "rpc.flow-control.credit"},
      {"CreditOverflow",
       monitor,
       {kSum, "S " + Credit(1, "4294967279")},
       "S " + Credit(1, "1"),
       "rpc.flow-control.credit.overflow"},
      {"ChannelIdOfTheOtherParity",
       monitor,
       {"S " + Request(2, "Generate", Ref(3, 2))},
       "S " + Request(4, "Generate", Ref(3, 5)),
       "rpc.channel.allocation"},
      {"ChannelIdZero",
       monitor,
       {},
       "S " + Request(2, "Generate", Ref(3, 0)),
       "rpc.channel.allocation"},
      {"ChannelOfNoArgument",
       monitor,
       {},
       "S " + Request(2, "Echo", Ref(3, 2)),
       "rpc.channel.allocation"},
      {"ChannelMissing",
       monitor,
       {"S " + Request(2, "Transform", Ref(3, 2) + Ref(4, 4))},
       "S " + Request(4, "Transform", Ref(3, 6)),
       "rpc.channel.allocation"},
      {"ChannelsOutOfOrder",
       monitor,
       {},
       "S " + Request(2, "Transform", Ref(4, 2) + Ref(3, 4)),
       "rpc.channel.allocation"},
      {"ChannelIdReused",
       monitor,
       {"S " + Request(2, "Generate", Ref(3, 2))},
       "2S " + Request(4, "Generate", Ref(3, 2)),
       "rpc.id.monotone"},
      {"ItemOnAnUnknownChannel", monitor, {kGenerate}, "S " + Item(3), "rpc.channel.unknown"},
      {"CloseOfAnUnknownChannel", monitor, {kGenerate}, "S " + Close(3), "rpc.channel.unknown"},
      {"ResetOfAnUnknownChannel", monitor, {kSum}, "S " + Reset(3), "rpc.channel.unknown"},
      {"CreditOnAnUnknownChannel", monitor, {kSum}, "S " + Credit(3, "1"), "rpc.channel.unknown"},
      {"ItemOnAnOlderGenerationsChannel",
       monitor,
       {kGenerate, "S " + Item(1)},
       "2S " + Item(1),
       "session.resume.discard"},
      {"ItemFromTheReceiver", monitor, {kSum, "H " + Item(1)}, "S " + Item(1), "rpc.channel.ends"},
      {"CloseFromTheReceiver", monitor, {kSum}, "S " + Close(1), "rpc.channel.ends"},
      {"CreditFromTheSender",
       monitor,
       {kGenerate, "H " + Credit(1, "1")},
       "S " + Credit(1, "1"),
       "rpc.channel.ends"},
      {"ResetFromTheSender", monitor, {kGenerate}, "S " + Reset(1), "rpc.channel.ends"},
      {"CreditAfterItsReset",
       monitor,
       {kSum, "S " + Reset(1)},
       "S " + Credit(1, "1"),
       "rpc.channel.ends"},
      {"SecondReset", monitor, {kSum, "S " + Reset(1)}, "S " + Reset(1), "rpc.channel.ends"},
      {"CreditAfterTheCloseWasApplied",
       monitor,
       {kSum, "H " + Close(1), "S " + Credit(1, "1"), "H ping {}", "S pong {}"},
       "S " + Credit(1, "1"),
       "rpc.channel.ends"},
      {"ItemAfterClose",
       monitor,
       {kGenerate, "S " + Item(1), "S " + Close(1)},
       "S " + Item(1),
       "rpc.channel.close"},
      {"SecondClose", monitor, {kGenerate, "S " + Close(1)}, "S " + Close(1), "rpc.channel.close"},
      {"ItemAfterTheResetWasApplied", monitor, fenced_reset, "S " + Item(1), "rpc.channel.reset"},
      {"CloseAfterTheResetWasApplied", monitor, fenced_reset, "S " + Close(1), "rpc.channel.reset"},
      {"CloseMayCrossAReset", monitor, {kGenerate, "H " + Reset(1), "S " + Close(1)}, "", ""},
  };
}

std::vector<Row> SchemaRows() {
  const auto monitor = &NewSchemaMonitor;
  const auto& request = *testbed::v1::EchoRequest::descriptor();
  const auto& response = *testbed::v1::EchoResponse::descriptor();
  const auto& number = *testbed::v1::Number::descriptor();
  const std::string arguments = Binding("Echo", "BINDING_ROLE_ARGUMENTS", request);
  const std::string result = Binding("Echo", "BINDING_ROLE_RESPONSE", response);
  const std::string stream =
      Binding("Generate", "BINDING_ROLE_CHANNEL", number, "channel_field: 3");
  return {
      {"TypeTwice",
       monitor,
       {"S " + Announce(&number, "")},
       "S " + Announce(&number, ""),
       "schema.principles.once-per-type"},
      {"BindingTwice",
       monitor,
       {"S " + Announce(&request, arguments)},
       "S " + Announce(nullptr, arguments),
       "schema.principles.once-per-type"},
      {"AgainOnTheNextAttachment",
       monitor,
       {"S " + Announce(&number, ""), "2S " + Announce(&number, ""), "H " + Announce(&number, "")},
       "",
       ""},
      {"IdOfAnotherType",
       monitor,
       {},
       "S schema { types { type_id: 7 full_name: 'a.B' message {} } }",
       "schema.type-id.canonical"},
      {"BindingToNoType",
       monitor,
       {},
       "S " + Announce(nullptr, arguments),
       "schema.tracking.transitive"},
      {"TypeBeforeWhatItRefersTo",
       monitor,
       {},
       "S schema { types { type_id: 7 full_name: 'a.B' message { fields { number: 1 name: 'c' "
       "cardinality: CARDINALITY_OPTIONAL kind: 11 type_id: 8 } } } }",
       "schema.tracking.transitive"},
      {"UnannouncedRequest",
       monitor,
       {"S " + Announce(&request, arguments), "S " + Request(2, "Echo")},
       "S " + Request(4, "Generate"),
       "schema.tracking.sender"},
      {"RequestOfAnOlderAnnouncement",
       monitor,
       {"S " + Announce(&request, arguments)},
       "2S " + Request(2, "Echo"),
       "schema.tracking.attachment"},
      {"AnnouncedByTheOtherSide",
       monitor,
       {"H " + Announce(&request, arguments)},
       "S " + Request(2, "Echo"),
       "schema.tracking.sender"},
      {"UnannouncedResponse",
       monitor,
       {"H " + Announce(&request, arguments), "H " + Request(1, "Echo"),
        "S response { request_id: 1 runtime_error { code: RUNTIME_ERROR_CODE_CANCELLED } }",
        "H " + Request(3, "Echo")},
       "S " + Answer(3),
       "schema.tracking.sender"},
      {"AnnouncedResponse",
       monitor,
       {"H " + Announce(&request, arguments), "H " + Request(1, "Echo"),
        "S " + Announce(&response, result), "S " + Answer(1)},
       "",
       ""},
      {"UnannouncedItem",
       monitor,
       {"H " + Announce(testbed::v1::GenerateRequest::descriptor(),
                        Binding("Generate", "BINDING_ROLE_ARGUMENTS",
                                *testbed::v1::GenerateRequest::descriptor())),
        kGenerate},
       "S " + Item(1),
       "schema.tracking.sender"},
      {"AnnouncedItem",
       monitor,
       {"H " + Announce(testbed::v1::GenerateRequest::descriptor(),
                        Binding("Generate", "BINDING_ROLE_ARGUMENTS",
                                *testbed::v1::GenerateRequest::descriptor())),
        kGenerate, "S " + Announce(&number, stream), "S " + Item(1)},
       "",
       ""},
  };
}

class Rows : public testing::TestWithParam<Row> {};

TEST_P(Rows, LegalPassesAndOneFrameMoreIsNamed) {
  const Row& row = GetParam();
  Bench bench(row.monitor());
  for (const std::string& line : row.legal) {
    bench.Say(line);
    ASSERT_EQ(bench.judge.verdict().level(), Level::kNone) << line << ": " << bench.Seen();
  }
  if (row.illegal.empty()) return;
  bench.Say(row.illegal);
  EXPECT_EQ(bench.judge.verdict().level(), Level::kFail) << bench.Seen();
  EXPECT_EQ(bench.judge.verdict().reason().rule, row.rule) << bench.Seen();
  EXPECT_NE(FindRule(row.rule), nullptr) << row.rule;
}

const auto kName = [](const auto& row) { return std::string(row.param.what); };
INSTANTIATE_TEST_SUITE_P(Message, Rows, testing::ValuesIn(MessageRows()), kName);
INSTANTIATE_TEST_SUITE_P(Connection, Rows, testing::ValuesIn(ConnectionRows()), kName);
INSTANTIATE_TEST_SUITE_P(Request, Rows, testing::ValuesIn(RequestRows()), kName);
INSTANTIATE_TEST_SUITE_P(Channel, Rows, testing::ValuesIn(ChannelRows()), kName);
INSTANTIATE_TEST_SUITE_P(Schema, Rows, testing::ValuesIn(SchemaRows()), kName);

// ---------------------------------------------------------------- handshake

// The handshake monitor fills the link context itself: it is tested inside a whole judge.
struct Order {
  const char* what;
  std::vector<std::string> legal;
  std::string illegal;
  const char* rule;
};

void PrintTo(const Order& row, std::ostream* out) { *out << row.what; }

std::string Schema() {
  return "protocol_schema: " + std::to_string(wire::SchemaId(*wire::v1::Message::descriptor()));
}
const std::string kHello = "prologue hello { magic: 0x54525043 version: 1 conduit: CONDUIT_BARE }";
const std::string kAccept = "prologue accept {}";
const std::string kLetsGo = "handshake lets_go {}";
std::string Hello(const std::string& key = "") {
  return "handshake hello { parity: PARITY_ODD settings { max_concurrent_requests: 4 } " +
         Schema() + " resume_key: '" + key + "' }";
}
std::string Yourself(const std::string& key) {
  return "handshake hello_yourself { settings { max_concurrent_requests: 4 } " + Schema() +
         " resume_key: '" + key + "' session_id: '0123456789abcdef' }";
}
const std::string kKey1 = "key-1-of-16-byte", kKey2 = "key-2-of-16-byte",
                  kKey3 = "key-3-of-16-byte";

// A handshake on link `n`, up to the answer to its Hello.
std::vector<std::string> Upto(int n, const std::string& presented, const std::string& key = "") {
  const std::string link = std::to_string(n);
  std::vector<std::string> frames = {link + "H " + kHello, link + "S " + kAccept,
                                     link + "H " + Hello(presented)};
  if (!key.empty()) {
    frames.push_back(link + "S " + Yourself(key));
    frames.push_back(link + "H " + kLetsGo);
  }
  return frames;
}
std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Order> HandshakeRows() {
  const std::vector<std::string> whole = Upto(1, "", kKey1);
  const std::string sorry = "handshake sorry { reason: SORRY_REASON_MALFORMED }";
  return {
      {"AcceptFirst", {}, "S " + kAccept, "transport.prologue.first-payload"},
      {"MessageFirst", {}, "S ping {}", "transport.prologue.first-payload"},
      {"HelloInsteadOfAccept", {"H " + kHello}, "S " + kHello, "transport.prologue.first-payload"},
      {"HandshakeInsteadOfAccept",
       {"H " + kHello},
       "S " + Yourself(kKey1),
       "transport.prologue.first-payload"},
      {"MessageAfterReject",
       {"H " + kHello, "S prologue reject {}"},
       "S " + kAccept,
       "transport.prologue.reject-close"},
      {"SmallMaxPayload",
       {"H " + kHello},
       "S prologue accept { max_payload: 65535 }",
       "link.limit.announce"},
      {"AnotherSessionIdAtResume", whole + Upto(2, kKey1),
       "2S handshake hello_yourself { " + Schema() + " resume_key: '" + kKey2 +
           "' session_id: 'fedcba9876543210' }",
       "session.handshake.session-id"},
      {"YourselfBeforeHello",
       {"H " + kHello, "S " + kAccept},
       "S " + Yourself(kKey1),
       "session.handshake"},
      {"HelloTwice", Upto(1, ""), "S " + Hello(), "session.handshake"},
      {"LetsGoFromTheAcceptor", Upto(1, ""), "S " + kLetsGo, "session.handshake"},
      {"MessageBeforeLetsGo", Upto(1, "") + std::vector<std::string>{"S " + Yourself(kKey1)},
       "S ping {}", "session.handshake"},
      {"SorryInsteadOfYourself", Upto(1, "") + std::vector<std::string>{"S " + sorry}, "S ping {}",
       "transport.prologue.reject-close"},
      {"ShortSessionId", Upto(1, ""),
       "S handshake hello_yourself { " + Schema() + " session_id: 'short' }",
       "session.handshake.session-id"},
      {"AnotherProtocolSchema", Upto(1, ""),
       "S handshake hello_yourself { protocol_schema: 7 session_id: '0123456789abcdef' }",
       "session.handshake.sorry"},
      {"ShortResumeKey", Upto(1, ""), "S " + Yourself("15 bytes only.."),
       "session.handshake.resume"},
      {"KeyHandedOutTwice", whole + Upto(2, ""), "2S " + Yourself(kKey1),
       "session.resume.key-rotation"},
      {"TwoSuccessorsOfOneKey", whole + Upto(2, kKey1, kKey2) + Upto(3, kKey1),
       "3S " + Yourself(kKey3), "session.resume.key-rotation"},
      {"OneSuccessorAgain", whole + Upto(2, kKey1, kKey2) + Upto(3, kKey1, kKey2), "", ""},
      {"NotAPayload", Upto(1, ""), "S malformed", "wire.envelope"},
  };
}

class Handshakes : public testing::TestWithParam<Order> {};

TEST_P(Handshakes, LegalPassesAndOneFrameMoreIsNamed) {
  const Order& row = GetParam();
  Judge judge;
  judge.set_report([&judge](Finding finding) { judge.OnFinding(finding); });
  const auto say = [&judge](const std::string& line) {
    EXPECT_TRUE(tests::WithFrame(line, [&](peer::ObservedFrame& frame) { judge.OnFrame(frame); }))
        << line;
  };
  for (const std::string& line : row.legal) {
    say(line);
    ASSERT_EQ(judge.verdict().level(), Level::kNone) << line << judge.verdict().reason().text;
  }
  if (row.illegal.empty()) return;
  say(row.illegal);
  EXPECT_EQ(judge.verdict().level(), Level::kFail) << judge.verdict().reason().text;
  EXPECT_EQ(judge.verdict().reason().rule, row.rule) << judge.verdict().reason().text;
}

INSTANTIATE_TEST_SUITE_P(Handshake, Handshakes, testing::ValuesIn(HandshakeRows()), kName);

// What the connection monitor notes is read by the others: they, too, are tested together.
std::vector<Order> OnConnectionRows() {
  const auto& type = *testbed::v1::EchoRequest::descriptor();
  const std::string echo = Announce(&type, Binding("Echo", "BINDING_ROLE_ARGUMENTS", type));
  const auto& sum = *testbed::v1::SumRequest::descriptor();
  const std::string on = "S connection_id: 1 ";
  // The harness asks for even ids, and takes one request at a time.
  const std::vector<std::string> opened =
      Upto(1, "", kKey1) +
      std::vector<std::string>{
          "H connection_id: 1 open_connection { parity: PARITY_EVEN "
          "settings { max_concurrent_requests: 1 } }",
          "S connection_id: 1 accept_connection { settings { max_concurrent_requests: 1 } }"};
  const std::vector<std::string> announced = opened + std::vector<std::string>{on + echo};
  const std::vector<std::string> streams =
      opened +
      std::vector<std::string>{on + Announce(&sum, Binding("Sum", "BINDING_ROLE_ARGUMENTS", sum))};
  return {
      {"RequestIdOfTheSessionParity", announced, on + Request(2, "Echo"), "connection.parity"},
      {"ChannelIdOfTheSessionParity", streams, on + Request(1, "Sum", Ref(3, 2)),
       "connection.parity"},
      {"IdsOfAConnectionAreItsOwn",
       announced + std::vector<std::string>{"S " + echo, on + Request(1, "Echo"),
                                            "S " + Request(2, "Echo")},
       "", ""},
      {"OverTheLimitOfTheConnection", announced + std::vector<std::string>{on + Request(1, "Echo")},
       on + Request(3, "Echo"), "rpc.flow-control.max-concurrent-requests.outbound"},
      {"OneOperationOnTwoConnections",
       announced + std::vector<std::string>{"S " + echo, "S " + Request(2, "Echo")},
       on + "request { request_id: 1 operation_id: 2 "
            "method: 'counterpart.testbed.v1.Testbed/Echo' }",
       "retry.op-id.scope"},
      {"AnnouncedOnAnotherConnection", opened + std::vector<std::string>{"S " + echo},
       on + Request(1, "Echo"), "schema.tracking.connection"},
      {"AnnouncedOnBoth",
       announced + std::vector<std::string>{"S " + echo, "S " + Request(2, "Echo"),
                                            on + Request(3, "Echo")},
       "", ""},
  };
}

INSTANTIATE_TEST_SUITE_P(OnConnection, Handshakes, testing::ValuesIn(OnConnectionRows()), kName);

TEST(Handshakes, FillsWhatTheOtherMonitorsRead) {
  Judge judge;
  for (const std::string& line : Upto(1, "", kKey1) + Upto(2, kKey1, kKey2)) {
    tests::WithFrame(line, [&](peer::ObservedFrame& frame) { judge.OnFrame(frame); });
  }
  EXPECT_EQ(judge.link(1).session_id, "0123456789abcdef");
  EXPECT_EQ(judge.link(2).session_id, "0123456789abcdef");
  EXPECT_EQ(judge.generations("0123456789abcdef").possible(), 2u);
  EXPECT_EQ(judge.link(2).limit[0], 4u);
  EXPECT_EQ(judge.link(2).limit[1], 4u);
  EXPECT_TRUE(judge.link(2).odd(Side::kHarness));
  EXPECT_FALSE(judge.link(2).odd(Side::kSubject));
}

}  // namespace
}  // namespace counterpart::judge
