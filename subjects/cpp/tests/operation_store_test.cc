// What a process finds of the persist operations of the one before. r[retry.policy.persist.restart]
#include "runtime/operation_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>

namespace subject {
namespace {

const std::string kSession("\0\xff session of 16", 16);

class OperationStoreTest : public testing::Test {
 protected:
  OperationStoreTest() { mkdtemp(folder_.data()); }
  ~OperationStoreTest() override { std::filesystem::remove_all(folder_); }

  // Another process does so, and is killed right behind.
  void KilledAfter(const std::function<void(OperationStore&)>& act) {
    const pid_t child = fork();
    if (child == 0) {
      OperationStore store(folder_.c_str());
      act(store);
      raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::string folder_ = testing::TempDir() + "/operations-XXXXXX";
};

TEST_F(OperationStoreTest, KnowsNothingOfWhatWasNeverAdmitted) {
  KilledAfter([](OperationStore& store) { store.Seal({kSession, 1}, "of nothing"); });
  EXPECT_FALSE(OperationStore(folder_.c_str()).Find({kSession, 1}));
}

TEST_F(OperationStoreTest, KeepsAnAdmissionThroughAKill) {
  KilledAfter([](OperationStore& store) {
    store.Admit({kSession, 1}, {"a.B/C", ArgumentDigest("x"), 1, {}});
  });
  const auto found = OperationStore(folder_.c_str()).Find({kSession, 1});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->method, "a.B/C");
  EXPECT_EQ(found->digest, ArgumentDigest("x"));
  EXPECT_NE(found->digest, ArgumentDigest("y"));
  EXPECT_EQ(found->executions, 1u);
  EXPECT_FALSE(found->outcome);
}

TEST_F(OperationStoreTest, KeepsAnOutcomeThroughAKillUntilItIsAdmittedAnew) {
  const std::string outcome("\0\1\2", 3);
  KilledAfter([&](OperationStore& store) {
    store.Admit({kSession, ~uint64_t{0}}, {"m", "d", 1, {}});
    store.Seal({kSession, ~uint64_t{0}}, outcome);
    store.Admit({kSession, 2}, {"m", "d", 1, {}});
    store.Seal({kSession, 2}, "");
  });
  OperationStore store(folder_.c_str());
  EXPECT_EQ(store.Find({kSession, ~uint64_t{0}})->outcome, outcome);
  EXPECT_EQ(store.Find({kSession, 2})->outcome, "");
  EXPECT_FALSE(store.Find({std::string(16, 's'), 2}));
  store.Admit({kSession, 2}, {"m", "d", 2, {}});
  EXPECT_FALSE(store.Find({kSession, 2})->outcome);
  EXPECT_EQ(store.Find({kSession, 2})->executions, 2u);
}

}  // namespace
}  // namespace subject
