// What scenarios between two subjects share: calls of either application, and whom to blame when
// one of them is told something wrong. What an application sees and what was passed on to it must
// agree, or its own runtime is wrong; what was passed on must be right, or the other one is.
#ifndef COUNTERPART_SCENARIOS_BETWEEN_H_
#define COUNTERPART_SCENARIOS_BETWEEN_H_

#include <functional>
#include <string>
#include <vector>

#include "harness/peer/relay.h"

namespace counterpart::scenarios {

using machine::Task;
using peer::Relay;
using peer::RelayedCall;
using peer::Seat;

// co_await: the call is resolved with this status; with OK and USER_ERROR the value is what was
// passed on, and `right` says whether the callee should have said that.
Task<> RequireResolved(Relay& relay, const RelayedCall& call, control::v1::CallStatus status,
                       std::function<bool(const std::string& value)> right,
                       const std::string& rule);
// What an Echo must return.
std::function<bool(const std::string& value)> Echoes(std::string text);
// co_await: the caller's application has taken just these items by this command, and then seen
// this; `taken_before` of the same attempt it took earlier.
Task<> RequireTaken(Relay& relay, const RelayedCall& call, uint32_t question, uint32_t field,
                    std::vector<uint64_t> values, control::v1::EndStatus status,
                    const std::string& rule, size_t taken_before = 0);
// co_await: all items of a send command of the caller's application have been accepted.
Task<> RequireSent(Relay& relay, const RelayedCall& call, uint32_t question, uint32_t field,
                   uint32_t count, const std::string& rule);
// co_await: an Echo goes there and back; `rule` says it must.
Task<> RequireEcho(Relay& relay, Seat caller, const std::string& text, const std::string& rule);
// co_await: the callee has executed the call this often.
Task<> RequireExecuted(Relay& relay, const RelayedCall& call, size_t times,
                       const std::string& rule);
// co_await: its Request has been passed on. Commands for the ends of a call's channels may overtake
// the command that makes the call, unless they are given after this.
Task<> AwaitRequest(Relay& relay, const RelayedCall& call);
// co_await: the callee's handler of this call has started.
Task<> AwaitHandler(Relay& relay, const RelayedCall& call);

// "server" calls, or "client" does: handles and gates of one call are told apart by it.
std::string Named(const std::string& what, Seat caller);
peer::How CutBySeed(Relay& relay);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_BETWEEN_H_
