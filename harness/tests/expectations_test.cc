// What an entry of the expectations file excuses, and what it does not.
#include "harness/campaign/expectations.h"

#include <gtest/gtest.h>

#include <fstream>

#include "counterpart/report/v1/report.pb.h"

namespace counterpart::campaign {
namespace {

constexpr char kId[] = "lang_cpp_transport_tcp::direction_harness_to_subject::rpc_echo_roundtrip";
constexpr char kToday[] = "2026-06-01";

Expectation Known(Expectation::Kind kind = Expectation::Kind::kFail) {
  Expectation known;
  known.cell = "lang_cpp_*::**";
  known.kind = kind;
  known.rule = "rpc.id.monotone";
  known.reason = "why";
  known.expires = "2026-06-02";
  return known;
}

report::v1::Cell Ran(report::v1::CellStatus status, const std::string& rule = "") {
  report::v1::Cell cell;
  cell.set_id(kId);
  cell.set_status(status);
  if (!rule.empty()) cell.add_signatures()->set_rule(rule);
  return cell;
}

Kept KeptBy(const Expectation& expectation, const report::v1::Cell& cell) {
  return Judge({expectation}, cell, kToday).kept;
}

TEST(Expectations, ExcuseWhatIsRedByTheirRule) {
  EXPECT_EQ(KeptBy(Known(), Ran(report::v1::CELL_STATUS_FAIL, "rpc.id.monotone")), Kept::kKept);
  EXPECT_EQ(KeptBy(Known(), Ran(report::v1::CELL_STATUS_FAIL, "session.goodbye")), Kept::kBroken);
  EXPECT_EQ(KeptBy(Known(), Ran(report::v1::CELL_STATUS_FLAKY, "rpc.id.monotone")), Kept::kBroken);
}

TEST(Expectations, AreStaleOnceTheCellIsGreen) {
  EXPECT_EQ(KeptBy(Known(), Ran(report::v1::CELL_STATUS_PASS)), Kept::kStale);
}

TEST(Expectations, NeverExcuseWhatWasNotJudged) {
  for (const auto status : {report::v1::CELL_STATUS_ERROR, report::v1::CELL_STATUS_INCONCLUSIVE,
                            report::v1::CELL_STATUS_NOT_RUN, report::v1::CELL_STATUS_UNSUPPORTED}) {
    EXPECT_EQ(KeptBy(Known(), Ran(status)), Kept::kNotExpected);
  }
}

TEST(Expectations, EndOnTheirDay) {
  Expectation old = Known();
  old.expires = kToday;
  EXPECT_EQ(KeptBy(old, Ran(report::v1::CELL_STATUS_FAIL, "rpc.id.monotone")), Kept::kBroken);
  EXPECT_EQ(KeptBy(old, Ran(report::v1::CELL_STATUS_PASS)), Kept::kNotExpected);
}

TEST(Expectations, FlakyIsBoundedByWhatTheRunsProve) {
  Expectation flaky = Known(Expectation::Kind::kFlaky);
  flaky.max_rate = 0.1;
  report::v1::Cell cell = Ran(report::v1::CELL_STATUS_FLAKY, "rpc.id.monotone");
  cell.set_rate_low("0.050000");
  EXPECT_EQ(KeptBy(flaky, cell), Kept::kKept);
  cell.set_rate_low("0.150000");
  EXPECT_EQ(KeptBy(flaky, cell), Kept::kBroken);
  EXPECT_EQ(KeptBy(flaky, Ran(report::v1::CELL_STATUS_PASS)), Kept::kKept);
}

TEST(Expectations, AreOfTheirCellsOnly) {
  Expectation other = Known();
  other.cell = "lang_python_*::**";
  EXPECT_EQ(KeptBy(other, Ran(report::v1::CELL_STATUS_PASS)), Kept::kNotExpected);
}

class ExpectationsFile : public testing::Test {
 protected:
  // The error of reading `text`, without the path; empty if there is none.
  std::string Wrong(const std::string& text) {
    const std::string path = testing::TempDir() + "/expectations.yaml";
    std::ofstream(path) << text;
    const std::vector<effects::SubjectSpec> subjects = {{"cpp", {"x"}, 0}};
    const auto read = ReadExpectations(path, AllCells(subjects));
    return read.ok() ? "" : read.error().message.substr(path.size());
  }
};

TEST_F(ExpectationsFile, SaysWhereItIsWrong) {
  const std::string whole = R"(expectations:
  - cell: "lang_cpp_*::**::rpc_echo_roundtrip"
    status: fail
    reason: why
    expires: "2030-01-01"
)";
  EXPECT_EQ(Wrong(whole), "");
  EXPECT_EQ(Wrong("expectations: []"), "");
  EXPECT_EQ(Wrong("expectations: ["), ":1:1: end of sequence flow not found");
  const auto with = [&whole](const std::string& from, const std::string& to) {
    std::string text = whole;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_TRUE(Wrong(with("lang_cpp", "lang_cqq")).starts_with(":2:11: no cell matches"));
  EXPECT_TRUE(Wrong(with("fail", "fial")).starts_with(":2:5: `status`"));
  EXPECT_TRUE(Wrong(with("2030-01-01", "soon")).starts_with(":2:5: `expires`"));
  EXPECT_TRUE(Wrong(with("reason: why", "raeson: why")).starts_with(":2:5: an expectation has no"));
  EXPECT_TRUE(Wrong(with("reason: why", "issue: x")).starts_with(":2:5: the expectation needs"));
  EXPECT_TRUE(Wrong(with("fail", "flaky")).starts_with(":2:5: `max_rate`"));
}

}  // namespace
}  // namespace counterpart::campaign
