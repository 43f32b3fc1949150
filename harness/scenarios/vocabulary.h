// The small vocabulary that scenarios share: testbed requests, and what is asked of any call.
#ifndef COUNTERPART_SCENARIOS_VOCABULARY_H_
#define COUNTERPART_SCENARIOS_VOCABULARY_H_

#include <string>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/peer/peer.h"

namespace counterpart::scenarios {

using machine::Task;
using peer::Peer;

testbed::v1::EchoRequest Echo(const std::string& text);
testbed::v1::EchoResponse EchoReply(const std::string& text);
// An Echo whose handler waits at a gate first.
testbed::v1::EchoRequest WaitingEcho(const std::string& text, const std::string& gate);

// co_await: a response that is an Echo's ok with this text.
Task<> RequireEcho(Peer& peer, const wire::v1::Response& response, const std::string& text);
// co_await: the subject's application was given this value.
Task<> RequireOk(Peer& peer, const control::v1::CallOutcome& outcome, const std::string& value);
// co_await: the session still answers a Ping and a call of the harness; `rule` says it must.
Task<> RequireAlive(Peer& peer, peer::Session& session, const std::string& rule);
// co_await: a call of the subject still goes through; `rule` says it must.
Task<> RequireCallWorks(Peer& peer, peer::Session& session, const std::string& rule);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_VOCABULARY_H_
