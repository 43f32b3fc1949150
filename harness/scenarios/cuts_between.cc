// Cuts on the path between two subjects, and what becomes of their calls: both ends of a link are
// lost, or one end only and the other is superseded; the resume goes through the harness again.
#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/between.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::Outcome;
using peer::Cut;
using peer::Operation;

constexpr uint32_t kOutput = 3;
constexpr uint32_t kCutAfter = 20;
// More than any credit granted before the cut allows: the handler cannot have returned by then.
constexpr uint32_t kItems = 100;

testbed::v1::GenerateRequest Generate() {
  testbed::v1::GenerateRequest request;
  request.set_first(1);
  request.set_count(kItems);
  return request;
}

// The newest link dies at the 20th item that the callee sends on it: after it, or after `passed`
// bytes of its frame.
void CutAtItem(Relay& relay, Seat callee, std::optional<uint32_t> passed = std::nullopt) {
  Cut cut;
  cut.how = CutBySeed(relay);
  cut.from = callee;
  cut.kind = "channel_item";
  cut.ordinal = kCutAfter;
  cut.generation = relay.generation();
  cut.passed = passed;
  relay.Arm(std::move(cut));
}

// co_await: what the application took of a stream that was cut is a prefix of it, and then it saw
// the end of the attempt's handles: never a clean end.
Task<> RequireCutPrefix(Relay& relay, const RelayedCall& call, uint32_t question) {
  Outcome outcome = co_await relay.OutcomeOf(question, "the first attempt's handle to fail",
                                             nullptr, "retry.channel.disconnect.closes");
  const auto& received = outcome.received();
  const std::vector<uint64_t> values(received.values().begin(), received.values().end());
  const bool ok = values == Sequence(1, static_cast<uint32_t>(values.size())) &&
                  values.size() <= kCutAfter &&
                  received.status() == control::v1::END_STATUS_DEFUNCT;
  std::string wanted = "the first attempt's handle delivers what had arrived, then fails; it saw " +
                       std::to_string(values.size()) + " items and " +
                       peer::ShortName(received.status());
  co_await relay.Demand(call.caller, ok, "retry.channel.disconnect.closes", std::move(wanted));
}

// co_await: a call whose handler waits at a gate, which is called as the call is.
Task<RelayedCall> StartWaiting(Relay& relay, Seat caller) {
  const std::string name = Named("waiting call", caller);
  RelayedCall call =
      relay.StartCall(caller, "Echo", WaitingEcho(name, name).SerializeAsString(), name);
  co_await AwaitHandler(relay, call);
  co_return call;
}

// co_await: on the link of now.
Task<> AttemptedAgain(Relay& relay, const RelayedCall& call) {
  const Operation* operation = relay.Find(call);
  const Seat caller = call.caller;
  co_await relay.Until(
      "the new attempt of " + call.handle, [operation] { return operation->attempts.size() == 2; },
      [caller] { return caller; }, "retry.resume.reattempt");
}

// co_await: the armed cut, and a new link both sides have bound.
Task<> CutAndResumed(Relay& relay, uint32_t old) {
  co_await relay.Until(
      "the cut",
      [&relay, old] { return relay.ended(Seat::kServer, old) || relay.ended(Seat::kClient, old); },
      [] { return Seat::kServer; });
  co_await relay.Resumed(old + 1);
}

// ---------------------------------------------------------------- channel_retry_idem_…

