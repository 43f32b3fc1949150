// What persist operations leave to the process that comes after this one: a table in a file. Every
// change is durable once its call returns; a file that cannot keep that promise ends the process.
// r[retry.policy.persist.write-ahead], r[retry.policy.persist.durable-seal]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

struct sqlite3;

namespace subject {

// The session that minted the id, and the id.  r[retry.op-id.scope]
using OperationKey = std::pair<std::string, uint64_t>;

struct StoredOperation {
  std::string method, digest;          // what it is bound to; see ArgumentDigest
  uint32_t executions = 0;             // that began, or may have
  std::optional<std::string> outcome;  // once sealed: a wire.v1.Response without request id
};

// r[retry.op-id.payload-binding]: tells one argument's bytes from any other's.
std::string ArgumentDigest(const std::string& arguments);

class OperationStore {
 public:
  // Of operations.db in `folder`, null for the working folder; made when it is first needed.
  explicit OperationStore(const char* folder);

  // Before a handler starts, for the first time or again.
  void Admit(const OperationKey& key, const StoredOperation& operation);
  // Of an admitted one.
  void Seal(const OperationKey& key, const std::string& outcome);
  std::optional<StoredOperation> Find(const OperationKey& key) const;
  void Forget(const OperationKey& key);  // of a mutant only

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  sqlite3* database() const;

  std::string path_;
  mutable std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace subject
