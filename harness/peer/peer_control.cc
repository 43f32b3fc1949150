// What a peer does over the control plane, and to the process of the subject.
#include <utility>

#include "harness/peer/peer.h"

namespace counterpart::peer {

using effects::Effect;
using machine::Reading;

uint32_t Peer::Ask(control::v1::ControlRequest request, effects::Credential credential) {
  const uint32_t id = next_question_++;
  questions_[id];
  Reading reading;
  reading.edge = "control." + std::to_string(id);
  reading.label = Read(request);
  if (credential == effects::Credential::kNone) reading.label += " (without a token)";
  if (credential == effects::Credential::kWrong) reading.label += " (with another token)";
  Effect effect{.kind = EffectKind::kAsk,
                .id = id,
                .number = static_cast<uint64_t>(credential),
                .bytes = request.SerializeAsString()};
  machine_->Request(std::move(effect), std::move(reading));
  return id;
}

uint32_t Peer::Start(control::v1::ExecuteRequest command) {
  if (command.command_id() == 0) command.set_command_id(next_command_id_++);
  if (command.send() == 0) command.set_send(1);
  control::v1::ControlRequest request;
  *request.mutable_execute() = std::move(command);
  if (request.execute().has_channel_receive()) {
    receives_.push_back({next_question_, request.execute().channel_receive()});
  }
  return Ask(std::move(request));
}

Task<> Peer::Answered(uint32_t id, std::string awaited) {
  co_await Until(std::move(awaited),
                 [this, id] { return questions_.at(id).answered || questions_.at(id).lost; });
}

Task<control::v1::Outcome> Peer::OutcomeOf(uint32_t id, std::string awaited, std::string rule) {
  co_await Until(
      std::move(awaited),
      [this, id] { return questions_.at(id).answered || questions_.at(id).lost; }, std::move(rule));
  const Question& question = questions_.at(id);
  if (question.lost) co_await Fail("", "the control plane answers");
  if (question.reply.execute().has_refusal()) {
    std::string text =
        "the subject runs the command; it refused: " + question.reply.execute().refusal().text();
    co_await Fail("", std::move(text));
  }
  co_return question.reply.execute().outcome();
}

Task<control::v1::Outcome> Peer::Execute(control::v1::ExecuteRequest command, std::string awaited) {
  const uint32_t id = Start(std::move(command));
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited));
  co_return outcome;
}

void Peer::Release(const std::string& gate) {
  control::v1::ExecuteRequest command;
  command.mutable_release()->set_gate(gate);
  Start(std::move(command));
}

Task<> Peer::AwaitHandlerStarted(Session& session, uint64_t operation_id, std::string rule) {
  control::v1::ExecuteRequest command;
  command.mutable_await_event()->set_session_id(session.id);
  command.mutable_await_event()->set_handler_started(true);
  command.mutable_await_event()->set_operation_id(operation_id);
  std::string awaited = "the handler of operation " + std::to_string(operation_id) + " to start";
  const uint32_t id = Start(std::move(command));
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited), std::move(rule));
}

uint32_t Peer::StartCallBySubject(
    Session& session, const std::string& method, std::string arguments, std::string handle,
    uint64_t connection, google::protobuf::RepeatedPtrField<control::v1::Metadata> metadata) {
  control::v1::ExecuteRequest command;
  // Where the subject accepts, the command may overtake LetsGo: no session is there to call on yet.
  if (session.harness_initiates && !session.proven) {
    machine_->Report({.level = machine::Level::kError,
                      .text = "the scenario has " + handle +
                              " called on a session that the subject may not have bound yet"});
  }
  command.mutable_call()->set_session_id(session.id);
  command.mutable_call()->set_connection_id(connection);
  const Method* known = FindMethod(method);
  command.mutable_call()->set_method(known == nullptr ? method : known->name);
  command.mutable_call()->set_arguments(std::move(arguments));
  command.mutable_call()->set_handle(handle);
  command.mutable_call()->mutable_metadata()->Swap(&metadata);
  SubjectCall& call = subject_calls_.emplace_back();
  call.session_id = session.id;
  call.connection = connection;
  call.method = command.call().method();
  call.arguments = command.call().arguments();
  call.handle = std::move(handle);
  call.question = Start(std::move(command));
  return call.question;
}

void Peer::CancelCallBySubject(const std::string& handle) {
  control::v1::ExecuteRequest command;
  command.mutable_cancel()->set_handle(handle);
  Start(std::move(command));
  for (SubjectCall& call : subject_calls_) call.cancelled |= call.handle == handle;
}

Task<control::v1::CallOutcome> Peer::CallOutcomeOf(uint32_t id, std::string rule) {
  std::string awaited = "the subject's call to be resolved";
  control::v1::Outcome outcome = co_await OutcomeOf(id, std::move(awaited), std::move(rule));
  co_await Require(outcome.has_call(), "", "a Call command ends with the outcome of a call");
  co_return outcome.call();
}

// ---------------------------------------------------------------- process

void Peer::Kill() {
  process_touched_ |= !firing_plan_;
  exit_expected_ = true;
  killed_ = being_killed_ = true;
  machine_->Request({.kind = EffectKind::kKill, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "SIGKILL", .text = ""});
}

void Peer::CloseInput() {
  process_touched_ = exit_expected_ = true;
  killed_ = being_killed_ = true;
  machine_->Request({.kind = EffectKind::kCloseInput, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "close stdin", .text = ""});
}

Task<> Peer::Restart() {
  co_await Until("the subject to be gone", [this] { return subject_exited_; });
  machine_->Request({.kind = EffectKind::kRestart, .id = 0, .number = 0, .bytes = ""},
                    {.edge = "process", .label = "restart", .text = ""});
  const uint32_t starts = starts_;
  restarting_ = true;
  co_await Until("the subject to start again", [this, starts] { return starts_ > starts; });
  exit_expected_ = being_killed_ = false;
  subject_port_ = 0;
  connect_question_ = 0;
}

}  // namespace counterpart::peer
