// The counterpart of one run: links, sessions and the subject's control plane, as a scenario uses
// them. Everything is a request to the machine or a wait on it; nothing here blocks or looks at a
// clock. Owned by the run; used only from its roles.
#ifndef COUNTERPART_PEER_PEER_H_
#define COUNTERPART_PEER_PEER_H_

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "harness/effects/control_client.h"
#include "harness/machine/machine.h"
#include "harness/peer/conduit.h"
#include "harness/peer/corruption.h"
#include "harness/peer/fault.h"
#include "harness/peer/observed.h"
#include "harness/peer/reading.h"
#include "harness/peer/session.h"

namespace counterpart::peer {

using effects::EffectKind;
using machine::Task;

// Happenings of a run that a campaign looks out for.
inline constexpr std::string_view kCutInsideAFrame = "a cut inside a frame";
inline constexpr std::string_view kResumedUnanswered = "a resume with a call unanswered";

// Who opens the session and makes the calls.
// kBidirectional: two subjects, one of which dials; both call, and the harness stands between them.
enum class Direction : uint8_t { kHarnessToSubject, kSubjectToHarness, kBidirectional };

// A frame with a wrong bit, sent by the harness, and what came of it.
struct Spoiled {
  Phase phase = Phase::kPrologue;
  Corruption corruption;
  Session* session = nullptr;  // whose link it was
  std::string refusal;         // "transport_reject", "sorry" or "protocol_error", once read
};

// One TCP connection, as far as the harness has seen it.
struct Link {
  uint32_t id = 0;
  bool harness_dialled = false;
  bool up = false;
  bool refused = false;
  std::optional<LinkEnd> end;      // nothing arrives after it
  uint64_t end_partial = 0;        // bytes of an unfinished payload before the end
  bool half_closed = false;        // the harness writes nothing more to it
  bool asked_for_session = false;  // a new one, by Hello; not answered yet
  bool end_expected = false;       // else an end that the harness did not cause is a failure
  uint32_t generation = 0;         // of the session handshake it carries, from 1
  std::vector<uint64_t> listed_by_subject;  // connections, in its Hello or HelloYourself
  using Phase = peer::Phase;
  Phase in = Phase::kPrologue, out = Phase::kPrologue;
  // What came before a session took the link over.
  struct Inbound {
    std::optional<wire::v1::Prologue> prologue;
    std::optional<wire::v1::Handshake> handshake;
    std::optional<wire::v1::Message> message;
    std::optional<wire::v1::StableHandshake> stable_handshake;
    std::string malformed;
    uint64_t entry = 0;
  };
  std::deque<Inbound> inbox;
  // A link of a stable conduit, or the face of one: see conduit.h. The conduit is known once the
  // two hellos have been said.
  bool stable = false;
  Conduit* conduit = nullptr;
  Session* session = nullptr;
  // Writes of the harness are cut into pieces of this many bytes; 0 = not at all.
  uint32_t segment = 0;
  // Once the harness has sent such a frame it sends nothing more, and what the subject makes of it
  // is judged by the frame alone.
  std::optional<Spoiled> spoiled;
};

// What a session is asked to be.
struct SessionOptions {
  uint32_t harness_limit = 64;  // max_concurrent_requests of the harness
  uint32_t subject_limit = 64;
  bool resumable = true;
  uint32_t dials = 3;  // of the subject per establishment
  // Between two dials of an establishment: the first delay, which doubles up to the second. Every
  // wait of the run is then prepared for the longer one.
  uint32_t backoff_initial_ms = 0, backoff_max_ms = 0;
  control::v1::SessionLostPolicy session_lost = control::v1::SESSION_LOST_POLICY_NONE;
  uint32_t segment = 0;  // see Link
  // Announced, in bytes; 0 = default. Of the harness: one for all links of a run.
  uint32_t harness_max_payload = 0, subject_max_payload = 0;
  uint32_t connections = 0;  // virtual ones that each side accepts at a time
  // The initiator mints even ids, and leaves the odd ones to the acceptor.
  bool initiator_even = false;
  // Numbers of the first frames of a stable conduit.
  uint32_t harness_first_seq = 0, subject_first_seq = 0;
};

// How a command sent without waiting ends.
struct Question {
  bool answered = false;
  bool lost = false;  // the control plane broke before the answer
  control::v1::ControlReply reply;
};

class Peer : public machine::Observer {
 public:
  Peer(machine::Machine* machine, Direction direction, FrameObserver* monitors);
  ~Peer() override;

