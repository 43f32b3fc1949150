#include "harness/scenarios/aftermath.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/judge/cut_outcomes.h"
#include "harness/scenarios/spoiled.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::CallStatus;
using judge::After;
using judge::CutCase;
using judge::CutOutcome;
using judge::Seen;
using peer::Call;
using peer::Channel;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::Method;
using peer::Session;
using peer::SessionOptions;
using peer::Side;
using wire::v1::Response;

constexpr char kOutlives[] = "session.outlives-conduit";

// The program that a request carries, whatever its method; empty if it cannot be read.
testbed::v1::Program ProgramOf(const Method* method, const std::string& arguments) {
  testbed::v1::Program program;
  if (method == nullptr) return program;
  // Every request of the testbed has its program in the same field.
  testbed::v1::EchoRequest request;
  const auto* field = method->arguments->FindFieldByName("program");
  static const int kProgram =
      testbed::v1::EchoRequest::descriptor()->FindFieldByName("program")->number();
  if (field != nullptr && field->number() == kProgram && request.ParseFromString(arguments)) {
    program = request.program();
  }
  return program;
}

const testbed::v1::Fail* FailureIn(const testbed::v1::Program& program) {
  for (const auto& step : program.steps()) {
    if (step.has_fail()) return &step.fail();
  }
  return nullptr;
}

// r[retry.seal.only-return]: such a handler runs, and returns nothing.
bool Panics(const testbed::v1::Program& program) {
  return std::any_of(program.steps().begin(), program.steps().end(),
                     [](const auto& step) { return step.has_panic(); });
}

bool IsIndeterminate(const Response& response) {
  return response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE;
}

// Nothing waits at a gate any more that a request of the harness named.
void OpenGates(Peer& peer) {
  std::set<std::string> gates;
  for (Session* session : peer.sessions()) {
    for (const auto& call : session->calls()) gates.merge(GatesOf(call->method, call->arguments));
  }
  for (const std::string& gate : gates) peer.Release(gate);
}

}  // namespace

std::set<std::string> GatesOf(const Method* method, const std::string& arguments) {
  std::set<std::string> gates;
  const testbed::v1::Program program = ProgramOf(method, arguments);
  for (const auto& step : program.steps()) {
    if (step.has_wait()) gates.insert(step.wait().gate());
  }
  return gates;
}

bool IsItsValue(const Peer& peer, const Call& call, const Response& response) {
  const Method* method = call.method == nullptr ? peer::FindMethod(call.method_name) : call.method;
  if (method == nullptr) {
    return response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD;
  }
  // What no request of the testbed looks like is none of this method either.
  testbed::v1::EchoRequest request;
  if (!request.ParseFromString(call.arguments)) {
    return response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD;
  }
  // r[link.limit.announce]: an Echo of what the harness said it does not take.
  if (peer.harness_max_payload() != 0 && call.arguments.size() > peer.harness_max_payload()) {
    return response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE;
  }
  const testbed::v1::Program program = ProgramOf(method, call.arguments);
  if (Panics(program)) return IsIndeterminate(response);
  if (const testbed::v1::Fail* failure = FailureIn(program)) {
    testbed::v1::TestbedError error;
    return response.has_user_error() && error.ParseFromString(response.user_error()) &&
           error.code() == failure->code();
  }
  if (!response.has_ok()) return false;
  const bool echoes = method->response->FindFieldByName("text") != nullptr;
  testbed::v1::EchoResponse reply;
  return !echoes || (reply.ParseFromString(response.ok()) && reply.text() == request.text());
}

