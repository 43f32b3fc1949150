// A session as the harness holds it: ids, announcements, calls and channels of both sides. Keeps
// the books that legal traffic needs; judging is the monitors' work.
#ifndef COUNTERPART_PEER_SESSION_H_
#define COUNTERPART_PEER_SESSION_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/machine/task.h"
#include "harness/peer/testbed.h"

namespace counterpart::peer {

class Peer;
class Session;
struct Link;
struct SessionOptions;

using machine::Task;

// The harness's end of a channel.
class Channel {
 public:
  Channel(Session* session, uint64_t connection, uint64_t id, const ChannelArgument* argument,
          bool harness_sends, const Method* method);

  uint64_t connection() const { return connection_; }
  uint64_t id() const { return id_; }
  bool harness_sends() const { return harness_sends_; }
  uint32_t generation() const { return generation_; }

  // ---- sending end
  uint64_t credit() const { return credit_; }
  bool reset_by_subject() const { return reset_by_subject_; }
  // co_await: sends first, first+1, …, each once there is credit for it.
  Task<> Send(uint64_t first, uint32_t count);
  // Sends whatever the credit; `deliberate` names the rule this breaks, if it does.
  void SendNow(uint64_t value, std::string deliberate = "");
  void Close(bool aborted = false);

  // ---- receiving end
  // co_await: takes `count` items, granting credit for what it takes. Fewer if the channel ends.
  Task<std::vector<uint64_t>> Receive(uint32_t count);
  // co_await: takes everything up to the end of the stream.
  Task<std::vector<uint64_t>> ReceiveAll();
  // co_await: until `count` items have arrived in all, taking none.
  Task<> AwaitReceived(uint64_t count);
  void Reset();
  void Grant(uint32_t credit);
  void set_auto_grant(bool on) { auto_grant_ = on; }
  uint64_t received() const { return received_; }
  bool closed_by_subject() const { return closed_by_subject_; }
  bool aborted_by_subject() const { return aborted_by_subject_; }
  bool ended() const;
  // What the harness has written whole on it, and whether it has ended it with the end of stream.
  const std::vector<uint64_t>& written() const { return written_; }
  bool closed_by_harness() const { return closed_by_harness_ && end_written_; }

  // ---- from the session
  void OnItem(uint64_t value);
  void OnClose(bool aborted);
  void OnReset() { reset_by_subject_ = true; }
  void OnCredit(uint32_t credit) { credit_ += credit; }
  void OnDetach() { detached_ = true; }

 private:
  void GrantForTaken();
  bool SendHere(wire::v1::Message message, std::string deliberate = "");

  Session* session_;
  uint64_t connection_;
  uint64_t id_;
  const ChannelArgument* argument_;
  const Method* method_;
  bool harness_sends_;
  uint32_t generation_;
  bool detached_ = false;
  bool closed_by_harness_ = false, end_written_ = false;
  std::vector<uint64_t> written_;
  uint64_t credit_ = 0;
  bool reset_by_subject_ = false;
  std::deque<uint64_t> items_;
  uint64_t received_ = 0, taken_ = 0, granted_ = 0;
  bool closed_by_subject_ = false, aborted_by_subject_ = false, reset_by_harness_ = false;
  bool auto_grant_ = true;
};

// A call the harness made: one attempt on the current attachment.
struct Call {
  uint64_t connection = 0;  // 0: the root
  uint64_t request_id = 0;
  uint64_t operation_id = 0;
  const Method* method = nullptr;
  std::string method_name;  // also where there is no such method
  std::string arguments;
  uint32_t generation = 0;
  std::map<uint32_t, Channel*> channels;  // by field number
  std::optional<wire::v1::Response> response;
  bool cancelled = false;
  bool breaking = false;    // sent to break a rule
  bool other_type = false;  // of a description that is not the testbed's
  bool delivered = false;   // the whole request was written to a link
};

// A request of the subject.
struct Incoming {
  uint64_t connection = 0;
  wire::v1::Request request;
  const Method* method = nullptr;  // null: unknown
  uint32_t generation = 0;
  std::map<uint32_t, Channel*> channels;
  bool cancelled = false;
  bool other_type = false;  // answered under a description of its type that does not match
  std::optional<wire::v1::Response> response;  // what the harness answered
};

// A connection of a session, as the harness has it: the root, or a virtual one with its state.
struct Connection {
  bool odd = false;  // parity of the request and channel ids that the harness mints on it
  bool opened_by_harness = false;
  bool accepted = false;
  bool closed_by_harness = false, closed_by_subject = false;
  bool lost = false;  // a resume left it out
  bool open() const { return accepted && !closed_by_harness && !closed_by_subject && !lost; }

