// The life of a command: what its states prove, also when the subject dies between two of them.
#include <set>

#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CommandState;
using control::v1::ControlRequest;
using control::v1::ExecuteRequest;
using control::v1::HoldAt;
using control::v1::RefusalReason;
using control::v1::StatusResponse;

// Where a command is held, and what Status must say of it there.
struct Held {
  HoldAt at;
  const char* name;
  CommandState state;
};

constexpr Held kHeld[] = {
    {control::v1::HOLD_AT_ACCEPTED, "accepted", control::v1::COMMAND_STATE_ACCEPTED},
    {control::v1::HOLD_AT_STARTED, "started", control::v1::COMMAND_STATE_STARTED},
    {control::v1::HOLD_AT_EFFECT, "effect done", control::v1::COMMAND_STATE_STARTED},
    {control::v1::HOLD_AT_RECORDED, "recorded", control::v1::COMMAND_STATE_COMPLETED},
};

ExecuteRequest Listen(Peer& peer) {
  ExecuteRequest command;
  command.set_command_id(peer.NextCommandId());
  command.set_send(1);
  command.mutable_listen()->set_max_concurrent_requests(8);
  return command;
}

// co_await: what Status says of a command; asked while other commands run, and answered at once.
Task<StatusResponse> StatusOf(Peer& peer, uint64_t command_id, uint32_t highest_send) {
  ControlRequest request;
  request.mutable_status()->set_command_id(command_id);
  request.mutable_status()->set_highest_send(highest_send);
  const uint32_t question = peer.Ask(std::move(request));
  co_await peer.Answered(question, "Status to be answered");
  co_await peer.Require(peer.question(question).answered, "control.lifecycle.status-lane",
                        "Status answers at any time, also while commands run");
  co_return peer.question(question).reply.status();
}

// co_await: a command is refused, for this reason, and nothing is run.
Task<> RequireRefused(Peer& peer, ExecuteRequest command, RefusalReason reason,
                      const std::string& rule, std::string wanted) {
  const uint32_t question = peer.Start(std::move(command));
  co_await peer.Answered(question, "the refusal");
  const auto& reply = peer.question(question).reply.execute();
  co_await peer.Require(reply.has_refusal() && reply.refusal().reason() == reason, rule,
                        std::move(wanted));
}

// ---------------------------------------------------------------- control_lifecycle_…

Task<> KilledBetweenStates(Peer& peer) {
  for (const Held& held : kHeld) {
    ExecuteRequest command = Listen(peer);
    const uint64_t id = command.command_id();
    command.set_hold_at(held.at);
    peer.Start(std::move(command));
    co_await peer.Settle();
    StatusResponse before = co_await StatusOf(peer, id, 0);
    std::string wanted = std::string("a command held at `") + held.name + "` is in state " +
                         control::v1::CommandState_Name(held.state) + ", not " +
                         control::v1::CommandState_Name(before.state());
    const bool recorded =
        held.state != control::v1::COMMAND_STATE_COMPLETED || before.outcome().has_listening();
    co_await peer.Require(before.state() == held.state && recorded,
                          held.at == control::v1::HOLD_AT_RECORDED
                              ? "control.lifecycle.record-first"
                              : "control.lifecycle.accept-first",
                          std::move(wanted));
    peer.Kill();
    co_await peer.Restart();
    // Whatever had become of it: the process that knew is gone. A restarted subject can only say
    // that it is another one; its `not accepted` proves nothing, and nothing is sent again.
    StatusResponse after = co_await StatusOf(peer, id, 1);
    co_await peer.Require(after.epoch() != before.epoch(), "control.lifecycle.epoch",
                          "a restarted subject has another epoch: its `not accepted` is no proof");
    co_await peer.Require(after.state() == control::v1::COMMAND_STATE_NOT_ACCEPTED ||
                              after.state() == control::v1::COMMAND_STATE_EVICTED,
                          "control.lifecycle.epoch",
                          "a restarted subject claims nothing of commands it never saw");
  }
}

