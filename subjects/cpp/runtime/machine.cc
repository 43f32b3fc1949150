#include "runtime/machine.h"

#include "runtime/mutation.h"

namespace subject {
namespace {

constexpr Row kDriverRows[] = {
    {"Connecting", "established", "Connected"}, {"Connecting", "failed", "Disconnected"},
    {"Connected", "link_lost", "Resuming"},     {"Connected", "ended", "Disconnected"},
    {"Resuming", "resumed", "Connected"},       {"Resuming", "ended", "Disconnected"},
};

constexpr Row kReceiverRows[] = {
    {"Reserved", "bind", "Open"},
    {"Reserved", "item", "Reserved"},
    {"Reserved", "close", "ReservedClosing"},
    {"Reserved", "reset", "Reset"},
    {"Reserved", "detach", "Defunct"},
    {"ReservedClosing", "bind", "Closing"},
    {"ReservedClosing", "reset", "Reset"},
    {"ReservedClosing", "detach", "Defunct"},
    {"Open", "item", "Open"},
    {"Open", "credit", "Open"},
    {"Open", "close", "Closing"},
    {"Open", "reset", "Reset"},
    {"Open", "detach", "Defunct"},
    {"Closing", "delivered_all", "Closed"},
    {"Closing", "reset", "Reset"},
    {"Closing", "detach", "Closing"},
    {"Reset", "late_item", "Reset"},
    {"Reset", "late_close", "Reset"},
    {"Defunct", "stale", "Defunct"},
};

constexpr Row kSenderRows[] = {
    {"Reserved", "bind", "Open"},       {"Reserved", "credit", "Reserved"},
    {"Reserved", "reset", "Reset"},     {"Reserved", "abort", "Closed"},
    {"Reserved", "detach", "Defunct"},  {"Open", "item", "Open"},
    {"Open", "credit", "Open"},         {"Open", "close", "Closed"},
    {"Open", "abort", "Closed"},        {"Open", "reset", "Reset"},
    {"Open", "detach", "Defunct"},      {"Closed", "late_credit", "Closed"},
    {"Closed", "late_reset", "Closed"}, {"Defunct", "stale", "Defunct"},
};

constexpr Row kOperationRows[] = {
    {"Absent", "admit", "Live"},        {"Live", "attach", "Live"},
    {"Live", "seal", "Sealed"},         {"Live", "release", "Released"},
    {"Live", "lose", "Indeterminate"},  {"Sealed", "replay", "Sealed"},
    {"Released", "rerun", "Live"},      {"Released", "refuse", "Released"},
    {"Indeterminate", "rerun", "Live"}, {"Indeterminate", "refuse", "Indeterminate"},
};

constexpr Row kCommandRows[] = {
    {"NotAccepted", "accept", "Accepted"}, {"NotAccepted", "tombstone", "Tombstoned"},
    {"Tombstoned", "accept", "Accepted"},  {"Accepted", "start", "Started"},
    {"Started", "complete", "Completed"},  {"Started", "fail", "Failed"},
};

}  // namespace

const Table kDriver{control::MACHINE_DRIVER, "Connecting", kDriverRows};
const Table kChannelReceiver{control::MACHINE_CHANNEL_RECEIVER, "Reserved", kReceiverRows};
const Table kChannelSender{control::MACHINE_CHANNEL_SENDER, "Reserved", kSenderRows};
const Table kOperation{control::MACHINE_OPERATION, "Absent", kOperationRows};
const Table kCommand{control::MACHINE_COMMAND, "NotAccepted", kCommandRows};

const Row* Find(const Table& table, std::string_view state, std::string_view event) {
  for (const Row& row : table.rows) {
    if (row.from == state && row.event == event) return &row;
  }
  return nullptr;
}

bool Machine::Step(const Recorder& record, std::string_view event) {
  const Row* row = Find(*table_, state_, event);
  if (row == nullptr && Mutated("swallows_what_has_no_row")) return false;
  const std::string_view to = row != nullptr ? row->to : state_;
  record.Transition(table_->machine, key_, state_, event, to, row == nullptr);
  state_ = to;
  return row != nullptr;
}

}  // namespace subject