Task<> IdemReruns(Relay& relay) {
  const std::string rule = "retry.channel.volatile.rebinding.fresh";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const uint32_t old = relay.generation();
    CutAtItem(relay, Across(caller));
    RelayedCall call = relay.StartCall(caller, "GenerateIdem", Generate().SerializeAsString(),
                                       Named("stream", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t first = relay.Start(caller, ReceiveItems(call.handle, kOutput, 0, 1));
    co_await CutAndResumed(relay, old);
    co_await RequireCutPrefix(relay, call, first);
    const uint32_t again = relay.Start(caller, ReceiveItems(call.handle, kOutput, 0, 2));
    co_await RequireTaken(relay, call, again, kOutput, Sequence(1, kItems),
                          control::v1::END_STATUS_CLOSED, rule);
    relay.Judged(rule, call.callee());
    co_await RequireResolved(
        relay, call, control::v1::CALL_STATUS_OK,
        [](const std::string& value) {
          testbed::v1::GenerateIdemResponse reply;
          return reply.ParseFromString(value) && reply.emitted() == kItems;
        },
        "retry.duplicate.released.idem");
    const size_t attempts = relay.Find(call)->attempts.size();
    std::string wanted = "one attempt per generation: two in all, not " + std::to_string(attempts);
    co_await relay.Demand(caller, attempts == 2, "retry.resume.reattempt", std::move(wanted));
    co_await RequireExecuted(relay, call, 2, "retry.duplicate.released.idem");
  }
}

// ---------------------------------------------------------------- channel_retry_non_idem_…

Task<> NonIdemFailsClosed(Relay& relay) {
  const std::string rule = "retry.channel.recovery.non-idem";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const uint32_t old = relay.generation();
    CutAtItem(relay, Across(caller));
    RelayedCall call = relay.StartCall(caller, "Generate", Generate().SerializeAsString(),
                                       Named("stream", caller));
    co_await AwaitRequest(relay, call);
    const uint32_t first = relay.Start(caller, ReceiveItems(call.handle, kOutput, 0, 1));
    co_await CutAndResumed(relay, old);
    co_await RequireCutPrefix(relay, call, first);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_INDETERMINATE, nullptr, rule);
    co_await relay.Settle();
    const size_t attempts = relay.Find(call)->attempts.size();
    co_await relay.Demand(caller, attempts == 1, rule,
                          "a non-idem call with channels is not attempted again");
    co_await RequireExecuted(relay, call, 1, rule);
    co_await RequireEcho(relay, caller, "after the loss", "session.outlives-conduit");
  }
}

// ---------------------------------------------------------------- retry_live_duplicate_attaches

Task<> LiveDuplicate(Relay& relay) {
  const std::string rule = "retry.duplicate.live.attach";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    RelayedCall call = co_await StartWaiting(relay, caller);
    const uint32_t old = relay.generation();
    relay.CutNow(CutBySeed(relay));
    co_await relay.Resumed(old + 1);
    co_await AttemptedAgain(relay, call);
    relay.Release(call.callee(), call.handle);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(call.handle), rule);
    co_await relay.Settle();
    co_await RequireExecuted(relay, call, 1, rule);
  }
}

// ---------------------------------------------------------------- retry_sealed_outcome_…

// The response is swallowed with the link: the callee has sealed, and its caller has not heard.
Task<> SealedReplayed(Relay& relay) {
  const std::string rule = "retry.duplicate.sealed";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const uint32_t old = relay.generation();
    Cut cut;
    cut.how = CutBySeed(relay);
    cut.from = Across(caller);
    cut.kind = "response";
    cut.generation = old;
    cut.passed = 0;
    relay.Arm(std::move(cut));
    const std::string name = Named("unheard call", caller);
    RelayedCall call = relay.StartCall(caller, "Echo", Echo(name).SerializeAsString(), name);
    co_await CutAndResumed(relay, old);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(name), rule);
    co_await RequireExecuted(relay, call, 1, rule);
  }
}

// ---------------------------------------------------------------- session_resume_keeps_…

Task<> ResumeKeepsSession(Relay& relay) {
  const std::string rule = "session.outlives-conduit";
  co_await relay.Establish();
  for (int i = 0; i < 2; ++i) {
    const uint32_t old = relay.generation();
    relay.CutNow(CutBySeed(relay));
    co_await relay.Resumed(old + 1);
    for (const Seat caller : peer::kSeats) {
      co_await RequireEcho(relay, caller, "call " + std::to_string(old), rule);
    }
  }
}

// ---------------------------------------------------------------- session_resume_supersedes_…

