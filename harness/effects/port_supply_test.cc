#include "harness/effects/port_supply.h"

#include <gtest/gtest.h>

#include <vector>

#include "harness/effects/loopback.h"

namespace counterpart::effects {
namespace {

// A range of so many ports that nobody has, below those that the machine gives out by itself, so
// that nobody will get one of them meanwhile.
PortRange FreeRange(uint32_t size) {
  for (uint32_t first = 20'000; first + size < EphemeralPorts().first; first += size) {
    const PortRange range{static_cast<uint16_t>(first), static_cast<uint16_t>(first + size - 1)};
    if (TakenOf(range, size) == 0) return range;
  }
  return {};
}

// Somebody else's listener on that port.
Listener Take(uint16_t port) {
  Result<Listener> listener = Listener::Open(port);
  EXPECT_TRUE(listener.ok()) << listener.error().message;
  return std::move(*listener);
}

TEST(PortSupplyTest, CountsWhatIsTaken) {
  const PortRange range = FreeRange(8);
  ASSERT_EQ(range.size(), 8u);
  std::vector<Listener> taken;
  for (uint16_t i = 0; i < 8; ++i) {
    taken.push_back(Take(static_cast<uint16_t>(range.first + i)));
    EXPECT_EQ(TakenOf(range, 8), i + 1u);
  }
}

TEST(PortSupplyTest, IsScarceWhenFewerThanOneInEightAreLeft) {
  const PortRange range = FreeRange(16);
  ASSERT_EQ(range.size(), 16u);
  std::vector<Listener> taken;
  for (uint16_t i = 0; i < 14; ++i) taken.push_back(Take(static_cast<uint16_t>(range.first + i)));
  EXPECT_FALSE(PortSupply(range).Scarce());
  taken.push_back(Take(static_cast<uint16_t>(range.first + 14)));
  EXPECT_TRUE(PortSupply(range).Scarce());
}

TEST(PortSupplyTest, IsNotScarceWhereItIsNotKnown) { EXPECT_FALSE(PortSupply({}).Scarce()); }

// What all of this is for: it is not over with a connection when it is over.
TEST(PortSupplyTest, APortIsNotFreeWhileAConnectionOfItIsKnown) {
  Listener listener = Take(0);
  const uint16_t port = listener.port();
  Result<Dialling> dialled = Dial(port);
  ASSERT_TRUE(dialled.ok());
  std::optional<UniqueFd> accepted;
  while (!accepted) accepted = listener.Accept();
  accepted->Close();  // first, so that this side keeps the port
  dialled->fd.Close();
  listener = Listener();
  EXPECT_FALSE(IsFree(port));
}

}  // namespace
}  // namespace counterpart::effects
