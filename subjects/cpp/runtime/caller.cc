#include "runtime/caller.h"

#include <algorithm>
#include <utility>

#include "runtime/mutation.h"
#include "runtime/session.h"

namespace subject {
namespace {

control::CallStatus StatusOf(wire::RuntimeErrorCode code, bool idem) {
  switch (code) {
    case wire::RUNTIME_ERROR_CODE_UNKNOWN_METHOD:
      return control::CALL_STATUS_UNKNOWN_METHOD;
    case wire::RUNTIME_ERROR_CODE_INVALID_PAYLOAD:
      return control::CALL_STATUS_INVALID_PAYLOAD;
    case wire::RUNTIME_ERROR_CODE_CANCELLED:
      return control::CALL_STATUS_CANCELLED;
    case wire::RUNTIME_ERROR_CODE_INDETERMINATE:
      return Mutated("tells_indeterminate_as_any_error") ? control::CALL_STATUS_OTHER_RUNTIME_ERROR
                                                         : control::CALL_STATUS_INDETERMINATE;
    case wire::RUNTIME_ERROR_CODE_OPERATION_CONFLICT:
      return control::CALL_STATUS_OPERATION_CONFLICT;
    case wire::RUNTIME_ERROR_CODE_OPERATION_EXPIRED:  // r[retry.gc.settled-below]
      return idem || Mutated("reports_expired_as_it_came") ? control::CALL_STATUS_OPERATION_EXPIRED
                                                           : control::CALL_STATUS_INDETERMINATE;
    case wire::RUNTIME_ERROR_CODE_RESOURCE_EXHAUSTED:
      return control::CALL_STATUS_RESOURCE_EXHAUSTED;
    case wire::RUNTIME_ERROR_CODE_PAYLOAD_TOO_LARGE:
      return control::CALL_STATUS_PAYLOAD_TOO_LARGE;
    case wire::RUNTIME_ERROR_CODE_SCHEMA_MISMATCH:
      return control::CALL_STATUS_SCHEMA_MISMATCH;
    default:
      return Mutated("takes_unknown_errors_for_retryable")
                 ? control::CALL_STATUS_SEND_FAILED
                 : control::CALL_STATUS_OTHER_RUNTIME_ERROR;
  }
}

CallResult Local(control::CallStatus status, std::string text) {
  return {status, "", std::move(text), {}};
}

}  // namespace

void Call::Wake() {
  for (auto& wake : std::exchange(waiting, {})) wake();
}

void Call::Resolve(CallResult outcome) {
  if (std::exchange(resolved, true)) return;
  result = std::move(outcome);
  Wake();
  if (done) std::exchange(done, nullptr)(*this);
}

void Caller::Start(const std::shared_ptr<Call>& call) {
  call->cancel = [this, weak = std::weak_ptr(call)] {
    if (const auto held = weak.lock()) Cancel(held);
  };
  const auto& methods = session_->runtime().methods;
  const auto method = methods.find(call->method_name);
  if (call->resolved) return;
  if (session_->over()) {
    return call->Resolve(Local(control::CALL_STATUS_SESSION_SHUTDOWN, "the session is over"));
  }
  if (!connection_->open()) {
    return call->Resolve(Local(control::CALL_STATUS_CONNECTION_CLOSED, "the connection is closed"));
  }
  if (method == methods.end()) {  // its types cannot be announced
    return call->Resolve(Local(control::CALL_STATUS_UNKNOWN_METHOD, "unknown here as well"));
  }
  call->method = &method->second;
  if (connection_->peer_limit() == 0 && !Mutated("waits_for_a_limit_of_zero")) {
    return call->Resolve(Local(control::CALL_STATUS_SEND_FAILED, "the counterpart takes no calls"));
  }
  // r[retry.op-id.per-intention]: a persist call of a lost session keeps its own.
  if (call->origin.empty()) call->operation_id = session_->NextOperationId();
  queue_.push_back(call);
  Pump();
}

// r[rpc.flow-control.max-concurrent-requests.outbound]
void Caller::Pump() {
  if (Mutated("queues_the_calls_of_all_connections_together") &&
      session_->connections().AnotherWaits(*connection_)) {
    return;
  }
  while (!queue_.empty() && connection_->lane() != nullptr &&
         (connection_->lane()->outgoing.size() + lost_ < connection_->peer_limit() ||
          Mutated("ignores_request_limit_as_caller"))) {
    const auto call = queue_.front();
    queue_.pop_front();
    if (!call->resolved || (call->attempts > 0 && Mutated("attempts_a_cancelled_call_again"))) {
      Attempt(call);
    }
  }
}

void Caller::Attempt(const std::shared_ptr<Call>& call) {
  Lane& lane = *connection_->lane();
  if (call->attempts > 0 && call->method->channels.empty() &&
      ((call->method->idem && Mutated("mints_a_new_operation_for_an_idem_attempt")) ||
       Mutated("mints_an_operation_per_attempt"))) {
    call->operation_id = session_->NextOperationId();
  }
  wire::Message message;
  auto* request = message.mutable_request();
  request->set_request_id(connection_->next_request_id());
  request->set_operation_id(call->operation_id);
  request->set_method(call->method_name);
  request->set_arguments(call->arguments);
  request->set_origin_session(call->origin);
  for (const auto& entry : call->metadata) *request->add_metadata() = entry;
  uint64_t channel_id = connection_->channels.next();
  for (const auto& channel : call->method->channels) {  // r[rpc.channel.allocation]
    auto* reference = request->add_channels();
    reference->set_field_number(channel.field_number);
    reference->set_channel_id(channel_id);
    channel_id += 2;
  }
  if (request->channels_size() > 1 && Mutated("names_channels_in_any_order")) {
    request->mutable_channels()->SwapElements(0, 1);
  }
  if (!lane.Fits(message)) {
    return call->Resolve(Local(control::CALL_STATUS_PAYLOAD_TOO_LARGE, "above the peer's limit"));
  }
  const bool late = Mutated("announces_behind_the_first_use");
  if (!late) lane.Announce(*call->method, wire::BINDING_ROLE_ARGUMENTS);
  for (const auto& channel : call->method->channels) {  // so that a mismatch stops the handler
    if (!channel.to_callee) continue;
    lane.Announce(*call->method, wire::BINDING_ROLE_CHANNEL, channel.field_number);
  }
  connection_->requests.Burn(1);
  connection_->channels.Burn(call->method->channels.size());
  Ends ends;
  for (const auto& channel : call->method->channels) {
    const auto& reference = request->channels(static_cast<int>(ends.size()));
    End end = lane.MakeEnd(*call->method, channel, reference.channel_id(), channel.to_callee);
    if (end.sending) end.sending->Bind();
    if (end.receiving) end.receiving->Bind();
    ends[channel.field_number] = end;
  }
  call->request_id = request->request_id();
  lane.outgoing[call->request_id] = call;
  ++call->attempts;
  lane.Commit(std::move(message));
  if (late) lane.Announce(*call->method, wire::BINDING_ROLE_ARGUMENTS);
  call->sets.push_back(std::move(ends));
  call->Wake();
}

MaybeViolation Caller::OnResponse(Lane& lane, const wire::Response& response) {
  const auto found = lane.outgoing.find(response.request_id());
  if (found == lane.outgoing.end()) {
    if (Mutated("ignores_response_to_nothing") || Mutated("ignores_names_of_older_links")) {
      return std::nullopt;
    }
    return Violation{wire::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID, "rpc.response.one-per-request",
                     "no request " + std::to_string(response.request_id()) + " in flight"};
  }
  const auto call = found->second;
  LogMetadata(response.metadata());
  if (response.metadata_size() > 0 && Mutated("refuses_unknown_metadata")) {
    return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "rpc.metadata.unknown-keys",
                     "an unknown key"};
  }
  CallResult result;
  switch (response.outcome_case()) {
    case wire::Response::kOk:
      result.status = control::CALL_STATUS_OK;
      result.value = response.ok();
      break;
    case wire::Response::kUserError:
      result.status = control::CALL_STATUS_USER_ERROR;
      result.value = response.user_error();
      break;
    case wire::Response::kRuntimeError:
      result.status = StatusOf(response.runtime_error().code(), call->method->idem);
      result.text = response.runtime_error().text();
      break;
    default:
      return Violation{wire::PROTOCOL_ERROR_CODE_MALFORMED, "rpc.response.shape", "no outcome"};
  }
  if (!response.has_runtime_error()) {
    if (!lane.tracker.Bound(call->method_name, wire::BINDING_ROLE_RESPONSE) ||
        (response.has_user_error() && !lane.tracker.BoundError(call->method_name))) {
      return Violation{wire::PROTOCOL_ERROR_CODE_SCHEMA_MISSING, "schema.exchange.required",
                       "response of " + call->method_name};
    }
    std::string why = lane.tracker.Mismatch(call->method_name, wire::BINDING_ROLE_RESPONSE);
    if (result.value.empty() && Mutated("finds_mismatches_in_values")) why.clear();
    for (const auto& channel : call->method->channels) {
      if (!why.empty() || channel.to_callee) continue;
      why = lane.tracker.Mismatch(call->method_name, wire::BINDING_ROLE_CHANNEL,
                                  channel.field_number);
    }
    if (!why.empty()) result = Local(control::CALL_STATUS_SCHEMA_MISMATCH, std::move(why));
  }
  if (!Mutated("gives_callers_no_metadata")) {
    result.metadata.assign(response.metadata().begin(), response.metadata().end());
  }
  lane.outgoing.erase(found);
  call->request_id = 0;
  if (Mutated("ends_channels_with_their_call")) {
    for (auto& [field, end] : call->sets.back()) {
      if (end.sending) end.sending->Close();
      if (end.receiving) end.receiving->Reset();
    }
  }
  if (call->resolved) {
    lane.record().Discard("response", "rpc.cancel", response.request_id());
  }
  if (result.status == control::CALL_STATUS_SCHEMA_MISMATCH &&
      Mutated("attempts_a_mismatched_call_again")) {
    call->operation_id = session_->NextOperationId();
    Attempt(call);
  }
  const bool again = result.status == control::CALL_STATUS_INDETERMINATE && !call->resolved &&
                     Mutated("attempts_an_indeterminate_call_again");
  call->Resolve(std::move(result));
  if (again) {
    call->operation_id = session_->NextOperationId();
    Attempt(call);
  }
  lost_ += Mutated("frees_no_slot_once_it_was_used") ? 1 : 0;
  Pump();
  return std::nullopt;
}

