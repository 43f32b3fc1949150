#include "harness/scenarios/between.h"

#include <algorithm>
#include <utility>

#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {

using control::v1::CallStatus;
using control::v1::Outcome;
using peer::Operation;
using peer::Stream;
using wire::v1::Response;

namespace {

// Whether a response is what an application told this status must have been sent.
bool Fits(const Response& response, CallStatus status) {
  switch (status) {
    case control::v1::CALL_STATUS_OK:
      return response.has_ok();
    case control::v1::CALL_STATUS_USER_ERROR:
      return response.has_user_error();
    default:
      return response.has_runtime_error() &&
             peer::ShortName(response.runtime_error().code()) == peer::ShortName(status);
  }
}

std::string WireValue(const Response& response) {
  return response.has_ok() ? response.ok() : response.user_error();
}

const Stream* StreamOf(const Operation* operation, uint32_t field) {
  if (operation == nullptr) return nullptr;
  const auto found = operation->latest().streams.find(field);
  return found == operation->latest().streams.end() ? nullptr : found->second.get();
}

// Whether just these values were passed on after the first `before`, and a clean end if one is due.
bool Carried(const Stream* stream, const std::vector<uint64_t>& values, size_t before, bool end) {
  if (stream == nullptr || stream->values.size() < before) return false;
  const std::vector<uint64_t> passed(stream->values.begin() + static_cast<std::ptrdiff_t>(before),
                                     stream->values.end());
  if (end) return passed == values && stream->closed && !stream->aborted;
  return passed.size() >= values.size() && std::equal(values.begin(), values.end(), passed.begin());
}

}  // namespace

Task<> RequireResolved(Relay& relay, const RelayedCall& call, CallStatus status,
                       std::function<bool(const std::string&)> right, const std::string& rule) {
  Outcome outcome = co_await relay.OutcomeOf(
      call.question, "the call " + call.handle + " to be resolved",
      [&relay, &call] { return relay.OwesOutcome(call); }, rule);
  const control::v1::CallOutcome& told = outcome.call();
  const bool with_value =
      status == control::v1::CALL_STATUS_OK || status == control::v1::CALL_STATUS_USER_ERROR;
  const Operation* operation = relay.Find(call);
  const Response* response = operation != nullptr && operation->latest().response
                                 ? &*operation->latest().response
                                 : nullptr;
  if (with_value) {
    std::string answered =
        "the call " + call.handle + " is answered by " + peer::ShortName(status) + ", not by " +
        (response == nullptr
             ? "nothing, which its application was told as " + peer::ShortName(told.status())
             : peer::ShortName(told.status()));
    const Seat answers = response == nullptr ? call.caller : call.callee();
    co_await relay.Demand(answers, response != nullptr && Fits(*response, status), rule,
                          std::move(answered));
  }
  std::string wanted = "the application is told " + peer::ShortName(status) + " of the call " +
                       call.handle + ", not " + peer::ShortName(told.status());
  co_await relay.Demand(call.caller, told.status() == status, rule, std::move(wanted));
  if (!with_value) co_return;
  co_await relay.Demand(call.caller, told.value() == WireValue(*response), rule,
                        "the application is given the value of the response as it came");
  co_await relay.Demand(call.callee(), right(told.value()), rule,
                        "the response says what the handler returns for these arguments");
}

std::function<bool(const std::string&)> Echoes(std::string text) {
  return [text = std::move(text)](const std::string& value) {
    testbed::v1::EchoResponse reply;
    return reply.ParseFromString(value) && reply.text() == text;
  };
}

Task<> RequireTaken(Relay& relay, const RelayedCall& call, uint32_t question, uint32_t field,
                    std::vector<uint64_t> values, control::v1::EndStatus status,
                    const std::string& rule, size_t taken_before) {
  const bool to_the_end = status == control::v1::END_STATUS_CLOSED;
  const uint64_t due = taken_before + values.size();
  Outcome outcome = co_await relay.OutcomeOf(
      question, "the application to take the items of " + call.handle,
      [&relay, &call, field, due, to_the_end] {
        return relay.OwesItems(call, field, due, to_the_end);
      },
      rule);
  const auto& taken = outcome.received();
  const std::vector<uint64_t> got(taken.values().begin(), taken.values().end());
  std::string wanted = "the application takes " + std::to_string(values.size()) + " items of " +
                       call.handle + " in order, then sees " + peer::ShortName(status) +
                       "; it took " + std::to_string(got.size()) + " and saw " +
                       peer::ShortName(taken.status());
  const Stream* stream = StreamOf(relay.Find(call), field);
  const Seat wrong =
      Carried(stream, values, taken_before, to_the_end) ? call.caller : call.callee();
  const bool holds = got == values && taken.status() == status;
  co_await relay.Demand(holds ? call.caller : wrong, holds, rule, std::move(wanted));
}

Task<> RequireSent(Relay& relay, const RelayedCall& call, uint32_t question, uint32_t field,
                   uint32_t count, const std::string& rule) {
  Outcome outcome = co_await relay.OutcomeOf(
      question, "the application's items for " + call.handle + " to be accepted",
      [&relay, &call, field, count] { return relay.OwesItems(call, field, count, false); }, rule);
  std::string wanted = "all " + std::to_string(count) + " items of " + call.handle +
                       " are accepted as credit comes, not " +
                       std::to_string(outcome.sent().accepted());
  co_await relay.Demand(
      call.caller,
      outcome.sent().accepted() == count && outcome.sent().status() == control::v1::END_STATUS_OPEN,
      rule, std::move(wanted));
}

Task<> RequireEcho(Relay& relay, Seat caller, const std::string& text, const std::string& rule) {
  const std::string handle = Named(text, caller);
  RelayedCall call = relay.StartCall(caller, "Echo", Echo(handle).SerializeAsString(), handle);
  co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(handle), rule);
}

Task<> RequireExecuted(Relay& relay, const RelayedCall& call, size_t times,
                       const std::string& rule) {
  const size_t ran = co_await relay.TimesExecuted(call);
  std::string wanted = "the call " + call.handle + " is executed " + std::to_string(times) +
                       " times, not " + std::to_string(ran);
  co_await relay.Demand(call.callee(), ran == times, rule, std::move(wanted));
}

Task<> AwaitRequest(Relay& relay, const RelayedCall& call) {
  co_await relay.Until(
      "the Request of " + call.handle, [&relay, &call] { return relay.Find(call) != nullptr; },
      [&call] { return call.caller; });
}

Task<> AwaitHandler(Relay& relay, const RelayedCall& call) {
  co_await AwaitRequest(relay, call);
  control::v1::ExecuteRequest command;
  command.mutable_await_event()->set_session_id(relay.session_id());
  command.mutable_await_event()->set_handler_started(true);
  command.mutable_await_event()->set_operation_id(relay.Find(call)->id);
  std::string awaited = "the handler of " + call.handle + " to start";
  Outcome outcome = co_await relay.Execute(call.callee(), std::move(command), std::move(awaited));
}

std::string Named(const std::string& what, Seat caller) {
  return what + " of the " + peer::Name(caller);
}

peer::How CutBySeed(Relay& relay) {
  return relay.machine().Choose(2, "cut by") == 0 ? peer::How::kRst : peer::How::kFin;
}

}  // namespace counterpart::scenarios
