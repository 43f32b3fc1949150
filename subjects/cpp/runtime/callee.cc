#include "runtime/callee.h"

#include <google/protobuf/dynamic_message.h>

#include <algorithm>
#include <utility>

#include "runtime/attachment.h"
#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {
namespace {

constexpr uint32_t kMostHandlers =
    1024;  // r[rpc.flow-control.max-concurrent-requests.attachment-loss]

constexpr size_t kSessionIdSize = 16;

bool Decodes(const google::protobuf::Descriptor* type, const std::string& bytes) {
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
  const std::unique_ptr<google::protobuf::Message> message(prototype->New());
  return message->ParseFromString(bytes);
}

// r[rpc.channel.abandon]
void Abandon(const Ends& ends) {
  if (Mutated("no_channel_abandon")) return;
  for (const auto& [field, end] : ends) {
    if (end.sending) end.sending->Abort();
    if (end.receiving) end.receiving->Reset();
  }
}

// What a handler's finalizer does with the ends it is given.
void EndAll(const Ends& ends) {
  for (const auto& [field, end] : ends) {
    if (end.sending) end.sending->Close();
    if (end.receiving) end.receiving->Reset();
  }
}

wire::Response RuntimeError(wire::RuntimeErrorCode code, const std::string& text) {
  wire::Response response;
  response.mutable_runtime_error()->set_code(code);
  response.mutable_runtime_error()->set_text(text);
  return response;
}

// r[rpc.metadata]: what a handler is given is what was sent.
std::vector<wire::MetadataEntry> Given(std::vector<wire::MetadataEntry> sent) {
  if (Mutated("gives_handlers_no_metadata")) return {};
  if (Mutated("keeps_one_entry_per_key")) {
    std::vector<wire::MetadataEntry> kept;
    for (auto& entry : sent) {
      const auto same = std::find_if(kept.begin(), kept.end(), [&entry](const auto& other) {
        return other.key() == entry.key();
      });
      same == kept.end() ? kept.push_back(entry) : void(*same = entry);
    }
    return kept;
  }
  if (Mutated("clears_unknown_flags")) {
    for (auto& entry : sent) entry.set_flags(entry.flags() & 3);
  }
  return sent;
}

constexpr uint32_t kNoPropagate = 1u << 1;

// A call that a handler makes, with the metadata it was given that may go on.
std::shared_ptr<Call> CallInTurn(const std::vector<wire::MetadataEntry>& given, std::string method,
                                 std::string arguments, std::function<void()> done) {
  auto call = std::make_shared<Call>();
  call->method_name = std::move(method);
  call->arguments = std::move(arguments);
  for (const auto& entry : given) {  // r[rpc.metadata.no-propagate]
    if ((entry.flags() & kNoPropagate) != 0 && !Mutated("propagates_everything")) continue;
    call->metadata.push_back(entry);
  }
  call->done = [done = std::move(done)](const Call&) { done(); };
  return call;
}

}  // namespace

