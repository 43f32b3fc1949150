#include "harness/peer/leftovers.h"

#include <sstream>

namespace counterpart::peer {

std::string HexOf(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[c & 15]);
  }
  return hex;
}

std::vector<ObservedEnd::Execution> ParseExecutions(const std::string& lines) {
  std::vector<ObservedEnd::Execution> executions;
  std::istringstream in(lines);
  ObservedEnd::Execution execution;
  while (in >> execution.session_id >> execution.operation_id >> execution.attempt >>
         execution.generation) {
    executions.push_back(execution);
  }
  return executions;
}

void TakeJournal(const control::v1::JournalResponse& reply, ObservedEnd* end) {
  end->journal.assign(reply.events().begin(), reply.events().end());
  end->journal_gap = reply.gap();
  end->journal_read = true;
}

std::string DescribeLeaks(const control::v1::ResetResponse& held) {
  std::string leaked;
  const auto add = [&leaked](uint32_t count, const char* what) {
    if (count > 0) leaked += " " + std::to_string(count) + " " + what;
  };
  add(held.links(), "links");
  add(held.sessions(), "sessions");
  add(held.calls(), "calls");
  add(held.handlers(), "handlers");
  add(held.channels(), "channels");
  return leaked;
}

}  // namespace counterpart::peer
