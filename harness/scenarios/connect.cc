// Dialling: how long a subject waits for its counterpart, at first and after a link was lost.
#include <algorithm>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/scenario.h"
#include "harness/scenarios/vocabulary.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using peer::How;
using peer::Incoming;
using peer::Link;
using peer::Session;
using peer::SessionOptions;

constexpr uint32_t kInitialMs = 1;
constexpr uint32_t kMaximumMs = 4;

// With delays that are real, and short.
SessionOptions Patient(uint32_t dials) {
  SessionOptions options;
  options.dials = dials;
  options.backoff_initial_ms = kInitialMs;
  options.backoff_max_ms = kMaximumMs;
  return options;
}

// co_await: the subject has planned the delays of one establishment that took so many dials, and no
// others.
Task<> RequireBackoff(Peer& peer, uint32_t dials) {
  std::vector<uint64_t> wanted;
  for (uint64_t delay = kInitialMs; wanted.size() + 1 < dials; delay *= 2) {
    wanted.push_back(std::min<uint64_t>(delay, kMaximumMs));
  }
  std::vector<uint64_t> planned = co_await peer.PlannedDelays();
  std::string most = std::to_string(dials) + " dials are allowed and needed, not " +
                     std::to_string(planned.size() + 1);
  co_await peer.Require(planned.size() == wanted.size(), "session.initial-connect-waiting.limit",
                        std::move(most));
  std::string text;
  for (const uint64_t delay : planned) text += " " + std::to_string(delay);
  std::string said = "between " + std::to_string(dials) +
                     " dials the delays double from the first value up to the maximum; planned:" +
                     (text.empty() ? " none" : text);
  co_await peer.Require(planned == wanted, "session.initial-connect-waiting.backoff",
                        std::move(said));
}

// ---------------------------------------------------------------- session_connect_waits_for_…

Task<> ConnectWaits(Peer& peer) {
  const auto refused = static_cast<uint32_t>(1 + peer.machine().Choose(4, "connects refused"));
  peer.RefuseConnects(refused);
  Session* session = co_await peer.Establish(Patient(refused + 1));
  co_await peer.Require(peer.links_accepted() == refused + 1,
                        "session.initial-connect-waiting.retry",
                        "each refused dial is followed by one more, and nothing else is");
  co_await RequireBackoff(peer, refused + 1);
  co_await RequireCallWorks(peer, *session, "session.initial-connect-waiting");
}

// ---------------------------------------------------------------- session_resume_waits_for_…

Task<> ResumeWaits(Peer& peer) {
  const auto refused = static_cast<uint32_t>(1 + peer.machine().Choose(4, "connects refused"));
  Session* session = co_await peer.Establish(Patient(refused + 1));
  const uint32_t question =
      peer.StartCallBySubject(*session, "Echo", Echo("kept").SerializeAsString(), "call");
  Incoming* first = co_await session->NextRequest("the subject's Request");
  const uint32_t connects = peer.links_accepted();
  peer.RefuseConnects(refused);
  peer.Close(*session->link, peer.machine().Choose(2, "cut by") == 0 ? How::kRst : How::kFin);
  SessionOptions options = Patient(refused + 1);
  Link* link = co_await peer.OpenLink(options);
  co_await peer.Require(peer.links_accepted() == connects + refused + 1,
                        "session.initial-connect-waiting.retry",
                        "each refused dial is followed by one more, and nothing else is");
  std::string key = session->resume_key;
  co_await peer.DoPrologue(*link);
  co_await peer.DoHandshake(*link, *session, std::move(key));
  co_await RequireBackoff(peer, refused + 1);
  // What was in flight has waited as well.
  Incoming* second = co_await session->NextRequest("the new attempt", "retry.resume.reattempt");
  co_await peer.Require(second->request.operation_id() == first->request.operation_id(),
                        "retry.op-id.survives-resume", "the new attempt has the same operation id");
  session->RespondOk(*second, EchoReply("kept"));
  CallOutcome outcome = co_await peer.CallOutcomeOf(question, "session.outlives-conduit");
  co_await RequireOk(peer, outcome, EchoReply("kept").SerializeAsString());
}

// ---------------------------------------------------------------- session_resume_gives_up_…

Task<> ResumeGivesUp(Peer& peer) {
  const auto dials = static_cast<uint32_t>(1 + peer.machine().Choose(4, "dials"));
  Session* session = co_await peer.Establish(Patient(dials));
  const uint32_t idem =
      peer.StartCallBySubject(*session, "EchoIdem", Echo("i").SerializeAsString(), "idem");
  co_await session->NextRequest("the idem Request");
  const uint32_t non_idem =
      peer.StartCallBySubject(*session, "Echo", Echo("n").SerializeAsString(), "non-idem");
  co_await session->NextRequest("the non-idem Request");
  const uint32_t connects = peer.links_accepted();
  peer.StopListening();
  peer.Close(*session->link, How::kFin);
  co_await RequireLost(peer, non_idem, control::v1::CALL_STATUS_INDETERMINATE,
                       "session.initial-connect-waiting.limit", "retry.session-lost");
  co_await RequireLost(peer, idem, control::v1::CALL_STATUS_SESSION_SHUTDOWN,
                       "session.initial-connect-waiting.limit", "retry.session-lost.policy");
  // The journal is the proof that the dials were refused: nothing of them reaches a socket.
  co_await RequireBackoff(peer, dials);
  co_await peer.Settle();
  co_await peer.Require(peer.links_accepted() == connects, "session.initial-connect-waiting.limit",
                        "after the last dial allowed nothing is dialled");
}

}  // namespace

std::vector<Scenario> ConnectScenarios() {
  const std::vector<Direction> dials = {Direction::kSubjectToHarness};
  return {
      {"session_connect_waits_for_a_refusing_listener",
       "session",
       "Whoever was told to wait dials again when refused, with the delays it was given.",
       dials,
       {},
       {"session.initial-connect-waiting.retry", "session.initial-connect-waiting.backoff"},
       {"root_calls", "initiator"},
       &ConnectWaits},
      {"session_resume_waits_for_a_refusing_listener",
       "session",
       "A listener that is down for some dials delays a resume, and calls in flight with it.",
       dials,
       {},
       {"session.initial-connect-waiting.retry", "session.initial-connect-waiting.backoff",
        "session.outlives-conduit"},
       {"root_calls", "resume", "initiator"},
       &ResumeWaits},
      {"session_resume_gives_up_at_the_limit",
       "session",
       "Nobody dials more often than allowed; then the session is lost and every call resolved.",
       dials,
       {},
       {"session.initial-connect-waiting.limit", "session.initial-connect-waiting.backoff",
        "retry.session-lost", "retry.session-lost.policy"},
       {"root_calls", "resume", "initiator"},
       &ResumeGivesUp},
  };
}

}  // namespace counterpart::scenarios