MaybeViolation Callee::OnRequest(Lane& lane, const wire::Request& request) {
  LogMetadata(request.metadata());
  if (request.metadata_size() > 0 && Mutated("refuses_unknown_metadata")) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "rpc.metadata.unknown-keys",
                     "an unknown key"};
  }
  if (!lane.connection().requests.See(request.request_id()) && !Mutated("accepts_any_request_id")) {
    return Violation{wire::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "rpc.id.monotone",
                     "request id " + std::to_string(request.request_id())};
  }
  if (request.operation_id() == 0 && !Mutated("accepts_operation_id_zero")) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "retry.op-id.scope", "operation id 0"};
  }
  const size_t held = Mutated("counts_handlers_of_lost_links") ? running() : 0;
  const size_t spare = Mutated("takes_one_more_than_it_announced") ? 1 : 0;
  if (std::max(lane.incoming.size(), held) >= lane.connection().own_limit() + spare) {
    return Violation{wire::PROTOCOL_ERROR_CODE_REQUEST_LIMIT_EXCEEDED,
                     "rpc.flow-control.max-concurrent-requests.inbound", "too many requests"};
  }
  uint32_t newest = 0;
  for (const auto& reference : request.channels()) {
    if (reference.field_number() <= newest) {
      return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "retry.op-id.payload-binding",
                       "channels not ascending by field"};
    }
    newest = reference.field_number();
    const uint64_t id = reference.channel_id();
    if (!lane.connection().channels.See(id) && !Mutated("accepts_any_channel_id") &&
        !(lane.connection().channels.Theirs(id) && Mutated("accepts_channel_ids_used_before"))) {
      return Violation{wire::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID, "rpc.id.monotone",
                       "channel id " + std::to_string(id)};
    }
  }
  if (!lane.tracker.Bound(request.method(), wire::BINDING_ROLE_ARGUMENTS) &&
      !Mutated("missing_schema_accepted") && !Mutated("takes_announcements_of_other_connections")) {
    return Violation{wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required",
                     "arguments of " + request.method()};
  }
  const auto& methods = session_->runtime().methods;
  const auto found = methods.find(request.method());
  const Method* method = found == methods.end() ? nullptr : &found->second;
  if (method != nullptr &&
      !std::equal(request.channels().begin(), request.channels().end(), method->channels.begin(),
                  method->channels.end(), [](const auto& reference, const auto& channel) {
                    return reference.field_number() == channel.field_number;
                  })) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "rpc.channel.allocation",
                     "not one channel per channel field"};
  }
  const std::string& origin = request.origin_session();
  if (!origin.empty() && !Mutated("takes_any_origin_session") &&
      (origin.size() != kSessionIdSize || (method && !method->persist))) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "retry.policy.persist.write-ahead",
                     "an origin session that no operation of " + request.method() + " can have"};
  }
  lane.incoming[request.request_id()] = nullptr;  // counts from here
  if (lane.hushed) return std::nullopt;
  Decide(lane, request, method);
  return std::nullopt;
}

std::string Callee::OriginOf(const wire::Request& request) const {
  const bool own = request.origin_session() == session_->record().session_id;
  return own ? "" : request.origin_session();
}

// As the one who minted the id tells of it, whoever runs it.
Recorder Callee::RecordOf(const Operation& operation) const {
  Recorder record = operation.owner->session_->record();
  record.session_id = operation.origin;
  return record;
}

OperationStore& Callee::store() const { return session_->runtime().store; }

// The record of an operation, null if it is Absent.
std::shared_ptr<Operation> Callee::Known(const wire::Request& request, const Method* method) {
  const std::string origin = OriginOf(request);
  const auto here = operations_.find({origin, request.operation_id()});
  if (here != operations_.end()) return here->second;
  if (method == nullptr || !method->persist) return nullptr;
  const auto& persist = session_->runtime().persist;
  const auto there = persist.find(
      {origin.empty() ? session_->record().session_id : origin, request.operation_id()});
  auto operation = there == persist.end() ? nullptr : there->second.lock();
  return operation || origin.empty() ? operation : Load(request, method);
}

// What a process before this one left.  r[retry.policy.persist.restart]
std::shared_ptr<Operation> Callee::Load(const wire::Request& request, const Method* method) {
  const OperationKey key = {request.origin_session(), request.operation_id()};
  const auto stored = store().Find(key);
  if (!stored) return nullptr;
  if (!stored->outcome && Mutated("takes_an_open_record_for_none")) return nullptr;
  const bool same =
      stored->method == method->name && stored->digest == ArgumentDigest(request.arguments());
  const Machine machine(kOperation, key.second, stored->outcome ? "Sealed" : "Indeterminate");
  const auto operation = std::make_shared<Operation>(Operation{
      key.second, 0, same ? method : nullptr, request.arguments(), machine, this, key.first});
  operation->executions = stored->executions;
  operation->outcome.ParseFromString(stored->outcome.value_or(""));
  if (same) Keep(operation);  // else it is for the refusal alone
  return operation;
}

// From now on this callee has the record.
void Callee::Keep(const std::shared_ptr<Operation>& operation) {
  if (operation->owner != this) {
    std::erase_if(operation->owner->operations_,
                  [&](const auto& entry) { return entry.second == operation; });
    operation->owner = this;
  }
  const bool own = operation->origin == session_->record().session_id;
  operations_[{own ? "" : operation->origin, operation->id}] = operation;
  if (operation->method->persist) {
    session_->runtime().persist[{operation->origin, operation->id}] = operation;
  }
}

