// Which virtual connections there are, what may be said on them, and what a resume leaves.
#include "runtime/connection_table.h"

#include <gtest/gtest.h>

namespace subject {
namespace {

using Event = ConnectionEvent;
using State = ConnectionState;
using Ids = std::vector<uint64_t>;

ConnectionTable WithTheirs(std::initializer_list<uint64_t> ids) {
  ConnectionTable table;
  for (const uint64_t id : ids) {
    EXPECT_TRUE(table.Announced(id));
    table.Accept(id);
  }
  return table;
}

// r[connection.parity], r[rpc.id.monotone]
TEST(IdSpace, MintsItsParityUpwards) {
  for (const uint64_t parity : {0, 1}) {
    IdSpace ids;
    ids.set_own_parity(parity);
    EXPECT_EQ(ids.next(), 2 - parity);
    ids.Burn(0);
    EXPECT_EQ(ids.next(), 2 - parity);
    ids.Burn(1);
    EXPECT_EQ(ids.next(), 4 - parity);
    ids.Burn(3);
    EXPECT_EQ(ids.next(), 10 - parity);
  }
}

TEST(IdSpace, TakesTheOtherParityUpwards) {
  IdSpace ids;
  ids.set_own_parity(0);
  for (const uint64_t wrong : {0, 2}) EXPECT_FALSE(ids.See(wrong));
  EXPECT_TRUE(ids.See(1));
  EXPECT_FALSE(ids.See(1));
  EXPECT_TRUE(ids.See(7));
  EXPECT_FALSE(ids.See(5));
  EXPECT_EQ(ids.newest_seen(), 7);
}

// r[connection.open]: whatever came of it, an id is used once.
TEST(ConnectionTable, UsesNoIdTwice) {
  ConnectionTable table;
  table.set_own_parity(1);
  Ids opened;
  for (const Event event : {Event::kAccepted, Event::kRejected, Event::kLost}) {
    opened.push_back(table.Open());
    EXPECT_TRUE(table.Step(opened.back(), event));
  }
  EXPECT_EQ(opened, (Ids{1, 3, 5}));
  EXPECT_TRUE(table.Announced(2));
  EXPECT_FALSE(table.Announced(2));
  EXPECT_FALSE(table.Announced(7));
}

// r[connection.close.echo]
TEST(ConnectionTable, DiscardsBetweenTheClosesAndRefusesAfterBoth) {
  ConnectionTable table = WithTheirs({1});
  EXPECT_EQ(table.OnTraffic(1), Arrival::kApply);
  EXPECT_TRUE(table.Step(1, Event::kCloseSent));
  EXPECT_EQ(table.OnTraffic(1), Arrival::kDiscard);
  EXPECT_FALSE(table.Step(1, Event::kCloseSent));
  EXPECT_TRUE(table.Step(1, Event::kCloseCame));
  EXPECT_EQ(table.OnTraffic(1), Arrival::kRefuse);
  EXPECT_FALSE(table.Step(1, Event::kCloseCame));
}

TEST(ConnectionTable, RefusesWhatIsNotOpen) {
  ConnectionTable table;
  const uint64_t opening = table.Open();
  EXPECT_EQ(table.OnTraffic(opening), Arrival::kRefuse);
  EXPECT_EQ(table.OnTraffic(99), Arrival::kRefuse);
  EXPECT_FALSE(table.Step(opening, Event::kCloseCame));
  EXPECT_FALSE(table.Step(99, Event::kAccepted));
}

// r[connection.open.rejection]: what both have closed makes room, what one has does not.
TEST(ConnectionTable, CountsWhatTheCounterpartOpened) {
  ConnectionTable table = WithTheirs({1, 3});
  EXPECT_TRUE(table.Step(table.Open(), Event::kAccepted));
  EXPECT_EQ(table.accepted(), 2);
  table.Step(1, Event::kCloseSent);
  EXPECT_EQ(table.accepted(), 2);
  table.Step(1, Event::kCloseCame);
  EXPECT_EQ(table.accepted(), 1);
}

// r[session.resume.connections]
TEST(ConnectionTable, ResumesWhatBothList) {
  ConnectionTable table = WithTheirs({1, 3, 5, 7});
  const uint64_t pending = table.Open();
  table.Step(5, Event::kCloseSent);  // unheard: the counterpart still lists it
  table.Step(7, Event::kCloseSent);
  EXPECT_EQ(table.Listed(), (Ids{1, 3}));
  EXPECT_EQ(table.Lost({1, 5, pending}), (Ids{pending, 3, 7}));
}

}  // namespace
}  // namespace subject
