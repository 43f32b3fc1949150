#include "harness/effects/loopback_space.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/effects/loopback.h"

namespace counterpart::effects {
namespace {

TEST(LoopbackSpaceTest, ListensBesideThePortsThatAnybodyGets) {
  const auto expect = [](PortRange ephemeral, uint16_t first, uint16_t last) {
    const PortRange beside = PortsBeside(ephemeral);
    EXPECT_EQ(beside.first, first);
    EXPECT_EQ(beside.last, last);
  };
  expect({32'768, 60'999}, 10'000, 32'767);
  expect({1'024, 60'999}, 61'000, 65'535);
  expect({1'024, 65'535}, 10'000, 65'535);
}

TEST(LoopbackSpaceTest, GivesEachAddressOnceInTurn) {
  LoopbackSpace space(0x7f400000, 300, 299, {10'000, 10'009});
  EXPECT_EQ(HostOf(space.NextAddress()), "127.64.1.43");
  EXPECT_EQ(HostOf(space.NextAddress()), "127.64.0.0");
  std::set<uint32_t> others;
  for (int i = 0; i < 298; ++i) others.insert(space.NextAddress());
  EXPECT_EQ(others.size(), 298u);
  EXPECT_EQ(HostOf(space.NextAddress()), "127.64.1.43");
}

// Ports of the machine's own, on an address of this test.
class TakenPortTest : public testing::Test {
 protected:
  const uint32_t address_ = LoopbackSpace::Here().NextAddress();
  const uint16_t taken_ = LoopbackSpace::Here().FreePort(address_);
  const PortRange pair_ = {taken_, static_cast<uint16_t>(taken_ + 1)};
};

TEST_F(TakenPortTest, PassesOver) {
  LoopbackSpace space(address_, 1, 0, pair_);
  ASSERT_EQ(space.FreePort(address_), taken_);
  Result<Listener> listener = Listener::Open(address_, taken_);
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  EXPECT_EQ(space.FreePort(address_), taken_ + 1);
  EXPECT_EQ(space.FreePort(address_), taken_ + 1);
  Result<Listener> other = Listener::Open(address_, static_cast<uint16_t>(taken_ + 1));
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_EQ(space.FreePort(address_), 0);
  EXPECT_FALSE(Listener::Open(address_, space.FreePort(address_)).ok());
}

}  // namespace
}  // namespace counterpart::effects