// ---------------------------------------------------------------- control_repeated_sends_…

// co_await: how many listeners there were to drop.
Task<uint32_t> ListenersDropped(Peer& peer) {
  ControlRequest reset;
  reset.mutable_reset();
  const uint32_t question = peer.Ask(std::move(reset));
  co_await peer.Answered(question, "Reset to be answered");
  co_return peer.question(question).reply.reset().listeners();
}

Task<> RepeatedSends(Peer& peer) {
  ExecuteRequest command = Listen(peer);
  control::v1::Outcome first = co_await peer.Execute(command, "the subject to listen");
  control::v1::Outcome again = co_await peer.Execute(command, "the recorded outcome");
  co_await peer.Require(first.has_listening() && again.has_listening() &&
                            first.listening().port() == again.listening().port(),
                        "control.lifecycle.attach",
                        "a duplicate of a finished command returns the recorded outcome");
  const uint32_t opened = co_await ListenersDropped(peer);
  co_await peer.Require(opened == 1, "control.lifecycle.attach",
                        "a command that is sent twice runs once");
  ExecuteRequest other = command;
  other.mutable_listen()->set_max_concurrent_requests(9);
  co_await RequireRefused(peer, other, control::v1::REFUSAL_REASON_CONFLICT,
                          "control.lifecycle.conflict",
                          "the same id with another payload is refused as a conflict");

  // A proven absence is kept: what arrives late is refused, a new send is not.
  ExecuteRequest late = Listen(peer);
  StatusResponse unknown = co_await StatusOf(peer, late.command_id(), 1);
  co_await peer.Require(unknown.state() == control::v1::COMMAND_STATE_NOT_ACCEPTED,
                        "control.lifecycle.send-ordinal", "a command never sent is not accepted");
  co_await RequireRefused(peer, late, control::v1::REFUSAL_REASON_TOMBSTONED,
                          "control.lifecycle.send-ordinal",
                          "a send that Status proved absent is refused when it arrives late");
  const uint32_t none = co_await ListenersDropped(peer);
  co_await peer.Require(none == 0, "control.lifecycle", "a refused command has run nothing");
  late.set_send(2);
  control::v1::Outcome revived = co_await peer.Execute(late, "the higher send to run");
  co_await peer.Require(revived.has_listening(), "control.lifecycle.send-ordinal",
                        "the same id runs when it is sent with a higher ordinal");
  const uint32_t reopened = co_await ListenersDropped(peer);
  co_await peer.Require(reopened == 1, "control.lifecycle.send-ordinal",
                        "a higher send runs its command once");
}

// ---------------------------------------------------------------- control_probe_…

// Every capability there is: r[control.capabilities].
constexpr const char* kCapabilities[] = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",   "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor", "virtual_connections",
    "stable",    "persist"};

ExecuteRequest Probe(Peer& peer, const std::string& capability) {
  ExecuteRequest command;
  command.set_command_id(peer.NextCommandId());
  command.set_send(1);
  command.mutable_probe()->set_capability(capability);
  return command;
}

Task<> ProbeTells(Peer& peer) {
  ControlRequest request;
  request.mutable_describe();
  const uint32_t question = peer.Ask(std::move(request));
  co_await peer.Answered(question, "Describe to be answered");
  std::set<std::string> declared;
  for (const std::string& capability : peer.question(question).reply.describe().capabilities()) {
    declared.insert(capability);
  }
  for (const char* capability : kCapabilities) {
    ExecuteRequest probe = Probe(peer, capability);
    if (declared.erase(capability) > 0) {
      control::v1::Outcome outcome = co_await peer.Execute(std::move(probe), "the probe to run");
      std::string wanted = std::string("a probe for the declared `") + capability + "` runs";
      co_await peer.Require(outcome.has_done(), "control.capabilities", std::move(wanted));
    } else {
      std::string wanted = std::string("a probe for `") + capability +
                           "`, which the subject does not declare, is refused as unsupported";
      co_await RequireRefused(peer, std::move(probe), control::v1::REFUSAL_REASON_UNSUPPORTED,
                              "control.capabilities", std::move(wanted));
    }
  }
  std::string unknown = declared.empty() ? "" : *declared.begin();
  std::string listed = "a subject declares what is on the list, not `" + unknown + "`";
  co_await peer.Require(declared.empty(), "control.capabilities", std::move(listed));
  // A subject that claims whatever it is asked for would make every `unsupported` a lie.
  std::string made_up = "made_up_" + std::to_string(peer.machine().Choose(1000000, "capability"));
  ExecuteRequest probe = Probe(peer, made_up);
  std::string wanted = "a probe for `" + made_up + "`, which nobody has, is refused";
  co_await RequireRefused(peer, std::move(probe), control::v1::REFUSAL_REASON_UNSUPPORTED,
                          "control.capabilities", std::move(wanted));
}

