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

Task<> RepeatedSends(Peer& peer) {
  ExecuteRequest command = Listen(peer);
  control::v1::Outcome first = co_await peer.Execute(command, "the subject to listen");
  control::v1::Outcome again = co_await peer.Execute(command, "the recorded outcome");
  co_await peer.Require(first.has_listening() && again.has_listening() &&
                            first.listening().port() == again.listening().port(),
                        "control.lifecycle.attach",
                        "a duplicate of a finished command returns the recorded outcome");
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
  late.set_send(2);
  control::v1::Outcome revived = co_await peer.Execute(late, "the higher send to run");
  co_await peer.Require(revived.has_listening(), "control.lifecycle.send-ordinal",
                        "the same id runs when it is sent with a higher ordinal");

  ControlRequest reset;
  reset.mutable_reset();
  const uint32_t question = peer.Ask(std::move(reset));
  co_await peer.Answered(question, "Reset to be answered");
  const uint32_t listeners = peer.question(question).reply.reset().listeners();
  std::string wanted =
      "two commands were run and two listeners opened, not " + std::to_string(listeners);
  co_await peer.Require(listeners == 2, "control.lifecycle.attach", std::move(wanted));
}

// ---------------------------------------------------------------- control_probe_…

// Every capability there is: r[control.capabilities].
constexpr const char* kCapabilities[] = {
    "bare",      "resume",  "root_calls",        "channels",  "cancel",   "operations",
    "keepalive", "schemas", "control_lifecycle", "initiator", "acceptor", "virtual_connections"};

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

}  // namespace

std::vector<Scenario> ControlScenarios() {
  return {
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
       {"control.lifecycle.attach", "control.lifecycle.conflict", "control.lifecycle.send-ordinal",
        "control.lifecycle.status-lane"},
       {},
       {"control_lifecycle"},
       &RepeatedSends,
       /*exclusive=*/true},
  };
}

}  // namespace counterpart::scenarios
