// The state machines of the protocol as tables, and one instance of such a table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/journal.h"

namespace subject {

struct Row {
  std::string_view from, event, to;
};

struct Table {
  control::Machine machine;
  std::string_view initial;
  std::span<const Row> rows;
};

extern const Table kDriver;           // r[strict.driver.single-phase]
extern const Table kChannelReceiver;  // r[rpc.channel.lifecycle]
extern const Table kChannelSender;    // r[rpc.channel.ends]
extern const Table kOperation;        // r[retry.duplicate]
extern const Table kCommand;          // r[control.lifecycle]

// The row for an event in a state; null if the table has none.
const Row* Find(const Table& table, std::string_view state, std::string_view event);

class Machine {
 public:
  Machine(const Table& table, uint64_t key) : table_(&table), key_(key), state_(table.initial) {}
  // One that has got as far as `state` in another process.
  Machine(const Table& table, uint64_t key, std::string_view state)
      : table_(&table), key_(key), state_(state) {}

  // Journals the step and takes it; an event without a row is journalled as invalid, changes
  // nothing, and returns false.  r[strict.channel.fsm]
  bool Step(const Recorder& record, std::string_view event);

  bool Allows(std::string_view event) const { return Find(*table_, state_, event) != nullptr; }
  std::string_view state() const { return state_; }
  bool Is(std::string_view state) const { return state_ == state; }

 private:
  const Table* table_;
  uint64_t key_;
  std::string_view state_;
};

}  // namespace subject