// co_await: what Reset counts, of this run's scope or another one.
Task<control::v1::ResetResponse> ResetOf(Peer& peer, const std::string& scope = "") {
  ControlRequest reset;
  reset.mutable_reset()->set_scope(scope);
  const uint32_t question = peer.Ask(std::move(reset));
  co_await peer.Answered(question, "Reset to be answered");
  co_return peer.question(question).reply.reset();
}

// ---------------------------------------------------------------- control_subject_…

// co_await: it runs a command.
Task<> RequireWorking(Peer& peer, const std::string& rule) {
  control::v1::Outcome done = co_await peer.Execute(Probe(peer, "bare"), "a command to run");
  co_await peer.Require(done.has_done(), rule, "a subject that says its line is ready to serve");
}

Task<> EndsWithItsInput(Peer& peer) {
  const std::string rule = "control.start";
  // That its first line is as it should be, and names loopback, is asked when it is started.
  co_await RequireWorking(peer, rule);
  std::string output = co_await peer.ReadOutput(/*errors=*/false);
  co_await peer.Require(output.empty(), rule,
                        "a subject prints one line on stdout, and nothing behind it");
  peer.CloseInput();
  co_await peer.Until(
      "the subject to exit once its stdin has ended", [&peer] { return peer.subject_exited(); },
      rule);
  co_await peer.Require(peer.exit_text() == "exit 0", rule,
                        "it ends by itself when its stdin ends: " + peer.exit_text());
  co_await peer.Restart();
  co_await RequireWorking(peer, rule);
}

// ---------------------------------------------------------------- control_holds_…

Task<> HoldsStop(Peer& peer) {
  const std::string rule = "control.hold";
  for (const Held& held : kHeld) {
    ExecuteRequest command = Listen(peer);
    const uint64_t id = command.command_id();
    command.set_hold_at(held.at);
    const uint32_t question = peer.Start(std::move(command));
    co_await peer.Settle();
    StatusResponse status = co_await StatusOf(peer, id, 0);
    std::string wanted = std::string("a command held at `") + held.name + "` is there, not at " +
                         control::v1::CommandState_Name(status.state());
    co_await peer.Require(status.state() == held.state && !peer.question(question).answered, rule,
                          std::move(wanted));
    control::v1::Outcome other = co_await peer.Execute(Probe(peer, "bare"), "another command");
    co_await peer.Require(other.has_done(), rule, "every other command goes on");
    // What is counted tells whether the command has had its effect.
    control::v1::ResetResponse counts = co_await ResetOf(peer);
    const bool effect =
        held.at == control::v1::HOLD_AT_EFFECT || held.at == control::v1::HOLD_AT_RECORDED;
    std::string done = std::string("a command held at `") + held.name + "` has had " +
                       (effect ? "its effect" : "no effect") + ": " +
                       std::to_string(counts.listeners()) + " listeners";
    co_await peer.Require(counts.listeners() == (effect ? 1 : 0), rule, std::move(done));
    co_await peer.Answered(question, "the held command to be ended by Reset");
    const auto& outcome = peer.question(question).reply.execute().outcome();
    const bool ended = held.at == control::v1::HOLD_AT_RECORDED
                           ? outcome.has_listening()
                           : outcome.failed().reason() == control::v1::FAILURE_REASON_DROPPED;
    co_await peer.Require(ended, "control.reset",
                          "Reset ends held commands as dropped, or with the outcome recorded");
  }
}

