// Going on with one of several things.
#include <gtest/gtest.h>

#include "harness/machine/machine.h"

namespace counterpart::machine {
namespace {

using effects::Ingress;
using effects::IngressKind;

struct World : Observer {
  std::string seen;
  std::vector<Finding> findings;
  Reading OnIngress(const Ingress& ingress, uint64_t) override {
    seen += ingress.bytes;
    return {"in", ingress.bytes, ""};
  }
  void OnFinding(const Finding& finding) override { findings.push_back(finding); }
  bool OutsideOpen() const override { return true; }
};

Ingress Payload(std::string bytes) {
  Ingress ingress;
  ingress.kind = IngressKind::kPayload;
  ingress.bytes = std::move(bytes);
  return ingress;
}

Ingress Calm() {
  Ingress ingress;
  ingress.kind = IngressKind::kQuiescent;
  ingress.text = "calm";
  return ingress;
}

Task<> Choose(Machine& machine, std::vector<Machine::Branch> branches, int* taken) {
  const size_t index = co_await machine.Alt(std::move(branches), "some.rule");
  *taken = static_cast<int>(index);
}

class AltTest : public testing::Test {
 protected:
  Machine::Branch Has(char c) {
    return {std::string(1, c), [this, c] { return world_.seen.find(c) != std::string::npos; }};
  }
  void Start(std::vector<Machine::Branch> branches) {
    machine_.set_observer(&world_);
    machine_.AddRole("role", Choose(machine_, std::move(branches), &taken_));
    EXPECT_EQ(machine_.Run(), Step::kWaiting);
  }

  World world_;
  Machine machine_{1, [] { return uint64_t{0}; }};
  int taken_ = -1;
};

TEST_F(AltTest, TakesWhatHolds) {
  Start({Has('a'), Has('b')});
  EXPECT_EQ(machine_.Awaited(), std::vector<std::string>{"a or b"});
  machine_.Ingest({Payload("b")});
  EXPECT_EQ(machine_.Run(), Step::kAllDone);
  EXPECT_EQ(taken_, 1);
}

TEST_F(AltTest, TakesTheFirstWrittenOfOneBatchWhateverCameFirst) {
  Start({Has('a'), Has('b')});
  machine_.Ingest({Payload("b"), Payload("a")});
  machine_.Run();
  EXPECT_EQ(taken_, 0);
}

TEST_F(AltTest, WhatHasArrivedBeatsGivingUpEvenWrittenAfterIt) {
  Start({{"calm", nullptr}, Has('a')});
  machine_.Ingest({Calm(), Payload("a")});
  machine_.Run();
  EXPECT_EQ(taken_, 1);
  EXPECT_TRUE(world_.findings.empty());
}

TEST_F(AltTest, GivesUpOnlyAtQuiescence) {
  Start({Has('a'), {"calm", nullptr}});
  machine_.Ingest({Payload("x")});
  EXPECT_EQ(machine_.Run(), Step::kWaiting);
  machine_.Ingest({Calm()});
  EXPECT_EQ(machine_.Run(), Step::kAllDone);
  EXPECT_EQ(taken_, 1);
}

TEST_F(AltTest, FailsByItsRuleWhenNothingCanHoldAnyMore) {
  Start({Has('a'), Has('b')});
  machine_.Ingest({Calm()});
  EXPECT_EQ(machine_.Run(), Step::kAllDone);
  EXPECT_EQ(taken_, -1);
  ASSERT_EQ(world_.findings.size(), 1u);
  EXPECT_EQ(world_.findings[0].rule, "some.rule");
  EXPECT_EQ(world_.findings[0].place, "a or b");
}

}  // namespace
}  // namespace counterpart::machine
