#include "runtime/command_log.h"

#include <algorithm>
#include <utility>

#include "runtime/mutation.h"

namespace subject {
namespace {

// r[control.lifecycle.retention]
size_t CommandsKept() { return Mutated("keeps_half_of_the_commands") ? 128 : 256; }

control::ExecuteResponse Told(control::Outcome outcome) {
  control::ExecuteResponse response;
  *response.mutable_outcome() = std::move(outcome);
  return response;
}

control::ExecuteResponse Told(control::Refusal refusal) {
  control::ExecuteResponse response;
  *response.mutable_refusal() = std::move(refusal);
  return response;
}

}  // namespace

control::Outcome Done() {
  control::Outcome outcome;
  outcome.mutable_done();
  return outcome;
}

control::Outcome Failed(control::FailureReason reason, std::string text, std::string rule) {
  control::Outcome outcome;
  outcome.mutable_failed()->set_reason(reason);
  outcome.mutable_failed()->set_text(std::move(text));
  outcome.mutable_failed()->set_sorry_or_rule(std::move(rule));
  return outcome;
}

control::Refusal Refused(control::RefusalReason reason, std::string text) {
  control::Refusal refusal;
  refusal.set_reason(reason);
  refusal.set_text(std::move(text));
  return refusal;
}

CommandLog::Work Just(std::function<void()> act) {
  return [act = std::move(act)](const CommandLog::Finish& finish) { act(), finish(Done()); };
}

void CommandLog::Execute(const control::ExecuteRequest& request, const Prepare& prepare,
                         Reply reply) {
  ++accepted_;
  Enter(request, prepare, [this, reply = std::move(reply)](control::ExecuteResponse response) {
    if (!response.has_refusal() || !Mutated("counts_no_refusals")) ++answered_;
    reply(std::move(response));
  });
}

void CommandLog::Enter(const control::ExecuteRequest& request, const Prepare& prepare,
                       Reply reply) {
  const auto refuse = [&reply](control::RefusalReason reason, const char* text) {
    reply(Told(Refused(reason, text)));
  };
  const uint64_t id = request.command_id();
  auto without_send = request;
  without_send.clear_send();
  std::string payload = without_send.SerializeAsString();
  if (id == 0) return refuse(control::REFUSAL_REASON_INVALID, "command id 0");
  if (id <= watermark_) return refuse(control::REFUSAL_REASON_EVICTED, "evicted");
  if (const auto known = commands_.find(id); known != commands_.end()) {
    Command& command = known->second;
    // r[control.lifecycle.conflict]
    if (command.payload != payload && !Mutated("takes_another_command_for_the_one_it_knows")) {
      if (Mutated("runs_what_it_refuses")) {
        auto prepared = prepare();
        if (auto* work = std::get_if<Work>(&prepared)) (*work)([](const control::Outcome&) {});
      }
      return refuse(control::REFUSAL_REASON_CONFLICT, "another command has this id");
    }
    if (Mutated("duplicate_command_runs_again")) {
      auto prepared = prepare();
      if (auto* work = std::get_if<Work>(&prepared)) {
        return (*work)([reply = std::move(reply)](control::Outcome outcome) {
          reply(Told(std::move(outcome)));
        });
      }
    }
    command.waiting.push_back(std::move(reply));  // r[control.lifecycle.attach]
    if (command.has_outcome && command.hold != control::HOLD_AT_RECORDED) Answer(command);
    return;
  }
  const auto tombstone = tombstones_.find(id);
  if (tombstone != tombstones_.end() && request.send() <= tombstone->second.refused &&
      !Mutated("forgets_tombstones")) {
    return refuse(control::REFUSAL_REASON_TOMBSTONED, "proven unknown");
  }
  auto prepared = prepare();
  if (auto* refusal = std::get_if<control::Refusal>(&prepared)) {
    return reply(Told(std::move(*refusal)));
  }
  if (std::get<Work>(prepared) == nullptr) {
    return refuse(control::REFUSAL_REASON_INVALID,
                  "it names something that does not exist, or a value out of range");
  }
  const Recorder record{&journal_, request.scope(), "", 0};
  const bool revived = tombstone != tombstones_.end();
  Command command{revived ? tombstone->second.machine : Machine(kCommand, id),
                  request.scope(),
                  std::move(payload),
                  request.hold_at(),
                  false,
                  {},
                  {}};
  command.waiting.push_back(std::move(reply));
  command.machine.Step(record, "accept");  // r[control.lifecycle.accept-first]
  const control::HoldAt hold = command.hold;
  tombstones_.erase(id);
  Command& kept = commands_.emplace(id, std::move(command)).first->second;
  if (hold == control::HOLD_AT_ACCEPTED) return;
  if (!Mutated("completes_what_it_has_not_started")) kept.machine.Step(record, "start");
  if (hold == control::HOLD_AT_STARTED && !Mutated("holds_behind_the_effect")) return;
  std::get<Work>(prepared)([this, id, hold](control::Outcome outcome) {
    if (hold != control::HOLD_AT_EFFECT && hold != control::HOLD_AT_STARTED) {
      Record(id, std::move(outcome));
    }
  });
}

void CommandLog::Record(uint64_t id, control::Outcome outcome) {
  const auto found = commands_.find(id);
  if (found == commands_.end() || found->second.has_outcome) return;  // dropped meanwhile
  Command& command = found->second;
  command.has_outcome = true;
  command.outcome = std::move(outcome);
  // r[control.lifecycle.record-first]
  command.machine.Step({&journal_, command.scope, "", 0},
                       command.outcome.has_failed() ? "fail" : "complete");
  if (command.hold != control::HOLD_AT_RECORDED) Answer(command);
  Evict();
}

void CommandLog::Answer(Command& command) {
  for (auto& reply : std::exchange(command.waiting, {})) reply(Told(command.outcome));
}

void CommandLog::Evict() {
  while (commands_.size() > CommandsKept() && commands_.begin()->second.has_outcome &&
         commands_.begin()->second.waiting.empty()) {
    watermark_ = commands_.begin()->first;
    commands_.erase(commands_.begin());
    tombstones_.erase(tombstones_.begin(), tombstones_.upper_bound(watermark_));
  }
}

control::StatusResponse CommandLog::Status(const control::StatusRequest& request) {
  const uint64_t id = request.command_id();
  const uint32_t highest_send = request.highest_send();
  control::StatusResponse response;
  response.set_epoch(journal_.epoch());
  response.set_watermark(watermark_);
  if (id <= watermark_) {
    response.set_state(control::COMMAND_STATE_EVICTED);
  } else if (const auto found = commands_.find(id); found != commands_.end()) {
    const Command& command = found->second;
    if (!command.has_outcome && Mutated("completes_what_it_is_asked_about")) {
      loop_.Post([this, id] { Record(id, Done()); });
    }
    response.set_state(command.machine.Is("Accepted")    ? control::COMMAND_STATE_ACCEPTED
                       : command.machine.Is("Started")   ? control::COMMAND_STATE_STARTED
                       : command.machine.Is("Completed") ? control::COMMAND_STATE_COMPLETED
                                                         : control::COMMAND_STATE_FAILED);
    if (command.machine.Is("Failed") && Mutated("takes_a_failed_command_for_a_running_one")) {
      response.set_state(control::COMMAND_STATE_STARTED);
    }
    if (command.has_outcome && !Mutated("answers_before_it_has_recorded")) {
      *response.mutable_outcome() = command.outcome;
    }
    if (command.machine.Is("Accepted") && Mutated("starts_before_it_has_accepted")) {
      response.set_state(control::COMMAND_STATE_NOT_ACCEPTED);
    }
  } else {
    response.set_state(control::COMMAND_STATE_NOT_ACCEPTED);
    if (highest_send == 0) return response;  // no send is refused by it
    Tombstone& tombstone =
        tombstones_.try_emplace(id, Tombstone{Machine(kCommand, id)}).first->second;
    // r[control.lifecycle.send-ordinal], r[control.journal.write-ahead]
    if (tombstone.refused == 0) tombstone.machine.Step({&journal_, "", "", 0}, "tombstone");
    tombstone.refused = std::max(tombstone.refused, highest_send);
  }
  return response;
}

control::SettleResponse CommandLog::Settle(const control::SettleRequest&) const {
  control::SettleResponse response;
  response.set_accepted(accepted_);
  response.set_answered(answered_);
  response.set_journal_seq(journal_.seq());
  response.set_runnable(loop_.queued() - 1);  // this one is not counted
  for (const Loop::Timer& timer : loop_.timers()) {
    control::PendingTimer& pending = *response.add_timers();
    pending.set_name(timer.name);
    pending.set_due_ms(timer.DueIn().count());
  }
  return response;
}

void CommandLog::Drop(const std::string& scope) {
  const control::Outcome dropped = Failed(control::FAILURE_REASON_DROPPED, "its scope was reset");
  std::vector<uint64_t> ids;
  for (const auto& [id, command] : commands_) {
    if (command.scope == scope) ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    const auto found = commands_.find(id);
    if (found == commands_.end()) continue;
    Command& command = found->second;
    command.hold = control::HOLD_AT_UNSPECIFIED;
    if (command.has_outcome) {
      Answer(command);
      continue;
    }
    if (command.machine.Is("Accepted")) command.machine.Step({&journal_, scope, "", 0}, "start");
    Record(id, dropped);
  }
  if (Mutated("forgets_the_commands_of_a_scope")) {
    for (const uint64_t id : ids) commands_.erase(id);
  }
  Evict();
}

}  // namespace subject