// ---------------------------------------------------------------- control_states_…

Task<> RequireState(Peer& peer, uint64_t id, CommandState state, const char* when) {
  StatusResponse status = co_await StatusOf(peer, id, 0);
  std::string wanted = std::string("a command that ") + when + " is " +
                       control::v1::CommandState_Name(state) + ", not " +
                       control::v1::CommandState_Name(status.state());
  co_await peer.Require(status.state() == state, "control.lifecycle.forward-only",
                        std::move(wanted));
}

Task<> StatesMoveForward(Peer& peer) {
  // It waits for two others to complete.
  ExecuteRequest waiting;
  waiting.set_command_id(peer.NextCommandId());
  waiting.mutable_await_event()->set_machine(control::v1::MACHINE_COMMAND);
  waiting.mutable_await_event()->set_to_state("Completed");
  waiting.mutable_await_event()->set_count(2);
  const uint64_t id = waiting.command_id();
  const uint32_t question = peer.Start(std::move(waiting));
  co_await peer.Settle();
  co_await RequireState(peer, id, control::v1::COMMAND_STATE_STARTED, "runs");
  StatusResponse again = co_await StatusOf(peer, id, 0);
  co_await peer.Require(again.state() == control::v1::COMMAND_STATE_STARTED,
                        "control.lifecycle.status-lane",
                        "to be asked for its status changes nothing of a command that runs");
  for (int i = 0; i < 2; ++i) {
    control::v1::Outcome done = co_await peer.Execute(Probe(peer, "bare"), "a command to complete");
  }
  control::v1::Outcome outcome = co_await peer.OutcomeOf(question, "the wait to end");
  // One that fails: nobody listens there.
  ExecuteRequest failing;
  failing.set_command_id(peer.NextCommandId());
  failing.mutable_connect()->set_host("127.0.0.1");
  failing.mutable_connect()->set_port(1);
  const uint64_t failed = failing.command_id();
  control::v1::Outcome refused = co_await peer.Execute(std::move(failing), "the dial to fail");
  co_await peer.Require(refused.has_failed(), "session.initial-connect-waiting",
                        "a dial that is refused for good fails the command");
  for (int i = 0; i < 3; ++i) {
    co_await RequireState(peer, id, control::v1::COMMAND_STATE_COMPLETED, "has completed");
    co_await RequireState(peer, failed, control::v1::COMMAND_STATE_FAILED, "has failed");
  }
  std::vector<control::v1::JournalEvent> journal = co_await peer.JournalSoFar();
  for (const uint64_t key : {id, failed}) {
    std::vector<std::string> states;
    for (const auto& event : journal) {
      const auto& transition = event.transition();
      if (transition.machine() != control::v1::MACHINE_COMMAND || transition.key() != key) continue;
      states.push_back(transition.to_state());
    }
    const std::vector<std::string> due = {"Accepted", "Started",
                                          key == id ? "Completed" : "Failed"};
    co_await peer.Require(states == due, "control.lifecycle.forward-only",
                          "the journal tells of each state once, in their order");
  }
}

// ---------------------------------------------------------------- control_ids_…

