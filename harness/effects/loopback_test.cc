#include "harness/effects/loopback.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "harness/effects/loopback_space.h"

namespace counterpart::effects {
namespace {

// Whether somebody else can have this port.
bool MayBind(uint32_t address, uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in at = EndpointOf(address, port);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
}

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    Result<Listener> opened = Listener::Open(address_, LoopbackSpace::Here().FreePort(address_));
    listener_ = std::move(*opened);
  }
  bool Connects() const {
    Result<Dialling> dialled = Dial(address_, listener_.port());
    if (!dialled.ok()) return false;
    pollfd decided{dialled->fd.get(), POLLOUT, 0};
    while (poll(&decided, 1, -1) < 0 && errno == EINTR) {
    }
    return DialError(dialled->fd.get()) == 0;
  }

  const uint32_t address_ = LoopbackSpace::Here().NextAddress();
  Listener listener_;
};

// The child of another thread has it for a moment, before it becomes a subject.
TEST_F(ListenerTest, StopsWhoeverHasItsDescriptor) {
  const UniqueFd held(fcntl(listener_.fd(), F_DUPFD_CLOEXEC, 100));
  ASSERT_TRUE(held);
  ASSERT_TRUE(Connects());
  listener_.Stop();
  EXPECT_FALSE(Connects());
}

TEST_F(ListenerTest, KeepsItsPortWhileItIsStopped) {
  const uint16_t port = listener_.port();
  listener_.Stop();
  EXPECT_FALSE(MayBind(address_, port));
  EXPECT_TRUE(listener_.StartAgain().ok());
  EXPECT_EQ(listener_.port(), port);
  EXPECT_TRUE(Connects());
}

// Also while the kernel still knows a connection of it, which it has ended itself.
TEST_F(ListenerTest, StartsAgainWhereItHasEndedConnections) {
  Result<Dialling> dialled = Dial(address_, listener_.port());
  ASSERT_TRUE(dialled.ok());
  std::optional<UniqueFd> accepted;
  while (!accepted) accepted = listener_.Accept();
  accepted->Close();
  dialled->fd.Close();
  listener_.Stop();
  EXPECT_TRUE(listener_.StartAgain().ok());
}

// Of a socket that is bound to the one and connected to the other.
int ErrorOf(uint32_t here, uint32_t there, uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in from = EndpointOf(here, port), to = EndpointOf(there, port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) return errno;
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return errno;
  return DialError(fd.get());
}

TEST_F(ListenerTest, IsNotWhoASocketMeetsThatMeetsItself) {
  const uint32_t one = LoopbackSpace::Here().NextAddress();
  const uint32_t other = LoopbackSpace::Here().NextAddress();
  EXPECT_EQ(ErrorOf(one, one, listener_.port()), ECONNREFUSED);
  EXPECT_EQ(ErrorOf(other, address_, listener_.port()), 0);
}

// Why each run has an address of its own: a port is not free when its connection is over, but that
// of another address is.
TEST_F(ListenerTest, KeepsAPortThatConnectionsHaveEndedAt) {
  Result<Dialling> dialled = Dial(address_, listener_.port());
  ASSERT_TRUE(dialled.ok());
  std::optional<UniqueFd> accepted;
  while (!accepted) accepted = listener_.Accept();
  accepted->Close();  // first, so that this side keeps the port
  dialled->fd.Close();
  const uint16_t port = listener_.port();
  listener_ = Listener();
  EXPECT_FALSE(MayBind(address_, port));
  EXPECT_TRUE(MayBind(LoopbackSpace::Here().NextAddress(), port));
}

}  // namespace
}  // namespace counterpart::effects
