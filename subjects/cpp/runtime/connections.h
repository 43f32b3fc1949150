// The connections of a session: the root, and those that either side opens and closes.
// r[connection.open], r[connection.close], r[session.resume.connections]
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/connection.h"
#include "runtime/connection_table.h"

namespace subject {

// Why a connection was not opened.
struct NotOpened {
  control::FailureReason reason;
  std::string text;
};

class Connections {
 public:
  // The id of what was opened, or why nothing was.
  using Opened = std::function<void(std::variant<uint64_t, NotOpened>)>;

  explicit Connections(Session* session) : session_(session), root_(session, 0) {}

  Connection& root() { return root_; }
  // Also one that is closed; null if there never was one, or it is not open yet.
  Connection* Find(uint64_t id);
  bool open(uint64_t id) const { return id == 0 || table_.Is(id, ConnectionState::kOpen); }
  bool AnotherWaits(Connection& connection);

  // Commands. The ids minted on it are of `own_parity`.
  void Open(uint64_t own_parity, uint32_t own_limit, Opened opened);
  // `closed` once the counterpart has closed it too, or can no more.
  void Close(uint64_t id, std::function<void()> closed);

  // A message on any connection but the root.
  MaybeViolation Apply(const wire::Message& message);

  // What a resume lists, and what it leaves: the ids in both lists.
  std::vector<uint64_t> Listed() const;
  void BeginSession(uint64_t own_parity) { table_.set_own_parity(own_parity); }
  void Bound(const std::vector<uint64_t>& in_both);
  void Ended();  // with the session

  void ForEach(const std::function<void(Connection&)>& act);

 private:
  struct Opening {
    uint64_t own_parity;
    uint32_t own_limit;
    Opened opened;
  };

  MaybeViolation OnOpen(uint64_t id, const wire::OpenConnection& open);
  MaybeViolation OnAnswer(const wire::Message& message);
  MaybeViolation OnClose(uint64_t id);
  Connection& Add(uint64_t id, uint64_t own_parity, uint32_t own_limit, uint32_t peer_limit);
  void EndHere(uint64_t id, const std::string& why);
  void SendClose(uint64_t id);
  void ClosedByBoth(uint64_t id);

  Session* session_;
  Connection root_;
  ConnectionTable table_;
  std::map<uint64_t, std::unique_ptr<Connection>> virtual_;
  std::map<uint64_t, Opening> openings_;
  std::map<uint64_t, std::function<void()>> closings_;
};

}  // namespace subject