void Caller::Cancel(const std::shared_ptr<Call>& call) {
  if (call->resolved) return;
  std::erase(queue_, call);
  if (call->request_id != 0 && connection_->lane() != nullptr &&
      !Mutated("cancels_without_a_word")) {
    wire::Message message;
    message.mutable_cancel_request()->set_request_id(call->request_id);
    connection_->lane()->Commit(std::move(message));
    if (Mutated("cancel_closes_channels")) {
      for (auto& [field, end] : call->sets.back()) {
        if (end.sending) end.sending->Close();
      }
    }
  }
  call->Resolve(Local(control::CALL_STATUS_CANCELLED, "cancelled"));  // r[rpc.cancel]
}

void Caller::Bound() {
  if (Mutated("sends_backlog_in_reverse")) std::reverse(queue_.begin(), queue_.end());
  Pump();
}

void Caller::Detached(Lane& lane, bool over) {
  std::deque<std::shared_ptr<Call>> again;
  if (Mutated("counts_lost_attempts_against_the_limit")) lost_ += lane.outgoing.size();
  if (Mutated("drops_queued_calls_at_link_loss") && !over) {
    for (const auto& call : std::exchange(queue_, {})) {
      call->Resolve(Local(control::CALL_STATUS_SEND_FAILED, "the link was lost"));
    }
  }
  for (auto& [id, call] : std::exchange(lane.outgoing, {})) {
    call->request_id = 0;
    if (call->resolved && !Mutated("attempts_a_cancelled_call_again")) continue;
    if (!over && !call->method->channels.empty() && !call->method->idem &&
        !Mutated("attempts_any_stream_again")) {  // r[retry.channel.detach]
      call->Resolve(Local(control::CALL_STATUS_INDETERMINATE, "link lost with channels open"));
    } else {
      again.push_back(call);
    }
  }
  if (!over && !again.empty() && Mutated("forgets_a_call_at_link_loss")) again.pop_front();
  queue_.insert(queue_.begin(), again.begin(), again.end());
}