Task<> IdsNameOneCommand(Peer& peer) {
  const std::string rule = "control.lifecycle.command-id";
  ControlRequest nameless;
  *nameless.mutable_execute() = Listen(peer);
  nameless.mutable_execute()->set_command_id(0);
  const uint32_t question = peer.Ask(std::move(nameless));
  co_await peer.Answered(question, "the refusal");
  co_await peer.Require(peer.question(question).reply.execute().has_refusal(), rule,
                        "a command without an id is refused");
  ExecuteRequest command = Listen(peer);
  control::v1::Outcome first = co_await peer.Execute(command, "the subject to listen");
  control::v1::ResetResponse counts = co_await ResetOf(peer);
  co_await peer.Require(counts.listeners() == 1, rule, "what was refused has run nothing");
  // The scope is gone; the id names its command all the same.
  ExecuteRequest other = command;
  other.mutable_listen()->set_max_concurrent_requests(9);
  co_await RequireRefused(peer, other, control::v1::REFUSAL_REASON_CONFLICT, rule,
                          "an id names one command for good, also when its scope was reset");
  control::v1::Outcome again = co_await peer.Execute(command, "the recorded outcome");
  control::v1::ResetResponse nothing = co_await ResetOf(peer);
  co_await peer.Require(
      again.listening().port() == first.listening().port() && nothing.listeners() == 0, rule,
      "and is answered with its one outcome, and run no more");
}

// ---------------------------------------------------------------- control_commands_are_kept

constexpr size_t kCommandsKept = 256;

Task<> CommandsAreKept(Peer& peer) {
  const std::string rule = "control.lifecycle.retention";
  ExecuteRequest held = Probe(peer, "bare");
  held.set_hold_at(control::v1::HOLD_AT_ACCEPTED);
  peer.Start(std::move(held));
  std::vector<ExecuteRequest> probes;
  for (size_t i = 0; i < kCommandsKept + 44; ++i) {
    ExecuteRequest probe = Probe(peer, "bare");
    probes.push_back(probe);
    control::v1::Outcome done = co_await peer.Execute(std::move(probe), "a probe to run");
  }
  // The oldest command has not ended, and eviction is in order of id: none is evicted.
  StatusResponse first = co_await StatusOf(peer, probes.front().command_id(), 0);
  co_await peer.Require(first.state() == control::v1::COMMAND_STATE_COMPLETED, rule,
                        "no command is evicted before an older one that has not ended");
  control::v1::ResetResponse counts = co_await ResetOf(peer);
  ExecuteRequest probe = Probe(peer, "bare");
  probes.push_back(probe);
  control::v1::Outcome done = co_await peer.Execute(std::move(probe), "one more probe");
  for (size_t i = probes.size() - kCommandsKept + 1; i < probes.size(); ++i) {
    StatusResponse kept = co_await StatusOf(peer, probes[i].command_id(), 0);
    std::string wanted = "the last 256 commands are kept; of the last " +
                         std::to_string(probes.size() - i) + " one is " +
                         control::v1::CommandState_Name(kept.state());
    co_await peer.Require(
        kept.state() == control::v1::COMMAND_STATE_COMPLETED && kept.outcome().has_done(), rule,
        std::move(wanted));
  }
  StatusResponse oldest = co_await StatusOf(peer, probes.front().command_id(), 0);
  if (oldest.state() == control::v1::COMMAND_STATE_COMPLETED) co_return;  // it keeps more
  co_await peer.Require(
      oldest.state() == control::v1::COMMAND_STATE_EVICTED && oldest.watermark() > 0, rule,
      "what is not kept is evicted, and the watermark says so");
  co_await RequireRefused(peer, probes.front(), control::v1::REFUSAL_REASON_EVICTED, rule,
                          "an id at or below the watermark is refused as evicted");
}

// ---------------------------------------------------------------- control_scopes_…

