// Watches every frame of every scenario and joins what monitors and scenario find into one
// verdict. A violation by the subject fails the run; one by the harness that the scenario did not
// declare is the harness's own error.
#ifndef COUNTERPART_JUDGE_JUDGE_H_
#define COUNTERPART_JUDGE_JUDGE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/judge/connections.h"
#include "harness/judge/findings.h"
#include "harness/judge/generations.h"
#include "harness/machine/finding.h"
#include "harness/peer/observed.h"

namespace counterpart::judge {

using peer::ObservedEnd;
using peer::ObservedFrame;
using peer::Side;

// What one link carries, as read from its own frames.
struct LinkContext {
  uint32_t link = 0;
  bool harness_dialled = false;
  std::string session_id;  // once HelloYourself was seen
  bool initiator_odd = true;
  uint32_t limit[2] = {0, 0};          // max_concurrent_requests announced by harness, by subject
  bool last_sent[2] = {false, false};  // Goodbye, ProtocolError, Reject or Sorry by that side
  bool deliberate = false;             // the harness broke a rule here on purpose
  bool ended = false;
  bool carrier = false;  // of a stable conduit, which is what the monitors take for the link

  Side initiator() const { return harness_dialled ? Side::kHarness : Side::kSubject; }
  bool odd(Side side) const { return (side == initiator()) == initiator_odd; }
};

const char* Name(Side side);

class Judge;

// One family of rules. Sees both sides' frames; keeps only what it needs to judge.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) = 0;
  virtual void OnLinkEnd(LinkContext&, peer::LinkEnd, uint64_t /*partial*/, uint64_t /*entry*/,
                         Judge&) {}
  virtual void OnEnd(const ObservedEnd&, Judge&) {}
  // Whether it sees what the links of a stable conduit carry, too.
  virtual bool OfCarriers() const { return false; }
};

class Judge : public peer::FrameObserver, public Findings {
 public:
  Judge();
  // Of one of two subjects. `id` is what findings blame, `called` how their texts name it. What its
  // counterpart does wrong is passed over: a judge of its own sees it, too.
  Judge(std::string id, std::string called);
  ~Judge() override;

  // Where findings of monitors go first: the machine, which records them and stops the run.
  void set_report(std::function<void(machine::Finding)> report) { report_ = std::move(report); }

  // ---- for monitors
  // `who` broke the rule, as `frame` shows (null: the end of the run shows it).
  void Violation(const std::string& rule, Side who, std::string text, const ObservedFrame* frame);
  LinkContext& link(uint32_t id) { return links_[id]; }
  const std::map<uint32_t, LinkContext>& links() const { return links_; }
  // Of a session, as the subject may count them.
  Generations& generations(const std::string& session_id) { return generations_[session_id]; }
  // Of a session, as both sides' frames tell.
  Connections& connections(const std::string& session_id) { return connections_[session_id]; }
  // What holds on a connection of this link: of which parity are the ids that `side` mints, and how
  // many attempts does it take at a time.
  bool Odd(const LinkContext& link, Side side, uint64_t connection);
  uint32_t Limit(const LinkContext& link, Side side, uint64_t connection);
  bool any_deliberate() const { return any_deliberate_; }

  // ---- peer::FrameObserver
  void OnFrame(const ObservedFrame& frame) override;
  void OnLinkEnd(uint32_t link, peer::LinkEnd end, uint64_t partial, uint64_t entry) override;
  void OnEnd(const ObservedEnd& end) override;
  void OnJudged(const std::string& rule) override { Held(rule); }
  void OnFinding(const machine::Finding& finding) override { Add(finding); }

  // Joins the end of the run, whose scenario set out to exercise these rules.
  void Conclude(const std::vector<std::string>& rules_promised);

 private:
  std::function<void(machine::Finding)> report_;
  std::vector<std::unique_ptr<Monitor>> monitors_;
  std::map<uint32_t, LinkContext> links_;
  std::map<std::string, Generations> generations_;
  std::map<std::string, Connections> connections_;
  const std::string id_, called_;  // of one of two; else ""
  bool any_deliberate_ = false;
};

std::unique_ptr<Monitor> NewHandshakeMonitor();
std::unique_ptr<Monitor> NewPayloadMonitor();
std::unique_ptr<Monitor> NewStableMonitor();
std::unique_ptr<Monitor> NewMessageMonitor();
std::unique_ptr<Monitor> NewConnectionMonitor();
std::unique_ptr<Monitor> NewRequestMonitor();
std::unique_ptr<Monitor> NewChannelMonitor();
std::unique_ptr<Monitor> NewSchemaMonitor();
std::unique_ptr<Monitor> NewJournalMonitor();
std::unique_ptr<Monitor> NewHarnessWalk();
std::unique_ptr<Monitor> NewExecutionMonitor();

}  // namespace counterpart::judge

#endif  // COUNTERPART_JUDGE_JUDGE_H_