namespace {

// co_await: the session is over, whatever either side has of it.
Task<> Drop(Peer& peer, Session& session) {
  if (session.attached()) peer.Close(*session.link, How::kFin);
  if (peer.harness_calls() && !session.id.empty() && !session.ended()) {
    co_await peer.Settle();  // by then it has the session, if it ever will
    control::v1::ExecuteRequest command;
    command.mutable_expire_session()->set_session_id(session.id);
    const uint32_t expiring = peer.Start(std::move(command));
    co_await peer.Answered(expiring, "ExpireSession to be answered");
  }
  session.lost = true;
}

// ---------------------------------------------------------------- the harness calls

// Whether calls of this connection can still be answered.
bool IsOpen(const Session& session, uint64_t connection) {
  const peer::Connection* known = session.FindConnection(connection);
  return connection == 0 || (known != nullptr && known->open());
}

// Whether one of the two has been told to close it, so that it may be over already.
bool MayBeClosed(const Session& session) {
  return session.goodbye_sent() || session.goodbye_expected();
}

// Over for both sides, or for one of them: nobody need come back to it.
bool IsOver(const Session& session) {
  return session.ended() || (!session.resumable && !session.attached());
}

// There was a session, and is none any more. One that a Connect has begun counts.
bool AllOver(Peer& peer) {
  const std::vector<Session*> all = peer.sessions();
  return !all.empty() &&
         std::all_of(all.begin(), all.end(), [](const Session* each) { return IsOver(*each); });
}

// Whether what was said on this session is not known any more, so that nothing of it is judged.
bool IsUnknown(Peer& peer, const std::string& session_id) {
  const std::vector<Session*> all = peer.sessions();
  return std::any_of(all.begin(), all.end(), [&session_id](const Session* each) {
    return each->id == session_id && each->off_the_books;
  });
}

Session* Attached(Peer& peer) {
  for (Session* session : peer.sessions()) {
    if (session->attached()) return session;
  }
  return nullptr;
}

Incoming* Unanswered(Session* session) {
  if (session == nullptr) return nullptr;
  for (const auto& incoming : session->incoming()) {
    if (!IsOpen(*session, incoming->connection)) continue;
    if (incoming->generation == session->generation && !incoming->response) return incoming.get();
  }
  return nullptr;
}

// The last attempt of each operation that no response has settled and no rule excludes.
std::vector<Call*> Unresolved(Session& session) {
  std::map<uint64_t, Call*> last;
  std::set<uint64_t> settled;
  for (const auto& call : session.calls()) {
    last[call->operation_id] = call.get();
    if (call->response || call->cancelled) settled.insert(call->operation_id);
    // What broke a rule is not to be judged by those it broke, and what was of another type would
    // be attempted again as one of the testbed's.
    if (call->breaking || call->other_type) settled.insert(call->operation_id);
    // r[connection.close]: what a close leaves open is never attempted again.
    if (!IsOpen(session, call->connection)) settled.insert(call->operation_id);
  }
  std::vector<Call*> unresolved;
  for (const auto& [operation, call] : last) {
    if (!settled.contains(operation)) unresolved.push_back(call);
  }
  return unresolved;
}

bool EverDelivered(const Session& session, uint64_t operation_id) {
  return std::any_of(session.calls().begin(), session.calls().end(), [&](const auto& call) {
    return call->operation_id == operation_id && call->delivered;
  });
}

}  // namespace

Task<std::map<uint64_t, uint32_t>> ExecutionsSoFar(Peer& peer, const Session& session) {
  std::map<uint64_t, uint32_t> times;
  std::string id;
  for (const char c : session.id) {
    static constexpr char kDigits[] = "0123456789abcdef";
    id += kDigits[static_cast<unsigned char>(c) >> 4];
    id += kDigits[c & 15];
  }
  auto executions = co_await peer.ReadExecutions();
  for (const auto& execution : executions) {
    if (execution.session_id == id) ++times[execution.operation_id];
  }
  co_return times;
}

Task<std::vector<uint64_t>> PlayOut(Call& call) {
  std::vector<uint64_t> items;
  for (auto& [field, channel] : call.channels) {
    if (channel->harness_sends()) {
      if (!channel->ended()) channel->Close();
    } else {
      channel->set_auto_grant(true);
      items = co_await channel->ReceiveAll();
    }
  }
  co_return items;
}

namespace {

// Everything that a handler sends which runs to its end, where its request alone says so.
std::optional<std::vector<uint64_t>> StreamOf(const Call& call) {
  if (call.method == nullptr || call.method->channels.size() != 1 ||
      call.method->channels.front().to_callee) {
    return {};
  }
  testbed::v1::GenerateRequest request;
  if (!request.ParseFromString(call.arguments)) return {};
  std::vector<uint64_t> stream;
  const auto emit = [&stream](uint64_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) stream.push_back(first + i);
  };
  for (const auto& step : request.program().steps()) {
    if (step.has_emit()) emit(step.emit().first(), step.emit().count());
    if (!step.has_emit() && !step.has_wait()) return {};
  }
  if (request.program().steps().empty()) emit(request.first(), request.count());
  return stream;
}

CutCase CaseOf(const Session& session, const Call& call, uint32_t ran, After after) {
  CutCase cut;
  cut.after = after;
  cut.idem = call.method != nullptr && call.method->idem;
  cut.channels = call.method != nullptr && !call.method->channels.empty();
  cut.seen = ran > 0                                     ? Seen::kArrived
             : EverDelivered(session, call.operation_id) ? Seen::kInDoubt
                                                         : Seen::kUnsent;
  return cut;
}

}  // namespace

LeftOpen Reopen(Peer& peer, Session& session, Call& before, uint32_t ran) {
  LeftOpen open;
  open.call = &before;
  open.ran = ran;
  if (before.generation == session.generation) {  // the cut was of another link
    open.outcome = {.endings = judge::kValue, .least = 0, .most = 1, .rule = kOutlives};
    return open;
  }
  const CutCase cut = CaseOf(session, before, ran, After::kResumed);
  open.again = true;
  open.outcome = judge::OutcomeOf(cut);
  peer.machine().Note("cut", judge::Describe(cut));
  // A caller of a non-idem one would not ask again (r[retry.channel.detach]). The harness does, to
  // see that the callee's record alone decides.
  open.call = session.Reattempt(before, cut.channels && !cut.idem ? "retry.channel.detach" : "");
  return open;
}

