#include "runtime/connection_table.h"

#include <algorithm>
#include <array>

namespace subject {
namespace {

using State = ConnectionState;
using Event = ConnectionEvent;

struct Row {
  State from;
  Event event;
  State to;
};

// r[connection.open], r[connection.close], r[connection.close.echo], r[session.resume.connections]
constexpr auto kRows = std::to_array<Row>({
    {State::kOpening, Event::kAccepted, State::kOpen},
    {State::kOpening, Event::kRejected, State::kClosed},
    {State::kOpening, Event::kLost, State::kClosed},
    {State::kOpen, Event::kCloseSent, State::kClosing},
    {State::kOpen, Event::kCloseCame, State::kClosed},
    {State::kOpen, Event::kLost, State::kClosed},
    {State::kClosing, Event::kCloseCame, State::kClosed},
    {State::kClosing, Event::kLost, State::kClosed},
});

}  // namespace

uint64_t ConnectionTable::Open() {
  const uint64_t id = ids_.next();
  ids_.Burn(1);
  states_[id] = {State::kOpening, true};
  return id;
}

bool ConnectionTable::Step(uint64_t id, Event event) {
  const auto known = states_.find(id);
  if (known == states_.end()) return false;
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) {
    return candidate.from == known->second.state && candidate.event == event;
  });
  if (row == kRows.end()) return false;
  known->second.state = row->to;
  return true;
}

std::optional<State> ConnectionTable::Find(uint64_t id) const {
  const auto known = states_.find(id);
  return known == states_.end() ? std::nullopt : std::optional(known->second.state);
}

Arrival ConnectionTable::OnTraffic(uint64_t id) const {
  if (Is(id, State::kOpen)) return Arrival::kApply;
  return Is(id, State::kClosing) ? Arrival::kDiscard : Arrival::kRefuse;
}

std::vector<uint64_t> ConnectionTable::Of(State state) const {
  std::vector<uint64_t> ids;
  for (const auto& [id, known] : states_) {
    if (known.state == state) ids.push_back(id);
  }
  return ids;
}

std::vector<uint64_t> ConnectionTable::Lost(const std::vector<uint64_t>& in_both) const {
  std::vector<uint64_t> lost;
  for (const auto& [id, known] : states_) {
    const bool survives =
        known.state != State::kOpening && std::ranges::find(in_both, id) != in_both.end();
    if (known.state != State::kClosed && !survives) lost.push_back(id);
  }
  return lost;
}

uint32_t ConnectionTable::accepted() const {
  return std::ranges::count_if(states_, [](const auto& entry) {
    return !entry.second.ours && entry.second.state != State::kClosed;
  });
}

void ConnectionTable::Unmint() { ids_.StartAgain(); }

}  // namespace subject
