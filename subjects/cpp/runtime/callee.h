// Operations the counterpart minted, and the handlers that run for them. The record alone decides
// what an attempt gets.  r[retry.duplicate]
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "runtime/lane.h"
#include "runtime/operation_store.h"

namespace subject {

// One run of a handler. Dropping it stops it for good: whatever still points here is weak.
struct Execution {
  uint32_t number = 0;  // of the operation, from 1
  uint64_t request_id = 0;
  Ends ends;
  std::unique_ptr<Run> run;  // null until it starts
};

class Callee;

// One that waits for the outcome, on a lane of now.
struct AttachedAttempt {
  Callee* callee;
  uint64_t connection, request_id;
  auto operator<=>(const AttachedAttempt&) const = default;
};

struct Operation {
  uint64_t id;
  uint64_t connection;  // that it was minted on: the only one it may be attempted on
  const Method* method;
  std::string arguments;
  Machine machine;
  Callee* owner;                                   // who runs it
  std::string origin;                              // the session that minted the id
  std::vector<wire::MetadataEntry> metadata = {};  // of the attempt that runs
  wire::Response outcome = {};                     // once sealed; without request id
  std::set<AttachedAttempt> attempts = {};
  uint32_t executions = 0;
  std::shared_ptr<Execution> execution = nullptr;
  // Mutants only.
  bool stored = false;            // a message came after the outcome was sealed
  uint32_t credit = 0, sent = 0;  // of the sending end, when its attachment ended; the first time
};

class Callee {
 public:
  explicit Callee(Session* session) : session_(session) {}

  MaybeViolation OnRequest(Lane& lane, const wire::Request& request);
  MaybeViolation OnCancel(Lane& lane, uint64_t request_id);
  void OnSchema(Lane& lane);  // something was announced
  void Store();               // of a mutant, which does not at once
  void Detached(Lane& lane);
  void Closed(uint64_t connection);  // and what runs for it stops  r[connection.close]
  // What is persist goes on without the session.  r[retry.policy.persist.never-released]
  void Ended();
  void Dropped();  // and so does nothing
  uint32_t running() const;

 private:
  void Decide(Lane& lane, const wire::Request& request, const Method* method);
  std::shared_ptr<Operation> Known(const wire::Request& request, const Method* method);
  std::shared_ptr<Operation> Load(const wire::Request& request, const Method* method);
  std::string OriginOf(const wire::Request& request) const;  // "": this session
  void Keep(const std::shared_ptr<Operation>& operation);
  void Attach(Lane& lane, const std::shared_ptr<Operation>& operation, uint64_t request_id);
  Recorder RecordOf(const Operation& operation) const;
  void StoreAdmission(const Operation& operation, uint32_t execution);
  void StoreOutcome(const Operation& operation);
  void LetGo(Operation& operation);  // attempts of this session
  OperationStore& store() const;
  void Refuse(Lane& lane, uint64_t request_id, const Ends& ends, wire::RuntimeErrorCode code,
              const std::string& text);
  void Respond(Lane& lane, uint64_t request_id, wire::Response response, const Method* method);
  void Admit(const std::shared_ptr<Operation>& operation, uint64_t request_id, Ends ends);
  void Note(const Operation& operation, const Execution& execution);
  void Begin(const std::shared_ptr<Operation>& operation);
  void Finished(const std::shared_ptr<Operation>& operation, HandlerResult result);
  void Drop(Operation& operation, std::string_view event);

  Session* session_;
  // By the session that minted the id, "" if it is this one, and the id.
  std::map<OperationKey, std::shared_ptr<Operation>> operations_;
  uint64_t expired_below_ = 0;
};

}  // namespace subject