Task<> SettleLeftOpen(Peer& peer, Session& session, LeftOpen& open) {
  Call& call = *open.call;
  CutOutcome& outcome = open.outcome;
  std::vector<uint64_t> items = co_await PlayOut(call);
  Response response = co_await session.ResponseTo(call, outcome.rule);
  if (open.again && response.has_ok()) open.items = std::move(items);
  const bool allowed = (IsIndeterminate(response) && (outcome.endings & judge::kIndeterminate)) ||
                       IsItsValue(peer, call, response);
  std::string wanted = "operation " + std::to_string(call.operation_id) + " ends with " +
                       judge::DescribeEndings(outcome.endings);
  co_await peer.Require(allowed, outcome.rule, std::move(wanted));
  const bool crashes = Panics(ProgramOf(call.method, call.arguments));
  if (IsIndeterminate(response) && !crashes) outcome.least = outcome.most = 0;
  // r[retry.duplicate.indeterminate.idem]: one that has crashed has no value, and runs again.
  if (crashes && call.method->idem) outcome.most = std::max(outcome.most, 1u);
  // Refused before a handler could start: it leaves no record and runs nothing.
  if (response.has_runtime_error() && !IsIndeterminate(response)) outcome.least = 0;
}

Task<> JudgeLeftOpen(Peer& peer, const LeftOpen& open,
                     const std::map<uint64_t, uint32_t>& executions) {
  const uint64_t operation = open.call->operation_id;
  const auto found = executions.find(operation);
  const uint32_t executed = found == executions.end() ? 0 : found->second;
  const uint32_t more = executed - open.ran;
  std::string wanted =
      "operation " + std::to_string(operation) + ", executed " + std::to_string(open.ran) +
      " times before, is executed " + std::to_string(open.outcome.least) + " to " +
      std::to_string(open.outcome.most) + " times more, not " + std::to_string(more);
  const bool held = more >= open.outcome.least && more <= open.outcome.most;
  co_await peer.Require(held, open.outcome.rule, std::move(wanted));
  // A replayed result revives no channel; an attempt that runs streams from the start.
  const auto stream = StreamOf(*open.call);
  if (!open.items || !stream) co_return;
  const std::vector<uint64_t> due = more > 0 ? *stream : std::vector<uint64_t>();
  std::string whole = "the attempt that answers operation " + std::to_string(operation) +
                      " brings " + std::to_string(due.size()) + " items from the start, not " +
                      std::to_string(open.items->size());
  const char* rule =
      more > 0 ? "retry.channel.volatile.rebinding.fresh" : "retry.channel.sealed-result";
  co_await peer.Require(*open.items == due, rule, std::move(whole));
}

