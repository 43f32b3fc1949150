// The harness on the path between two subjects. One listens, the other is told to dial the harness;
// for each link that is accepted the harness dials the listener and passes every payload on, byte
// for byte, reading it on the way.
//
// Each subject has monitors of its own, to which the other's payloads are what its counterpart
// sent. So every payload is judged once for whoever sent it, and taken note of once for whoever is
// to react to it. Cuts are data, keyed by payloads. What a scenario waits for or demands names the
// subject whose step it is, so that a failure blames one of the two by its id.
//
// Over a stable conduit the two judge both what a link carries and what the session sees of it: an
// item once, as it is first read and first passed on, however often it is sent.
//
// Passing on is part of taking a payload in: between rounds nothing is held back here.
#ifndef COUNTERPART_PEER_RELAY_H_
#define COUNTERPART_PEER_RELAY_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "harness/machine/machine.h"
#include "harness/peer/fault.h"
#include "harness/peer/observed.h"
#include "harness/peer/phase_reader.h"
#include "harness/peer/reading.h"
#include "harness/peer/seat.h"
#include "harness/peer/stable_passage.h"
#include "harness/peer/traffic.h"

namespace counterpart::peer {

using machine::Task;

// "The `ordinal`-th payload of kind `kind` from `from` on the link of generation `generation`":
// right after it has been passed on, or a part of it, or nothing.
struct Cut {
  How how = How::kRst;  // or kFin
  Seat from = Seat::kServer;
  std::string kind = {};  // as in Fault; "" counts every payload
  uint32_t ordinal = 1;
  uint32_t generation = 1;  // links are counted as the client dials them, from 1
  BySeat<bool> ends = {true, true};
  std::optional<uint32_t> passed;  // bytes of its frame that are passed on; else the whole
  bool planned = false;            // by a plan, not by the scenario
};

// A call that the application of one subject makes to the other.
struct RelayedCall {
  Seat caller = Seat::kClient;
  std::string handle, method, arguments;
  uint32_t question = 0;
  uint64_t after = 0;  // operations of the caller up to this one are older

  Seat callee() const { return Across(caller); }
};

class Relay : public machine::Observer {
 public:
  // `ids`: of the subjects, as failures blame them. `on_finding`: where findings are joined.
  Relay(machine::Machine* machine, BySeat<std::string> ids, BySeat<FrameObserver*> monitors,
        std::function<void(const machine::Finding&)> on_finding);
  ~Relay() override;

  machine::Machine& machine() { return *machine_; }
  const Traffic& traffic() const { return traffic_; }
  // Over a stable conduit, from the start.
  void set_stable(bool stable) { stable_ = stable; }
  bool stable() const { return stable_; }

  // ---- judging from a scenario

  // co_await: goes on if `holds` (and the rule counts as judged of `who`), else fails the run.
  Task<> Demand(Seat who, bool holds, std::string rule, std::string wanted);
  void Judged(const std::string& rule, Seat who) { monitors_[who]->OnJudged(rule); }
  // co_await: waits for something that must happen; `owed_by` is asked if it no longer can.
  Task<> Until(std::string awaited, std::function<bool()> ready, std::function<Seat()> owed_by,
               std::string rule = "");
  // co_await: until neither subject can do anything more by itself.
  Task<> Settle();

  // ---- cuts

  // Cuts that the scenario knows nothing of. `on_fired` is called as each of them falls. A stable
  // conduit is not cut any more once its session has said Goodbye.
  void ArmPlan(const std::vector<Fault>& plan, std::function<void()> on_fired);
  // Every payload so far, in the order they were read: where a plan may cut.
  const std::vector<Moment>& moments() const { return moments_; }
  void Arm(Cut cut);
  // Those of the scenario that have not fired never will.
  void ForgetScenarioCuts();
  // Both ends of the newest link, now.
  void CutNow(How how);
  bool cut() const;  // some end of the newest link is gone
  std::vector<FaultReport> faults() const;

  // ---- the session

