// Which methods may be registered.
#include "runtime/service.h"

#include <gtest/gtest.h>

#include "testbed/program.h"

namespace subject {
namespace {

// r[retry.channel.persist-forbidden]
TEST(ServiceTest, APersistMethodWithAChannelIsForbidden) {
  EXPECT_EQ(ForbiddenAmong(*TestbedMethods("counterpart.testbed.v1.Testbed")), "");
  EXPECT_EQ(ForbiddenAmong(*TestbedMethods("counterpart.testbed.v1.Durable")), "");
  EXPECT_EQ(ForbiddenAmong(*TestbedMethods("counterpart.testbed.v1.Forbidden")),
            "counterpart.testbed.v1.Forbidden/GeneratePersist");
  EXPECT_FALSE(TestbedMethods("counterpart.testbed.v1.Nothing"));
}

}  // namespace
}  // namespace subject