namespace {

// co_await: every operation is settled, and none was executed more often than it may be.
Task<> SettleAll(Peer& peer, Session& session) {
  std::vector<Call*> unresolved = Unresolved(session);
  if (unresolved.empty()) co_return;
  co_await session.Fence();
  co_await peer.Settle();
  std::map<uint64_t, uint32_t> before = co_await ExecutionsSoFar(peer, session);
  // As many at a time as the subject takes, first those that it has on this link.
  // r[rpc.flow-control.max-concurrent-requests.outbound]
  std::stable_partition(unresolved.begin(), unresolved.end(), [&session](const Call* call) {
    return call->generation == session.generation;
  });
  const size_t limit = std::max<size_t>(session.subject_limit, 1);
  std::vector<LeftOpen> all;
  for (size_t next = 0; next < unresolved.size();) {
    const size_t first = next;
    for (; next < unresolved.size() && next < first + limit; ++next) {
      Call* call = unresolved[next];
      all.push_back(Reopen(peer, session, *call, before[call->operation_id]));
    }
    // What waits at a gate is attached to while it still runs.  r[retry.duplicate.live.attach]
    co_await session.Fence();
    OpenGates(peer);
    for (size_t i = first; i < next; ++i) co_await SettleLeftOpen(peer, session, all[i]);
  }
  co_await session.Fence();
  co_await peer.Settle();
  std::map<uint64_t, uint32_t> after = co_await ExecutionsSoFar(peer, session);
  for (const LeftOpen& open : all) co_await JudgeLeftOpen(peer, open, after);
}

// co_await: a session that is lost executes nothing more, whatever it had read.
Task<> Lose(Peer& peer, Session& session) {
  session.lost = true;
  std::vector<Call*> unresolved = Unresolved(session);
  if (unresolved.empty()) co_return;
  co_await peer.Settle();
  std::map<uint64_t, uint32_t> before = co_await ExecutionsSoFar(peer, session);
  OpenGates(peer);
  co_await peer.Settle();
  std::map<uint64_t, uint32_t> after = co_await ExecutionsSoFar(peer, session);
  for (const Call* call : unresolved) {
    const uint64_t operation = call->operation_id;
    const CutCase cut = CaseOf(session, *call, before[operation], After::kLost);
    const CutOutcome outcome = judge::OutcomeOf(cut);
    peer.machine().Note("cut", judge::Describe(cut));
    // What was never written whole cannot have run at all.
    const bool possible = cut.seen != Seen::kUnsent || after[operation] == 0;
    const uint32_t more = after[operation] - before[operation];
    std::string wanted = "operation " + std::to_string(operation) +
                         " of a session that is lost is executed " + std::to_string(outcome.most) +
                         " times more, not " + std::to_string(more);
    co_await peer.Require(possible && more <= outcome.most, outcome.rule, std::move(wanted));
  }
}

// co_await: the session on a new link, or that it is rightly gone.
Task<> ResumeOrLose(Peer& peer, Session& session, bool in_doubt) {
  SessionOptions options;
  options.resumable = session.resumable;
  Link* link = co_await peer.OpenLink(options);
  link->end_expected = true;
  co_await peer.DoPrologue(*link);
  wire::v1::Handshake hello;
  *hello.mutable_hello() = peer.NewHello(session, session.resume_key);
  peer.Send(*link, hello);
  auto answer = co_await peer.NextInbound(*link, "HelloYourself", kOutlives);
  const bool unknown =
      answer && answer->handshake && answer->handshake->has_sorry() &&
      answer->handshake->sorry().reason() == wire::v1::SORRY_REASON_UNKNOWN_SESSION;
  if (unknown) {
    co_await peer.Require(in_doubt, kOutlives, "a session outlives its link, wherever that is cut");
    session.lost = true;
    co_await peer.AwaitEnd(*link, "session.handshake.sorry");
    peer.Close(*link, How::kFin);
    co_return;
  }
  const bool welcome = answer && answer->handshake && answer->handshake->has_hello_yourself();
  co_await peer.Require(welcome, kOutlives, "a session outlives its link, wherever that is cut");
  co_await peer.TakeHelloYourself(*link, session, *answer);
  link->end_expected = false;
}

// Serves for good what the application of the subject asks, beside what the harness does.
Task<> ServeAll(Peer& peer) {
  while (true) {
    co_await peer.Until("a Request", [&peer] { return Unanswered(Attached(peer)) != nullptr; });
    Session* session = Attached(peer);
    co_await Serve(peer, *session, *Unanswered(session));
    session->TakeRequests();
  }
}

// Whether the handler of this call calls in turn.
bool AsksToPassOn(const Call& call) {
  testbed::v1::EchoMetadataRequest request;
  return call.method != nullptr && call.method->arguments == request.GetDescriptor() &&
         request.ParseFromString(call.arguments) && request.pass_on();
}

// Whether anybody told the subject to call: its application, or a handler that was asked to.
// Otherwise what it asks for is one Request too many, and stays unanswered.
bool MayBeCalled(Peer& peer) {
  if (!peer.subject_calls().empty()) return true;
  for (const Session* session : peer.sessions()) {
    for (const auto& call : session->calls()) {
      if (AsksToPassOn(*call)) return true;
    }
  }
  return false;
}

Task<> AsCaller(Peer& peer) {
  if (MayBeCalled(peer)) {
    peer.machine().AddRole("callee", ServeAll(peer), /*daemon=*/true);
    for (Session* session : peer.sessions()) session->TakeRequests();
  }
  // r[session.resume.bind]: the initiator closes its previous links before each Hello.
  for (Link* link : peer.links()) {
    const bool attached = link->session != nullptr && link->session->link == link;
    if (!attached && link->up && !link->end) peer.Close(*link, How::kFin);
  }
  Session* living = nullptr;
  for (Session* session : peer.sessions()) {
    if (session->id.empty() || session->ended()) continue;
    const bool in_doubt = !session->proven || MayBeClosed(*session) || peer.broke_rule();
    if (!session->attached() && session->resumable) {
      co_await ResumeOrLose(peer, *session, in_doubt);
    }
    if (!session->attached()) {
      co_await Lose(peer, *session);
      continue;
    }
    living = session;
    session->link->end_expected = false;
    co_await SettleAll(peer, *session);
  }
  OpenGates(peer);  // of what was lost as well: its handlers run on until they may end
  if (living == nullptr) living = co_await peer.Establish();
  if (living->subject_limit > 0) {
    co_await RequireAlive(peer, *living, kOutlives);
  } else {
    co_await living->Fence(kOutlives);
    peer.Judged(kOutlives);
  }
  // Of a session that is lost the other side need not have heard.
  const auto& calls = peer.subject_calls();
  const bool of_this = std::all_of(calls.begin(), calls.end(), [living](const auto& call) {
    return call.session_id == living->id;
  });
  if (!of_this) co_return;
  co_await peer.Until(
      "every call to come to an end after a cut", [&peer] { return CallsResolved(peer); },
      kOutlives);
}

// ---------------------------------------------------------------- the subject calls

// What the harness knows of an operation that the subject minted.
struct Known {
  bool arrived = false;
  bool cancelled = false;
  bool other_type = false;  // answered under a description that does not match
  std::optional<Response> answer;
};

Known KnownOf(const Session& session, uint64_t operation_id, const Incoming* but = nullptr) {
  Known known;
  for (const auto& incoming : session.incoming()) {
    if (incoming.get() == but || incoming->request.operation_id() != operation_id) continue;
    known.arrived = true;
    known.cancelled |= incoming->cancelled;
    known.other_type |= incoming->other_type;
    if (incoming->response) known.answer = incoming->response;
  }
  return known;
}

}  // namespace

