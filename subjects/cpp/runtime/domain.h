// Everything one scope owns: listeners, links, sessions.  r[control.scope]
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "runtime/session.h"
#include "runtime/stable_conduit.h"

namespace subject {

// How to reach and keep a counterpart.  r[session.initial-connect-waiting]
struct Dialling {
  std::string host;
  uint16_t port = 0;
  uint32_t max_attempts = 1;  // dials per establishment
  uint32_t backoff_initial_ms = 0, backoff_max_ms = 0;
  uint64_t own_parity = 0;
  bool resume = false, fresh = false;
  bool stable = false;  // over a stable conduit
};

class Domain {
 public:
  // The session, or why there is none.
  using Connected = std::function<void(std::variant<std::shared_ptr<Session>, Ending>)>;

  Domain(Runtime& runtime, std::string scope, Handler handler)
      : runtime_(runtime), scope_(std::move(scope)), handler_(std::move(handler)) {}
  ~Domain() { Drop(); }

  // A loopback port that accepts sessions; 0 if there is none to be had.
  uint16_t Listen(const std::string& host, uint16_t port, Settings settings, bool resumable);
  void StopListening();
  void Connect(Settings settings, Dialling dialling, Connected connected);

  std::shared_ptr<Session> FindSession(const std::string& session_id) const;
  // What is still open.  r[control.reset]
  control::ResetResponse Counts() const;
  void Drop();

  Runtime& runtime() { return runtime_; }
  const std::string& scope() const { return scope_; }

 private:
  class Listener;
  class Accepting;
  class Greeting;
  struct Establishment;

  std::shared_ptr<Session> NewSession(Settings settings);
  std::shared_ptr<Link> NewLink(asio::ip::tcp::socket socket);
  std::shared_ptr<Session> FindKey(const std::string& key, bool* successor) const;
  std::shared_ptr<StableConduit> NewConduit(uint32_t first_sent, uint32_t first_received,
                                            uint32_t peer_max_payload);
  std::shared_ptr<StableConduit> FindConduit(const std::string& key) const;
  void Dial(const std::shared_ptr<Establishment>& establishment);
  void DialAgain(const std::shared_ptr<Establishment>& establishment);
  void Redial(const std::shared_ptr<Session>& session, const Settings& settings,
              const Dialling& dialling);
  void Refused(const std::shared_ptr<Establishment>& establishment, Ending ending);
  void Replace(const std::shared_ptr<Establishment>& establishment, Ending ending);

  Runtime& runtime_;
  std::string scope_;
  Handler handler_;
  std::list<std::shared_ptr<Listener>> listeners_;
  std::list<std::weak_ptr<Link>> links_;
  std::list<std::weak_ptr<StableConduit>> conduits_;
  std::list<std::shared_ptr<Session>> sessions_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace subject