void Callee::Attach(Lane& lane, const std::shared_ptr<Operation>& operation, uint64_t request_id) {
  lane.incoming[request_id] = operation;
  operation->attempts.insert({this, lane.connection().id(), request_id});
}

// r[retry.policy.persist.write-ahead]
void Callee::StoreAdmission(const Operation& operation, uint32_t execution) {
  if (!operation.method->persist) return;
  store().Admit({operation.origin, operation.id},
                {operation.method->name, ArgumentDigest(operation.arguments), execution, {}});
}

// r[retry.policy.persist.durable-seal]
void Callee::StoreOutcome(const Operation& operation) {
  if (!operation.method->persist) return;
  store().Seal({operation.origin, operation.id}, operation.outcome.SerializeAsString());
}

void Callee::Decide(Lane& lane, const wire::Request& request, const Method* method) {
  const uint64_t id = request.operation_id(), attempt = request.request_id();
  if (request.settled_below() > expired_below_) {  // r[retry.gc.settled-below]
    expired_below_ = request.settled_below();
    std::erase_if(operations_, [&](const auto& entry) {
      const uint64_t bound = expired_below_ + (Mutated("evicts_what_is_not_settled") ? 1 : 0);
      return entry.first.first.empty() && entry.first.second < bound &&
             !entry.second->machine.Is("Live");
    });
  }
  Ends ends;
  for (const auto& reference : request.channels()) {
    if (method == nullptr) {
      lane.nameless.insert(reference.channel_id());
      continue;
    }
    const auto& argument = method->channels[ends.size()];
    ends[argument.field_number] =
        lane.MakeEnd(*method, argument, reference.channel_id(), !argument.to_callee);
  }
  const auto refuse = [&](wire::RuntimeErrorCode code, const std::string& text) {
    Refuse(lane, attempt, ends, code, text);
  };
  const std::string origin = OriginOf(request);
  auto operation = Known(request, method);
  if (origin.empty() && id < expired_below_ && !Mutated("runs_what_has_expired")) {
    return refuse(wire::RUNTIME_ERROR_CODE_OPERATION_EXPIRED, "expired");
  }
  if (operation && (operation->method != method || operation->arguments != request.arguments() ||
                    (operation->owner == this && origin.empty() &&
                     operation->connection != lane.connection().id() &&
                     !Mutated("attaches_across_connections")))) {
    return refuse(wire::RUNTIME_ERROR_CODE_OPERATION_CONFLICT,
                  "another connection or method, or other bytes");
  }
  if (method == nullptr) {
    return refuse(Mutated("unknown_method_as_invalid_payload")
                      ? wire::RUNTIME_ERROR_CODE_INVALID_PAYLOAD
                      : wire::RUNTIME_ERROR_CODE_UNKNOWN_METHOD,
                  request.method());
  }
  std::string why = lane.tracker.Mismatch(method->name, wire::BINDING_ROLE_ARGUMENTS);
  if (request.arguments().empty() && Mutated("finds_mismatches_in_values")) why.clear();
  for (const auto& channel : method->channels) {
    if (!why.empty() || !channel.to_callee) continue;
    why = lane.tracker.Mismatch(method->name, wire::BINDING_ROLE_CHANNEL, channel.field_number);
  }
  if (!why.empty()) return refuse(wire::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, why);
  const auto step = [&](std::string_view event) {
    operation->machine.Step(RecordOf(*operation), event);
  };
  const bool anew = Mutated("runs_again_what_a_new_link_should_join") && session_->generation() > 1;
  if (operation && operation->machine.Is("Live")) {  // r[retry.duplicate.live.attach]
    if (Mutated("attaches_to_the_wrong_live_call")) {
      operation = std::find_if(operations_.begin(), operations_.end(), [method](const auto& entry) {
                    return entry.second->machine.Is("Live") && entry.second->method == method;
                  })->second;
    }
    step(Mutated("takes_a_join_for_an_admission") ? "admit" : "attach");
    Attach(lane, operation, attempt);
    if (anew || Mutated("runs_live_duplicate")) return Admit(operation, attempt, std::move(ends));
    return Abandon(ends);  // the handler has the ends of its own attempt
  }
  if (operation && operation->machine.Is("Sealed") && !Mutated("rerun_sealed")) {
    step("replay");
    if (!Mutated("replays_beside_open_channels")) Abandon(ends);  // r[retry.channel.sealed-result]
    if (Mutated("forgets_an_outcome_once_replayed")) operations_.erase({origin, id});
    wire::Response outcome = operation->outcome;
    if (Mutated("replays_without_metadata")) outcome.clear_metadata();
    return Respond(lane, attempt, std::move(outcome), method);
  }
  const bool lost = operation && operation->machine.Is("Indeterminate");
  const bool refused = (operation && !method->idem && !operation->machine.Is("Sealed") &&
                        !(lost && Mutated("reruns_what_crashed"))) ||
                       (lost && Mutated("refuses_what_crashed_though_idem"));
  if (refused && !Mutated("reexecutes_non_idem_after_resume") &&
      !(Mutated("reruns_released_non_idem") && operation->machine.Is("Released"))) {
    step("refuse");  // r[retry.duplicate.released.non-idem]
    if (operation->machine.Is("Indeterminate") && Mutated("makes_up_an_outcome")) {
      wire::Response made_up;
      made_up.mutable_ok();
      Abandon(ends);
      return Respond(lane, attempt, made_up, method);
    }
    return refuse(wire::RUNTIME_ERROR_CODE_INDETERMINATE, "may have run, and must not run again");
  }
  if (!Decodes(method->request, request.arguments()) &&
      !Mutated("executes_undecodable_arguments")) {
    return refuse(wire::RUNTIME_ERROR_CODE_INVALID_PAYLOAD, "arguments do not decode");
  }
  if (running() >= kMostHandlers) {
    return refuse(wire::RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED, "too many handlers");
  }
  if (!operation) {
    operation = std::make_shared<Operation>(
        Operation{id, lane.connection().id(), method, request.arguments(), Machine(kOperation, id),
                  this, origin.empty() ? session_->record().session_id : origin});
  }
  Keep(operation);
  if (!Mutated("starts_handlers_before_their_record")) {
    StoreAdmission(*operation, operation->executions + 1);
  }
  step(operation->machine.Is("Absent") ? "admit" : "rerun");
  operation->metadata.assign(request.metadata().begin(), request.metadata().end());
  operation->attempts.clear();
  Attach(lane, operation, attempt);
  Admit(operation, attempt, std::move(ends));
}

