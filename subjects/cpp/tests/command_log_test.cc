// What a command id means, however often and in whatever order it is asked about.
// r[control.lifecycle]
#include "runtime/command_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace subject {
namespace {

constexpr uint64_t kKept = 256;  // r[control.lifecycle.retention]

control::ExecuteRequest Release(uint64_t id, const std::string& gate = "g", uint32_t send = 1) {
  control::ExecuteRequest request;
  request.set_command_id(id);
  request.set_send(send);
  request.set_scope("scope");
  request.mutable_release()->set_gate(gate);
  return request;
}

class CommandLogTest : public testing::Test {
 protected:
  // Sends the command; its answer, once there is one, is appended to answers_.
  void Execute(const control::ExecuteRequest& request) {
    log_.Execute(
        request,
        [this]() -> CommandLog::Prepared {
          return [this](CommandLog::Finish finish) {
            ++runs_;
            finish_ = std::move(finish);
          };
        },
        [this](control::ExecuteResponse response) { answers_.push_back(std::move(response)); });
  }

  // Sends a command that completes at once.
  void Complete(const control::ExecuteRequest& request) {
    Execute(request);
    finish_(Done());
  }

  control::StatusResponse Status(uint64_t id, uint32_t highest_send = 0) {
    control::StatusRequest request;
    request.set_command_id(id);
    request.set_highest_send(highest_send);
    return log_.Status(request);
  }

  control::CommandState State(uint64_t id, uint32_t highest_send = 0) {
    return Status(id, highest_send).state();
  }

  // Events of the command's machine so far.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    const control::JournalResponse journalled = journal_.Read("scope", 0);
    for (const auto& event : journalled.events()) {
      EXPECT_FALSE(event.transition().invalid());
      events.push_back(event.transition().event());
    }
    return events;
  }

  Journal journal_;
  Loop loop_;
  CommandLog log_{journal_, loop_};
  CommandLog::Finish finish_;
  int runs_ = 0;
  std::vector<control::ExecuteResponse> answers_;
};

using Strings = std::vector<std::string>;

TEST_F(CommandLogTest, StatesOnlyMoveForward) {
  auto request = Release(1);
  EXPECT_EQ(State(1), control::COMMAND_STATE_NOT_ACCEPTED);
  Execute(request);
  EXPECT_EQ(State(1), control::COMMAND_STATE_STARTED);
  EXPECT_EQ(Events(), (Strings{"accept", "start"}));
  EXPECT_TRUE(answers_.empty());
  finish_(Done());
  EXPECT_EQ(State(1), control::COMMAND_STATE_COMPLETED);
  EXPECT_EQ(Events(), (Strings{"accept", "start", "complete"}));
  EXPECT_EQ(answers_.size(), 1u);

  control::Outcome failed;
  failed.mutable_failed()->set_text("late");
  finish_(failed);  // an outcome is recorded once
  EXPECT_EQ(State(1), control::COMMAND_STATE_COMPLETED);
  EXPECT_TRUE(Status(1, 9).outcome().has_done());
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_EQ(Events().size(), 3u);  // r[control.lifecycle.status-lane]: nor did Status add one
}

TEST_F(CommandLogTest, FailureIsAnOutcomeToo) {
  Execute(Release(1));
  control::Outcome failed;
  failed.mutable_failed()->set_reason(control::FAILURE_REASON_SORRY);
  finish_(failed);
  EXPECT_EQ(State(1), control::COMMAND_STATE_FAILED);
  EXPECT_EQ(answers_.at(0).outcome().failed().reason(), control::FAILURE_REASON_SORRY);
}

TEST_F(CommandLogTest, OutcomeIsRecordedBeforeItIsSent) {  // r[control.lifecycle.record-first]
  log_.Execute(
      Release(1),
      [] { return CommandLog::Work([](CommandLog::Finish finish) { finish(Done()); }); },
      [this](control::ExecuteResponse) { EXPECT_EQ(State(1), control::COMMAND_STATE_COMPLETED); });
  EXPECT_EQ(State(1), control::COMMAND_STATE_COMPLETED);
}

TEST_F(CommandLogTest, DuplicateAttachesAndRunsNothing) {  // r[control.lifecycle.attach]
  Execute(Release(1));
  Execute(Release(1, "g", 2));
  EXPECT_TRUE(answers_.empty());
  finish_(Done());
  EXPECT_EQ(answers_.size(), 2u);
  Execute(Release(1, "g", 3));  // also after completion
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_TRUE(answers_.back().outcome().has_done());
  EXPECT_EQ(runs_, 1);
}