  // ---- the books that legal traffic needs
  uint64_t next_request_id = 0, next_channel_id = 0;
  std::set<uint64_t> announced_types;  // on this attachment, by the harness
  std::set<std::string> announced_bindings;
  std::map<uint64_t, Call*> calls;         // by request
  std::map<uint64_t, Incoming*> incoming;  // by request
  std::map<uint64_t, std::unique_ptr<Channel>> channels;
};

class Session {
 public:
  Session(Peer* peer, bool harness_initiates, uint32_t harness_limit, uint32_t subject_limit);
  ~Session();

  // ---- identity
  std::string id;          // session_id, once known
  std::string resume_key;  // the newest, as handed out by the acceptor
  // What the subject may present just as well: it need not have read the newest. "" if it has.
  std::string older_key;
  // The subject has said something on an attachment: it certainly has the session.
  bool proven = false;
  // It can be resumed no more: refused, or given up by both sides.
  bool lost = false;
  // Bytes were sent on it that its books do not know of: what the subject has by now, they no
  // longer say.
  bool off_the_books = false;
  uint32_t generation = 0;
  Link* link = nullptr;  // of the current attachment; null while detached
  bool harness_initiates;
  uint32_t harness_limit, subject_limit;
  bool resumable = true;
  uint32_t dials = 3;
  // What a resume that the subject refuses, or never takes up, would break.
  std::string resume_rule = "session.handshake.resume";
  // What a ProtocolError that nothing calls for would break, if not the rule that it names.
  std::string refusal_rule;
  // Of the ids that the harness mints on the root, and of connections that it opens.
  bool odd_parity() const { return connections_.at(0).odd; }
  void SwapParities() { connections_.at(0).odd = !odd_parity(); }  // before the first of them
  // What every further request of the harness carries beside its own: metadata, settled_below.
  wire::v1::Request in_every_request;
  bool attached() const { return link != nullptr; }
  bool ended() const { return lost || goodbye_received_ || protocol_error_.has_value(); }
  bool goodbye_sent() const { return goodbye_sent_; }

  // ---- calls made by the harness
  // Announces what is needed and sends the request. operation_id 0: the next one.
  Call* StartCall(const std::string& method, const google::protobuf::Message& arguments,
                  uint64_t operation_id = 0);
  Call* StartCallRaw(const Method& method, std::string arguments, uint64_t operation_id,
                     std::string deliberate = "");
  // The same on a virtual connection.
  Call* StartCallOn(uint64_t connection, const std::string& method,
                    const google::protobuf::Message& arguments, uint64_t operation_id = 0,
                    std::string deliberate = "");
  // The same, but the request breaks `rule`, on purpose.
  Call* StartCallBreaking(const std::string& rule, const std::string& method,
                          const google::protobuf::Message& arguments);
  // Binds a type to a method the subject does not have, which is legal.
  void AnnounceUnknown(const std::string& method_name);
  // Announces nothing; any method name, any bytes. operation_id 0: the next one.
  Call* StartBareCall(const std::string& method_name, std::string arguments,
                      uint64_t operation_id = 0);
  // A new attempt of the same operation, on the attachment of now.
  Call* Reattempt(const Call& call, std::string deliberate = "");
  // co_await: its response, moved out.
  Task<wire::v1::Response> ResponseTo(Call& call,
                                      std::string rule = "rpc.response.one-per-request");
  void Cancel(Call& call);
  uint64_t NextOperationId() { return next_operation_id_++; }

  // ---- requests made by the subject
  // co_await: the next one, with its channels bound.
  Task<Incoming*> NextRequest(std::string awaited, std::string rule = "");
  size_t waiting_requests() const { return incoming_.size() - taken_requests_; }
  // Every request so far counts as taken; incoming() has them.
  void TakeRequests() { taken_requests_ = incoming_.size(); }
  // Again, what was answered to another attempt of the same operation.
  void RespondAgain(Incoming& incoming, const wire::v1::Response& response);
  void RespondOk(Incoming& incoming, const google::protobuf::Message& value);
  void RespondUserError(Incoming& incoming, const google::protobuf::Message& error);
  void RespondRuntimeError(Incoming& incoming, wire::v1::RuntimeErrorCode code);
  void AnnounceResponse(const Method& method, uint64_t connection = 0);
  void AnnounceArguments(const Method& method, uint64_t connection = 0);
  void AnnounceItems(const Method& method, const ChannelArgument& channel, uint64_t connection = 0);
  // A binding to descriptions of the scenario's own making; those said before are left out. Bare
  // calls of a method whose arguments are bound so are of another type.
  void AnnounceOther(const std::vector<wire::v1::TypeSchema>& types, wire::v1::Binding binding);

