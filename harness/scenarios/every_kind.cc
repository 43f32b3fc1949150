// Calls of every kind side by side: idem or not, with a stream or without; settled by their callee,
// or left open in a session that ends with its link.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/peer/leftovers.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Call;
using peer::Channel;
using peer::How;
using peer::Incoming;
using peer::Session;
using peer::SessionOptions;
using wire::v1::Response;

struct Kind {
  const char* method;
  bool stream, idem;
};

constexpr Kind kKinds[] = {{"Generate", true, false},
                           {"Echo", false, false},
                           {"GenerateIdem", true, true},
                           {"EchoIdem", false, true}};
constexpr size_t kAll = std::size(kKinds);

constexpr uint32_t kOutput = 3;
constexpr uint32_t kBefore = 3;  // items of a stream before its handler waits
constexpr uint32_t kAfter = 20;  // and after: all in all more than its initial credit

std::string GateOf(const Kind& kind) { return std::string("gate of ") + kind.method; }

// Requests with and without the mark of an idem method have the same fields.
std::string Arguments(const Kind& kind) {
  if (!kind.stream) return WaitingEcho(kind.method, GateOf(kind)).SerializeAsString();
  testbed::v1::GenerateRequest request;
  auto* before = request.mutable_program()->add_steps()->mutable_emit();
  before->set_first(1);
  before->set_count(kBefore);
  request.mutable_program()->add_steps()->mutable_wait()->set_gate(GateOf(kind));
  auto* after = request.mutable_program()->add_steps()->mutable_emit();
  after->set_first(1 + kBefore);
  after->set_count(kAfter);
  return request.SerializeAsString();
}

// Announces a field of more bytes than there are.
constexpr char kUndecodable[] =
    "\x0a\x7f"
    "abc";

std::vector<Call*> CallAll(Session& session) {
  std::vector<Call*> calls;
  for (const Kind& kind : kKinds) {
    calls.push_back(session.StartCallRaw(*peer::FindMethod(kind.method), Arguments(kind), 0));
  }
  return calls;
}

// co_await: every handler has started, and every stream has begun.
Task<> AwaitAll(Peer& peer, Session& session, const std::vector<Call*>& calls) {
  for (size_t i = 0; i < kAll; ++i) {
    if (kKinds[i].stream) {
      std::vector<uint64_t> items = co_await calls[i]->channels[kOutput]->Receive(kBefore);
    } else {
      co_await peer.AwaitHandlerStarted(session, calls[i]->operation_id, "rpc.pipelining");
    }
  }
}

// co_await: the calls of the harness, each released after one that was made later.
Task<> SettleAllBySubject(Peer& peer, Session& session) {
  std::vector<Call*> calls = CallAll(session);
  std::vector<Call*> refused;
  for (const Kind& kind : kKinds) {
    refused.push_back(session.StartCallRaw(*peer::FindMethod(kind.method), kUndecodable, 0));
  }
  for (Call* call : refused) {
    Response response = co_await session.ResponseTo(*call, "rpc.pipelining");
    co_await peer.Require(
        response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD,
        "rpc.invalid-payload", "undecodable arguments are answered by INVALID_PAYLOAD");
  }
  co_await AwaitAll(peer, session, calls);
  for (size_t i = kAll; i-- > 0;) {
    const Kind& kind = kKinds[i];
    peer.Release(GateOf(kind));
    if (kind.stream) {
      std::vector<uint64_t> rest = co_await calls[i]->channels[kOutput]->ReceiveAll();
      co_await peer.Require(rest == Sequence(1 + kBefore, kAfter), "rpc.channel.no-silent-drop",
                            "a stream goes on where its handler waited");
    }
    Response response = co_await session.ResponseTo(*calls[i], "rpc.pipelining");
    if (kind.stream) {
      co_await peer.Require(response.has_ok(), "rpc.pipelining", "each call ends on its own");
    } else {
      co_await RequireEcho(peer, response, kind.method);
    }
  }
}