  machine::Machine& machine() { return *machine_; }
  Direction direction() const { return direction_; }
  bool harness_calls() const { return direction_ == Direction::kHarnessToSubject; }

  // ---- judging from a scenario

  // co_await: goes on if `holds` (and the rule counts as judged), else fails the run.
  Task<> Require(bool holds, std::string rule, std::string wanted);
  Task<> Fail(std::string rule, std::string text);
  void Judged(const std::string& rule) { monitors_->OnJudged(rule); }
  // co_await: waits for something that must happen.
  Task<> Until(std::string awaited, std::function<bool()> ready, std::string rule = "");
  // co_await: until nothing more can happen by itself; for claims of absence.
  Task<> Settle();
  // co_await: until ready or quiescent; true if ready.
  Task<bool> ReadyBeforeQuiet(std::string awaited, std::function<bool()> ready);

  // ---- faults

  void Arm(Fault fault);
  // Arms faults that the scenario knows nothing of. At each that fires, what the scenario still
  // had armed is dropped, every link may end without notice, and `on_fired` is called. Of stable
  // conduits only the link ends, and of that the scenario is to see nothing.
  void ArmPlan(const std::vector<Fault>& faults, std::function<void()> on_fired);
  // Sessions whose link a plan has cut know it from now on.
  void DetachCut();
  // SIGSTOP, now; it lasts until the subject has been sent everything there is for it.
  void StopProcess();
  // The subject may read from now on, if it was stopped.
  bool process_stopped() const { return process_stopped_; }
  // Nothing is read from the link until the subject is at rest.
  void StopReadingUntilRest(Link& link);
  // There was more for the harness to read than the sockets take.
  bool window_was_closed() const { return window_was_closed_; }
  // The link that a wrong bit was sent on; null if there is none.
  Link* SpoiledLink();
  // The harness has broken a rule on purpose: the subject may have given up the session.
  void BreakRule() { broke_rule_ = true; }
  // A frame with a wrong bit read as another one: what the subject knows is not known.
  bool misread() const;
  // The subject was killed by a fault, and has not been started again.
  bool being_killed() const { return being_killed_; }
  const std::vector<ArmedFault>& faults() const { return faults_; }
  // Every frame so far that a fault could name, in order.
  const std::vector<Moment>& moments() const { return moments_; }
  // What chance brought about in this run, of kCutInsideAFrame and the like.
  const std::set<std::string>& happenings() const { return happenings_; }
  // The harness has broken a rule on purpose, or sent what is no frame: the subject may have given
  // up the session.
  bool broke_rule() const { return broke_rule_; }
  // The subject need not dial again: it was turned away, or has dialled as often as it may.
  bool may_give_up() const { return refused_ || dials_since_established_ >= dials_allowed_; }
  // What the harness announced; 0: the default.
  uint32_t harness_max_payload() const { return harness_max_payload_; }

  // ---- control plane

  // Sends a command and goes on. Ids count from 1 and name the command in Status.
  uint32_t Start(control::v1::ExecuteRequest command);
  // co_await: its outcome. A refusal or a broken control plane fails the run.
  Task<control::v1::Outcome> OutcomeOf(uint32_t question, std::string awaited,
                                       std::string rule = "");
  Task<control::v1::Outcome> Execute(control::v1::ExecuteRequest command, std::string awaited);
  // Any other control request; co_await its reply or the loss of it.
  uint32_t Ask(control::v1::ControlRequest request,
               effects::Credential credential = effects::Credential::kOurs);
  Task<> Answered(uint32_t question, std::string awaited);
  const Question& question(uint32_t id) const { return questions_.at(id); }
  void Release(const std::string& gate);  // opens a gate for handlers of this run
  // co_await: until the subject's journal says so. An attempt whose handler never starts is not
  // answered either.
  Task<> AwaitHandlerStarted(Session& session, uint64_t operation_id,
                             std::string rule = "rpc.response.one-per-request");
  // An id for a command that is to be sent in other than the usual way.
  uint64_t NextCommandId() { return next_command_id_++; }

  // ---- process