Task<> ScopesAreApart(Peer& peer) {
  const std::string rule = "control.scope";
  const std::string other = "beside " + std::to_string(peer.machine().seed());
  peer::Session* session = co_await peer.Establish();
  peer::Call* call = session->StartCall("Echo", WaitingEcho("apart", "gate"));
  co_await peer.AwaitHandlerStarted(*session, call->operation_id);
  ExecuteRequest listen = Listen(peer);
  const uint64_t listening = listen.command_id();
  listen.set_scope(other);
  control::v1::Outcome listens = co_await peer.Execute(std::move(listen), "another listener");
  ExecuteRequest release;
  release.set_scope(other);
  release.mutable_release()->set_gate("gate");
  control::v1::Outcome released = co_await peer.Execute(std::move(release), "another gate to open");
  co_await session->Fence();
  co_await peer.Settle();
  co_await peer.Require(!call->response, rule, "a gate of one scope holds nobody of another");
  ExecuteRequest calling;
  calling.set_command_id(peer.NextCommandId());
  calling.set_send(1);
  calling.set_scope(other);
  calling.mutable_call()->set_session_id(session->id);
  calling.mutable_call()->set_method(peer::FindMethod("Echo")->name);
  calling.mutable_call()->set_handle("call");
  co_await RequireRefused(peer, std::move(calling), control::v1::REFUSAL_REASON_INVALID, rule,
                          "a session is known in its own scope only");
  ControlRequest request;
  request.mutable_journal()->set_scope(other);
  const uint32_t question = peer.Ask(std::move(request));
  co_await peer.Answered(question, "the journal of the other scope");
  bool told = false, foreign = false;
  for (const auto& event : peer.question(question).reply.journal().events()) {
    told |= event.transition().key() == listening;
    foreign |= event.has_frame() || event.has_handler();
  }
  co_await peer.Require(told && !foreign, rule,
                        "a journal has the events of its scope, and no other");
  std::vector<control::v1::JournalEvent> ours = co_await peer.JournalSoFar();
  for (const auto& event : ours) {
    const bool command = event.transition().machine() == control::v1::MACHINE_COMMAND;
    foreign |= command && event.transition().key() == listening;
  }
  co_await peer.Require(!foreign, rule, "nor are they in the journal of another scope");
  control::v1::ResetResponse counts = co_await ResetOf(peer, other);
  co_await peer.Require(counts.listeners() == 1 && counts.sessions() == 0 && counts.handlers() == 0,
                        rule, "what a scope holds is counted there alone");
  peer.Release("gate");
  wire::v1::Response response = co_await session->ResponseTo(*call, "control.reset");
  co_await RequireEcho(peer, response, "apart");
}

// ---------------------------------------------------------------- control_settle_…

Task<control::v1::SettleResponse> SettleNow(Peer& peer) {
  ControlRequest request;
  request.mutable_settle();
  const uint32_t question = peer.Ask(std::move(request));
  co_await peer.Answered(question, "Settle to be answered");
  co_return peer.question(question).reply.settle();
}

Task<> SettleCounts(Peer& peer) {
  const std::string rule = "control.settle";
  co_await peer.Settle();
  control::v1::SettleResponse before = co_await SettleNow(peer);
  for (int i = 0; i < 3; ++i) {
    control::v1::Outcome done = co_await peer.Execute(Probe(peer, "bare"), "a probe to run");
  }
  co_await RequireRefused(peer, Probe(peer, "no such thing"),
                          control::v1::REFUSAL_REASON_UNSUPPORTED, "control.capabilities",
                          "a probe for what nobody has is refused");
  ExecuteRequest held = Probe(peer, "bare");
  held.set_hold_at(control::v1::HOLD_AT_STARTED);
  peer.Start(std::move(held));
  co_await peer.Settle();
  control::v1::SettleResponse after = co_await SettleNow(peer);
  const uint64_t accepted = after.accepted() - before.accepted();
  const uint64_t answered = after.answered() - before.answered();
  std::string counts =
      "five commands were taken in and four answered, refusals included; it says " +
      std::to_string(accepted) + " and " + std::to_string(answered);
  co_await peer.Require(accepted == 5 && answered == 4, rule, std::move(counts));
  co_await peer.Require(after.runnable() == 0 && after.journal_seq() > before.journal_seq(), rule,
                        "at rest nothing is runnable, and the newest journal event is named");
  control::v1::ResetResponse dropped = co_await ResetOf(peer);
}

// ---------------------------------------------------------------- control_time_…

