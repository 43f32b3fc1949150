#include "harness/scenarios/aftermath_between.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "harness/judge/cut_outcomes.h"
#include "harness/peer/testbed.h"
#include "harness/scenarios/aftermath.h"
#include "harness/scenarios/between.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using judge::After;
using judge::CutCase;
using judge::CutOutcome;
using judge::Seen;
using peer::Method;
using peer::Operation;
using peer::Stream;
using wire::v1::Response;

constexpr char kOutlives[] = "session.outlives-conduit";
// A call is attempted once per link; what its application does for each attempt, it does as often.
constexpr int kMostAttempts = 4;

// A call that its application was still waiting for, and what had been read of it.
struct Open {
  RelayedCall call;
  Seen seen = Seen::kInDoubt;
  size_t attempts = 0;
  bool cancelled = false;
};

std::vector<Response> AnswersTo(const Relay& relay, const RelayedCall& call) {
  std::vector<Response> answers;
  const Operation* operation = relay.FindRead(call);
  if (operation == nullptr) return answers;
  for (const peer::Attempt& attempt : operation->attempts) {
    if (attempt.response) answers.push_back(*attempt.response);
  }
  return answers;
}

std::vector<Open> OpenCalls(const Relay& relay) {
  std::vector<Open> open;
  for (const RelayedCall& call : relay.calls()) {
    if (relay.answered(call.question)) continue;
    Open& each = open.emplace_back(Open{.call = call});
    const Operation* operation = relay.FindRead(call);
    if (operation == nullptr) continue;
    each.seen = AnswersTo(relay, call).empty() ? Seen::kArrived : Seen::kAnswered;
    each.attempts = operation->attempts.size();
    each.cancelled = operation->latest().cancelled;
  }
  return open;
}

bool AllAnswered(const Relay& relay) {
  return std::all_of(relay.calls().begin(), relay.calls().end(),
                     [&relay](const RelayedCall& call) { return relay.answered(call.question); });
}

void OpenGates(Relay& relay) {
  for (const RelayedCall& call : relay.calls()) {
    for (const std::string& gate : GatesOf(peer::FindMethod(call.method), call.arguments)) {
      relay.Release(call.callee(), gate);
    }
  }
}

// co_await: the applications do for every call that is open what it takes for it to end: they send
// nothing more, and want nothing more.
Task<> PlayOut(Relay& relay) {
  for (int attempt = 1; attempt <= kMostAttempts && !AllAnswered(relay); ++attempt) {
    const std::vector<RelayedCall> calls = relay.calls();
    for (const RelayedCall& call : calls) {
      const Method* method = peer::FindMethod(call.method);
      if (method == nullptr || relay.answered(call.question)) continue;
      for (const auto& channel : method->channels) {
        relay.Start(call.caller, channel.to_callee ? CloseEnd(call.handle, channel.field_number)
                                                   : ResetEnd(call.handle, channel.field_number));
      }
    }
    co_await relay.Settle();
  }
}

// co_await: the applications let go of the ends they may still hold.
Task<> LetGo(Relay& relay) {
  std::vector<uint32_t> questions;
  const std::vector<RelayedCall> calls = relay.calls();
  for (const RelayedCall& call : calls) {
    const Method* method = peer::FindMethod(call.method);
    if (method == nullptr) continue;
    Outcome outcome = co_await relay.OutcomeOf(call.question, "the outcome of " + call.handle);
    for (const auto& channel : method->channels) {
      for (uint32_t attempt = 1; attempt <= outcome.call().attempts(); ++attempt) {
        if (channel.to_callee) continue;
        questions.push_back(
            relay.Start(call.caller, ResetEnd(call.handle, channel.field_number, attempt)));
      }
    }
  }
  for (const uint32_t question : questions) {
    co_await relay.Answered(question, "the application to let go of a channel end");
  }
}

bool GivenAsItCame(const CallOutcome& told, const Response& response) {
  if (response.has_ok()) return told.value() == response.ok();
  return !response.has_user_error() || told.value() == response.user_error();
}

// co_await: what the application was told of a call that the cut left open is allowed, and the
// other one has executed it as often as it may.
Task<> JudgeCall(Relay& relay, const Open& open) {
  const RelayedCall& call = open.call;
  Outcome outcome = co_await relay.OutcomeOf(
      call.question, "the call " + call.handle + " to come to an end after a cut",
      [&relay, &call] { return relay.OwesOutcome(call); }, kOutlives);
  const CallOutcome& told = outcome.call();
  const Method* method = peer::FindMethod(call.method);
  CutCase cut;
  cut.callee = peer::Side::kHarness;  // it has read what the caller sent
  cut.after = relay.session_lives() ? After::kResumed : After::kLost;
  cut.idem = method != nullptr && method->idem;
  cut.channels = method != nullptr && !method->channels.empty();
  cut.seen = open.seen;
  const CutOutcome allowed = judge::OutcomeOf(cut);
  relay.machine().Note("cut", judge::Describe(cut));

  const std::vector<Response> answers = AnswersTo(relay, call);
  bool holds = MayBeTold(allowed.endings, told.status(), std::nullopt) ||
               (told.status() == control::v1::CALL_STATUS_CANCELLED && relay.cancelled(call)) ||
               // A runtime may know that by itself.
               (told.status() == control::v1::CALL_STATUS_UNKNOWN_METHOD && method == nullptr);
  for (const Response& answer : answers) {
    holds |= MayBeTold(allowed.endings, told.status(), answer) && GivenAsItCame(told, answer);
  }
  std::string wanted = "the application is told " + judge::DescribeEndings(allowed.endings) +
                       " of " + call.handle + ", not " + peer::ShortName(told.status());
  co_await relay.Demand(call.caller, holds, allowed.rule, std::move(wanted));

  const Operation* read = relay.FindRead(call);
  const size_t again = read == nullptr ? 0 : read->attempts.size() - open.attempts;
  co_await relay.Demand(call.caller, !open.cancelled || again == 0, "retry.resume.reattempt",
                        "a call that was cancelled is not attempted again");
  std::string once = "nothing is attempted again of " + call.handle +
                     ", of which had been read: " + judge::Describe(cut);
  co_await relay.Demand(call.caller, !allowed.attempt_forbidden || again == 0, allowed.rule,
                        std::move(once));

  // r[retry.duplicate.released.idem]: only such a one runs again, once per attempt.
  const Operation* operation = relay.Find(call);
  const size_t attempts = operation == nullptr ? 0 : operation->attempts.size();
  const size_t most = cut.idem && cut.channels ? attempts : std::min<size_t>(attempts, 1);
  const size_t ran = co_await relay.TimesExecuted(call);
  std::string executed = "the call " + call.handle + " is executed at most " +
                         std::to_string(most) + " times, not " + std::to_string(ran);
  co_await relay.Demand(call.callee(), ran <= most, allowed.rule, std::move(executed));
}