  void ExpectExit() { exit_expected_ = true; }
  void Kill();
  // Closes its stdin, which is to end it.
  void CloseInput();
  Task<> Restart();
  bool subject_exited() const { return subject_exited_; }
  const std::string& exit_text() const { return exit_text_; }

  // ---- links

  // co_await: a link between harness and subject with nothing sent on it yet, dialled by whoever
  // the direction says. For the subject's dial a Connect command is sent first, unless one is
  // pending (a redial).
  Task<Link*> OpenLink(const SessionOptions& options);
  Link* FindLink(uint32_t id);
  // Connects of the subject so far.
  uint32_t links_accepted() const { return links_accepted_; }
  // Whether all of it was written: a fault may be due inside it.
  bool Send(Link& link, const wire::v1::Prologue& prologue, std::string deliberate = "");
  bool Send(Link& link, const wire::v1::Handshake& handshake, std::string deliberate = "");
  bool Send(Link& link, const wire::v1::Message& message, std::string deliberate = "");
  // Bytes as they are: for what no message can say. `label` reads in the trace.
  void SendRaw(Link& link, std::string bytes, std::string label);
  // One payload as it is, shown to the monitors as `frame` says: its place is filled in here.
  void SendShown(Link& link, std::string_view payload, std::string label, ObservedFrame frame);
  // By FIN or RST. A half-closed link still brings what the subject sends.
  void Close(Link& link, How how);
  // Leaves what the subject writes in the kernel from now on.
  void StopReading(Link& link);
  void ResumeReading(Link& link);
  // co_await: the next payload that came before a session took the link over, or its end (null).
  Task<std::optional<Link::Inbound>> NextInbound(Link& link, std::string awaited, std::string rule);
  // co_await: the end of a link; `end_expected` is set.
  Task<> AwaitEnd(Link& link, std::string rule);

  // ---- sessions

  // co_await: a new session on a new link, both prologues and handshakes done.
  Task<Session*> Establish(SessionOptions options = {});
  // co_await: the same session on a new link, after the old one was lost or is to be superseded.
  Task<> Resume(Session& session);
  // A connect of the subject that nobody has taken yet; null if there is none.
  Link* TakeAccepted();
  // What was handed out for this resume key; "" if nothing was.
  std::string SuccessorOf(const std::string& key) const;
  bool has_accepted() const;
  std::vector<Link*> links();
  // The next OpenLink has the subject make a new establishment.
  void ForgetConnect() { connect_question_ = 0; }
  // The two halves of the above, for scenarios that want to stand between them.
  Task<> DoPrologue(Link& link);
  // `or_key`: what the subject may present just as well, not having heard of the other one.
  Task<> DoHandshake(Link& link, Session& session, std::string resume_key, std::string or_key = "");
  wire::v1::Prologue TransportHello() const;
  wire::v1::Hello NewHello(const Session& session, std::string resume_key) const;
  // co_await: what follows Hello: HelloYourself, read by the harness or sent by it, and LetsGo.
  Task<> TakeHelloYourself(Link& link, Session& session, const Link::Inbound& answer);
  Task<> AnswerHello(Link& link, Session& session, const std::string& presented, std::string rule);
  // With the successor of the resume key that was presented, or a first one; none if the session
  // cannot be resumed.
  wire::v1::Handshake NewHelloYourself(const Session& session, const std::string& presented);
  Session* NewSession(const SessionOptions& options);
  // The outcome of the Connect command of this run, if the subject dials.
  uint32_t connect_question() const { return connect_question_; }
  std::vector<Session*> sessions();
  std::string MintBytes(const char* what, size_t size);  // deterministic, by seed
  // The next `count` connects of the subject are reset at once.
  void RefuseConnects(uint32_t count);
  // Connects of the subject are refused from now on.
  void StopListening();
  // co_await: what the subject's journal of this run has by now.
  Task<std::vector<control::v1::JournalEvent>> JournalSoFar();
  // co_await: the delays that the subject planned before its dials so far, in milliseconds.
  Task<std::vector<uint64_t>> PlannedDelays();

  // ---- stable conduits: see conduit.cc