TEST_F(CommandLogTest, AnotherPayloadConflicts) {  // r[control.lifecycle.conflict]
  Execute(Release(1));
  Execute(Release(1, "another"));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].refusal().reason(), control::REFUSAL_REASON_CONFLICT);
  EXPECT_EQ(runs_, 1);
  finish_(Done());
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(CommandLogTest, ProvenUnknownIsRefusedUntilSentHigher) {
  EXPECT_EQ(State(5, 2), control::COMMAND_STATE_NOT_ACCEPTED);
  EXPECT_EQ(State(5, 1), control::COMMAND_STATE_NOT_ACCEPTED);  // takes nothing back
  for (const uint32_t send : {1u, 2u}) {
    Execute(Release(5, "g", send));
    EXPECT_EQ(answers_.back().refusal().reason(), control::REFUSAL_REASON_TOMBSTONED);
  }
  EXPECT_EQ(runs_, 0);
  EXPECT_TRUE(Events().empty());
  Complete(Release(5, "g", 3));  // r[control.lifecycle.send-ordinal]
  EXPECT_EQ(runs_, 1);
  Execute(Release(5, "g", 1));  // the late one finds it known, and attaches
  EXPECT_TRUE(answers_.back().outcome().has_done());
  EXPECT_EQ(runs_, 1);
}

TEST_F(CommandLogTest, RefusedCommandIsNotAccepted) {
  const auto refuse = []() -> std::variant<CommandLog::Work, control::Refusal> {
    control::Refusal refusal;
    refusal.set_reason(control::REFUSAL_REASON_INVALID);
    return refusal;
  };
  log_.Execute(Release(1), refuse,
               [this](control::ExecuteResponse response) { answers_.push_back(response); });
  EXPECT_EQ(answers_.at(0).refusal().reason(), control::REFUSAL_REASON_INVALID);
  EXPECT_EQ(State(1), control::COMMAND_STATE_NOT_ACCEPTED);
  Execute(Release(0));  // ids start at 1
  EXPECT_EQ(answers_.at(1).refusal().reason(), control::REFUSAL_REASON_INVALID);
  EXPECT_TRUE(Events().empty());
}

TEST_F(CommandLogTest, EvictionFollowsIdOrderAndSaysItsWatermark) {
  Execute(Release(1));
  const CommandLog::Finish first = finish_;
  for (uint64_t id = 2; id <= kKept + 2; ++id) Complete(Release(id));
  EXPECT_EQ(Status(1, 0).watermark(), 0u);  // 1 runs: nothing above it goes either
  first(Done());
  EXPECT_EQ(Status(1, 0).watermark(), 2u);
  EXPECT_EQ(State(1), control::COMMAND_STATE_EVICTED);
  EXPECT_EQ(State(2), control::COMMAND_STATE_EVICTED);
  EXPECT_EQ(State(3), control::COMMAND_STATE_COMPLETED);
  const int runs = runs_;
  Execute(Release(2, "g", 7));
  EXPECT_EQ(answers_.back().refusal().reason(), control::REFUSAL_REASON_EVICTED);
  EXPECT_EQ(runs_, runs);
}

TEST_F(CommandLogTest, HeldCommandsStopWhereTheyAreToldTo) {
  const struct {
    control::HoldAt hold;
    control::CommandState state;
    int runs;
  } cases[] = {{control::HOLD_AT_ACCEPTED, control::COMMAND_STATE_ACCEPTED, 0},
               {control::HOLD_AT_STARTED, control::COMMAND_STATE_STARTED, 0},
               {control::HOLD_AT_EFFECT, control::COMMAND_STATE_STARTED, 1},
               {control::HOLD_AT_RECORDED, control::COMMAND_STATE_COMPLETED, 1}};
  uint64_t id = 0;
  for (const auto& held : cases) {
    auto request = Release(++id);
    request.set_hold_at(held.hold);
    runs_ = 0;
    finish_ = [](control::Outcome) {};
    Complete(request);
    EXPECT_EQ(State(id), held.state) << held.hold;
    EXPECT_EQ(runs_, held.runs) << held.hold;
  }
  EXPECT_TRUE(answers_.empty());
  log_.Drop("another scope");
  EXPECT_TRUE(answers_.empty());
  log_.Drop("scope");  // r[control.reset]
  ASSERT_EQ(answers_.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answers_[i].outcome().failed().reason(), control::FAILURE_REASON_DROPPED);
  }
  EXPECT_TRUE(answers_[3].outcome().has_done());  // what was recorded stands
}

TEST_F(CommandLogTest, WhatNothingCanRunIsInvalidAndNotAccepted) {
  control::ExecuteResponse answer;
  log_.Execute(
      Release(1), [] { return CommandLog::Work(); },
      [&answer](const control::ExecuteResponse& response) { answer = response; });
  EXPECT_EQ(answer.refusal().reason(), control::REFUSAL_REASON_INVALID);
  EXPECT_EQ(State(1), control::COMMAND_STATE_NOT_ACCEPTED);
  EXPECT_TRUE(Events().empty());
}

TEST_F(CommandLogTest, SettlingCountsWhatWasAskedAndAnswered) {  // r[control.settle]
  Execute(Release(1));
  Execute(Release(1, "another"));  // refused, which is an answer
  control::SettleResponse settled;
  loop_.Post([&] { settled = log_.Settle({}); });
  loop_.Post([] {});
  loop_.io().poll();
  EXPECT_EQ(settled.accepted(), 2u);
  EXPECT_EQ(settled.answered(), 1u);
  EXPECT_EQ(settled.journal_seq(), journal_.seq());
  EXPECT_EQ(settled.runnable(), 1u);  // what was posted after it
}

}  // namespace
}  // namespace subject