SeenBefore SeenSoFar(Peer& peer) {
  SeenBefore seen;
  for (const Session* session : peer.sessions()) {
    for (const auto& incoming : session->incoming()) {
      const uint64_t operation = incoming->request.operation_id();
      seen[{session->id, operation}] =
          KnownOf(*session, operation).answer ? Seen::kAnswered : Seen::kArrived;
    }
  }
  return seen;
}

Task<> Serve(Peer& peer, Session& session, Incoming& incoming) {
  const Known known = KnownOf(session, incoming.request.operation_id(), &incoming);
  const Method* method = incoming.method;
  const bool closed = method != nullptr && !method->channels.empty() && !method->idem;
  co_await peer.Require(!known.cancelled, "retry.resume.reattempt",
                        "a call that was cancelled is not attempted again");
  // The subject is the caller, and knows what it handed to a link.
  co_await peer.Require(!(known.arrived && closed && incoming.generation > 1),
                        "retry.channel.recovery.non-idem",
                        "a non-idem call with channels is not attempted again");
  for (auto& [field, channel] : incoming.channels) {
    if (channel->ended()) continue;
    if (channel->harness_sends()) {
      channel->Close(/*aborted=*/known.answer.has_value());
    } else {
      channel->Reset();
    }
  }
  if (known.answer) {
    session.RespondAgain(incoming, *known.answer);
  } else if (method == nullptr) {
    session.RespondRuntimeError(incoming, wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD);
  } else if (method->channels.empty()) {
    testbed::v1::EchoRequest asked;
    asked.ParseFromString(incoming.request.arguments());
    session.RespondOk(incoming, EchoReply(asked.text()));
  } else {
    // An empty message of any response type.
    session.RespondOk(incoming, testbed::v1::GenerateResponse());
  }
}

namespace {

bool MayPresent(const Session& session, const std::string& key, const std::string& successor) {
  return !key.empty() &&
         (key == session.resume_key || key == session.older_key || key == successor);
}

// co_await: one redial of the subject, answered. Returns the session it carries, null if it was
// turned away.
Task<Session*> AnswerRedial(Peer& peer, Link& link) {
  link.end_expected = true;
  co_await peer.DoPrologue(link);
  auto hello = co_await peer.NextInbound(link, "Hello", kOutlives);
  const bool ok = hello && hello->handshake && hello->handshake->has_hello();
  co_await peer.Require(ok, "session.handshake", "the prologue is followed by Hello");
  const std::string key = hello->handshake->hello().resume_key();
  const bool even = hello->handshake->hello().parity() == wire::v1::PARITY_EVEN;
  Session* known = nullptr;
  bool unproven = peer.sessions().empty() || peer.misread();
  for (Session* session : peer.sessions()) {
    if (MayPresent(*session, key, peer.SuccessorOf(session->resume_key))) known = session;
    unproven |= !session->proven;
  }
  // Who has sent LetsGo has read the key, though the scenario was given up before it took note.
  const Link* before = nullptr;
  for (const Link* other : peer.links()) {
    if (other->id < link.id) before = other;
  }
  if (before != nullptr && before->in == Link::Phase::kMessages) unproven = false;
  if (key.empty()) {
    co_await peer.Require(unproven, "session.handshake.resume",
                          "the Hello of a redial presents the newest resume key it has read");
    SessionOptions options;
    options.initiator_even = even;
    for (const Session* session : peer.sessions()) options.resumable = session->resumable;
    known = peer.NewSession(options);
    known->id = peer.MintBytes("session", 16);
  } else if (!peer.misread()) {
    co_await peer.Require(known != nullptr, "session.handshake.resume",
                          "the Hello of a redial presents the newest resume key it has read");
  }
  if (!key.empty() && (known == nullptr || IsOver(*known) || known->off_the_books)) {
    wire::v1::Handshake sorry;
    sorry.mutable_sorry()->set_reason(wire::v1::SORRY_REASON_UNKNOWN_SESSION);
    peer.Send(link, sorry);
    if (known != nullptr) known->lost = true;
    co_await peer.AwaitEnd(link, "session.resume.unknown");
    peer.Close(link, How::kFin);
    co_return nullptr;
  }
  co_await peer.AnswerHello(link, *known, key, kOutlives);
  link.end_expected = false;
  co_return known;
}

bool Answered(const Peer& peer, uint32_t question) {
  return question == 0 || peer.question(question).answered || peer.question(question).lost;
}

}  // namespace

bool CallsResolved(const Peer& peer) {
  const auto& calls = peer.subject_calls();
  return std::all_of(calls.begin(), calls.end(), [&peer](const Peer::SubjectCall& call) {
    return Answered(peer, call.question);
  });
}

