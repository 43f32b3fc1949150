// What the runtime did, in one total order.  r[control.journal.write-ahead]
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "counterpart/control/v1/control.pb.h"

namespace subject {

namespace control = counterpart::control::v1;

// `size` random bytes from the operating system.
std::string RandomBytes(size_t size);

// What tells this process start from every other.
std::string NewEpoch();

class Journal {
 public:
  // Numbers and stores the event, then tells whoever waits for it.
  void Append(const std::string& scope, control::JournalEvent event);

  // Calls `done` once enough events of the scope, past ones included, are as wanted.
  void Watch(const std::string& scope, const control::Await& wanted, std::function<void()> done);

  // The scope's events after `after_seq` that are still kept, and how many are not.
  control::JournalResponse Read(const std::string& scope, uint64_t after_seq) const;
  control::JournalResponse Read(const control::JournalRequest& request) const {
    return Read(request.scope(), request.after_seq());
  }

  // The scope was reset: its watchers go, its events stay readable for a while.
  void Retire(const std::string& scope);

  uint64_t seq() const { return seq_; }
  const std::string& epoch() const { return epoch_; }

 private:
  struct Scope {
    std::deque<control::JournalEvent> events;
    uint64_t gap = 0;  // r[control.journal.gap]
  };
  struct Watcher {
    std::string scope;
    uint32_t missing;
    control::Await wanted;
    std::function<void()> done;
  };

  uint64_t seq_ = 0;
  std::string epoch_ = NewEpoch();  // r[control.lifecycle.epoch]
  std::map<std::string, Scope> scopes_;
  std::deque<std::string> retired_;
  std::list<Watcher> watchers_;
};

// Writes events of one scope, session and generation.
struct Recorder {
  Journal* journal = nullptr;
  std::string scope;
  std::string session_id;
  uint64_t generation = 0;
  uint64_t connection_id = 0;  // of channels

  void Transition(control::Machine machine, uint64_t key, std::string_view from,
                  std::string_view event, std::string_view to, bool invalid) const;
  void Frame(bool sent, uint64_t connection_id, std::string_view kind, uint64_t id) const;
  void Handler(control::HandlerEvent event, uint64_t operation_id, uint64_t request_id,
               uint32_t execution) const;
  void Discard(std::string_view what, std::string_view rule, uint64_t key,
               uint32_t count = 1) const;
  void PlannedDelay(std::string_view what, uint64_t delay_ms) const;

 private:
  control::JournalEvent Event() const;
};

}  // namespace subject
