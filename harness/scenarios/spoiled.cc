#include "harness/scenarios/spoiled.h"

#include <utility>

namespace counterpart::scenarios {
namespace {

using machine::Task;
using peer::How;
using peer::Link;
using peer::Peer;
using peer::Phase;
using peer::Reads;

// What refuses a payload of this phase; "" for an initiator before its session, who may just go.
std::string RefusalIn(const Link& link) {
  const bool acceptor = link.harness_dialled;
  switch (link.spoiled->phase) {
    case Phase::kPrologue:
      return acceptor ? "transport_reject" : "";
    case Phase::kHandshake:
      return acceptor ? "sorry" : "";
    case Phase::kMessages:
      return "protocol_error";
  }
  return "";
}

}  // namespace

Task<> JudgeSpoiled(Peer& peer, Link& link) {
  Link* spoiled = &link;
  const peer::Corruption& corruption = link.spoiled->corruption;
  if (!link.end) peer.ResumeReading(link);  // a scenario may have stopped
  if (corruption.reads != Reads::kRefused) {
    // r[link.rx.eof]: what has not ended when the link does was no message.
    co_await peer.Settle();
    // Only before a session is a length refused that nobody has forbidden: over 64 KiB.
    const bool refused = corruption.reads == Reads::kAwaited && link.end.has_value();
    co_await peer.Require(!refused || link.spoiled->phase != Phase::kMessages, "",
                          "a length within the limit is no reason to end a link");
    if (refused) peer.BreakRule();
    if (!link.end) peer.Close(link, How::kFin);
    co_return;
  }
  const std::string rule = corruption.oversize ? "link.limit" : "wire.envelope";
  const std::string owed = RefusalIn(link);
  std::string awaited = "a refusal of what is no payload of its phase";
  co_await peer.Until(
      std::move(awaited),
      [spoiled] { return !spoiled->spoiled->refusal.empty() || spoiled->end.has_value(); }, rule);
  std::string wanted = "what is no payload of its phase is refused by " +
                       (owed.empty() ? "closing the link" : owed) + ", not by " +
                       (link.spoiled->refusal.empty() ? "closing" : link.spoiled->refusal);
  co_await peer.Require(owed.empty() || link.spoiled->refusal == owed, rule, std::move(wanted));
  std::string end_rule = rule;
  if (link.spoiled->phase == Phase::kMessages) end_rule = "session.protocol-error.delivery";
  co_await peer.Until(
      "the end of the link after the refusal", [spoiled] { return spoiled->end.has_value(); },
      std::move(end_rule));
  peer.Close(link, How::kFin);
  // The session has died of it; one that was still being opened or resumed may have.
  if (link.spoiled->session != nullptr && link.spoiled->phase == Phase::kMessages) {
    link.spoiled->session->lost = true;
  }
}

}  // namespace counterpart::scenarios
