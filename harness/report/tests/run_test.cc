#include "harness/report/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "harness/report/line_json.h"
#include "harness/report/run_file.h"
#include "harness/report/tests/sample_run.h"
#include "harness/report/trace_file.h"

namespace counterpart::report {
namespace {

TEST(Run, IsReadBack) {
  const report::Run run = SampleRun();
  EXPECT_EQ(run.cells.size(), 20u);
  EXPECT_TRUE(run.complete()) << run.incomplete();
  EXPECT_EQ(run.RuleText("channel.close.once"), "A channel closes once.");
}

TEST(Run, EachExecIsToldOfAndOnlyThoseThatDidNotPassAreKept) {
  std::string text = SampleRunText();
  // One that passed, and was another when it was driven again.
  const size_t first = text.find("{\"exec\"");
  const size_t end = text.find('\n', first);
  text.insert(end - 2, ",\"again\":{\"divergence\":\"entry 3\"}");
  uint32_t told = 0, red = 0;
  uint64_t time_us = 0;
  const Result<report::Run> run = ParseRun(text, "r", [&](const v1::Exec& exec) {
    ++told;
    red += exec.verdict() != v1::VERDICT_PASS;
    time_us += exec.duration_us();
  });
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(told, 400u);
  EXPECT_EQ(red, 43u);
  ASSERT_EQ((*run).execs.size(), red + 1);
  EXPECT_EQ((*run).execs[0].again().divergence(), "entry 3");
  for (size_t i = 1; i < (*run).execs.size(); ++i) {
    EXPECT_NE((*run).execs[i].verdict(), v1::VERDICT_PASS);
  }
  // What was not kept has left its time.
  for (const v1::Cell& cell : (*run).cells) time_us -= (*run).TimeOf(cell.id());
  EXPECT_EQ(time_us, 0u);
  EXPECT_EQ((*run).last_us, 20'000u);
}

TEST(Run, CutAnywhereIsReadAsIncomplete) {
  const std::string text = SampleRunText();
  const size_t header = text.find('\n') + 1;
  for (size_t size = header; size < text.size(); size += 9973) {
    std::map<std::string, uint32_t> runs;
    const Result<report::Run> run =
        ParseRun(text.substr(0, size), "run.jsonl", [&runs](const v1::Exec& exec) {
          runs[exec.cell()] += exec.ending() != v1::ENDING_UNSUPPORTED;
        });
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_FALSE((*run).complete());
    EXPECT_EQ((*run).cells.size(), runs.size());
    for (const v1::Cell& cell : (*run).cells) {
      ASSERT_EQ(runs.count(cell.id()), 1u);
      EXPECT_EQ(cell.runs(), runs[cell.id()]);
      EXPECT_EQ(cell.group(), "channel");
    }
  }
}

TEST(Run, ABrokenLineIsNamed) {
  std::string text = SampleRunText();
  size_t third = text.find('\n', text.find('\n') + 1) + 1;
  text.insert(third, "{\"exec\": {\"id\": oops}}\n");
  const Result<report::Run> run = ParseRun(text, "out/run.jsonl");
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().kind, Error::Kind::kUsage);
  EXPECT_EQ(run.error().message.find("out/run.jsonl:3:17: "), 0u) << run.error().message;

  text.replace(third, 24, "{\"exec\":{\"ordinal\":\"no\"}}\n");
  const Result<report::Run> mistyped = ParseRun(text, "r");
  ASSERT_FALSE(mistyped.ok());
  EXPECT_EQ(mistyped.error().message.find("r:3: JSON, but not a Line"), 0u)
      << mistyped.error().message;
}

TEST(Run, UnknownFieldsAndKindsAreTolerated) {
  const Result<report::Run> run =
      ParseRun("{\"header\":{\"format\":1,\"new\":[1]}}\n\n{\"novelty\":{\"a\":1}}\n", "r");
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_FALSE((*run).complete());
}

TEST(Run, WhatIsNoRunIsRefused) {
  for (const char* text : {"", "\n", "{\"cell\":{}}\n", "{\"header\":{\"format\":2}}\n",
                           "{\"header\":{}}\n{\"header\":{}}\n",
                           "{\"header\":{}}\n{\"footer\":{}}\n{\"exec\":{}}\n"}) {
    EXPECT_FALSE(ParseRun(text, "r").ok()) << text;
  }
}

TEST(LineJson, IsOneLineOfBoundedUtf8) {
  v1::Line line;
  line.mutable_exec()->set_reason(HostileText());
  line.mutable_exec()->set_subject_stderr(std::string(1 << 20, '\xff'));
  const std::string text = ToJsonLine(line);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_LT(text.size(), 3u * kStringLimit + 4096);
  v1::Line back;
  ASSERT_TRUE(FromJsonLine(std::string_view(text).substr(0, text.size() - 1), "r", &back).ok());
}

TEST(Files, RoundTrip) {
  const std::string folder =
      (std::filesystem::path(testing::TempDir()) / "counterpart_report_files").string();
  std::filesystem::remove_all(folder);
  {
    auto writer = RunWriter::Create(folder + "/a/run.jsonl");
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    v1::Header header;
    header.set_format(1);
    ASSERT_TRUE((*writer)->Append(header).ok());
    ASSERT_TRUE((*writer)->Append(MakeExec(kCell, 0, v1::VERDICT_PASS)).ok());
    // Before the writer is gone: a killed harness leaves this.
    const Result<report::Run> run = RunReader::Read(folder + "/a/run.jsonl");
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ((*run).cells.at(0).runs(), 1u);
    EXPECT_EQ((*run).cells.at(0).scenario(), "rpc_echo_roundtrip");
    EXPECT_EQ((*RunReader::ReadHeader(folder + "/a/run.jsonl")).cells.size(), 0u);
    std::ofstream(folder + "/a/run.jsonl", std::ios::app) << "{\"exec\":{\"id\":\"cut";
  }
  {
    std::vector<std::string> kept;
    auto writer = RunWriter::Continue(folder + "/a/run.jsonl",
                                      [&kept](const v1::Exec& exec) { kept.push_back(exec.id()); });
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_EQ(kept, std::vector<std::string>{std::string(kCell) + "#0"});
  }
  std::vector<v1::TraceLine> trace(3);
  trace[0].mutable_header()->set_cell(kCell);
  trace[1].mutable_entry()->set_data(std::string("\x00\xff", 2));
  trace[2].mutable_footer()->set_entries(1);
  const std::string path = folder + "/" + TracePath(std::string(kCell) + "#0");
  ASSERT_TRUE(WriteTrace(path, trace).ok());
  const auto back = ReadTrace(path);
  ASSERT_TRUE(back.ok()) << back.error().message;
  ASSERT_EQ((*back).size(), 3u);
  EXPECT_EQ((*back)[1].entry().data(), trace[1].entry().data());
  trace[1].mutable_entry()->set_index(5);
  EXPECT_FALSE(ParseTrace(TraceText(trace), "t").ok());
  EXPECT_FALSE(RunReader::Read(folder + "/none").ok());
  EXPECT_FALSE(RunReader::ReadHeader(folder + "/none").ok());
  std::filesystem::remove_all(folder);
}

TEST(Threads, WriteWholeLinesIntoOneFile) {
  constexpr uint32_t kThreads = 4, kEach = 200;
  const std::string folder =
      (std::filesystem::path(testing::TempDir()) / "counterpart_report_threads").string();
  std::filesystem::remove_all(folder);
  auto writer = RunWriter::Create(folder + "/run.jsonl");
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  v1::Header header;
  header.set_format(1);
  ASSERT_TRUE((*writer)->Append(header).ok());
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&writer, thread] {
      for (uint32_t i = 0; i < kEach; ++i) {
        const v1::Exec exec = MakeExec(kCell, thread * kEach + i, v1::VERDICT_PASS);
        EXPECT_TRUE((*writer)->Append(exec).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::multiset<uint32_t> ordinals;
  const Result<report::Run> run =
      RunReader::Read(folder + "/run.jsonl",
                      [&ordinals](const v1::Exec& exec) { ordinals.insert(exec.ordinal()); });
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(ordinals.size(), kThreads * kEach);
  EXPECT_EQ(std::set<uint32_t>(ordinals.begin(), ordinals.end()).size(), kThreads * kEach);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace counterpart::report
