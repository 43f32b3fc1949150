// The tables of the runtime are those of spec/machines, and nothing but them is possible.
// r[strict.channel.fsm]
#include "runtime/machine.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <tuple>

namespace subject {
namespace {

using Rows = std::set<std::tuple<std::string, std::string, std::string>>;

struct Case {
  const char* file;
  const Table* table;
  control::Machine machine;
};

class MachineTest : public testing::TestWithParam<Case> {
 protected:
  YAML::Node Spec() const {
    return YAML::LoadFile(std::string(SPEC_DIR "/machines/") + GetParam().file + ".yaml");
  }
};

TEST_P(MachineTest, TableIsTheSpecified) {
  const YAML::Node spec = Spec();
  const Table& table = *GetParam().table;
  Rows specified, ours;
  for (const YAML::Node& row : spec["transitions"]) {
    specified.emplace(row["from"].as<std::string>(), row["event"].as<std::string>(),
                      row["to"].as<std::string>());
  }
  for (const Row& row : table.rows) ours.emplace(row.from, row.event, row.to);
  EXPECT_EQ(spec["machine"].as<std::string>(), GetParam().file);
  EXPECT_EQ(spec["initial"].as<std::string>(), table.initial);
  EXPECT_EQ(table.machine, GetParam().machine);
  EXPECT_EQ(ours, specified);
  EXPECT_EQ(ours.size(), table.rows.size()) << "a row is there twice";
}

// Walks to each state over the table's own rows, then tries every event there.
TEST_P(MachineTest, EveryPairIsTakenOrRefusedAndJournalled) {
  const Table& table = *GetParam().table;
  std::set<std::string_view> events;
  for (const Row& row : table.rows) events.insert(row.event);
  std::map<std::string_view, std::vector<std::string_view>> ways{{table.initial, {}}};
  for (size_t round = 0; round < table.rows.size(); ++round) {
    for (const Row& row : table.rows) {
      if (!ways.contains(row.from) || ways.contains(row.to)) continue;
      ways[row.to] = ways[row.from];
      ways[row.to].push_back(row.event);
    }
  }
  for (const Row& row : table.rows) EXPECT_TRUE(ways.contains(row.to)) << row.to;

  for (const auto& [state, way] : ways) {
    for (const std::string_view event : events) {
      Journal journal;
      const Recorder record{&journal, "scope", "session", 3};
      Machine machine(table, 42);
      for (const std::string_view step : way) ASSERT_TRUE(machine.Step(record, step));
      ASSERT_EQ(machine.state(), state);

      const Row* row = Find(table, state, event);
      EXPECT_EQ(machine.Allows(event), row != nullptr);
      EXPECT_EQ(machine.Step(record, event), row != nullptr);
      const std::string_view to = row != nullptr ? row->to : state;
      EXPECT_EQ(machine.state(), to) << state << " " << event;

      const control::JournalResponse journalled = journal.Read("scope", 0);
      ASSERT_EQ(static_cast<size_t>(journalled.events_size()), way.size() + 1);
      const control::JournalEvent& said = *journalled.events().rbegin();
      EXPECT_EQ(said.session_id(), "session");
      EXPECT_EQ(said.generation(), 3u);
      EXPECT_EQ(said.transition().machine(), table.machine);
      EXPECT_EQ(said.transition().key(), 42u);
      EXPECT_EQ(said.transition().from_state(), state);
      EXPECT_EQ(said.transition().event(), event);
      EXPECT_EQ(said.transition().to_state(), to);
      EXPECT_EQ(said.transition().invalid(), row == nullptr);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, MachineTest,
    testing::Values(Case{"driver", &kDriver, control::MACHINE_DRIVER},
                    Case{"channel_receiver", &kChannelReceiver, control::MACHINE_CHANNEL_RECEIVER},
                    Case{"channel_sender", &kChannelSender, control::MACHINE_CHANNEL_SENDER},
                    Case{"operation", &kOperation, control::MACHINE_OPERATION},
                    Case{"command", &kCommand, control::MACHINE_COMMAND}),
    [](const testing::TestParamInfo<Case>& info) { return std::string(info.param.file); });

}  // namespace
}  // namespace subject