  // co_await: listening, dialled, and both sides' handshakes done and processed.
  Task<> Establish();
  // co_await: the session is bound to the `generation`-th link, by both; or to a newer one.
  Task<> Resumed(uint32_t generation);
  uint32_t generation() const;  // number of the newest link
  // Whether what is said now is said where the newest attempt of this operation was made.
  bool IsCurrent(const Operation& operation) const;
  const std::string& session_id() const { return session_id_; }
  // co_await: the client's Connect has ended, if there was one. `owed_by` as for Until.
  Task<> ConnectEnded();
  // The client's application has a session that neither side has ended or may have forgotten.
  bool session_lives() const;
  // co_await: no subject holds what is left of sessions that are over for the other one.
  Task<> ExpireOldSessions();
  bool ended(Seat seat, uint32_t generation) const;

  // ---- the applications

  uint32_t Start(Seat seat, control::v1::ExecuteRequest command);
  // co_await: its outcome. A refusal or a broken control plane fails the run.
  Task<control::v1::Outcome> OutcomeOf(uint32_t question, std::string awaited,
                                       std::function<Seat()> owed_by = {}, std::string rule = "");
  Task<control::v1::Outcome> Execute(Seat seat, control::v1::ExecuteRequest command,
                                     std::string awaited);
  // co_await: answered, with whatever.
  Task<> Answered(uint32_t question, std::string awaited);
  void Release(Seat seat, const std::string& gate);

  RelayedCall StartCall(Seat caller, const std::string& method, std::string arguments,
                        std::string handle);
  // Every call so far.
  const std::vector<RelayedCall>& calls() const { return calls_; }
  // What applications were told to take from the ends of their calls, in order.
  struct Receive {
    Seat caller = Seat::kClient;
    uint32_t question = 0;
    control::v1::ChannelReceive command;
  };
  const std::vector<Receive>& receives() const { return receives_; }
  // As it is by now.
  const control::v1::Outcome& outcome(uint32_t question) const;
  bool answered(uint32_t question) const;
  bool cancelled(const RelayedCall& call) const { return cancelled_.contains(call.handle); }
  // As the harness has passed it on; null while nothing of it has been.
  const Operation* Find(const RelayedCall& call) const;
  // As the harness has read it, whether or not it was passed on.
  const Operation* FindRead(const RelayedCall& call) const;
  // Whose step it is for this call to be resolved.
  Seat OwesOutcome(const RelayedCall& call) const;
  // Whose step it is for `count` items of the channel at this field to be taken in, or for its end
  // if `end` is due after them.
  Seat OwesItems(const RelayedCall& call, uint32_t field, uint64_t count, bool end) const;
  // co_await: how often the callee has executed it.
  Task<size_t> TimesExecuted(const RelayedCall& call);

  // ---- machine::Observer

  machine::Reading OnIngress(const effects::Ingress& ingress, uint64_t entry) override;
  void OnFinding(const machine::Finding& finding) override { on_finding_(finding); }
  bool OutsideOpen() const override;

  // How a subject ended that did; "" if none has.
  const std::string& exit_text() const { return exit_text_; }

  // co_await: what the run leaves behind at both: goodbyes, journals, executions, leaks.
  Task<> Epilogue();

 private:
  struct Link;
  struct ArmedCut {
    Cut cut;
    uint32_t seen = 0;
    bool fired = false;
    std::string where;
    uint32_t link = 0;  // that it was applied to
    // Of a planned one: whose end was cut, and what shows that it noticed.
    BySeat<bool> done = {false, false};
    BySeat<std::string> proof = {};
    bool proven() const {
      return !cut.planned || ((!done[Seat::kServer] || !proof[Seat::kServer].empty()) &&
                              (!done[Seat::kClient] || !proof[Seat::kClient].empty()));
    }
  };
  struct Question {
    Seat seat = Seat::kServer;
    bool answered = false, lost = false;
    control::v1::ControlReply reply;
  };