bool MayBeTold(uint8_t endings, CallStatus status, const std::optional<Response>& answer,
               bool other_type) {
  using namespace control::v1;
  const auto code =
      answer ? answer->runtime_error().code() : wire::v1::RUNTIME_ERROR_CODE_UNSPECIFIED;
  switch (status) {
    case CALL_STATUS_INDETERMINATE:  // r[retry.gc.settled-below]
      return (endings & judge::kIndeterminate) != 0 ||
             code == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE ||
             code == wire::v1::RUNTIME_ERROR_CODE_OPERATION_EXPIRED;
    case CALL_STATUS_SCHEMA_MISMATCH:
      return other_type || ((endings & judge::kValue) != 0 &&
                            code == wire::v1::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH);
    case CALL_STATUS_SESSION_SHUTDOWN:
      return (endings & judge::kShutdown) != 0;
    case CALL_STATUS_CONNECTION_CLOSED:
    case CALL_STATUS_SEND_FAILED:
      return (endings & judge::kNotSent) != 0;
    default:
      break;
  }
  if ((endings & judge::kValue) == 0 || !answer) return false;
  if (answer->has_ok()) return status == CALL_STATUS_OK;
  if (answer->has_user_error()) return status == CALL_STATUS_USER_ERROR;
  switch (answer->runtime_error().code()) {
    case wire::v1::RUNTIME_ERROR_CODE_UNKNOWN_METHOD:
      return status == CALL_STATUS_UNKNOWN_METHOD;
    case wire::v1::RUNTIME_ERROR_CODE_INVALID_PAYLOAD:
      return status == CALL_STATUS_INVALID_PAYLOAD;
    case wire::v1::RUNTIME_ERROR_CODE_CANCELLED:
      return status == CALL_STATUS_CANCELLED;
    default:
      return status != CALL_STATUS_OK && status != CALL_STATUS_USER_ERROR;
  }
}

Task<> JudgeOperations(Peer& peer) {
  std::vector<Session*> sessions = peer.sessions();
  if (sessions.size() != 1) co_return;  // a fresh session makes calls of its own
  std::set<uint64_t> operations;
  for (const auto& incoming : sessions.front()->incoming()) {
    operations.insert(incoming->request.operation_id());
  }
  std::string wanted = std::to_string(peer.subject_calls().size()) +
                       " calls are as many operations, "
                       "however often each is attempted, not " +
                       std::to_string(operations.size());
  co_await peer.Require(operations.size() <= peer.subject_calls().size(),
                        "retry.op-id.survives-resume", std::move(wanted));
}

namespace {

// What the application took of one receiving end, in all.
struct Taken {
  std::vector<uint64_t> values;
  control::v1::EndStatus status = control::v1::END_STATUS_UNSPECIFIED;
};

// Whether that can be what the harness wrote to this end: never a clean end of what was cut.
bool CanBeOf(const Taken& taken, const Channel& channel) {
  const std::vector<uint64_t>& written = channel.written();
  return taken.values.size() <= written.size() &&
         std::equal(taken.values.begin(), taken.values.end(), written.begin()) &&
         (taken.status != control::v1::END_STATUS_CLOSED ||
          (channel.closed_by_harness() && taken.values.size() == written.size()));
}

const Channel* EndOf(const Incoming& incoming, uint32_t field) {
  const auto found = incoming.channels.find(field);
  return found == incoming.channels.end() ? nullptr : found->second;
}

// co_await: all that the application took, and can still take, of an end that has ended.
Task<Taken> TakeAll(Peer& peer, std::string handle, uint32_t field, uint32_t attempt) {
  std::vector<uint32_t> questions;
  for (const Peer::Receive& receive : peer.receives()) {
    const control::v1::ChannelEnd& end = receive.command.end();
    if (end.handle() == handle && end.field_number() == field && end.attempt() == attempt) {
      questions.push_back(receive.question);
    }
  }
  Taken taken;
  for (size_t i = 0; i <= questions.size(); ++i) {
    // One after the other: which of two that wait at once is given an item, nobody can say.
    const bool last = i == questions.size();
    const uint32_t question =
        last ? peer.Start(ReceiveItems(handle, field, 0, attempt)) : questions[i];
    std::string awaited = "the end of a stream that was cut to reach the application";
    co_await peer.Until(
        std::move(awaited), [&peer, question] { return Answered(peer, question); },
        "retry.channel.disconnect.closes");
    const auto& outcome = peer.question(question).reply.execute().outcome().received();
    taken.values.insert(taken.values.end(), outcome.values().begin(), outcome.values().end());
    taken.status = outcome.status();
  }
  co_return taken;
}

}  // namespace