// co_await: as many requests of the subject, in the order of kKinds.
Task<std::vector<Incoming*>> RequestsOfAll(Peer& peer, Session& session) {
  std::vector<Incoming*> requests(kAll);
  for (size_t i = 0; i < kAll; ++i) {
    Incoming* incoming = co_await session.NextRequest("a Request of each kind", "rpc.pipelining");
    for (size_t kind = 0; kind < kAll; ++kind) {
      if (incoming->request.method() == peer::FindMethod(kKinds[kind].method)->name) {
        requests[kind] = incoming;
      }
    }
  }
  bool all = true;
  for (const Incoming* incoming : requests) all &= incoming != nullptr;
  co_await peer.Require(all, "rpc.pipelining", "each of the calls is sent once");
  co_return requests;
}

// Handles are unique within a run.
std::string HandleOf(const Kind& kind, const char* round) {
  return std::string(kind.method) + " " + round;
}

std::vector<uint32_t> CallAllBySubject(Peer& peer, Session& session, const char* round) {
  std::vector<uint32_t> questions;
  for (const Kind& kind : kKinds) {
    questions.push_back(
        peer.StartCallBySubject(session, kind.method, Arguments(kind), HandleOf(kind, round)));
  }
  return questions;
}

// An empty message of the response type of a stream.
void Answer(Session& session, Incoming& incoming, const Kind& kind) {
  if (kind.stream) {
    session.RespondOk(incoming, testbed::v1::GenerateResponse());
  } else {
    session.RespondOk(incoming, EchoReply(kind.method));
  }
}

// co_await: the calls of the subject, each answered after one that was made later. One application
// takes its stream as it comes, the other when it is whole.
Task<> SettleAllByHarness(Peer& peer, Session& session) {
  std::vector<uint32_t> questions = CallAllBySubject(peer, session, "answered");
  std::vector<Incoming*> requests = co_await RequestsOfAll(peer, session);
  for (size_t i = kAll; i-- > 0;) {
    const Kind& kind = kKinds[i];
    const std::string handle = HandleOf(kind, "answered");
    uint32_t receiving = 0;
    if (kind.stream) {
      if (!kind.idem) receiving = peer.Start(ReceiveItems(handle, kOutput, 0, 1));
      Channel* output = requests[i]->channels[kOutput];
      co_await output->Send(1, kBefore);
      output->Close();
    }
    Answer(session, *requests[i], kind);
    CallOutcome outcome = co_await peer.CallOutcomeOf(questions[i], "rpc.pipelining");
    co_await RequireOk(peer, outcome, requests[i]->response->ok());
    if (!kind.stream) continue;
    if (kind.idem) receiving = peer.Start(ReceiveItems(handle, kOutput, 0, 1));
    Outcome received = co_await peer.OutcomeOf(receiving, "the end of a stream");
    const auto& taken = received.received();
    std::vector<uint64_t> values(taken.values().begin(), taken.values().end());
    const bool whole =
        values == Sequence(1, kBefore) && taken.status() == control::v1::END_STATUS_CLOSED;
    co_await peer.Require(whole, "rpc.channel.no-silent-drop",
                          "the application gets a stream whole, whenever it takes it");
  }
}

Task<> EveryKind(Peer& peer) {
  Session* session = co_await peer.Establish();
  if (peer.harness_calls()) {
    co_await SettleAllBySubject(peer, *session);
  } else {
    co_await SettleAllByHarness(peer, *session);
  }
}

// ---------------------------------------------------------------- session_loss_ends_…