// What an application took of one end, in all.
struct Taken {
  std::vector<uint64_t> values;
  control::v1::EndStatus status = control::v1::END_STATUS_UNSPECIFIED;
};

// Whether that can be what was passed on: never a clean end of what was cut.
bool CanBeOf(const Taken& taken, const Stream& stream) {
  return taken.values.size() <= stream.values.size() &&
         std::equal(taken.values.begin(), taken.values.end(), stream.values.begin()) &&
         (taken.status != control::v1::END_STATUS_CLOSED ||
          (stream.closed && taken.values.size() == stream.values.size()));
}

// co_await: all that the application took, and can still take, of an end that has ended.
Task<Taken> TakeAll(Relay& relay, RelayedCall call, uint32_t field, uint32_t attempt) {
  relay.Start(call.caller, ReceiveItems(call.handle, field, 0, attempt));
  Taken taken;
  const std::vector<Relay::Receive> receives = relay.receives();
  for (const Relay::Receive& receive : receives) {
    const control::v1::ChannelEnd& end = receive.command.end();
    if (receive.caller != call.caller || end.handle() != call.handle) continue;
    if (end.field_number() != field || end.attempt() != attempt) continue;
    co_await relay.Answered(receive.question,
                            "the end of a stream that was cut to reach the application");
    const auto& received = relay.outcome(receive.question).received();
    taken.values.insert(taken.values.end(), received.values().begin(), received.values().end());
    taken.status = received.status();
  }
  co_return taken;
}

// co_await: of each attempt that is over the application was given what was passed on for it, from
// the start, and a clean end only where that was passed on too.
Task<> JudgeStreams(Relay& relay, RelayedCall call) {
  const Method* method = peer::FindMethod(call.method);
  const Operation* operation = relay.Find(call);
  if (method == nullptr) co_return;
  const uint32_t newest = relay.outcome(call.question).call().attempts();
  const size_t passed = operation == nullptr ? 0 : operation->attempts.size();
  const bool live =
      relay.session_lives() && passed == newest && passed > 0 && relay.IsCurrent(*operation);
  for (const auto& channel : method->channels) {
    for (uint32_t attempt = 1; !channel.to_callee && attempt <= newest; ++attempt) {
      if (live && attempt == newest) continue;
      const Taken taken = co_await TakeAll(relay, call, channel.field_number, attempt);
      // One whose Request was not passed on had nothing passed on for it.
      bool can =
          passed < newest && taken.values.empty() && taken.status != control::v1::END_STATUS_CLOSED;
      for (size_t i = 0; i < passed; ++i) {
        if (passed == newest && i + 1 != attempt) continue;
        const auto& streams = operation->attempts[i].streams;
        const auto stream = streams.find(channel.field_number);
        can |= stream != streams.end() && CanBeOf(taken, *stream->second);
      }
      std::string wanted = "attempt " + std::to_string(attempt) + " of " + call.handle +
                           " delivers what came for it, and a clean end only of all of that; it "
                           "saw " +
                           std::to_string(taken.values.size()) + " items and " +
                           peer::ShortName(taken.status);
      co_await relay.Demand(call.caller, can, "retry.channel.disconnect.closes", std::move(wanted));
    }
  }
}

}  // namespace

Task<> AftermathBetween(Relay& relay) {
  relay.ForgetScenarioCuts();
  const std::vector<Open> open = OpenCalls(relay);
  co_await relay.Settle();
  co_await relay.ConnectEnded();
  OpenGates(relay);
  co_await relay.Settle();
  co_await PlayOut(relay);
  for (const Open& each : open) co_await JudgeCall(relay, each);
  for (const Open& each : open) co_await JudgeStreams(relay, each.call);
  co_await LetGo(relay);
  if (relay.session_lives()) {
    co_await relay.Resumed(relay.generation());
    for (const Seat caller : peer::kSeats) {
      co_await RequireEcho(relay, caller, "after the cut", kOutlives);
      relay.Judged(kOutlives, caller);
    }
  }
  co_await relay.ExpireOldSessions();
  co_await relay.Epilogue();
}

}  // namespace counterpart::scenarios