void Callee::Refuse(Lane& lane, uint64_t request_id, const Ends& ends, wire::RuntimeErrorCode code,
                    const std::string& text) {
  if (Mutated("refuses_behind_the_pong")) {
    const uint64_t connection = lane.connection().id();
    session_->runtime().loop.Post([this, request_id, code, text, connection] {
      Attachment* const attachment = session_->attachment();
      Lane* const to = attachment == nullptr ? nullptr : attachment->FindLane(connection);
      if (to != nullptr) Respond(*to, request_id, RuntimeError(code, text), nullptr);
    });
    return;
  }
  Abandon(ends);
  Respond(lane, request_id, RuntimeError(code, text), nullptr);
}

void Callee::Respond(Lane& lane, uint64_t request_id, wire::Response response,
                     const Method* method) {
  wire::Message message;
  *message.mutable_response() = std::move(response);
  message.mutable_response()->set_request_id(request_id);
  if (!lane.Fits(message)) {  // r[link.limit.announce]
    *message.mutable_response() =
        RuntimeError(wire::RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE, "above the caller's limit");
    message.mutable_response()->set_request_id(request_id);
  }
  if (!message.response().has_runtime_error()) {
    lane.Announce(*method, wire::BINDING_ROLE_RESPONSE);
  }
  if (Mutated("answers_without_an_outcome")) message.mutable_response()->clear_outcome();
  lane.incoming.erase(request_id);  // r[...max-concurrent-requests.counting]
  if (Mutated("double_response")) lane.Commit(message);
  lane.Commit(std::move(message));
}

