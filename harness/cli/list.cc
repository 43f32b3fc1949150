#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"

namespace counterpart::cli {
namespace {

void List(const std::vector<campaign::Cell>& cells, bool json) {
  if (!json) {
    for (const campaign::Cell& cell : cells) std::cout << cell.Id() << "\n";
    return;
  }
  nlohmann::json out = nlohmann::json::array();
  for (const campaign::Cell& cell : cells) {
    out.push_back({{"id", cell.Id()},
                   {"group", cell.scenario->group},
                   {"summary", cell.scenario->summary},
                   {"rules", cell.Rules()},
                   {"needs", cell.Needs()}});
  }
  std::cout << out.dump(2) << "\n";
}

}  // namespace

void AddList(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("list", "Print the cells, one id per line");
  const auto selection = std::make_shared<Selection>();  // as long as the command line
  const auto format = std::make_shared<std::string>("pretty");
  selection->AddTo(verb, true);
  verb->add_option("--format", *format, "pretty or json")->check(CLI::IsMember({"pretty", "json"}));
  verb->callback([&context, selection, format] {
    Result<std::vector<campaign::Cell>> cells = selection->Resolve(context);
    if (!cells.ok()) {
      context.exit_code = Complain(cells.error());
      return;
    }
    List(*cells, *format == "json");
  });
}

}  // namespace counterpart::cli
