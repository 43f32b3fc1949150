// What counts as a thread of our library, against the real kernel.
#include "harness/effects/control_delivery.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {
namespace {

// One connection to a port, and a thread of a library that sleeps until the end.
class DeliveryTest : public testing::Test {
 protected:
  void SetUp() override {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener_.get(), generic, size), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
    ASSERT_EQ(getsockname(listener_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
    paths_ = ControlPaths(port_);
    client_ = Dialled();
    library_ = std::thread([this] { over_.wait(false); });
  }
  void TearDown() override {
    over_ = true;
    over_.notify_all();
    library_.join();
  }

  // Whether, some time, an instant is found at which nothing is on its way.
  bool EverDelivered() {
    for (int i = 0; i < 2000; ++i) {
      OurEnds ends;
      ControlDelivery delivery;
      if (delivery.Begin(&paths_, 1, &ends) && delivery.End()) return true;
    }
    return false;
  }

  UniqueFd Dialled() const {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  }

  ControlPaths paths_;
  UniqueFd client_;

 private:
  uint16_t port_ = 0;
  UniqueFd listener_;
  std::atomic<bool> over_ = false;
  std::thread library_;
};

TEST_F(DeliveryTest, SleepingThreadsHoldNothing) { EXPECT_TRUE(EverDelivered()); }

TEST_F(DeliveryTest, MoreConnectionsThanThereShouldBeAreNotUnderstood) {
  OurEnds ends;
  EXPECT_FALSE(ControlDelivery().Begin(&paths_, 2, &ends));
}

TEST_F(DeliveryTest, ConnectionsAreLookedForOnceAndAgainWhenOneIsOver) {
  for (int i = 0; i < 3; ++i) ASSERT_NE(paths_.Established(1), nullptr);
  EXPECT_EQ(paths_.searches(), 1u);
  const TcpPath first = paths_.Established(1)->front();
  client_ = Dialled();  // in place of the first
  const std::vector<TcpPath>* found = paths_.Established(1);
  ASSERT_NE(found, nullptr);
  EXPECT_NE(found->front(), first);
  EXPECT_EQ(paths_.searches(), 2u);
  client_.Close();
  EXPECT_EQ(paths_.Established(1), nullptr);
  EXPECT_EQ(paths_.searches(), 3u);
}

// One that has just been made is called like the thread that made it, and may hold anything.
TEST_F(DeliveryTest, AThreadWithoutANameMayBeTheLibrarys) {
  std::atomic<bool> over = false;
  std::thread fresh([&over] {
    while (!over) {
    }
  });
  EXPECT_FALSE(EverDelivered());
  over = true;
  fresh.join();
}

// It may have lost its CPU there, with a lock that those of the library wait for.
TEST_F(DeliveryTest, NothingIsShownWhileAThreadOfOursIsInTheLibrary) {
  {
    const InLibrary in_library;
    EXPECT_FALSE(EverDelivered());
  }
  EXPECT_TRUE(EverDelivered());
  OurEnds ends;
  ControlDelivery delivery;
  while (!delivery.Begin(&paths_, 1, &ends)) {
  }
  { const InLibrary in_library; }
  EXPECT_FALSE(delivery.End());
}

TEST_F(DeliveryTest, OurOwnThreadsMayRun) {
  std::atomic<bool> own = false, over = false;
  std::thread worker([&own, &over] {
    MarkOwnThread();
    own = true;
    own.notify_all();
    while (!over) {
    }
  });
  own.wait(false);
  EXPECT_TRUE(EverDelivered());
  over = true;
  worker.join();
}

}  // namespace
}  // namespace counterpart::effects
