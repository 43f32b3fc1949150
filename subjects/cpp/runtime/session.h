// A session: what survives its links. It walks the driver table and binds one attachment at a
// time.  r[session.outlives-conduit], r[strict.driver.single-phase]
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/attachment.h"
#include "runtime/callee.h"
#include "runtime/connections.h"
#include "runtime/operation_store.h"

namespace subject {

// Appends one line per handler execution to a file.  r[control.journal.executions]
class Executions {
 public:
  explicit Executions(const char* path);
  ~Executions();
  Executions(const Executions&) = delete;
  void Append(const std::string& session_id, uint64_t operation_id, uint32_t execution,
              uint64_t generation);

 private:
  int file_ = -1;
};

// What all scopes of a process share.
struct Runtime {
  Loop loop{};
  Journal journal{};
  Methods methods;
  Executions executions;
  OperationStore store;
  // Those persist operations that a session of this process has the record of.
  std::map<OperationKey, std::weak_ptr<Operation>> persist{};
};

// What this side announces; bytes, resolved.
struct Settings {
  uint32_t max_concurrent_requests = 0;
  uint32_t max_payload = kDefaultMaxPayload;
  uint32_t max_virtual_connections = 0;  // to accept at a time; not announced
  uint32_t first_seq = 0;                // of a stable conduit

  // What a command asks for; nothing if the announced maximum is out of range.
  template <typename Command>
  static std::optional<Settings> Announcing(const Command& command) {
    const auto maximum = AcceptedMaximum(command.max_payload());
    if (!maximum) return std::nullopt;
    return Settings{command.max_concurrent_requests(), *maximum, command.max_virtual_connections(),
                    command.first_seq()};
  }
};

// What the counterpart announced. Parity is that of the ids it mints (1 odd, 0 even).
struct Peer {
  uint64_t parity = 0;
  uint32_t max_concurrent_requests = 0;
  uint32_t max_payload = kDefaultMaxPayload;
  // On a resume: what both sides hold open.  r[session.resume.connections]
  std::vector<uint64_t> open_connections = {};
};

// Why a session, or the attempt to open one, is over. `rule` names what broke it, if anything.
struct Ending {
  control::FailureReason reason = control::FAILURE_REASON_SESSION_ENDED;
  std::string text, rule;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Runtime& runtime, Recorder record, Settings settings, Handler serve)
      : runtime_(runtime),
        record_(std::move(record)),
        settings_(settings),
        handler_(std::move(serve)),
        driver_(kDriver, 0),
        connections_(this),
        callee_(this) {}

  Runtime& runtime() { return runtime_; }
  const Recorder& record() const { return record_; }
  const Settings& settings() const { return settings_; }
  const Handler& handler() const { return handler_; }
  const Peer& peer() const { return peer_; }
  Attachment* attachment() { return attachment_.get(); }
  Connections& connections() { return connections_; }
  Callee& callee() { return callee_; }
  bool over() const { return driver_.Is("Disconnected"); }
  uint64_t generation() const { return record_.generation; }
  uint64_t own_parity() const { return 1 - peer_.parity; }
  uint32_t unresolved_calls();
  const Ending& ending() const { return ending_; }
  uint32_t open_ends() const;
  void set_session_id(const std::string& id) { record_.session_id = id; }

  uint64_t NextOperationId() { return next_operation_++; }  // r[retry.op-id.scope]

  // A link in handshake goes with the session, unless it is left.
  void EnterHandshake(const std::shared_ptr<Conduit>& link) { handshakes_.push_back(link); }
  void LeaveHandshake(const std::shared_ptr<Conduit>& link);
  void set_peer(const Peer& peer) { peer_ = peer; }
  // Of a mutant, which does not at once.
  void StoreKey() {
    if (!unstored_key.empty()) resume_key = std::exchange(unstored_key, "");
  }

  // A connection is closed while its session goes on.
  void EndLane(Lane& lane);

  // LetsGo is about to be sent, by `greet`, or was read.  r[session.resume.bind]
  void Bind(std::shared_ptr<Conduit> link, Peer peer, const std::function<void()>& greet);

  // Link and counterpart
  void LinkLost(Attachment* attachment);
  void Violated(const Violation& violation);
  void ToldOfViolation(const wire::ProtocolError& error);
  void ToldGoodbye();
  MaybeViolation OnPong(uint64_t nonce);

  // Commands. `done` says whether a Pong came, or the session ended.
  void Ping(std::function<void(bool)> done);
  void Goodbye();
  void End(Ending ending);
  // The same, but keeps what a fresh session can issue again.  r[retry.session-lost.policy]
  std::vector<std::shared_ptr<Call>> EndKeepingIdem(Ending ending);

  // The initiator's: the current key, and how it gets a new link; without, link loss is the end.
  std::string resume_key;
  std::function<void()> when_lost;
  // Instead, where there is no key: who takes over what a fresh session can issue again.
  std::function<void()> when_unresumable;
  // The acceptor's keys.  r[session.resume.key-rotation]
  std::string current_key, successor_key;
  // Kept by mutants only.
  std::string retired_key, unstored_key, fragment;
  uint32_t ends_in_handshake = 0, ends_detached = 0;

 private:
  void Detach();
  void TouchEnds();
  void DetachLane(Lane& lane, bool over);
  void KeepUndelivered(const Lane& lane);
  void SendPing(std::function<void(bool)> done);
  std::shared_ptr<Attachment> Finish(Ending ending, bool keep);

  Runtime& runtime_;
  Recorder record_;
  Settings settings_;
  Handler handler_;
  Peer peer_;
  Machine driver_;
  Connections connections_;
  Callee callee_;
  std::shared_ptr<Attachment> attachment_;
  std::shared_ptr<Attachment> older_;  // kept by a mutant only
  std::vector<std::weak_ptr<Conduit>> handshakes_;
  Ending ending_;
  uint64_t next_operation_ = 1;
  uint64_t nonce_ = 0;
  std::map<uint64_t, std::function<void(bool)>> pings_;
  std::set<uint64_t> unanswered_;  // on the current attachment
  std::vector<std::shared_ptr<Call>> kept_;
  std::vector<subject::End> old_ends_;  // of lost links, still deliverable
};

}  // namespace subject
