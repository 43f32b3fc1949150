// Choosing cells and reading subjects.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "harness/campaign/cell.h"
#include "harness/campaign/pattern.h"
#include "harness/campaign/subjects.h"

namespace counterpart::campaign {
namespace {

TEST(Pattern, OneStarStaysInItsComponent) {
  EXPECT_TRUE(Matches("a::*::c", "a::b::c"));
  EXPECT_FALSE(Matches("a::*", "a::b::c"));
  EXPECT_TRUE(Matches("a::**", "a::b::c"));
  EXPECT_TRUE(Matches("**::c", "a::b::c"));
  EXPECT_TRUE(Matches("**::c", "c"));
  EXPECT_FALSE(Matches("**::c", "a::bc"));
  EXPECT_FALSE(Matches("", "a"));
}

// With a matcher that tries every way to share the id out among the stars this never ends.
TEST(Pattern, ManyStarsCostNoMoreThanTheirNumber) {
  std::string stars, id(200, 'a');
  for (int i = 0; i < 40; ++i) stars += "**a";
  EXPECT_TRUE(Matches(stars, id));
  EXPECT_FALSE(Matches(stars + "b", id));
  EXPECT_FALSE(Matches(std::string(60, '*') + "?b", id));
}

TEST(Pattern, EachSignMeansOneThingWhereverItStands) {
  EXPECT_TRUE(Matches("", ""));
  EXPECT_TRUE(Matches("**", ""));
  EXPECT_TRUE(Matches("*", ""));
  EXPECT_FALSE(Matches("?", ""));
  EXPECT_TRUE(Matches("a?c", "abc"));
  EXPECT_FALSE(Matches("a?", "a"));
  EXPECT_TRUE(Matches("*b*", "abc"));
  EXPECT_TRUE(Matches("a*b", "a:b"));  // one colon separates nothing
  EXPECT_FALSE(Matches("a*b", "a::b"));
  EXPECT_TRUE(Matches("x::**::c", "x::c"));
  EXPECT_FALSE(Matches("**::c", "bc"));
  EXPECT_TRUE(Matches("a::***::c", "a::b::b::c"));
  EXPECT_FALSE(Matches("a::*::*", "a::b"));
}

TEST(Cells, APatternOfNothingIsAnErrorThatNamesIt) {
  const std::vector<effects::SubjectSpec> subjects = {{"cpp", {"x"}, 0}};
  const auto all = AllCells(subjects);
  const auto one = SelectCells(all, {"**::rpc_echo_roundtrip"}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_FALSE(one.value().empty());
  const auto none = SelectCells(all, {"**::channeling_tranform"}, {});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("channeling_tranform"), std::string::npos);
  EXPECT_NE(none.error().message.find("channeling_transform"), std::string::npos);
}

TEST(Subjects, CommandsAreSplitAsAShellWould) {
  const auto subject = ParseSubject("my=run 'a b' \"\" c");
  ASSERT_TRUE(subject.ok());
  EXPECT_EQ(subject.value().command, (std::vector<std::string>{"run", "a b", "", "c"}));
  EXPECT_FALSE(ParseSubject("my=run 'a").ok());
  EXPECT_FALSE(ParseSubject("My=run").ok());
  EXPECT_FALSE(ParseSubject("my=").ok());
}

// It is typed in one folder and started in another.
TEST(Subjects, WordsThatNameFilesBecomeAbsolute) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "words";
  fs::remove_all(folder);
  fs::create_directories(folder / "bin/program");  // a folder is no program
  fs::create_directories(folder / "later");
  for (const char* file : {"mine.py", "later/program"}) std::ofstream(folder / file) << "#";
  fs::permissions(folder / "later/program", fs::perms::owner_all);
  const auto absolute = [&folder](std::vector<std::string> command, const std::string& path) {
    MakeAbsolute(&command, folder.string(), path);
    return command;
  };
  using Words = std::vector<std::string>;
  const std::string here = folder.string();
  EXPECT_EQ(absolute({"program", "mine.py", "bin", "other.py", ""}, "bin:later"),
            (Words{here + "/later/program", here + "/mine.py", "bin", "other.py", ""}));
  EXPECT_EQ(absolute({"program"}, here + "/bin"), Words{"program"});
  EXPECT_EQ(absolute({"./mine"}, ""), Words{here + "/mine"});
  EXPECT_EQ(absolute({"/usr/bin/env"}, ""), Words{"/usr/bin/env"});
}

// The error of a subjects file with this text, without its folder.
std::string SubjectsError(const std::string& text) {
  const std::string path = testing::TempDir() + "subjects_under_test.yaml";
  std::ofstream(path) << text;
  std::map<std::string, std::string> left_out;
  const auto subjects = ReadSubjects(path, "/build", &left_out);
  if (subjects.ok()) return "none";
  EXPECT_EQ(subjects.error().kind, Error::Kind::kUsage);
  EXPECT_TRUE(subjects.error().message.starts_with(path)) << subjects.error().message;
  return subjects.error().message.substr(path.size());
}

TEST(Subjects, ErrorsOfTheFileSayWhere) {
  const std::string good = "subjects:\n  - id: a\n    command: [x]\n";
  EXPECT_EQ(SubjectsError(good), "none");
  EXPECT_EQ(SubjectsError("subjects:\n  - id: a\n    command: [x\n  - id: b\n"),
            ":4:7: end of sequence flow not found");
  EXPECT_EQ(SubjectsError(good + "  - id: A b\n    command: [x]\n"),
            ":4:9: subject id 'A b' may have only a-z, 0-9 and _");
  EXPECT_EQ(SubjectsError(good + "  - id: a\n    command: [y]\n"),
            ":4:9: subject 'a' is listed twice");
  EXPECT_EQ(SubjectsError(good + "  - id: b\n"),
            ":4:5: a subject needs `id: NAME` and `command: [PROGRAM, ARG, …]`");
  EXPECT_EQ(SubjectsError(good + "  - id: b\n    command: []\n"),
            ":4:5: a subject needs `id: NAME` and `command: [PROGRAM, ARG, …]`");
  EXPECT_EQ(SubjectsError("subjects:\n  - id: a\n    command: [x, {a: b}]\n"),
            ":3:18: bad conversion");
  EXPECT_EQ(SubjectsError("subjects: text\n"),
            ":1:11: expected a list of subjects under `subjects:`");
  EXPECT_EQ(SubjectsError(""), ": expected a list of subjects under `subjects:`");
  EXPECT_EQ(SubjectsError("subjects: []\n"), " lists no subject");
}

TEST(Subjects, AFileThatIsNotThereIsNamed) {
  std::map<std::string, std::string> left_out;
  const auto subjects = ReadSubjects("no/such/subjects.yaml", "/build", &left_out);
  ASSERT_FALSE(subjects.ok());
  EXPECT_NE(subjects.error().message.find("no/such/subjects.yaml"), std::string::npos);
  EXPECT_NE(subjects.error().message.find("--subjects FILE"), std::string::npos);
}

TEST(Subjects, CommandsNameTheRootAndTheBuild) {
  const std::string folder = testing::TempDir() + "root/matrix";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/subjects.yaml")
      << "subjects:\n  - id: a\n    command: ['{root}/x', '{build}/y', z]\n";
  std::map<std::string, std::string> left_out;
  const auto subjects = ReadSubjects(folder + "/subjects.yaml", "/build", &left_out);
  ASSERT_TRUE(subjects.ok());
  const std::string root = (std::filesystem::path(folder).parent_path() / "x").string();
  EXPECT_EQ(subjects.value()[0].command, (std::vector<std::string>{root, "/build/y", "z"}));
}

TEST(Cells, SkippingIsByPatternToo) {
  const std::vector<effects::SubjectSpec> subjects = {{"a", {"x"}, 0}, {"b", {"x"}, 0}};
  const auto all = AllCells(subjects);
  const auto some = SelectCells(all, {}, {"lang_a*::**"});
  ASSERT_TRUE(some.ok());
  EXPECT_EQ(some.value().size(), all.size() / 2);
  for (const Cell& cell : some.value()) EXPECT_EQ(cell.subject->id, "b");  // with a, too
  const auto wrong = SelectCells(all, {}, {"lang_c*::**"});
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message.find("lang_c*::**"), std::string::npos);
  EXPECT_FALSE(SelectCells(all, {"lang_a**"}, {"**"}).ok());
}