void Caller::Closed(const std::string& text) {
  for (const auto& call : std::exchange(queue_, {})) {
    if (call->resolved || Mutated("forgets_the_calls_of_a_closed_connection")) continue;
    const bool safe = call->method->idem || call->attempts == 0;
    call->Resolve(Local(
        safe ? control::CALL_STATUS_CONNECTION_CLOSED : control::CALL_STATUS_INDETERMINATE, text));
  }
}

std::vector<std::shared_ptr<Call>> Caller::Ended(bool protocol_error, const std::string& text,
                                                 bool keep) {
  std::vector<std::shared_ptr<Call>> kept;
  for (const auto& call : std::exchange(queue_, {})) {
    if (call->resolved) continue;
    const bool persist = call->method->persist;
    if (keep && (persist || call->method->idem)) {
      // r[retry.session-lost.policy]: what is both is not run again where its outcome can be had.
      if (persist && call->origin.empty() && !Mutated("names_no_origin_in_a_new_session")) {
        call->origin = session_->record().session_id;
      }
      kept.push_back(call);
    } else if ((call->method->idem && !Mutated("takes_every_lost_call_for_indeterminate")) ||
               call->attempts == 0 || Mutated("takes_every_lost_call_for_retryable")) {
      call->Resolve(Local(control::CALL_STATUS_SESSION_SHUTDOWN, text));
    } else {
      protocol_error &= !Mutated("takes_a_violation_for_a_lost_link");
      call->Resolve(Local(
          protocol_error ? control::CALL_STATUS_PROTOCOL_ERROR : control::CALL_STATUS_INDETERMINATE,
          text));
    }
  }
  return kept;
}

uint32_t Caller::unresolved() const {
  size_t count = queue_.size();
  if (connection_->lane() != nullptr) {
    const auto& outgoing = connection_->lane()->outgoing;
    count += std::count_if(outgoing.begin(), outgoing.end(),
                           [](const auto& entry) { return !entry.second->resolved; });
  }
  return count;
}

}  // namespace subject