  // All sessions of the run are over stable conduits, or all over bare ones.
  void set_stable(bool stable) { stable_ = stable; }
  bool stable() const { return stable_; }
  // co_await: a new conduit over a link whose prologue is done; its face, for the session.
  Task<Link*> OpenConduit(Link& link, const SessionOptions& options);
  // Of a session over one; never null there.
  static Conduit& ConduitOf(Session& session) { return *session.link->conduit; }
  // How the link of a conduit ends, of which the session learns nothing. Without a conduit: Close.
  void Cut(Session& session, How how);
  // co_await: the conduit goes on over a new link, dialled by whoever dialled the first one.
  Task<> Reconnect(Conduit& conduit);
  // co_await: the first half of that: a new link, and as server the ClientHello on it, whose key
  // was looked at.
  Task<Link*> OpenCarrier(Conduit& conduit);
  // co_await: the second half.
  Task<> Carry(Link& link, Conduit& conduit);
  // co_await: every conduit that has lost its link goes on.
  Task<> CarryOn();
  // What the harness would say on a new link; "" for the key: of a new conduit.
  wire::v1::StableHandshake NewClientHello(const Conduit& conduit) const;
  wire::v1::StableHandshake NewServerHello(Conduit& conduit, const std::string& presented);
  void Send(Link& link, const wire::v1::StableHandshake& handshake, std::string deliberate = "");
  // A frame as it is, on a link of a conduit.
  void SendFrame(Link& carrier, const wire::v1::StableFrame& frame, std::string deliberate = "");

  // ---- the subject's application (it calls, or holds caller-side channel ends)

  // Sends a Call command; its handle names it and its channel ends.
  uint32_t StartCallBySubject(
      Session& session, const std::string& method, std::string arguments, std::string handle,
      uint64_t connection = 0,
      google::protobuf::RepeatedPtrField<control::v1::Metadata> metadata = {});
  // Sends a Cancel command for one of them.
  void CancelCallBySubject(const std::string& handle);
  struct SubjectCall {
    uint32_t question = 0;
    std::string session_id, method, arguments, handle;
    uint64_t connection = 0;
    bool cancelled = false;
  };
  const std::vector<SubjectCall>& subject_calls() const { return subject_calls_; }
  // What it was told to take from an end of one of them, in order.
  struct Receive {
    uint32_t question = 0;
    control::v1::ChannelReceive command;
  };
  const std::vector<Receive>& receives() const { return receives_; }
  Task<control::v1::CallOutcome> CallOutcomeOf(uint32_t question, std::string rule = "");

  // ---- machine::Observer

  machine::Reading OnIngress(const effects::Ingress& ingress, uint64_t entry) override;
  void OnFinding(const machine::Finding& finding) override { monitors_->OnFinding(finding); }
  bool OutsideOpen() const override;

  FrameObserver& monitors() { return *monitors_; }

  // co_await: what the run leaves behind: late frames, journal, executions, leaks. Part of every
  // run that has not failed by then.
  Task<> Epilogue();
  // co_await: how often the subject has executed an operation of a session so far.
  Task<std::vector<ObservedEnd::Execution>> ReadExecutions();
  // co_await: what it has written so far, behind its first line: to stdout, and to stderr if asked.
  Task<std::string> ReadOutput(bool errors);

 private:
  friend class Session;

  // The one listener of a run, in which role the subject's connects arrive.
  static constexpr uint32_t kListener = 1;
  struct Listener {
    uint32_t id = 0;
    uint16_t port = 0;
    std::deque<uint32_t> accepted;
  };

