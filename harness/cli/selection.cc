#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "counterpart/report/v1/report.pb.h"
#include "harness/campaign/subjects.h"
#include "harness/cli/command.h"

namespace counterpart::cli {
namespace {

Result<std::vector<std::string>> ReadPatterns(const std::vector<std::string>& given) {
  std::vector<std::string> patterns;
  for (const std::string& pattern : given) {
    if (!pattern.starts_with("@")) {
      patterns.push_back(pattern);
      continue;
    }
    std::ifstream in(pattern.substr(1));
    if (!in) {
      return Error{Error::Kind::kUsage, "cannot read the pattern file " + pattern.substr(1)};
    }
    const size_t before = patterns.size();
    for (std::string line; std::getline(in, line);) {
      line.erase(0, line.find_first_not_of(" \t"));
      line.erase(line.find_last_not_of(" \t\r") + 1);
      if (!line.empty() && line[0] != '#') patterns.push_back(line);
    }
    if (patterns.size() == before) {
      return Error{Error::Kind::kUsage,
                   "the pattern file " + pattern.substr(1) + " has no pattern"};
    }
  }
  return patterns;
}

// matrix/subjects.yaml of the working folder, else of the tree the program was built in.
std::string DefaultSubjectsFile(const Context& context) {
  const std::string here = "matrix/subjects.yaml";
  if (std::filesystem::exists(here)) return here;
  return (std::filesystem::path(context.build_folder).parent_path() / here).string();
}

}  // namespace

int Complain(const Error& error) {
  std::cerr << "counterpart: " << error.message << "\n";
  switch (error.kind) {
    case Error::Kind::kUsage:
      return kUsage;
    case Error::Kind::kSubject:
    case Error::Kind::kStarved:
      return kNoSubject;
    case Error::Kind::kHarness:
      return kHarnessError;
    case Error::Kind::kStale:
      return kStale;
  }
  return kHarnessError;
}

void WarnOfWaits(const report::v1::Line& line) {
  if (line.header().wait_tier_reason().empty()) return;
  std::cerr << "counterpart: waits are judged in tier " << line.header().wait_tier()
            << ", by the subject's own word and by silence, because "
            << line.header().wait_tier_reason() << "\n";
}

void Selection::AddTo(CLI::App* app, bool with_patterns) {
  if (with_patterns) {
    app->add_option("patterns", patterns,
                    "Globs on cell ids: * within a component, ** across; @FILE reads them from a "
                    "file. None: all cells")
        ->type_name("PATTERN");
    app->add_option("--skip", skips, "Leave out cells that match (repeatable)")
        ->type_name("PATTERN")
        ->allow_extra_args(false);
  }
  app->add_option("--subjects", subjects_file,
                  "Which subjects there are (default: matrix/subjects.yaml)")
      ->type_name("FILE");
  app->add_option("--subject", subject_options,
                  "Instead: a subject and how to start it (repeatable)")
      ->type_name("ID=COMMAND")
      ->allow_extra_args(false);
  app->add_flag("--with-listed", with_listed,
                "With --subject: also the cells it shares with each of the listed subjects");
}

std::string Selection::Arguments() const {
  std::string arguments;
  if (!subjects_file.empty()) arguments += " --subjects '" + subjects_file + "'";
  for (const std::string& option : subject_options) arguments += " --subject '" + option + "'";
  if (!own_command.empty()) {
    arguments += " --subject 'own=";
    for (size_t i = 0; i < own_command.size(); ++i) arguments += (i ? " " : "") + own_command[i];
    arguments += "'";
  }
  if (with_listed) arguments += " --with-listed";
  return arguments.empty() ? "" : arguments.substr(1);
}

Result<std::vector<campaign::Cell>> Selection::Resolve(const Context& context) {
  if (!own_command.empty()) {
    effects::SubjectSpec own;
    own.id = "own";
    own.command = own_command;
    subjects.push_back(std::move(own));
  }
  for (const std::string& option : subject_options) {
    Result<effects::SubjectSpec> subject = campaign::ParseSubject(option);
    if (!subject.ok()) return subject.error();
    subjects.push_back(std::move(subject).value());
  }
  // Subjects are started in folders of their own: a path is of where the user is.
  const char* path = std::getenv("PATH");
  std::set<std::string> own;
  for (effects::SubjectSpec& subject : subjects) {
    own.insert(subject.id);
    campaign::MakeAbsolute(&subject.command, std::filesystem::current_path().string(),
                           path == nullptr ? "" : path);
  }
  if (subjects.empty() || with_listed) {
    Result<std::vector<effects::SubjectSpec>> read =
        campaign::ReadSubjects(subjects_file.empty() ? DefaultSubjectsFile(context) : subjects_file,
                               context.build_folder, &left_out);
    if (!read.ok()) return read.error();
    for (const auto& [id, sentence] : left_out) std::cerr << sentence << "\n";
    for (effects::SubjectSpec& subject : *read) {
      if (!own.contains(subject.id)) subjects.push_back(std::move(subject));
    }
  }
  for (effects::SubjectSpec& subject : subjects) {
    std::string& program = subject.command.front();
    if (program.find('/') != std::string::npos) {
      program = std::filesystem::absolute(program).lexically_normal().string();
    }
  }
  all = campaign::AllCells(subjects);
  if (!own.empty()) {
    std::erase_if(all, [&own](const campaign::Cell& cell) {
      return !own.contains(cell.subject->id) &&
             (cell.client == nullptr || !own.contains(cell.client->id));
    });
  }
  Result<std::vector<std::string>> wanted = ReadPatterns(patterns);
  if (!wanted.ok()) return wanted.error();
  Result<std::vector<std::string>> unwanted = ReadPatterns(skips);
  if (!unwanted.ok()) return unwanted.error();
  return campaign::SelectCells(all, *wanted, *unwanted);
}

}  // namespace counterpart::cli