Task<> JudgeStreams(Peer& peer) {
  for (const Peer::SubjectCall& call : peer.subject_calls()) {
    const Method* method = peer::FindMethod(call.method);
    const CallOutcome outcome = peer.question(call.question).reply.execute().outcome().call();
    if (method == nullptr || IsUnknown(peer, call.session_id)) continue;
    std::vector<Incoming*> served;
    bool live = false;
    for (Session* session : peer.sessions()) {
      for (const auto& incoming : session->incoming()) {
        if (session->id != call.session_id || incoming->method != method ||
            incoming->channels.size() != method->channels.size() ||
            incoming->request.operation_id() != outcome.operation_id()) {
          continue;
        }
        served.push_back(incoming.get());
        live = session->attached() && incoming->generation == session->generation;
      }
    }
    for (const auto& argument : method->channels) {
      if (argument.to_callee) continue;
      // Which attempt a command without a number was for, nobody can say after the cut.
      const bool unnumbered = std::any_of(
          peer.receives().begin(), peer.receives().end(), [&](const Peer::Receive& receive) {
            const control::v1::ChannelEnd& end = receive.command.end();
            return end.handle() == call.handle && end.attempt() == 0;
          });
      if (unnumbered) continue;
      // The newest lives on with its attachment, unless it was ended there.
      const uint32_t newest = outcome.attempts();
      const bool open = live && !EndOf(*served.back(), argument.field_number)->ended();
      for (uint32_t attempt = 1; attempt <= newest; ++attempt) {
        if (open && attempt == newest) continue;
        const Taken taken = co_await TakeAll(peer, call.handle, argument.field_number, attempt);
        // One that was cut on its way was not read, and had nothing written for it.
        bool can = served.size() < newest && taken.values.empty() &&
                   taken.status != control::v1::END_STATUS_CLOSED;
        for (size_t i = 0; i < served.size(); ++i) {
          if (served.size() == newest && i + 1 != attempt) continue;
          can |= CanBeOf(taken, *EndOf(*served[i], argument.field_number));
        }
        std::string wanted =
            "attempt " + std::to_string(attempt) + " of " + call.handle +
            " delivers what was written for it, and a clean end only of all of that; it saw " +
            std::to_string(taken.values.size()) + " items and " + peer::ShortName(taken.status);
        co_await peer.Require(can, "retry.channel.disconnect.closes", std::move(wanted));
      }
    }
  }
}

Task<> LetGo(Peer& peer) {
  std::vector<uint32_t> questions;
  for (const Peer::SubjectCall& call : peer.subject_calls()) {
    const Method* method = peer::FindMethod(call.method);
    if (method == nullptr) continue;
    const uint32_t attempts =
        peer.question(call.question).reply.execute().outcome().call().attempts();
    for (const auto& argument : method->channels) {
      for (uint32_t attempt = 1; !argument.to_callee && attempt <= attempts; ++attempt) {
        questions.push_back(peer.Start(ResetEnd(call.handle, argument.field_number, attempt)));
      }
    }
  }
  for (const uint32_t question : questions) {
    co_await peer.Answered(question, "the application to let go of a channel end");
  }
}

namespace {

// Whether the connection that the subject called on is closed, or was left out by a resume.
bool WasClosed(Peer& peer, const Peer::SubjectCall& call) {
  for (const Session* session : peer.sessions()) {
    if (session->id == call.session_id && !IsOpen(*session, call.connection)) return true;
  }
  return false;
}

}  // namespace

Task<> JudgeCalls(Peer& peer, const std::set<uint32_t>& open, const SeenBefore& before) {
  if (peer.misread()) co_return;  // what was said of them, or by them, is not known
  for (const Peer::SubjectCall& call : peer.subject_calls()) {
    if (!open.contains(call.question)) continue;
    if (IsUnknown(peer, call.session_id)) continue;
    CallOutcome outcome = co_await peer.CallOutcomeOf(call.question);
    const CallStatus status = outcome.status();
    if (call.cancelled && status == control::v1::CALL_STATUS_CANCELLED) continue;
    const Method* method = peer::FindMethod(call.method);
    const bool over = status == control::v1::CALL_STATUS_CONNECTION_CLOSED ||
                      status == control::v1::CALL_STATUS_INDETERMINATE;
    if (over && WasClosed(peer, call)) continue;  // r[session.resume.connections]
    Known known;
    CutCase cut;
    cut.callee = Side::kHarness;
    cut.after = After::kLost;
    for (Session* session : peer.sessions()) {
      if (session->id != call.session_id) continue;
      known = KnownOf(*session, outcome.operation_id());
      const bool lives = session->attached() || (session->resumable && !session->ended());
      if (lives) cut.after = After::kResumed;
    }
    cut.idem = method != nullptr && method->idem;
    cut.channels = method != nullptr && !method->channels.empty();
    const auto seen = before.find({call.session_id, outcome.operation_id()});
    cut.seen = seen == before.end() ? Seen::kInDoubt : seen->second;
    const CutOutcome allowed = judge::OutcomeOf(cut);
    peer.machine().Note("cut", judge::Describe(cut));
    // r[session.protocol-error.effect]: a session that died of a violation says so.
    const bool died = peer.broke_rule() && status == control::v1::CALL_STATUS_PROTOCOL_ERROR;
    std::string wanted = "the application is told " + judge::DescribeEndings(allowed.endings) +
                         " of " + call.handle + ", not " + peer::ShortName(status);
    co_await peer.Require(
        died || MayBeTold(allowed.endings, status, known.answer, known.other_type), allowed.rule,
        std::move(wanted));
  }
}

