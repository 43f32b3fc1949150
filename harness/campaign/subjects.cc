#include "harness/campaign/subjects.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace counterpart::campaign {
namespace {

Error Usage(std::string message) { return {Error::Kind::kUsage, std::move(message)}; }

std::string At(const std::string& path, const YAML::Mark& mark) {
  if (mark.is_null()) return path + ": ";
  return path + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
}

std::string Replace(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
  return text;
}

bool IsId(const std::string& id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '_';
  });
}

}  // namespace

Result<std::vector<effects::SubjectSpec>> ReadSubjects(
    const std::string& path, const std::string& build_folder,
    std::map<std::string, std::string>* left_out) {
  std::ifstream in(path);
  if (!in) {
    return Usage("cannot read the subjects file " + path + "; name one with --subjects FILE");
  }
  std::stringstream text;
  text << in.rdbuf();
  const std::string root =
      std::filesystem::absolute(path).parent_path().parent_path().lexically_normal().string();
  std::vector<effects::SubjectSpec> subjects;
  std::set<std::string> ids;
  // yaml-cpp reports by exception; it ends here.
  try {
    const YAML::Node document = YAML::Load(text.str());
    const YAML::Node list = document["subjects"] ? document["subjects"] : document;
    if (!list.IsSequence()) {
      return Usage(At(path, list.Mark()) + "expected a list of subjects under `subjects:`");
    }
    for (const YAML::Node& row : list) {
      if (!row.IsMap() || !row["id"] || !row["command"] || !row["command"].IsSequence() ||
          row["command"].size() == 0) {
        return Usage(At(path, row.Mark()) +
                     "a subject needs `id: NAME` and `command: [PROGRAM, ARG, …]`");
      }
      effects::SubjectSpec subject;
      subject.id = row["id"].as<std::string>();
      if (!IsId(subject.id)) {
        return Usage(At(path, row["id"].Mark()) + "subject id '" + subject.id +
                     "' may have only a-z, 0-9 and _");
      }
      if (!ids.insert(subject.id).second) {
        return Usage(At(path, row["id"].Mark()) + "subject '" + subject.id + "' is listed twice");
      }
      for (const YAML::Node& word : row["command"]) {
        subject.command.push_back(
            Replace(Replace(word.as<std::string>(), "{root}", root), "{build}", build_folder));
      }
      if (row["left_out"] && !std::filesystem::exists(subject.command.front())) {
        left_out->emplace(subject.id, "subject " + subject.id +
                                          " is left out: " + row["left_out"].as<std::string>());
        continue;
      }
      subjects.push_back(std::move(subject));
    }
  } catch (const YAML::Exception& error) {
    return Usage(At(path, error.mark) + error.msg);
  }
  if (subjects.empty()) return Usage(path + " lists no subject");
  return subjects;
}

Result<effects::SubjectSpec> ParseSubject(const std::string& text) {
  const size_t equals = text.find('=');
  effects::SubjectSpec subject;
  subject.id = text.substr(0, equals);
  if (equals == std::string::npos || !IsId(subject.id)) {
    return Usage("--subject '" + text + "': expected ID=COMMAND, with an id of a-z, 0-9 and _");
  }
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (const char c : text.substr(equals + 1)) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word.push_back(c);
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ') {
      if (in_word) subject.command.push_back(word);
      word.clear();
      in_word = false;
    } else {
      word.push_back(c);
      in_word = true;
    }
  }
  if (quote != 0) return Usage("--subject '" + text + "': a quote is not closed");
  if (in_word) subject.command.push_back(word);
  if (subject.command.empty()) return Usage("--subject '" + text + "': the command is empty");
  return subject;
}

void MakeAbsolute(std::vector<std::string>* command, const std::string& folder,
                  const std::string& path) {
  namespace fs = std::filesystem;
  const auto is_file = [](const fs::path& file) {
    std::error_code ignored;
    return fs::is_regular_file(file, ignored);
  };
  std::string& program = command->front();
  if (program.find('/') != std::string::npos) {
    program = (fs::path(folder) / program).lexically_normal().string();
  } else {
    std::istringstream folders(path);
    for (std::string where; std::getline(folders, where, ':');) {
      const fs::path found = fs::path(folder) / where / program;
      if (!is_file(found) || access(found.c_str(), X_OK) != 0) continue;
      program = found.lexically_normal().string();
      break;
    }
  }
  for (auto word = command->begin() + 1; word != command->end(); ++word) {
    const fs::path file = fs::path(folder) / *word;
    if (!word->empty() && is_file(file)) *word = file.lexically_normal().string();
  }
}

}  // namespace counterpart::campaign
