// What a peer asks when a run is over: journal, executions, output, and whether anything has
// leaked.
#include <utility>

#include "harness/peer/leftovers.h"
#include "harness/peer/peer.h"

namespace counterpart::peer {

using effects::Effect;

Task<std::vector<ObservedEnd::Execution>> Peer::ReadExecutions() {
  std::string wanted;
  for (const auto& session : sessions_) wanted += (wanted.empty() ? "" : " ") + HexOf(session->id);
  const uint32_t id = next_question_++;
  machine_->Request({.kind = EffectKind::kReadExecutions, .id = id, .number = 0, .bytes = wanted},
                    {.edge = "", .label = "read executions", .text = ""});
  executions_[id];
  co_await Until("the executions file", [this, id] { return executions_.at(id).has_value(); });
  co_return ParseExecutions(*executions_.at(id));
}

Task<std::string> Peer::ReadOutput(bool errors) {
  const uint32_t id = next_question_++;
  Effect effect{.kind = EffectKind::kReadOutput,
                .id = id,
                .number = errors ? uint64_t{1} : uint64_t{0},
                .bytes = ""};
  machine_->Request(
      std::move(effect),
      {.edge = "", .label = errors ? "read stdout and stderr" : "read stdout", .text = ""});
  outputs_[id];
  co_await Until("its output", [this, id] { return outputs_.at(id).has_value(); });
  co_return *outputs_.at(id);
}

Task<std::vector<control::v1::JournalEvent>> Peer::JournalSoFar() {
  control::v1::ControlRequest request;
  request.mutable_journal();
  const uint32_t question = Ask(std::move(request));
  co_await Answered(question, "the journal");
  const auto& events = questions_.at(question).reply.journal().events();
  co_return std::vector<control::v1::JournalEvent>(events.begin(), events.end());
}

Task<std::vector<uint64_t>> Peer::PlannedDelays() {
  std::vector<control::v1::JournalEvent> journal = co_await JournalSoFar();
  std::vector<uint64_t> delays;
  for (const auto& event : journal) {
    if (event.has_planned_delay()) delays.push_back(event.planned_delay().delay_ms());
  }
  co_return delays;
}

Task<> Peer::Epilogue() {
  ObservedEnd end;
  end.subject_killed = killed_;
  if (!subject_exited_) {
    co_await Settle();
    for (const auto& session : sessions_) {
      co_await Require(session->waiting_requests() == 0, "",
                       "no Request arrives that nobody asked for");
    }
    for (const auto& session : sessions_) {
      if (session->attached()) {
        co_await session->SayGoodbye();
      } else if (!session->id.empty() && !session->ended() && harness_calls()) {
        control::v1::ExecuteRequest command;
        command.mutable_expire_session()->set_session_id(session->id);
        const uint32_t expiring = Start(std::move(command));
        // Refused where the subject has dropped the session already: both are fine here.
        co_await Answered(expiring, "ExpireSession to be answered");
      }
    }
    for (auto& [id, link] : links_) {
      if (!link->end && link->up) Close(*link, How::kFin);
    }
    co_await Settle();
    control::v1::ControlRequest request;
    request.mutable_journal();
    const uint32_t journal = Ask(std::move(request));
    co_await Answered(journal, "the journal");
    const Question& answer = questions_.at(journal);
    if (answer.answered) TakeJournal(answer.reply.journal(), &end);
  }
  end.executions = co_await ReadExecutions();
  end.executions_read = true;
  monitors_->OnEnd(end);
  ReportUnfiredFaults();
  if (!subject_exited_) co_await CheckLeaks();
}

void Peer::NoteSessions() {
  for (const auto& session : sessions_) {
    const bool has_key = session->resumable && !session->resume_key.empty();
    const char* over = session->goodbye_received() ? "ended by Goodbye"
                       : session->protocol_error() ? "ended by a protocol error"
                       : !has_key                  ? "over with its link, for want of a resume key"
                                                   : "the subject was told to let it expire";
    machine_->Note("sessions", names_.Of("S", session->id) + ": " + over);
  }
}

Task<> Peer::CheckLeaks() {
  control::v1::ControlRequest request;
  request.mutable_reset();
  const uint32_t reset = Ask(std::move(request));
  co_await Answered(reset, "Reset to be answered");
  control::v1::ResetResponse held = questions_.at(reset).reply.reset();
  // A Hello that was cut off from its answer may have made a session that nobody can name: whether
  // its acceptor keeps that for a redial is its own affair.
  uint32_t unnamed = 0;
  for (const auto& [id, link] : links_) {
    unnamed += link->asked_for_session && link->end == LinkEnd::kCutByHarness;
  }
  if (held.sessions() <= unnamed) held.clear_sessions();
  const std::string leaked = DescribeLeaks(held);
  if (held.sessions() > 0) NoteSessions();
  std::string wanted = "after the run the subject holds nothing of it, not" + leaked;
  co_await Require(leaked.empty(), "control.reset", std::move(wanted));
}

}  // namespace counterpart::peer
