#include "runtime/operation_store.h"

#include <openssl/sha.h>
#include <sqlite3.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace subject {
namespace {

constexpr int kNotKept = 3;  // exit status: a promise that can no more be kept

void Require(bool holds, sqlite3* database) {
  if (holds) return;
  std::cerr << "subject_cpp: operations.db: " << sqlite3_errmsg(database) << std::endl;
  std::_Exit(kNotKept);
}

// One statement, run once; what is bound to it is copied.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql) : database_(database) {
    Require(sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_,
                               nullptr) == SQLITE_OK,
            database);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Bind(const std::string& bytes) {
    Require(sqlite3_bind_blob64(statement_, ++bound_, bytes.data(), bytes.size(),
                                SQLITE_TRANSIENT) == SQLITE_OK,
            database_);
    return *this;
  }
  Statement& Bind(uint64_t number) {  // all 64 bits of it
    Require(sqlite3_bind_int64(statement_, ++bound_, static_cast<int64_t>(number)) == SQLITE_OK,
            database_);
    return *this;
  }
  Statement& Bind(const OperationKey& key) { return Bind(key.first).Bind(key.second); }

  // True if there is a row.
  bool Step() {
    const int code = sqlite3_step(statement_);
    Require(code == SQLITE_ROW || code == SQLITE_DONE, database_);
    return code == SQLITE_ROW;
  }
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string Bytes(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return {bytes == nullptr ? "" : bytes,
            static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }
  uint64_t Number(int column) const {
    return static_cast<uint64_t>(sqlite3_column_int64(statement_, column));
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace

std::string ArgumentDigest(const std::string& arguments) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const uint8_t*>(arguments.data()), arguments.size(),
         reinterpret_cast<uint8_t*>(hash.data()));
  return hash;
}

void OperationStore::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

OperationStore::OperationStore(const char* folder)
    : path_(std::string(folder == nullptr ? "." : folder) + "/operations.db") {}

sqlite3* OperationStore::database() const {
  if (database_ != nullptr) return database_.get();
  sqlite3* opened = nullptr;
  const int code = sqlite3_open(path_.c_str(), &opened);
  database_.reset(opened);
  Require(code == SQLITE_OK, opened);
  // A commit returns when it is on the disk: one write and one flush of the log.
  Statement(opened, "PRAGMA journal_mode = WAL").Step();
  Statement(opened, "PRAGMA synchronous = FULL").Step();
  Statement(opened,
            "CREATE TABLE IF NOT EXISTS operation (session BLOB, id INTEGER, method BLOB, digest "
            "BLOB, executions INTEGER, outcome BLOB, PRIMARY KEY (session, id)) WITHOUT ROWID")
      .Step();
  return opened;
}

void OperationStore::Admit(const OperationKey& key, const StoredOperation& operation) {
  Statement(database(), "INSERT OR REPLACE INTO operation VALUES (?, ?, ?, ?, ?, NULL)")
      .Bind(key)
      .Bind(operation.method)
      .Bind(operation.digest)
      .Bind(uint64_t{operation.executions})
      .Step();
}

void OperationStore::Seal(const OperationKey& key, const std::string& outcome) {
  Statement(database(), "UPDATE operation SET outcome = ? WHERE session = ? AND id = ?")
      .Bind(outcome)
      .Bind(key)
      .Step();
}

std::optional<StoredOperation> OperationStore::Find(const OperationKey& key) const {
  Statement found(database(),
                  "SELECT method, digest, executions, outcome FROM operation WHERE session = ? AND "
                  "id = ?");
  if (!found.Bind(key).Step()) return std::nullopt;
  StoredOperation operation;
  operation.method = found.Bytes(0);
  operation.digest = found.Bytes(1);
  operation.executions = static_cast<uint32_t>(found.Number(2));
  if (!found.IsNull(3)) operation.outcome = found.Bytes(3);
  return operation;
}

void OperationStore::Forget(const OperationKey& key) {
  Statement(database(), "DELETE FROM operation WHERE session = ? AND id = ?").Bind(key).Step();
}

}  // namespace subject