namespace {

Task<> AsCallee(Peer& peer) {
  std::set<uint32_t> open;
  for (const Peer::SubjectCall& call : peer.subject_calls()) {
    if (!Answered(peer, call.question)) open.insert(call.question);
  }
  const SeenBefore before = SeenSoFar(peer);
  bool over = AllOver(peer), in_doubt = peer.broke_rule();
  for (const Session* session : peer.sessions()) {
    in_doubt |= MayBeClosed(*session) || !session->resumable;
  }
  while (true) {
    std::vector<machine::Machine::Branch> branches(4);
    branches[0].awaited = "a redial of the subject";
    branches[0].ready = [&peer] { return peer.has_accepted(); };
    branches[1].awaited = "a Request";
    branches[1].ready = [&peer] { return Unanswered(Attached(peer)) != nullptr; };
    branches[2].awaited = "the end of every call";
    branches[2].ready = [&peer, over] {
      // Who may have read anything may dial for anything: its last dial is waited for.
      return !peer.misread() && CallsResolved(peer) && Answered(peer, peer.connect_question()) &&
             (Attached(peer) != nullptr || over);
    };
    branches[3].awaited = "quiescence";
    const size_t taken = co_await peer.machine().Alt(std::move(branches), kOutlives);
    if (taken == 0) {
      Session* session = co_await AnswerRedial(peer, *peer.TakeAccepted());
      over |= session == nullptr && AllOver(peer);
      continue;
    }
    if (taken == 1) {
      Session* session = Attached(peer);
      co_await Serve(peer, *session, *Unanswered(session));
      session->TakeRequests();
      continue;
    }
    if (taken == 3) {
      const bool resolved = CallsResolved(peer) && Answered(peer, peer.connect_question());
      co_await peer.Require(resolved, kOutlives, "every call comes to an end after a cut");
      co_await peer.Require(Attached(peer) != nullptr || over || in_doubt || peer.may_give_up(),
                            kOutlives,
                            "the initiator dials again for a session that it has not ended");
    }
    break;
  }
  Session* session = Attached(peer);
  for (Session* each : peer.sessions()) {
    each->TakeRequests();
    if (each != session && !each->attached()) each->lost = true;
  }
  co_await JudgeOperations(peer);
  co_await JudgeCalls(peer, open, before);
  co_await JudgeStreams(peer);
  co_await LetGo(peer);
  if (session == nullptr) {
    peer.ForgetConnect();
    session = co_await peer.Establish();
  }
  co_await session->Fence();
  // All calls may have been resolved before what is attempted again without need has arrived.
  while (Incoming* late = Unanswered(session)) {
    co_await Serve(peer, *session, *late);
    session->TakeRequests();
  }
  if (session->harness_limit > 0) co_await RequireCallWorks(peer, *session, kOutlives);
}

// ---------------------------------------------------------------- a process that was killed

// co_await: the process is there again, and knows nothing of before.  r[session.resume.unknown]
Task<> AfterKill(Peer& peer) {
  co_await peer.Restart();
  // Dials of the dead one.
  while (Link* link = peer.TakeAccepted()) peer.Close(*link, How::kRst);
  for (Session* session : peer.sessions()) {
    session->Detach();
    session->TakeRequests();
    const bool resumable = !session->id.empty() && session->resumable && !session->ended();
    if (resumable && peer.harness_calls()) {
      co_await ResumeOrLose(peer, *session, /*in_doubt=*/true);
      co_await peer.Require(session->lost, "session.resume.unknown",
                            "the key of a session that a restart has ended is unknown");
    }
    session->lost = true;
  }
  Session* next = co_await peer.Establish();
  if (peer.harness_calls()) {
    co_await RequireAlive(peer, *next, "session.handshake");
  } else {
    co_await RequireCallWorks(peer, *next, "session.handshake");
  }
}

// ---------------------------------------------------------------- a wrong bit

// co_await: what the subject may have read for something else is over, whatever it was.
Task<> DropMisread(Peer& peer) {
  for (Session* session : peer.sessions()) co_await Drop(peer, *session);
}

// co_await: what the harness sent without keeping books of it is over, whatever it was.
Task<> DropUnknown(Peer& peer) {
  for (Session* session : peer.sessions()) {
    if (!session->off_the_books || session->ended()) continue;
    if (peer.harness_calls()) {
      co_await Drop(peer, *session);
    } else if (session->attached()) {
      peer.Close(*session->link, How::kFin);  // who redials for it is told
    }
  }
}

}  // namespace

Task<> Aftermath(Peer& peer) {
  peer.DetachCut();
  for (Session* session : peer.sessions()) {
    session->answers_openings = session->echoes_closes = true;
  }
  if (peer.being_killed()) {
    co_await AfterKill(peer);
    co_await peer.Epilogue();
    co_return;
  }
  Link* spoiled = peer.SpoiledLink();
  if (spoiled != nullptr && spoiled->end != peer::LinkEnd::kCutByHarness) {
    co_await JudgeSpoiled(peer, *spoiled);
    if (peer.misread()) co_await DropMisread(peer);
  }
  co_await DropUnknown(peer);
  if (peer.harness_calls()) {
    co_await AsCaller(peer);
  } else {
    co_await AsCallee(peer);
  }
  co_await peer.Epilogue();
}

}  // namespace counterpart::scenarios