Task<> TimeComesFromCommands(Peer& peer) {
  const std::string rule = "control.time";
  peer::Session* session = co_await peer.Establish();
  co_await RequireAlive(peer, *session, "");
  for (const bool detached : {false, true}) {
    if (detached) peer.Close(*session->link, CutBySeed(peer));
    co_await peer.Settle();
    control::v1::SettleResponse settled = co_await SettleNow(peer);
    std::string timers;
    for (const auto& timer : settled.timers()) timers += " " + timer.name();
    std::string wanted = "a subject that was told no time waits for none, but it does:" + timers;
    co_await peer.Require(timers.empty(), rule, std::move(wanted));
  }
  co_await peer.Resume(*session);
  co_await RequireAlive(peer, *session, "session.outlives-conduit");
}

// ---------------------------------------------------------------- control_strangers_…

// Every kind of question, Execute among them.
std::vector<ControlRequest> Everything(ExecuteRequest command) {
  std::vector<ControlRequest> all(6);
  all[0].mutable_describe();
  all[1].mutable_status()->set_command_id(command.command_id());
  all[2].mutable_journal();
  all[3].mutable_settle();
  all[4].mutable_reset();
  *all[5].mutable_execute() = std::move(command);
  return all;
}

Task<> StrangersAreRefused(Peer& peer) {
  const std::string rule = "control.token";
  for (const auto credential : {effects::Credential::kNone, effects::Credential::kWrong}) {
    ExecuteRequest command = Listen(peer);
    const uint64_t id = command.command_id();
    std::vector<ControlRequest> asked = Everything(std::move(command));
    for (ControlRequest& request : asked) {
      std::string wanted = credential == effects::Credential::kNone
                               ? "a question without a token is refused: "
                               : "a question with another token is refused: ";
      wanted += peer::Read(request);
      const uint32_t question = peer.Ask(std::move(request), credential);
      co_await peer.Answered(question, "the refusal");
      co_await peer.Require(!peer.question(question).answered, rule, std::move(wanted));
    }
    StatusResponse known = co_await StatusOf(peer, id, 1);
    co_await peer.Require(known.state() == control::v1::COMMAND_STATE_NOT_ACCEPTED, rule,
                          "what a stranger asks for is not run");
  }
}

// ---------------------------------------------------------------- control_replies_…

// `rule`: that of the binding.
Task<> RepliesNameTheirRequests(Peer& peer, std::string rule) {
  ExecuteRequest held = Listen(peer);
  const uint64_t id = held.command_id();
  held.set_hold_at(control::v1::HOLD_AT_STARTED);
  peer.Start(std::move(held));
  // All at once, while a command that was sent before them is not answered.
  std::vector<ControlRequest> asked = Everything(Listen(peer));
  std::erase_if(asked, [](const ControlRequest& request) { return request.has_reset(); });
  std::vector<uint32_t> questions;
  for (const ControlRequest& request : asked) questions.push_back(peer.Ask(request));
  for (size_t i = 0; i < asked.size(); ++i) {
    co_await peer.Answered(questions[i], "every reply");
    const peer::Question& question = peer.question(questions[i]);
    // The numbers of the kinds are those of their fields, which are alike in both messages.
    const bool fits = question.answered && static_cast<int>(question.reply.kind_case()) ==
                                               static_cast<int>(asked[i].kind_case());
    co_await peer.Require(fits, rule, "each reply carries the id of its request");
  }
  StatusResponse first = co_await StatusOf(peer, id, 1);
  co_await peer.Require(first.state() == control::v1::COMMAND_STATE_STARTED, rule,
                        "replies come in any order: a command that is held holds up no other");
}

}  // namespace

