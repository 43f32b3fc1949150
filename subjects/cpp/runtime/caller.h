// Calls made here on one connection: attempts, limit, what the application is told.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/lane.h"

namespace subject {

struct CallResult {
  control::CallStatus status = control::CALL_STATUS_UNSPECIFIED;
  std::string value, text;
  std::vector<wire::MetadataEntry> metadata;
};

// One call. Its bytes are those of every attempt.  r[retry.op-id.payload-binding]
struct Call {
  std::string method_name, arguments;
  std::vector<wire::MetadataEntry> metadata;
  std::function<void(const Call&)> done;

  const Method* method = nullptr;
  uint64_t operation_id = 0;
  std::string origin;  // the session that minted it, if that is lost  r[retry.session-lost.policy]
  uint32_t attempts = 0;    // committed to a link
  uint64_t request_id = 0;  // of the attempt in flight, else 0
  bool resolved = false;
  CallResult result;
  std::vector<Ends> sets;                      // channel sets, by attempt
  std::vector<std::function<void()>> waiting;  // for the next set, or the result
  std::function<void()> cancel;                // set by the session that has it

  void Resolve(CallResult outcome);
  void Wake();
};

class Caller {
 public:
  Caller(Session* session, Connection* connection) : session_(session), connection_(connection) {}

  void Start(const std::shared_ptr<Call>& call);
  void Bound();  // a generation began  r[retry.resume.reattempt]
  // With `over`, the session ends too: Ended decides about every call.
  void Detached(Lane& lane, bool over = false);
  // The connection is closed, and so was its lane.  r[rpc.error.ambiguous]
  void Closed(const std::string& text);
  // The session is over. With `keep`, idem and persist calls are returned instead of ended.
  // r[retry.session-lost.policy], r[rpc.error.ambiguous]
  std::vector<std::shared_ptr<Call>> Ended(bool protocol_error, const std::string& text, bool keep);
  MaybeViolation OnResponse(Lane& lane, const wire::Response& response);
  uint32_t unresolved() const;
  bool waits() const { return !queue_.empty(); }  // for the limit, or for a link

 private:
  void Cancel(const std::shared_ptr<Call>& call);
  void Pump();
  void Attempt(const std::shared_ptr<Call>& call);

  Session* session_;
  Connection* connection_;
  size_t lost_ = 0;                          // attempts that a mutant goes on counting
  std::deque<std::shared_ptr<Call>> queue_;  // to be attempted, in order
};

}  // namespace subject