TEST(Cells, AreSortedAndFoundByTheirIds) {
  const std::vector<effects::SubjectSpec> subjects = {{"b", {"x"}, 0}, {"a", {"x"}, 0}};
  const auto all = AllCells(subjects);
  for (size_t i = 1; i < all.size(); ++i) EXPECT_LT(all[i - 1].Id(), all[i].Id());
  for (const Cell& cell : all) EXPECT_EQ(FindCell(all, cell.Id()), &cell);
  EXPECT_EQ(FindCell(all, "lang_a"), nullptr);
}

TEST(Cells, EveryOrderedPairOfSubjectsHasThoseBetweenTwo) {
  const std::vector<effects::SubjectSpec> subjects = {
      {"a", {"x"}, 0}, {"b_2", {"x"}, 0}, {"c", {"x"}, 0}};
  std::map<std::string, size_t> pairs;
  size_t between = 0, over_stable = 0;
  for (const auto& scenario : scenarios::Catalogue()) {
    if (scenario.between == nullptr) continue;
    ++between;
    over_stable += scenario.conduits == scenarios::Conduits::kBoth;
  }
  for (const Cell& cell : AllCells(subjects)) {
    EXPECT_EQ(cell.client != nullptr, cell.direction == scenarios::Direction::kBidirectional);
    if (cell.client == nullptr) continue;
    EXPECT_NE(cell.client->id, cell.subject->id);
    ++pairs[cell.subject->id + " " + cell.client->id + (cell.stable ? " stable" : "")];
  }
  EXPECT_GT(between, 10u);
  EXPECT_GT(over_stable, 5u);
  EXPECT_EQ(pairs.size(), 12u);
  for (const auto& [pair, cells] : pairs) {
    EXPECT_EQ(cells, pair.ends_with(" stable") ? over_stable : between) << pair;
  }
  // One subject by itself has nobody to speak to.
  for (const Cell& cell : AllCells({{"a", {"x"}, 0}})) EXPECT_EQ(cell.client, nullptr);
}