// Only the client loses its link. The server, which still holds a live one, is resumed over
// another.
Task<> SupersedesALiveLink(Relay& relay) {
  const std::string rule = "session.resume.supersede";
  co_await relay.Establish();
  const uint32_t old = relay.generation();
  Cut cut;
  cut.how = CutBySeed(relay);
  cut.from = Seat::kServer;
  cut.kind = "response";
  cut.generation = old;
  cut.ends = {false, true};
  relay.Arm(std::move(cut));
  const std::string name = "cut call";
  RelayedCall call = relay.StartCall(Seat::kClient, "Echo", Echo(name).SerializeAsString(), name);
  co_await CutAndResumed(relay, old);
  co_await relay.Until(
      "the server to close the superseded link",
      [&relay, old] { return relay.ended(Seat::kServer, old); }, [] { return Seat::kServer; },
      rule);
  for (const Seat seat : peer::kSeats) relay.Judged(rule, seat);
  co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(name),
                           "session.outlives-conduit");
  for (const Seat caller : peer::kSeats) {
    co_await RequireEcho(relay, caller, "after it", "session.outlives-conduit");
  }
}

// ---------------------------------------------------------------- stable_cut_is_seen_…

// A call that waits, and a stream that loses an item with its link. Over a bare conduit the call is
// attempted again and the stream is over; over a stable one neither of them notices.
Task<> CutIsUnseen(Relay& relay) {
  const std::string rule = relay.stable() ? "stable.untouched" : "session.outlives-conduit";
  co_await relay.Establish();
  for (const Seat caller : peer::kSeats) {
    const uint32_t old = relay.generation();
    RelayedCall call = co_await StartWaiting(relay, caller);
    CutAtItem(relay, Across(caller), 0);
    RelayedCall stream = relay.StartCall(caller, "Generate", Generate().SerializeAsString(),
                                         Named("stream", caller));
    co_await AwaitRequest(relay, stream);
    const uint32_t taking = relay.Start(caller, ReceiveItems(stream.handle, kOutput, 0, 1));
    co_await CutAndResumed(relay, old);
    if (relay.stable()) {
      co_await RequireTaken(relay, stream, taking, kOutput, Sequence(1, kItems),
                            control::v1::END_STATUS_CLOSED, rule);
      co_await RequireResolved(
          relay, stream, control::v1::CALL_STATUS_OK,
          [](const std::string& value) {
            testbed::v1::GenerateResponse reply;
            return reply.ParseFromString(value) && reply.emitted() == kItems;
          },
          rule);
    } else {
      co_await RequireCutPrefix(relay, stream, taking);
      co_await RequireResolved(relay, stream, control::v1::CALL_STATUS_INDETERMINATE, nullptr,
                               "retry.channel.recovery.non-idem");
      co_await AttemptedAgain(relay, call);
    }
    relay.Release(call.callee(), call.handle);
    co_await RequireResolved(relay, call, control::v1::CALL_STATUS_OK, Echoes(call.handle), rule);
    co_await relay.Settle();
    const size_t attempts = relay.Find(call)->attempts.size();
    const size_t due = relay.stable() ? 1 : 2;
    std::string wanted = "the waiting call is attempted " + std::to_string(due) + " times, not " +
                         std::to_string(attempts);
    co_await relay.Demand(caller, attempts == due, rule, std::move(wanted));
    co_await RequireExecuted(relay, call, 1, rule);
    co_await RequireExecuted(relay, stream, 1, rule);
  }
}

}  // namespace

std::vector<Between> CutsBetween() {
  return {
      {"channel_retry_idem_reruns_with_fresh_channels",
       {"retry.channel.volatile.rebinding.fresh", "retry.duplicate.released.idem",
        "retry.channel.disconnect.closes", "retry.resume.reattempt"},
       &IdemReruns},
      {"channel_retry_non_idem_fails_closed",
       {"retry.channel.recovery.non-idem", "retry.channel.disconnect.closes"},
       &NonIdemFailsClosed},
      {"retry_live_duplicate_attaches", {"retry.duplicate.live.attach"}, &LiveDuplicate},
      {"retry_sealed_outcome_is_replayed", {"retry.duplicate.sealed"}, &SealedReplayed},
      {"stable_cut_is_seen_over_a_bare_conduit_alone",
       {"session.outlives-conduit", "retry.channel.disconnect.closes"},
       &CutIsUnseen},
      {"session_resume_keeps_the_session",
       {"session.outlives-conduit", "session.handshake.resume"},
       &ResumeKeepsSession},
      {"session_resume_supersedes_a_live_link",
       {"session.resume.supersede", "session.outlives-conduit"},
       &SupersedesALiveLink},
  };
}

}  // namespace counterpart::scenarios