void Callee::Admit(const std::shared_ptr<Operation>& operation, uint64_t request_id, Ends ends) {
  auto execution = std::make_shared<Execution>();
  execution->number = operation->executions + 1;  // if it starts
  execution->request_id = request_id;
  execution->ends = std::move(ends);
  for (const auto& [field, end] : execution->ends) {
    if (!end.sending) continue;
    if (Mutated("adds_old_credit_to_the_new_stream")) end.sending->AddOld(operation->credit);
    if (operation->executions == 2 && Mutated("resumes_a_stream_where_the_first_cut_left_it")) {
      end.sending->Skip(operation->sent);
    }
  }
  operation->execution = execution;
  Loop& loop = session_->runtime().loop;
  const auto begin = [this, operation, weak = std::weak_ptr(execution)] {
    const auto current = weak.lock();
    if (Mutated("one_handler_at_a_time") &&
        std::any_of(operations_.begin(), operations_.end(), [](const auto& entry) {
          return entry.second->execution && entry.second->execution->run;
        })) {
      return;
    }
    if (current && operation->execution == current) Begin(operation);
  };
  if (Mutated("canary_starts_handlers_late")) {
    loop.After("start of a handler", std::chrono::milliseconds(3), begin);
  } else {
    loop.Post(begin);
  }
  if (Mutated("old_generation_finalizer_closes_new_channel") && execution->number > 1) {
    // The finalizer of the execution before, late: it asks the operation, not its own execution.
    loop.Post([operation] {
      if (operation->execution) EndAll(operation->execution->ends);
    });
  }
}

// r[control.journal.executions]
void Callee::Note(const Operation& operation, const Execution& execution) {
  const Recorder record = RecordOf(operation);
  session_->runtime().executions.Append(record.session_id, operation.id, execution.number,
                                        record.generation);
}

void Callee::Begin(const std::shared_ptr<Operation>& operation) {
  const auto execution = operation->execution;
  const Recorder record = RecordOf(*operation);
  operation->executions = execution->number;
  if (!Mutated("notes_executions_at_their_end")) Note(*operation, *execution);
  record.Handler(control::HANDLER_EVENT_STARTED, operation->id, execution->request_id,
                 execution->number);
  for (auto& [field, end] : execution->ends) {
    if (end.sending) end.sending->Bind();
    if (end.receiving) end.receiving->Bind();
  }
  if (Mutated("executes_twice_per_request")) {
    Note(*operation, *execution);
    Invocation twin{.method = operation->method,
                    .arguments = operation->arguments,
                    .metadata = {},
                    .ends = {},
                    .wake = [] {},
                    .finish = [](HandlerResult) {},
                    .call = [](std::string, std::string, std::function<void()>) {}};
    session_->handler()(std::move(twin))->Advance();
  }
  Loop& loop = session_->runtime().loop;
  const std::weak_ptr<Execution> weak = execution;
  Invocation invocation;
  invocation.method = operation->method;
  invocation.arguments = operation->arguments;
  invocation.metadata = Given(operation->metadata);
  invocation.ends = execution->ends;
  // On the connection it was called on; if that is closed by then, on the root.
  invocation.call = [this, given = invocation.metadata, on = operation->connection](
                        std::string method, std::string arguments, std::function<void()> done) {
    Connection* const open = session_->connections().Find(on);
    Connection& connection = open == nullptr ? session_->connections().root() : *open;
    connection.caller().Start(CallInTurn(given, std::move(method), std::move(arguments), done));
  };
  invocation.wake = [&loop, weak] {
    loop.Post([weak] {
      if (const auto current = weak.lock()) current->run->Advance();
    });
  };
  invocation.finish = [this, held = std::weak_ptr(operation), weak](HandlerResult result) {
    const auto done = held.lock();
    const auto current = weak.lock();
    if (done && current && done->execution == current) Finished(done, std::move(result));
  };
  execution->run = session_->handler()(std::move(invocation));
  execution->run->Advance();
}