  // ---- virtual connections
  // What the subject may open at a time; what is over that is rejected.
  uint32_t accepts_connections = 0;
  // Without, the scenario answers what the subject opens, or closes first, by itself.
  bool answers_openings = true, echoes_closes = true;
  // Sends OpenConnection under a new id, which is returned. The ids that the harness is to mint on
  // it are odd or even.
  uint64_t OpenConnection(bool odd, uint32_t limit = 64);
  // co_await: the subject's answer; true if it has accepted.
  Task<bool> OpeningAnswered(uint64_t connection, std::string rule = "connection.open");
  void AcceptConnection(uint64_t connection, uint32_t limit = 64);
  void RejectConnection(uint64_t connection, std::string reason);
  // Sends CloseConnection: the first one, or the echo of the subject's.
  void CloseConnection(uint64_t connection);
  // co_await: the subject's CloseConnection.
  Task<> AwaitClosed(uint64_t connection, std::string rule = "connection.close.echo");
  // Null if neither side ever named it.
  const Connection* FindConnection(uint64_t connection) const;
  std::vector<uint64_t> open_connections() const;  // virtual ones, as a resume lists them
  // Those that the subject wants opened, not answered yet.
  const std::vector<uint64_t>& waiting_openings() const { return waiting_openings_; }

  // ---- session matters
  // Whether all of it was written.
  bool Send(wire::v1::Message message, std::string deliberate = "");
  // co_await: Ping, and its Pong: everything sent before has been admitted, refused or applied.
  Task<> Fence(std::string rule = "session.keepalive");
  // Sends a Ping and goes on; PongSeen tells.
  uint64_t SendPing();
  bool PongSeen(uint64_t nonce) const { return pongs_.contains(nonce); }
  uint32_t pings_received() const { return pings_received_; }
  // co_await: Goodbye both ways, and the link closed.
  Task<> SayGoodbye();
  // co_await: the subject tears the session down with this code (or the other), then closes.
  Task<> AwaitProtocolError(
      wire::v1::ProtocolErrorCode accepted, std::string rule,
      wire::v1::ProtocolErrorCode or_accepted = wire::v1::PROTOCOL_ERROR_CODE_UNSPECIFIED);
  void ExpectProtocolError() { protocol_error_expected_ = true; }
  const std::optional<wire::v1::ProtocolError>& protocol_error() const { return protocol_error_; }
  void set_auto_goodbye_expected() { goodbye_expected_ = true; }
  bool goodbye_expected() const { return goodbye_expected_; }
  bool goodbye_received() const { return goodbye_received_; }
  // Connections that the subject would not have opened, by id.
  const std::map<uint64_t, wire::v1::RejectConnection>& rejections() const { return rejections_; }
  // The link is gone for the harness: what belonged to it is over.
  void Detach();
  void Attach(Link* link, uint32_t generation);
  Channel* FindChannel(uint64_t id, uint64_t connection = 0);
  const std::vector<std::unique_ptr<Call>>& calls() const { return calls_; }
  const std::deque<std::unique_ptr<Incoming>>& incoming() const { return incoming_; }

  // ---- from the peer
  void OnMessage(const wire::v1::Message& message, uint64_t entry);

  Peer& peer() { return *peer_; }

 private:
  friend class Channel;

  static uint64_t NextId(uint64_t& counter, bool odd);
  void Announce(uint64_t connection, const std::string& key,
                const google::protobuf::Descriptor* type, wire::v1::Binding binding,
                const google::protobuf::Descriptor* second = nullptr);
  Channel* AddChannel(uint64_t connection, uint64_t id, const Method& method,
                      const ChannelArgument& argument, bool harness_sends);
  Call* Start(uint64_t connection, const Method& method, std::string arguments,
              uint64_t operation_id, std::string deliberate);
  void Respond(Incoming& incoming, wire::v1::Response response);
  bool SendOn(uint64_t connection, wire::v1::Message message, std::string deliberate = "");
  // A message on a virtual connection that is not for its calls or channels: true if it was.
  bool OnConnectionMatter(const wire::v1::Message& message);
  void OnOpening(uint64_t connection, const wire::v1::OpenConnection& open);
  void EndChannels(Connection& connection);

  Peer* peer_;
  uint64_t next_connection_id_ = 0, next_operation_id_ = 1, next_nonce_ = 1;
  std::map<uint64_t, Connection> connections_;  // by id; 0, the root, is always there
  std::vector<uint64_t> waiting_openings_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::deque<std::unique_ptr<Incoming>> incoming_;
  size_t taken_requests_ = 0;
  std::set<std::string> other_arguments_;  // methods whose arguments AnnounceOther has bound
  std::set<uint64_t> pongs_;
  uint32_t pings_received_ = 0;
  std::map<uint64_t, wire::v1::RejectConnection> rejections_;
  std::optional<wire::v1::ProtocolError> protocol_error_;
  bool protocol_error_expected_ = false;
  bool goodbye_sent_ = false, goodbye_received_ = false, goodbye_expected_ = false;
};

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_SESSION_H_