std::vector<Scenario> ControlScenarios() {
  const std::vector<Direction> there = {Direction::kHarnessToSubject};
  return {
      {"control_subject_ends_with_its_input",
       "control",
       "A subject says one line, serves until its stdin ends, and exits.",
       there,
       {"control.start"},
       {},
       {"control_lifecycle"},
       &EndsWithItsInput,
       /*exclusive=*/true},
      {"control_holds_stop_where_they_say",
       "control",
       "A held command stops where it was told to, and everything else goes on.",
       there,
       {"control.hold", "control.reset"},
       {},
       {"control_lifecycle"},
       &HoldsStop,
       /*exclusive=*/true},
      {"control_states_move_forward",
       "control",
       "A command is accepted, started and completed or failed, and never goes back.",
       there,
       {"control.lifecycle.forward-only", "control.lifecycle.status-lane"},
       {},
       {"control_lifecycle"},
       &StatesMoveForward,
       /*exclusive=*/true},
      {"control_ids_name_one_command_for_good",
       "control",
       "An id names one command, also when its scope was reset, and 0 names none.",
       there,
       {"control.lifecycle.command-id"},
       {},
       {"control_lifecycle"},
       &IdsNameOneCommand,
       /*exclusive=*/true},
      {"control_commands_are_kept",
       "control",
       "The last 256 commands are kept; older ones are evicted in order, once they have ended.",
       there,
       {"control.lifecycle.retention"},
       {},
       {"control_lifecycle"},
       &CommandsAreKept,
       /*exclusive=*/true},
      {"control_scopes_are_apart",
       "control",
       "What a scope holds, is called and journals is its own.",
       there,
       {"control.scope"},
       {},
       {"root_calls", "control_lifecycle"},
       &ScopesAreApart,
       /*exclusive=*/true},
      {"control_settle_counts_what_there_is",
       "control",
       "Settle counts what was taken in and answered, and says what is still going on.",
       there,
       {"control.settle"},
       {},
       {"control_lifecycle"},
       &SettleCounts,
       /*exclusive=*/true},
      {"control_time_comes_from_commands",
       "control",
       "A subject that was told no time sets no timer, and forgets no session by itself.",
       there,
       {"control.time"},
       {},
       {"root_calls", "resume"},
       &TimeComesFromCommands,
       /*exclusive=*/true},
      {"control_strangers_are_refused",
       "control",
       "A call that does not carry the token is refused, whatever it asks.",
       there,
       {"control.token"},
       {},
       {"control_lifecycle", kOver + "grpc"},
       &StrangersAreRefused},
      {"control_replies_name_their_requests",
       "control",
       "Each reply on stdout carries the id of its request, and comes when it can.",
       there,
       {"control.stdio"},
       {},
       {"control_lifecycle", kOver + "stdio"},
       [](Peer& peer) { return RepliesNameTheirRequests(peer, "control.stdio"); }},
      {"control_stream_replies_name_their_requests",
       "control",
       "Each reply on a stream carries the id of its request, and comes when it can.",
       there,
       {"control.stream"},
       {},
       {"control_lifecycle", kOver + "grpc-stream"},
       [](Peer& peer) { return RepliesNameTheirRequests(peer, "control.stream"); }},
      {"control_probe_tells_what_is_unsupported",
       "control",
       "What a subject declares it can be probed for, and nothing else, not even a capability "
       "that does not exist.",
       {Direction::kHarnessToSubject},
       {"control.capabilities"},
       {},
       {},
       &ProbeTells},
      {"control_lifecycle_subject_killed_between_states",
       "control",
       "A command's states prove what they say, and a subject killed between any two never lets "
       "`not accepted` pass for proof.",
       {Direction::kHarnessToSubject},
       {"control.lifecycle.accept-first", "control.lifecycle.record-first",
        "control.lifecycle.epoch", "control.lifecycle.status-lane"},
       {},
       {"control_lifecycle"},
       &KilledBetweenStates,
       /*exclusive=*/true},
      {"control_repeated_sends_run_nothing",
       "control",
       "A command runs once, however often it is sent, and never once it was proven absent.",
       {Direction::kHarnessToSubject},
       {"control.lifecycle", "control.lifecycle.attach", "control.lifecycle.conflict",
        "control.lifecycle.send-ordinal", "control.lifecycle.status-lane"},
       {},
       {"control_lifecycle"},
       &RepeatedSends,
       /*exclusive=*/true},
  };
}

}  // namespace counterpart::scenarios
