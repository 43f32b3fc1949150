// The journal monitor and the tables it walks.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <iterator>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/judge/machine_table.h"
#include "harness/judge/spec_text.h"
#include "harness/tests/frame_script.h"

namespace counterpart::judge {
namespace {

using machine::Finding;
using machine::Level;

struct Row {
  const char* what;
  std::vector<std::string> frames;   // seen on the wire
  std::vector<std::string> journal;  // text of JournalEvents, without seq and session
  const char* rule;                  // "" if all is well
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.what; }

std::string Step(const std::string& machine, int key, const std::string& from,
                 const std::string& event, const std::string& to) {
  return "transition { machine: MACHINE_" + machine + " key: " + std::to_string(key) +
         " from_state: '" + from + "' event: '" + event + "' to_state: '" + to + "' }";
}
std::string Seen(const std::string& kind, int id, bool sent, int generation = 1) {
  return "generation: " + std::to_string(generation) +
         " frame { sent: " + std::string(sent ? "true" : "false") + " kind: '" + kind +
         "' id: " + std::to_string(id) + " }";
}
const std::string kInvalid =
    "transition { machine: MACHINE_CHANNEL_SENDER key: 1 from_state: 'Closed' event: 'item' "
    "to_state: 'Closed' invalid: true }";

std::vector<Row> Rows() {
  return {
      {"AChannelsLife",
       {},
       {Step("CHANNEL_RECEIVER", 1, "Reserved", "bind", "Open"),
        Step("CHANNEL_RECEIVER", 1, "Open", "item", "Open"),
        Step("CHANNEL_RECEIVER", 1, "Open", "close", "Closing"),
        Step("CHANNEL_RECEIVER", 1, "Closing", "delivered_all", "Closed")},
       ""},
      {"StepNotInTheTable",
       {},
       {Step("CHANNEL_RECEIVER", 1, "Reserved", "bind", "Closing")},
       "rpc.channel.lifecycle"},
      {"EventNotInTheTable",
       {},
       {Step("CHANNEL_SENDER", 1, "Reserved", "teleport", "Open")},
       "rpc.channel.ends"},
      {"FromAStateItWasNotIn",
       {},
       {Step("OPERATION", 1, "Absent", "admit", "Live"),
        Step("OPERATION", 1, "Sealed", "replay", "Sealed")},
       "retry.duplicate"},
      {"NotFromTheInitialState",
       {},
       {Step("OPERATION", 1, "Live", "seal", "Sealed")},
       "retry.duplicate"},
      {"TakesInWhatAnOlderAttachmentBrought",
       {},
       {Seen("ping", 1, false, 2), Seen("request", 1, false, 1)},
       "session.resume.fence"},
      {"EachKeyForItself",
       {},
       {Step("OPERATION", 1, "Absent", "admit", "Live"),
        Step("OPERATION", 2, "Absent", "admit", "Live"),
        Step("OPERATION", 1, "Live", "seal", "Sealed")},
       ""},
      {"ADriverMayBeginAnywhere",
       {},
       {Step("DRIVER", 0, "Connected", "link_lost", "Resuming")},
       ""},
      {"ADriverDoesNotJump",
       {},
       {Step("DRIVER", 0, "Connected", "link_lost", "Resuming"),
        Step("DRIVER", 0, "Connected", "link_lost", "Resuming")},
       "strict.driver.single-phase"},
      {"ACommandsLife",
       {},
       {Step("COMMAND", 1, "NotAccepted", "accept", "Accepted"),
        Step("COMMAND", 1, "Accepted", "start", "Started"),
        Step("COMMAND", 1, "Started", "complete", "Completed")},
       ""},
      {"ACommandRunsUnaccepted",
       {},
       {Step("COMMAND", 1, "NotAccepted", "start", "Started")},
       "control.lifecycle"},
      {"InvalidUnprovoked", {}, {kInvalid}, "rpc.channel.ends"},
      {"InvalidProvoked",
       {"H! channel_item { channel_id: 1 }"},
       {Seen("channel_item", 1, false), kInvalid},
       ""},
      {"WireAndJournalAgree",
       {"H ping { nonce: 5 }", "S pong { nonce: 5 }"},
       {Seen("ping", 5, false), Seen("pong", 5, true)},
       ""},
      {"SentAndNotJournalled",
       {"H ping { nonce: 5 }", "S pong { nonce: 5 }"},
       {Seen("ping", 5, false)},
       "control.journal.cross-check"},
      {"JournalledUnderAnotherId",
       {"H ping { nonce: 5 }", "S pong { nonce: 5 }"},
       {Seen("ping", 5, false), Seen("pong", 6, true)},
       "control.journal.cross-check"},
      {"JournalledAndNeverSentToIt",
       {"H ping { nonce: 5 }", "S pong { nonce: 5 }"},
       {Seen("ping", 5, false), Seen("ping", 5, false), Seen("pong", 5, true)},
       "control.journal.cross-check"},
      // The subject may have lost what the harness sent before a cut.
      {"SentToItAndNeverRead",
       {"H ping { nonce: 5 }"},
       {"planned_delay { what: 'redial' delay_ms: 1 }"},
       ""},
  };
}

struct Bench {
  Judge judge;
  std::unique_ptr<Monitor> monitor = NewJournalMonitor();
  LinkContext link;
  Bench() {
    judge.set_report([this](Finding finding) { judge.OnFinding(finding); });
    link.link = 1;
    link.session_id = "session";
    judge.generations("session").MayBind(1);
    judge.generations("session").Bound(1);
  }
  void Say(const std::string& line) {
    // Through the judge too: that is who knows of deliberate frames.
    ASSERT_TRUE(tests::WithFrame(line, [this](peer::ObservedFrame& frame) {
      if (!frame.deliberate.empty()) judge.OnFrame(frame);
      monitor->OnFrame(frame, link, judge);
    }));
  }
  ObservedEnd End(const std::vector<std::string>& journal) {
    ObservedEnd end;
    end.journal_read = true;
    for (const std::string& text : journal) {
      control::v1::JournalEvent& event = end.journal.emplace_back();
      EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
      event.set_seq(end.journal.size());
      event.set_session_id("session");
      if (event.generation() == 0) event.set_generation(1);
    }
    return end;
  }
  const Finding& reason() const { return judge.verdict().reason(); }
};

class Journals : public testing::TestWithParam<Row> {};

TEST_P(Journals, AreJudgedByTheirTableAndTheWire) {
  const Row& row = GetParam();
  Bench bench;
  for (const std::string& line : row.frames) bench.Say(line);
  bench.monitor->OnEnd(bench.End(row.journal), bench.judge);
  EXPECT_EQ(bench.reason().rule, row.rule) << bench.reason().text;
  EXPECT_EQ(bench.judge.verdict().level(), *row.rule == '\0' ? Level::kNone : Level::kFail);
}

INSTANTIATE_TEST_SUITE_P(Journal, Journals, testing::ValuesIn(Rows()),
                         [](const auto& row) { return std::string(row.param.what); });

const std::vector<std::string> kWrong = {Step("OPERATION", 1, "Live", "seal", "Sealed")};

TEST(Journal, IsInOneTotalOrder) {
  Bench bench;
  ObservedEnd end = bench.End({Seen("ping", 5, false), Seen("pong", 5, true)});
  end.journal[1].set_seq(1);
  bench.monitor->OnEnd(end, bench.judge);
  EXPECT_EQ(bench.reason().rule, "control.journal.write-ahead");
}

TEST(Journal, WithAGapIsAFailure) {
  Bench bench;
  ObservedEnd end = bench.End({});
  end.journal_gap = 3;
  bench.monitor->OnEnd(end, bench.judge);
  EXPECT_EQ(bench.reason().rule, "control.journal.write-ahead");
}

TEST(Journal, OfAKilledProcessOrNoneProvesNothing) {
  for (const bool killed : {true, false}) {
    Bench bench;
    ObservedEnd end = bench.End(kWrong);
    end.subject_killed = killed;
    end.journal_read = killed;
    bench.monitor->OnEnd(end, bench.judge);
    EXPECT_EQ(bench.judge.verdict().level(), Level::kNone) << bench.reason().text;
  }
}

// ---------------------------------------------------------------- tables

constexpr control::v1::Machine kMachines[] = {
    control::v1::MACHINE_DRIVER, control::v1::MACHINE_CHANNEL_RECEIVER,
    control::v1::MACHINE_CHANNEL_SENDER, control::v1::MACHINE_OPERATION,
    control::v1::MACHINE_COMMAND};

TEST(MachineTables, EveryMachineHasOneAndItsRuleExists) {
  const auto* descriptor = control::v1::Machine_descriptor();
  EXPECT_EQ(static_cast<size_t>(descriptor->value_count()), std::size(kMachines) + 1);
  EXPECT_EQ(FindMachine(control::v1::MACHINE_UNSPECIFIED), nullptr);
  for (const auto machine : kMachines) {
    const MachineTable* table = FindMachine(machine);
    ASSERT_NE(table, nullptr) << machine;
    std::string name = "MACHINE_" + table->name;
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(name, control::v1::Machine_Name(machine));
    EXPECT_NE(FindRule(table->rule), nullptr) << table->rule;
  }
}

TEST(MachineTables, EveryStateIsReachableAndFinalOnesStay) {
  for (const auto machine : kMachines) {
    const MachineTable& table = *FindMachine(machine);
    std::set<std::string> states = {table.initial}, reached = {table.initial};
    bool grew = true;
    while (grew) {
      grew = false;
      for (const auto& [step, to] : table.next) {
        states.insert(step.first);
        states.insert(to);
        if (reached.contains(step.first)) grew |= reached.insert(to).second;
      }
    }
    EXPECT_EQ(states, reached) << table.name;
    for (const std::string& state : table.final_states) {
      EXPECT_TRUE(reached.contains(state)) << table.name << " " << state;
    }
  }
}

// The rows that scenarios rest on, as the protocol has them.
TEST(MachineTables, SayWhatTheProtocolSays) {
  const auto& receiver = FindMachine(control::v1::MACHINE_CHANNEL_RECEIVER)->next;
  EXPECT_EQ(receiver.at({"Open", "close"}), "Closing");
  EXPECT_EQ(receiver.at({"Closing", "delivered_all"}), "Closed");
  EXPECT_FALSE(receiver.contains({"Closed", "item"}));
  EXPECT_FALSE(receiver.contains({"Defunct", "bind"}));
  const auto& operation = FindMachine(control::v1::MACHINE_OPERATION)->next;
  EXPECT_EQ(operation.at({"Sealed", "replay"}), "Sealed");
  EXPECT_FALSE(operation.contains({"Sealed", "release"}));
  EXPECT_FALSE(operation.contains({"Sealed", "rerun"}));
}

}  // namespace
}  // namespace counterpart::judge
