// The small vocabulary that scenarios share: testbed requests, and what is asked of any call.
#ifndef COUNTERPART_SCENARIOS_VOCABULARY_H_
#define COUNTERPART_SCENARIOS_VOCABULARY_H_

#include <string>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/peer/peer.h"

namespace counterpart::scenarios {

using machine::Task;
using peer::Peer;

testbed::v1::EchoRequest Echo(const std::string& text);
testbed::v1::EchoResponse EchoReply(const std::string& text);
// An Echo whose handler waits at a gate first.
testbed::v1::EchoRequest WaitingEcho(const std::string& text, const std::string& gate);

// Commands for caller-side channel ends of the subject's application.
control::v1::ExecuteRequest SendItems(const std::string& handle, uint32_t field, uint64_t first,
                                      uint32_t count, uint32_t attempt = 0);
control::v1::ExecuteRequest ReceiveItems(const std::string& handle, uint32_t field, uint32_t count,
                                         uint32_t attempt = 0);
control::v1::ExecuteRequest CloseEnd(const std::string& handle, uint32_t field,
                                     uint32_t attempt = 0);
control::v1::ExecuteRequest ResetEnd(const std::string& handle, uint32_t field,
                                     uint32_t attempt = 0);

// first, first+1, …
std::vector<uint64_t> Sequence(uint64_t first, uint32_t count);

// How a link is cut where the scenario leaves it open.
peer::How CutBySeed(Peer& peer);

// co_await: the session goes on over a new link.
Task<> CutAndResume(Peer& peer, peer::Session& session);
// co_await: the link is cut, and the subject, who redials, is told that nobody knows the session.
Task<> CutAndForget(Peer& peer, peer::Session& session, const peer::SessionOptions& options = {});
// co_await: the session that the subject opens by itself in place of one that is lost; `rule` says
// it must.
Task<peer::Session*> SessionInPlace(Peer& peer, const peer::SessionOptions& options,
                                    std::string rule);
// co_await: a Hello with this key is answered by Sorry(UNKNOWN_SESSION), then the link closes.
Task<> RequireUnknownSession(Peer& peer, peer::Session& session, std::string key);
// co_await: the handler of an operation of the harness has ended, however it did.
Task<> AwaitHandlerEnded(Peer& peer, const peer::Session& session, const peer::Call& call);

// co_await: a response that is an Echo's ok with this text.
Task<> RequireEcho(Peer& peer, const wire::v1::Response& response, const std::string& text);
// co_await: the subject's application was given this value.
Task<> RequireOk(Peer& peer, const control::v1::CallOutcome& outcome, const std::string& value);
// co_await: the session still answers a Ping and a call of the harness; `rule` says it must.
Task<> RequireAlive(Peer& peer, peer::Session& session, const std::string& rule);
// co_await: a call of the subject still goes through; `rule` says it must.
Task<> RequireCallWorks(Peer& peer, peer::Session& session, const std::string& rule);
// co_await: one call in the direction of this run goes through.
Task<> RequireOneCall(Peer& peer, peer::Session& session, const std::string& rule);
// co_await: the application is told this of a call in flight whose session is lost, as `rule` has
// it; `awaited` says that it must be told anything.
Task<> RequireLost(Peer& peer, uint32_t question, control::v1::CallStatus due, std::string awaited,
                   const std::string& rule);
// co_await: the subject's handlers have run so often for this operation of the harness.
Task<> RequireExecutions(Peer& peer, uint64_t operation_id, size_t times, const std::string& rule);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_VOCABULARY_H_
