// What follows a cut that no scenario planned.
//
// A planned fault may end a scenario anywhere. Its body is then given up, and the aftermath asks
// of the subject what the rules ask of any runtime after any cut: a session that can be resumed is,
// every call comes to an end that its state at the cut allows (judge/cut_outcomes.h), nothing runs
// more often than it may, no handle dangles, and the next call works.
#ifndef COUNTERPART_SCENARIOS_AFTERMATH_H_
#define COUNTERPART_SCENARIOS_AFTERMATH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/judge/cut_outcomes.h"
#include "harness/peer/peer.h"

namespace counterpart::scenarios {

// co_await: all of it, the end of the run included. A further fault may end it anywhere, and then
// it is begun again: it keeps nothing of its own.
peer::Task<> Aftermath(peer::Peer& peer);

// The parts of it, for a scenario that cuts by itself and goes on, and between two subjects.

// The gates that a request names, at which its handler waits.
std::set<std::string> GatesOf(const peer::Method* method, const std::string& arguments);

// ---- the harness calls

// co_await: how often each operation of this session was executed so far.
peer::Task<std::map<uint64_t, uint32_t>> ExecutionsSoFar(peer::Peer& peer,
                                                         const peer::Session& session);
// Whether a handler could have answered so. Runtime errors come of what the request is.
bool IsItsValue(const peer::Peer& peer, const peer::Call& call, const wire::v1::Response& response);
// co_await: everything that a call still has open is read to its end, or ended. What was read.
peer::Task<std::vector<uint64_t>> PlayOut(peer::Call& call);

// One operation that a cut left open: its attempt on the attachment of now, and what that may come
// to.
struct LeftOpen {
  peer::Call* call = nullptr;
  uint32_t ran = 0;  // before
  judge::CutOutcome outcome;
  bool again = false;                          // it is a new attempt, of this attachment
  std::optional<std::vector<uint64_t>> items;  // that came with a value
};
// Attempts it again where a caller would. `ran`: its executions so far.
LeftOpen Reopen(peer::Peer& peer, peer::Session& session, peer::Call& before, uint32_t ran);
// co_await: it comes to an end that is allowed.
peer::Task<> SettleLeftOpen(peer::Peer& peer, peer::Session& session, LeftOpen& open);
// co_await: it was executed as often as it may be by now, and its stream came from the start.
peer::Task<> JudgeLeftOpen(peer::Peer& peer, const LeftOpen& open,
                           const std::map<uint64_t, uint32_t>& executions);

// ---- the subject calls

// What the harness had seen of each operation when the cut came: by session and operation.
using SeenBefore = std::map<std::pair<std::string, uint64_t>, judge::Seen>;
SeenBefore SeenSoFar(peer::Peer& peer);
// co_await: the harness answers as a callee does that keeps records: what it answered before, or
// what the handler returns. It ends the channels of the attempt first.
peer::Task<> Serve(peer::Peer& peer, peer::Session& session, peer::Incoming& incoming);
// Whether these endings allow the application to be told that. `answer`: what the callee has
// answered. `other_type`: under a description that does not match.
bool MayBeTold(uint8_t endings, control::v1::CallStatus status,
               const std::optional<wire::v1::Response>& answer, bool other_type = false);
// Every call of the subject's application has come to an end.
bool CallsResolved(const peer::Peer& peer);
// co_await: every attempt is of a call that somebody made.
peer::Task<> JudgeOperations(peer::Peer& peer);
// co_await: what the application was told of each call that a cut left open is allowed. `open`: by
// question; `before`: at the last cut that left it open.
peer::Task<> JudgeCalls(peer::Peer& peer, const std::set<uint32_t>& open, const SeenBefore& before);
// co_await: of each attempt the application was given what was written for it, from the start, and
// a clean end only where that was written too.
peer::Task<> JudgeStreams(peer::Peer& peer);
// co_await: the application lets go of the ends it may still hold. What was received before a cut
// stays deliverable (r[rpc.channel.detach.buffered]), so a runtime keeps it until then.
peer::Task<> LetGo(peer::Peer& peer);

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_AFTERMATH_H_