  std::string Called(Seat seat) const { return ids_[seat] + " (" + Name(seat) + ")"; }
  std::string Edge(const Link& link, Seat seat, bool out) const;
  Link* Find(Seat seat, uint32_t id);
  Link* newest() const;
  uint32_t Ask(Seat seat, control::v1::ControlRequest request);
  void OnAccepted(uint32_t client_id);
  void OnPayload(Seat from, Link& link, const effects::Ingress& ingress, uint64_t entry,
                 machine::Reading& reading);
  // What the session is told, over this link.
  void OnSaid(Seat from, Link& link, const ReadPayload& said, uint64_t entry);
  // All of it, or the first `most` bytes of its frame.
  void PassOn(Seat from, Link& link, const std::string& bytes, const ReadPayload& read,
              std::optional<uint32_t> most);
  void OnPassed(Seat from, Link& link, const ReadPayload& said);
  // On link `number`, which may be the face of a conduit.
  void Show(Seat judged, Side from, uint32_t number, uint32_t conduit, const ReadPayload& read,
            size_t bytes, uint64_t entry, bool cut_short = false);
  void TellEnd(Seat seat, const Link& link, LinkEnd end, uint64_t partial, uint64_t entry);
  void OnHandshake(Seat from, Link& link, const wire::v1::Handshake& handshake, uint64_t entry);
  // The keys by which the client may have the session, or the conduit, over a new link.
  // r[session.resume.key-rotation] r[stable.resume-key]
  void OnPresented(Link& link, const std::string& key, const char* rule, uint64_t entry);
  void OnHandedOut(const Link& link, const std::string& key);
  void OnConfirmed(const Link& link);
  void OnStableHandshake(Seat from, Link& link, const wire::v1::StableHandshake& handshake,
                         uint64_t entry);
  // What this frame brings that was not read before.
  std::optional<ReadPayload> NewItem(Seat from, Link& link, const wire::v1::StableFrame& frame,
                                     uint64_t entry);
  // Whether this ends the session, or tells that the server does not have it and need not.
  void NoteEnd(Seat from, const ReadPayload& read);
  void OnLinkEnd(Seat seat, Link& link, LinkEnd end, uint64_t partial, uint64_t entry);
  // `prove`: what shows that the subject has noticed is asked for.
  void Close(Link& link, Seat seat, How how, bool prove = false);
  void OnProof(Seat seat, const effects::Ingress& ingress);
  ArmedCut* Due(Seat from, const Link& link, const std::string& kind);
  void Fire(ArmedCut& armed, Link& link, const std::string& label);
  void Blame(Seat who, std::string rule, std::string text, std::string place, uint64_t entry);
  Seat OwesSession() const;
  bool established() const;
  // The number under which the session has the link of now.
  uint32_t session_link() const { return stable_ ? face_ : generation(); }
  const char* OutlivesRule() const;
  Task<std::vector<ObservedEnd::Execution>> ReadExecutions(Seat seat);
  Task<> Finish(Seat seat);
  Task<> CheckLeaks(Seat seat);
  void ReportUnfiredCuts();

  machine::Machine* machine_;
  const BySeat<std::string> ids_;
  const BySeat<FrameObserver*> monitors_;
  std::function<void(const machine::Finding&)> on_finding_;
  Names names_;
  Traffic traffic_, read_;  // as passed on, and as read
  std::vector<ArmedCut> cuts_;
  std::function<void()> on_planned_cut_;
  bool planned_cut_ = false;  // one has fallen
  std::vector<Moment> moments_;
  std::map<std::pair<uint32_t, Seat>, uint32_t> payloads_;  // read, by link
  std::vector<RelayedCall> calls_;
  std::vector<Receive> receives_;
  std::set<std::string> cancelled_;  // handles
  std::vector<std::unique_ptr<Link>> links_;
  std::map<uint32_t, Question> questions_;
  std::map<uint32_t, std::optional<std::string>> executions_;  // by question; unanswered: none
  uint32_t next_question_ = 1;
  BySeat<uint64_t> next_command_id_ = {1, 1};
  uint16_t server_port_ = 0, relay_port_ = 0;
  bool stable_ = false;
  // Of a stable conduit. One that a cut ended before its client had heard of it has carried
  // nothing: the next one is the same to the session.
  uint32_t face_ = 0;  // stands for a link that the session never loses
  StablePassage passage_;
  std::unique_ptr<PhaseReader> items_;
  BySeat<std::map<uint32_t, ReadPayload>> kept_;  // read, and not passed on yet; by number
  BySeat<bool> face_ended_ = {false, false};
  std::string session_id_;
  std::set<std::string> keys_;             // that the client may present next
  bool client_has_it_ = false;             // the session of that id: LetsGo was read
  bool server_has_it_ = false;             // a message of the server was
  bool over_ = false;                      // one of them has ended it, or forgotten it
  std::vector<std::string> old_sessions_;  // ids, before that one
  uint32_t connect_ = 0;                   // the question
  BySeat<bool> exited_ = {false, false};
  std::string exit_text_;
};

// "after channel_item 20 of the server in generation 1"
std::string DescribeMoment(const Cut& cut);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_RELAY_H_