void Callee::Finished(const std::shared_ptr<Operation>& operation, HandlerResult result) {
  const auto execution = std::exchange(operation->execution, nullptr);
  if (Mutated("notes_executions_at_their_end")) Note(*operation, *execution);
  const Recorder record = RecordOf(*operation);
  const bool returned = result.kind != HandlerResult::Kind::kPanic || Mutated("seals_what_crashed");
  const bool late = returned && Mutated("journals_the_seal_after_the_response");
  record.Handler(returned ? control::HANDLER_EVENT_RETURNED : control::HANDLER_EVENT_PANICKED,
                 operation->id, execution->request_id, execution->number);
  if (Mutated("starts_handlers_before_their_record")) {
    StoreAdmission(*operation, operation->executions);
  }
  wire::Response response;
  if (returned) {  // r[retry.seal.only-return]
    const bool ok = result.kind == HandlerResult::Kind::kOk;
    *(ok ? response.mutable_ok() : response.mutable_user_error()) = std::move(result.value);
    if (!ok && Mutated("user_error_as_runtime_error")) {
      response = RuntimeError(wire::RUNTIME_ERROR_CODE_INVALID_PAYLOAD, "a user error");
    }
    for (auto& entry : result.metadata) *response.add_metadata() = std::move(entry);
    operation->outcome = response;
    if (!Mutated("answers_before_the_outcome_is_stored")) StoreOutcome(*operation);
    if (!late) operation->machine.Step(record, "seal");
    if (execution->number > 1 && Mutated("reports_a_second_run_as_indeterminate")) {
      response = RuntimeError(wire::RUNTIME_ERROR_CODE_INDETERMINATE, "it had run before");
    }
  } else {
    operation->machine.Step(record, "lose");
    Abandon(execution->ends);
    response = RuntimeError(wire::RUNTIME_ERROR_CODE_INDETERMINATE, "the handler crashed");
  }
  for (const auto& attempt : std::exchange(operation->attempts, {})) {
    Attachment* const attachment = attempt.callee->session_->attachment();
    Lane* const lane = attachment == nullptr ? nullptr : attachment->FindLane(attempt.connection);
    if (lane == nullptr) continue;  // its connection was closed
    attempt.callee->Respond(*lane, attempt.request_id, response, operation->method);
  }
  if (late) operation->machine.Step(record, "seal");
  if (session_->attachment() == nullptr && Mutated("drops_outcomes_reached_while_detached")) {
    operations_.erase({"", operation->id});
  }
  if (Mutated("one_handler_at_a_time")) {
    for (const auto& [id, next] : operations_) {
      if (next->execution && !next->execution->run) return Begin(next);
    }
  }
}

MaybeViolation Callee::OnCancel(Lane& lane, uint64_t request_id) {
  const auto found = lane.incoming.find(request_id);
  if (found == lane.incoming.end() || found->second == nullptr) {
    // r[session.resume.discard]; no request of any generation has the id 0.
    if (request_id != 0 && lane.connection().OfOlderGeneration(request_id) &&
        !Mutated("ignores_names_of_older_links")) {
      return Violation{wire::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "session.resume.discard",
                       "cancel of request " + std::to_string(request_id)};
    }
    lane.record().Discard("cancel_request", "rpc.cancel", request_id);
    return std::nullopt;
  }
  const auto operation = found->second;
  const bool forgets = Mutated("second_response_for_cancelled_call");
  if (!forgets) operation->attempts.erase({this, lane.connection().id(), request_id});
  const bool stays =
      operation->method->persist
          ? !Mutated("releases_persist_calls_at_a_cancel")
          : Mutated("cancel_leaves_it_live") ||
                (!operation->method->idem && Mutated("seals_what_returns_behind_a_cancel"));
  if (operation->attempts.empty() && !stays) {  // r[retry.cancel.persist]
    Ends ends = operation->execution ? operation->execution->ends : Ends{};
    Drop(*operation, "release");  // r[retry.cancel.volatile]
    Abandon(ends);
  }
  const bool vague = Mutated("answers_a_cancel_with_indeterminate");
  Respond(lane, request_id,
          RuntimeError(
              vague ? wire::RUNTIME_ERROR_CODE_INDETERMINATE : wire::RUNTIME_ERROR_CODE_CANCELLED,
              "cancelled"),
          nullptr);
  return std::nullopt;
}

// r[schema.errors.early]: also where the items' type is announced after the Request.
void Callee::OnSchema(Lane& lane) {
  for (auto& [id, operation] : operations_) {
    if (operation->attempts.empty() || operation->connection != lane.connection().id()) continue;
    std::string why;
    for (const auto& channel : operation->method->channels) {
      if (!why.empty() || !channel.to_callee) continue;
      why = lane.tracker.Mismatch(operation->method->name, wire::BINDING_ROLE_CHANNEL,
                                  channel.field_number);
    }
    if (why.empty()) continue;
    const Ends ends = operation->execution ? operation->execution->ends : Ends{};
    Drop(*operation, "lose");
    Abandon(ends);
    for (const auto& attempt : std::exchange(operation->attempts, {})) {
      Respond(lane, attempt.request_id, RuntimeError(wire::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH, why),
              nullptr);
    }
  }
}