TEST(Cells, IdsSayWhoIsInThem) {
  const std::vector<effects::SubjectSpec> subjects = {{"a", {"x"}, 0}, {"b_2", {"x"}, 0}};
  const auto all = AllCells(subjects);
  const Cell* cell =
      FindCell(all, "lang_b_2_server_a_client_tcp::direction_bidirectional::rpc_echo_roundtrip");
  ASSERT_NE(cell, nullptr);
  EXPECT_EQ(cell->subject->id, "b_2");
  EXPECT_EQ(cell->client->id, "a");
  for (const Cell& one : all) {
    const auto name = ParseCellId(one.Id());
    ASSERT_TRUE(name.ok()) << one.Id();
    EXPECT_EQ(name->scenario, one.scenario);
    EXPECT_EQ(name->cast.direction, one.direction);
    EXPECT_EQ(name->cast.stable, one.stable);
    if (one.client == nullptr) continue;
    EXPECT_EQ(name->cast.ids[peer::Seat::kServer], one.subject->id);
    EXPECT_EQ(name->cast.ids[peer::Seat::kClient], one.client->id);
  }
  EXPECT_FALSE(ParseCellId("lang_a_transport_tcp::direction_x::no_such_scenario").ok());
  EXPECT_FALSE(
      ParseCellId("lang_a_server_b_client_tcp::direction_bidirectional::rpc_invalid_payload").ok());
}

TEST(Seeds, DependOnEveryPart) {
  EXPECT_EQ(RunSeed(1, "a", 0), RunSeed(1, "a", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(2, "a", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(1, "b", 0));
  EXPECT_NE(RunSeed(1, "a", 0), RunSeed(1, "a", 1));
}

}  // namespace
}  // namespace counterpart::campaign
