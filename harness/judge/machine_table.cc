#include "harness/judge/machine_table.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "harness/judge/spec_text.h"

namespace counterpart::judge {
namespace {

MachineTable Parse(std::string_view text) {
  const YAML::Node root = YAML::Load(std::string(text));
  MachineTable table;
  table.name = root["machine"].as<std::string>();
  table.rule = root["rule"].as<std::string>();
  table.initial = root["initial"].as<std::string>();
  for (const auto& state : root["final"]) table.final_states.insert(state.as<std::string>());
  for (const auto& row : root["transitions"]) {
    table.next[{row["from"].as<std::string>(), row["event"].as<std::string>()}] =
        row["to"].as<std::string>();
  }
  return table;
}

std::map<std::string, MachineTable> ParseAll() {
  std::map<std::string, MachineTable> tables;
  for (const SpecFile& file : SpecFiles()) {
    if (!file.path.starts_with("spec/machines/") || !file.path.ends_with(".yaml")) continue;
    MachineTable table = Parse(file.text);
    tables[table.name] = std::move(table);
  }
  return tables;
}

const char* FileName(control::v1::Machine machine) {
  switch (machine) {
    case control::v1::MACHINE_DRIVER:
      return "driver";
    case control::v1::MACHINE_CHANNEL_RECEIVER:
      return "channel_receiver";
    case control::v1::MACHINE_CHANNEL_SENDER:
      return "channel_sender";
    case control::v1::MACHINE_OPERATION:
      return "operation";
    case control::v1::MACHINE_COMMAND:
      return "command";
    default:
      return "";
  }
}

}  // namespace

const std::map<std::string, MachineTable>& AllMachines() {
  // The text is part of this program and tested: a broken one cannot ship.
  static const auto* tables = new std::map<std::string, MachineTable>(ParseAll());
  return *tables;
}

std::string TransitionText(const std::string& side, const MachineTable& table,
                           const std::string& from, const std::string& event,
                           const std::string& to) {
  return side + " " + table.name + ": " + from + " --" + event + "--> " + to;
}

const MachineTable* FindMachine(control::v1::Machine machine) {
  const auto found = AllMachines().find(FileName(machine));
  return found == AllMachines().end() ? nullptr : &found->second;
}

}  // namespace counterpart::judge