void Callee::Drop(Operation& operation, std::string_view event) {
  operation.machine.Step(RecordOf(operation), event);
  const auto execution = std::exchange(operation.execution, nullptr);
  if (execution) {
    for (const auto& [field, end] : execution->ends) {
      if (end.receiving) end.receiving->Abandon();
    }
  }
  if (execution && execution->run) {
    RecordOf(operation).Handler(control::HANDLER_EVENT_CANCELLED, operation.id,
                                execution->request_id, execution->number);
  }
}

void Callee::Store() {
  if (!Mutated("acknowledges_before_it_stored")) return;
  for (auto& [id, operation] : operations_) operation->stored = operation->machine.Is("Sealed");
}

void Callee::Detached(Lane& lane) {
  const uint64_t connection = lane.connection().id();
  for (const auto& [request_id, operation] : std::exchange(lane.incoming, {})) {
    if (operation) operation->attempts.erase({this, connection, request_id});
  }
  for (auto& [id, operation] : operations_) {
    if (operation->connection != connection) continue;
    LetGo(*operation);
    if (operation->machine.Is("Live") && operation->method->channels.empty() &&
        Mutated("releases_operations_at_link_loss")) {
      Drop(*operation, "release");
    }
    if (operation->machine.Is("Live") && !operation->method->channels.empty() &&
        !Mutated("keeps_streams_live_without_a_link")) {
      for (const auto& [field, end] : operation->execution->ends) {
        if (!end.sending) continue;
        operation->credit = end.sending->credit();
        if (operation->executions == 1) operation->sent = end.sending->sent();
      }
      Drop(*operation, operation->method->idem ? "release" : "lose");  // r[retry.channel.detach]
    }
  }
  if (Mutated("answers_before_the_outcome_is_stored")) {
    for (auto& [key, operation] : operations_) {
      if (!operation->stored && operation->machine.Is("Sealed")) StoreOutcome(*operation);
      operation->stored = operation->machine.Is("Sealed");
    }
  }
  if (Mutated("forgets_operations_at_link_loss")) operations_.clear();
  std::erase_if(operations_, [this](const auto& entry) {
    const Operation& operation = *entry.second;
    if (!operation.machine.Is("Sealed")) return false;
    if (session_->generation() > 1 && Mutated("forgets_outcomes_at_the_second_cut")) return true;
    const Method& method = *operation.method;
    return method.channels.empty()
               ? method.idem && !operation.stored && Mutated("acknowledges_before_it_stored")
               : Mutated("forgets_streams_between_effect_and_reply");
  });
}

void Callee::Closed(uint64_t connection) {
  for (auto& [id, operation] : operations_) {
    if (operation->connection != connection) continue;
    LetGo(*operation);
    if (operation->machine.Is("Live") && !operation->method->persist) {
      Drop(*operation, operation->method->idem ? "release" : "lose");
    }
  }
}

void Callee::LetGo(Operation& operation) {
  std::erase_if(operation.attempts, [this](const auto& each) { return each.callee == this; });
}

void Callee::Ended() {
  for (auto& [id, operation] : operations_) {
    LetGo(*operation);
    const bool persist = operation->method->persist;
    const bool releases = persist && Mutated("releases_persist_calls_with_their_session");
    if (operation->machine.Is("Live") && (!persist || releases)) {
      Drop(*operation, releases ? "release" : "lose");
    }
    if (!persist || !Mutated("forgets_persist_calls_with_their_session")) continue;
    store().Forget({operation->origin, operation->id});
    session_->runtime().persist.erase({operation->origin, operation->id});
  }
}

void Callee::Dropped() {
  for (auto& [id, operation] : operations_) {
    if (operation->machine.Is("Live")) Drop(*operation, "lose");
    if (operation->method->persist) {
      session_->runtime().persist.erase({operation->origin, operation->id});
    }
  }
}

uint32_t Callee::running() const {
  return std::count_if(operations_.begin(), operations_.end(),
                       [](const auto& entry) { return entry.second->execution != nullptr; });
}

}  // namespace subject