  void OnPayload(Link& link, const std::string& bytes, uint64_t entry, machine::Reading& reading);
  void OnLinkEnd(Link& link, LinkEnd end, uint64_t partial, uint64_t entry);
  void OnStablePayload(Link& link, const std::string& bytes, uint64_t entry,
                       machine::Reading& reading);
  void OnStableHello(Link& link, Link::Inbound inbound);
  void OnStableFrame(Link& link, const wire::v1::StableFrame& frame, uint64_t entry,
                     machine::Reading& reading);
  // The harness has read ServerHello, or said it: the link carries the conduit from now on.
  void Begin(Link& link, Conduit& conduit);
  // A session that is neither over nor ending has a conduit, which outlives what carries it.
  bool ConduitGoesOn() const;
  // What is numbered by place in its conduit: hellos and data. `frame` is shown to the monitors.
  void WriteOfConduit(Link& link, std::string written, const std::string& kind, std::string label,
                      ObservedFrame& frame);
  bool SendItem(Link& face, const std::string& bytes, ObservedFrame frame);
  bool SendPayload(Link& link, const std::string& bytes, ObservedFrame frame, std::string kind,
                   std::string label);
  // The faults that are due at one frame: one that ends the scenario's story, at most, and those
  // that end nothing, which come first.
  struct Due {
    std::vector<ArmedFault*> faults;
    const ArmedFault* Find(How how) const;
    // What decides how much of the frame is written.
    std::optional<uint32_t> cut() const;
  };
  Due CountFrame(Link& link, Side from, const std::string& kind, size_t frame_bytes);
  void FireAll(const Due& due, Link& link, const std::string& where);
  // Writes a frame of ours up to where one of these faults cuts it, and has it judged; then the
  // faults happen. Says in `frame` at which entry, and whether it was cut short.
  void WriteAsDue(Link& link, std::string written, const Due& due, std::string label,
                  ObservedFrame& frame);
  // One frame as a write, or as what the faults that are due make of it.
  uint64_t Write(Link& link, const std::string& bytes, const Due& due, const std::string& label);
  // Frames as the subject reads them, of a frame with a wrong bit.
  void ObserveSpoiled(Link& link, ObservedFrame frame);
  void Request(Link& link, EffectKind kind, uint64_t number, std::string label);
  void OnProof(const effects::Ingress& ingress);
  ArmedFault& Apply(How how);
  void Fire(ArmedFault& fault, Link& link, std::string where);
  void Unexpected(std::string rule, std::string text, std::string place, uint64_t entry);
  std::string Edge(const Link& link, bool out) const;
  Task<> EnsureSubjectListens(const SessionOptions& options);
  Task<> EnsureHarnessListens();
  void ReportUnfiredFaults();
  Task<> CheckLeaks();
  // For who reads of a leak: the sessions there were, and why they are over.
  void NoteSessions();

  machine::Machine* machine_;
  Direction direction_;
  FrameObserver* monitors_;
  Names names_;
  std::vector<ArmedFault> faults_;
  std::function<void()> on_planned_fault_;
  bool firing_plan_ = false;
  bool proving_ = false;  // what is done now is a fault, and to be proven
  std::vector<Moment> moments_;
  std::set<std::string> happenings_;
  std::map<std::pair<uint32_t, Side>, uint32_t> frames_;  // by generation
  bool broke_rule_ = false;
  std::vector<SubjectCall> subject_calls_;
  std::vector<Receive> receives_;
  std::map<uint32_t, std::unique_ptr<Link>> links_;
  std::map<uint32_t, Listener> listeners_;
  std::map<uint32_t, Question> questions_;
  std::map<uint32_t, std::optional<std::string>> executions_;  // by question; unanswered: none
  std::map<uint32_t, std::optional<std::string>> outputs_;     // likewise
  std::vector<std::unique_ptr<Session>> sessions_;
  uint32_t next_link_ = 1;
  uint32_t next_question_ = 1;
  uint64_t next_command_id_ = 1;
  uint32_t next_generation_ = 1;
  uint16_t subject_port_ = 0;
  uint32_t harness_max_payload_ = 0, subject_max_payload_ = 0;
  std::chrono::milliseconds patience_{0};
  uint32_t connect_question_ = 0;
  uint32_t links_accepted_ = 0;
  uint32_t dials_since_established_ = 0, dials_allowed_ = 0;
  bool refused_ = false;
  uint64_t minted_ = 0;
  std::map<std::string, std::string> successors_;  // of resume keys the harness handed out
  bool stable_ = false;
  std::map<uint32_t, std::unique_ptr<Conduit>> conduits_;
  bool subject_exited_ = false;
  bool exit_expected_ = false;
  bool killed_ = false, being_killed_ = false;
  bool process_touched_ = false;  // killed or stopped by the scenario itself
  bool process_stopped_ = false;
  bool window_was_closed_ = false;
  bool restarting_ = false;
  uint32_t starts_ = 0;
  std::string exit_text_;
};

// The member of a handshake that was expected, or how the run fails otherwise.
std::string DescribeInbound(const std::optional<Link::Inbound>& inbound, Names& names);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_PEER_H_
