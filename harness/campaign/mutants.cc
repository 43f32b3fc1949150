#include "harness/campaign/mutants.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>

namespace counterpart::campaign {
namespace {

[[noreturn]] void Wrong(const YAML::Node& at, const std::string& text) {
  throw YAML::RepresentationException(at.Mark(), text);
}

void RequireKnownKeys(const YAML::Node& node, const char* what,
                      std::initializer_list<const char*> known) {
  for (const auto& entry : node) {
    const std::string key = entry.first.as<std::string>();
    if (std::none_of(known.begin(), known.end(), [&key](const char* k) { return key == k; })) {
      Wrong(entry.first, std::string(what) + " has no `" + key + "`");
    }
  }
}

explore::Options ReadExplore(const YAML::Node& node) {
  if (!node.IsMap()) Wrong(node, "`explore` is a mapping; {} takes every default");
  RequireKnownKeys(node, "explore", {"cuts", "messages", "faults", "pairs"});
  explore::Options options;
  const std::string cuts = node["cuts"].as<std::string>("frames");
  if (cuts != "frames" && cuts != "bytes") Wrong(node["cuts"], "cuts: expected frames or bytes");
  options.cuts = cuts == "bytes" ? explore::Cuts::kBytes : explore::Cuts::kFrames;
  options.messages_by_byte = node["messages"].as<uint32_t>(options.messages_by_byte);
  options.pairs = node["pairs"].as<bool>(false);
  if (!node["faults"]) return options;
  options.faults.clear();
  for (const YAML::Node& name : node["faults"]) {
    const peer::How known[] = {peer::How::kRst, peer::How::kFin, peer::How::kHalfClose};
    const auto found = std::find_if(std::begin(known), std::end(known), [&name](peer::How how) {
      return name.as<std::string>() == peer::Name(how);
    });
    if (found == std::end(known)) Wrong(name, "faults: expected some of rst, fin, half_close");
    options.faults.push_back(*found);
  }
  if (options.faults.empty())
    Wrong(node["faults"], "faults: expected some of rst, fin, half_close");
  return options;
}

void ReadRow(const YAML::Node& row, std::vector<Mutant>* mutants) {
  for (const char* key : {"id", "wrong"}) {
    if (!row[key]) Wrong(row, std::string("a mutant needs `") + key + "`");
  }
  Mutant mutant;
  mutant.subject = row["subject"].as<std::string>(kSubjectOfMutants);
  mutant.id = row["id"].as<std::string>();
  mutant.wrong = row["wrong"].as<std::string>();
  RequireKnownKeys(row, "a mutant",
                   {"subject", "id", "wrong", "rules", "wreck", "cells", "except", "runs", "pairs",
                    "explore", "control"});
  for (const YAML::Node& rule : row["rules"]) mutant.rules.push_back(rule.as<std::string>());
  for (const YAML::Node& cell : row["cells"]) mutant.cells.push_back(cell.as<std::string>());
  for (const YAML::Node& cell : row["except"]) mutant.except.push_back(cell.as<std::string>());
  mutant.runs = row["runs"].as<uint32_t>(0);
  mutant.control = row["control"].as<std::string>("");
  if (row["control"] && mutant.control != "grpc" && mutant.control != "stdio") {
    Wrong(row["control"], "`control` is grpc or stdio");
  }
  mutant.wreck = row["wreck"].as<bool>(false);
  if (mutant.wreck && (row["rules"] || row["pairs"] || row["explore"])) {
    Wrong(row["wreck"], "a wreck breaks everything: it has no `rules`, `pairs` or `explore`");
  }
  if (row["explore"]) {
    mutant.explore = ReadExplore(row["explore"]);
    if (mutant.rules.empty())
      Wrong(row["explore"], "what is explored needs `rules` to be caught by");
    if (mutant.cells.empty()) Wrong(row["explore"], "what is explored needs `cells`");
  }
  mutants->push_back(mutant);
  if (!row["pairs"]) return;
  mutant.paired = true;
  mutant.cells = row["pairs"].as<std::vector<std::string>>();
  mutants->push_back(std::move(mutant));
}

}  // namespace

std::string Mutant::Name() const { return subject == kSubjectOfMutants ? id : subject + "::" + id; }

Result<std::vector<Mutant>> ReadMutants(const std::string& path) {
  std::vector<Mutant> mutants;
  try {
    const YAML::Node document = YAML::LoadFile(path);
    for (const YAML::Node& row : document["mutants"]) ReadRow(row, &mutants);
  } catch (const YAML::BadFile&) {
    return Error{Error::Kind::kUsage, "cannot read the catalogue " + path};
  } catch (const YAML::Exception& error) {
    return Error{Error::Kind::kUsage, path + ":" + std::to_string(error.mark.line + 1) + ":" +
                                          std::to_string(error.mark.column + 1) + ": " + error.msg};
  }
  if (mutants.empty()) return Error{Error::Kind::kUsage, path + " lists no mutants"};
  return mutants;
}

}  // namespace counterpart::campaign
