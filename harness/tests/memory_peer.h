// A subject in memory: a small runtime of the protocol, read from the rules once more, and wrong in
// one chosen way if asked. It answers in the call that tells it something, so that a run over it
// needs no socket, process or clock. For tests of the harness only.
//
// It covers calls, channels and resume on the root connection of a bare conduit. Type descriptions
// and method options are the harness's own reading, which the golden vectors test.
#ifndef COUNTERPART_TESTS_MEMORY_PEER_H_
#define COUNTERPART_TESTS_MEMORY_PEER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/testbed/v1/testbed.pb.h"
#include "counterpart/wire/v1/wire.pb.h"
#include "harness/peer/testbed.h"

namespace counterpart::tests {

// What is wrong with it, or legal and rare.
enum class Flaw : uint8_t {
  kNone,
  kWrongParity,         // mints request ids of the other side's parity
  kWrongChannelParity,  // the same of channels
  kRepeatsRequestId,    // mints one request id twice
  kDoubleResponse,      // answers every Request twice
  kWrongPong,           // answers a Ping with another nonce
  kOverCredit,          // sends whatever the credit
  kItemAfterClose,      // sends one item more after CloseChannel
  kDropsItem,           // never hands the third item of a channel to its application
  kMute,                // reads Requests and does nothing
  kNoAnnouncement,      // announces no types
  kAnnouncesTwice,      // announces before every use
  kKeepsKey,            // hands out the resume key it was presented
  kForgetsSession,      // knows no resume key
  kShortKey,            // hands out resume keys of 8 bytes
  kHelloInsteadOfGo,    // (initiator) never says LetsGo
  kBlindToLength,       // waits for the body of any length
  kClosesSilently,      // closes the link where a ProtocolError is due
  kWrongErrorCode,      // sends another ProtocolError than is due
  kRunsTwice,           // runs every handler twice
  kJournalOmits,        // leaves Responses and Requests it sends out of its journal
  kJournalInvents,      // journals Frames it never got
  kLeaks,               // still holds a channel when all is over
  kCrashes,             // dies of the first Request, sent or read
  kNeverReattempts,     // (caller) sends nothing anew after a resume
  kNoGoodbye,           // closes the link instead of answering Goodbye
  kSpeaksAfterGoodbye,
  kPingsIntoGoodbye,  // legal: a Ping of its own crosses the Goodbye of the harness
};

// What it does to its surroundings.
class PeerOutput {
 public:
  virtual ~PeerOutput() = default;
  virtual uint32_t Dial(uint16_t port) = 0;  // its number for the link, 0 if refused
  virtual void Write(uint32_t link, std::string_view bytes) = 0;
  virtual void Close(uint32_t link) = 0;
  virtual void Answer(uint32_t question, const control::v1::ControlReply& reply) = 0;
  virtual void RecordExecution(const std::string& line) = 0;
  virtual void Die(const std::string& how) = 0;
};

class MemoryPeer {
 public:
  static constexpr uint16_t kPort = 4242;

  MemoryPeer(PeerOutput* out, Flaw flaw);
  ~MemoryPeer();

  void OnControl(uint32_t question, const control::v1::ControlRequest& request);
  void OnAccepted(uint32_t link);
  void OnBytes(uint32_t link, std::string_view bytes);
  void OnEnd(uint32_t link);
  bool listening() const { return listening_; }

 private:
  struct End;
  using Ends = std::map<uint32_t, End*>;  // by field number
  struct Link;
  struct Session;
  struct Call;
  struct Handler;
  struct Operation;
  struct Pending;

  void Control(uint32_t question, const control::v1::ControlRequest& request);
  void Execute(uint32_t question, const control::v1::ExecuteRequest& command);
  void Refuse(uint32_t question);
  void Done(uint32_t question, control::v1::Outcome outcome);
  bool TryPending(Pending& pending);
  End* FindEnd(const control::v1::ChannelEnd& named);

  void Dial();
  void OnPayload(Link& link, const std::string& payload);
  void OnPrologue(Link& link, const wire::v1::Prologue& prologue);
  void OnHandshake(Link& link, const wire::v1::Handshake& handshake);
  void OnHello(Link& link, const wire::v1::Hello& hello);
  void Bind(Link& link);
  void Detach(Session& session);
  void EndSession(Session& session, control::v1::CallStatus status);
  void ConnectFailed(control::v1::FailureReason reason);
  void Break(Link& link, wire::v1::ProtocolErrorCode code, const std::string& rule);
  void CloseLink(Link& link);
  void SendPayload(Link& link, const google::protobuf::Message& payload);
  void Send(Session& session, const wire::v1::Message& message);
  void Journal(const Session& session, const wire::v1::Message& message, bool sent);
  std::string Mint(const char* what, size_t size);

  bool InPlace(Link& link, const wire::v1::Message& message);
  void OnMessage(Link& link, const wire::v1::Message& message);
  void OnRequest(Session& session, const wire::v1::Request& request);
  void OnResponse(Link& link, const wire::v1::Response& response);
  void OnSchema(Link& link, const wire::v1::Schema& schema);
  bool IsAnnounced(const Session& session, wire::v1::BindingRole role,
                   const std::string& method) const;
  void OnChannel(Link& link, const wire::v1::Message& message);
  void StartHandler(Session& session, Operation& operation, const wire::v1::Request& request);
  bool StepHandler(Handler& handler);
  void Return(Handler& handler, wire::v1::Response response);
  void Respond(Session& session, uint64_t request_id, const std::string& method,
               wire::v1::Response response);

  void Attempt(Call& call);
  void Resolve(Call& call, control::v1::CallStatus status, std::string value = "");

  void Announce(Session& session, const peer::Method& method, wire::v1::BindingRole role,
                const peer::ChannelArgument* channel);
  End* AddEnd(Session& session, uint64_t id, const peer::Method& method,
              const peer::ChannelArgument& argument, bool sending);
  bool SendItem(End& end, uint64_t value);
  bool TakeItem(End& end, uint64_t* value);
  void CloseEnd(End& end, bool aborted = false);
  void ResetEnd(End& end);

  void Pump();

  PeerOutput* out_;
  const Flaw flaw_;
  bool listening_ = false;
  uint32_t accept_limit_ = 0;
  uint32_t announced_max_payload_ = 0;  // 0: the default
  bool accept_resumable_ = false;
  control::v1::Connect connect_;
  uint32_t connect_question_ = 0;  // while it is unanswered
  uint32_t dials_left_ = 0;
  uint32_t minted_ = 0;
  uint32_t last_link_ = 0;
  std::map<uint32_t, std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Session>> sessions_;
  Session* connected_ = nullptr;  // the one it opened
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::unique_ptr<Handler>> handlers_;
  std::vector<std::unique_ptr<Pending>> pending_;
  std::set<std::string> gates_;
  std::vector<control::v1::JournalEvent> journal_;
};

}  // namespace counterpart::tests

#endif  // COUNTERPART_TESTS_MEMORY_PEER_H_