// co_await: what the application is told of a call, and of its stream, that a lost session left.
Task<> RequireLost(Peer& peer, const Kind& kind, uint32_t question, uint32_t receiving) {
  const std::string rule = kind.idem ? "retry.session-lost.policy" : "retry.session-lost";
  const auto due = kind.idem ? control::v1::CALL_STATUS_SESSION_SHUTDOWN
                             : control::v1::CALL_STATUS_INDETERMINATE;
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, rule);
  std::string wanted = std::string("a call of ") + kind.method + " in flight ends " +
                       peer::ShortName(due) + " with its session, not " +
                       peer::ShortName(outcome.status());
  co_await peer.Require(outcome.status() == due, rule, std::move(wanted));
  if (!kind.stream) co_return;
  const std::string closes = "retry.channel.disconnect.closes";
  Outcome received = co_await peer.OutcomeOf(receiving, "the end of a stream", closes);
  co_await peer.Require(received.received().status() == control::v1::END_STATUS_DEFUNCT, closes,
                        "a stream fails with its link, and does not end well");
}

Task<> SessionLoss(Peer& peer) {
  SessionOptions options;
  options.resumable = false;
  Session* session = co_await peer.Establish(options);
  if (peer.harness_calls()) {
    co_await SettleAllBySubject(peer, *session);
    // The gates of before stand open, and hold nobody up: these run to their end or not at all.
    std::vector<Call*> calls = CallAll(*session);
    co_await AwaitAll(peer, *session, calls);
    peer.Close(*session->link, CutBySeed(peer));
    session->lost = true;
    co_await peer.Settle();
    Session* next = co_await peer.Establish(options);
    co_await RequireAlive(peer, *next, "retry.layers.no-silent-retry");
    co_await peer.Settle();
    auto executions = co_await peer.ReadExecutions();
    for (const Call* call : calls) {
      size_t ran = 0;
      for (const auto& execution : executions) {
        ran += execution.operation_id == call->operation_id &&
               execution.generation == session->generation &&
               peer::HexOf(session->id) == execution.session_id;
      }
      co_await peer.Require(ran == 1, "retry.layers.no-silent-retry",
                            "what was called in a session that is lost has run once");
    }
    co_return;
  }
  co_await SettleAllByHarness(peer, *session);
  std::vector<uint32_t> questions = CallAllBySubject(peer, *session, "left open");
  std::vector<Incoming*> requests = co_await RequestsOfAll(peer, *session);
  std::vector<uint32_t> receiving(kAll);
  for (size_t i = 0; i < kAll; ++i) {
    if (!kKinds[i].stream) continue;
    receiving[i] = peer.Start(ReceiveItems(HandleOf(kKinds[i], "left open"), kOutput, 0, 1));
    co_await requests[i]->channels[kOutput]->Send(1, kBefore);
  }
  peer.Close(*session->link, CutBySeed(peer));
  session->lost = true;
  for (size_t i = 0; i < kAll; ++i) {
    co_await RequireLost(peer, kKinds[i], questions[i], receiving[i]);
  }
  // It need not come back by itself, and does when it is told to.
  peer.ForgetConnect();
  Session* next = co_await peer.Establish(options);
  co_await RequireCallWorks(peer, *next, "retry.session-lost");
}

}  // namespace

std::vector<Scenario> EveryKindScenarios() {
  const std::vector<Direction> both = {Direction::kHarnessToSubject, Direction::kSubjectToHarness};
  return {
      {"rpc_every_kind_of_call_at_once",
       "rpc",
       "Calls of every kind, idem or not, with a stream or without, end each on its own.",
       both,
       {"rpc.pipelining", "rpc.invalid-payload", "rpc.channel.no-silent-drop"},
       {"rpc.pipelining", "rpc.channel.no-silent-drop"},
       {"root_calls", "channels", "operations"},
       &EveryKind},
      {"session_loss_ends_every_kind_of_call",
       "session",
       "A session without a resume key ends with its link, and every call in flight with it.",
       both,
       {"retry.layers.no-silent-retry"},
       {"retry.session-lost", "retry.session-lost.policy", "retry.channel.disconnect.closes"},
       {"root_calls", "channels", "operations"},
       &SessionLoss},
  };
}

}  // namespace counterpart::scenarios
