#include "harness/report/junit.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "harness/report/safe_text.h"
#include "harness/report/tests/sample_run.h"

namespace counterpart::report {
namespace {

// Whether tags nest, no '<' or '&' stands bare, and every character is one of XML 1.0.
testing::AssertionResult WellFormed(std::string_view xml) {
  for (std::string_view rest = xml; !rest.empty();) {
    const char32_t c = TakeCodePoint(rest);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0xFFFE || c == 0xFFFF) {
      return testing::AssertionFailure() << "character " << static_cast<unsigned>(c);
    }
  }
  std::vector<std::string> open;
  while (!xml.empty()) {
    const size_t lt = xml.find('<');
    const std::string_view text = xml.substr(0, lt);
    for (size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
      if (text.find(';', at) == text.npos) return testing::AssertionFailure() << "bare &";
    }
    if (text.find("]]>") != text.npos) return testing::AssertionFailure() << "]]>";
    if (lt == xml.npos) break;
    const size_t gt = xml.find('>', lt);
    if (gt == xml.npos) return testing::AssertionFailure() << "tag without end";
    std::string_view tag = xml.substr(lt + 1, gt - lt - 1);
    xml.remove_prefix(gt + 1);
    if (tag.find('<') != tag.npos) return testing::AssertionFailure() << "< in a tag: " << tag;
    if (tag.front() == '?' || tag.back() == '/') continue;
    if (tag.front() == '/') {
      if (open.empty() || open.back() != tag.substr(1)) {
        return testing::AssertionFailure() << "unexpected </" << tag;
      }
      open.pop_back();
    } else {
      open.emplace_back(tag.substr(0, tag.find(' ')));
    }
  }
  if (!open.empty()) return testing::AssertionFailure() << "open " << open.back();
  return testing::AssertionSuccess();
}

size_t Count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Junit, OneTestcasePerCell) {
  const std::string xml = RenderJunit(SampleRun());
  EXPECT_TRUE(WellFormed(xml));
  EXPECT_EQ(Count(xml, "<testcase "), 20u);
  EXPECT_EQ(Count(xml, "<failure "), 1u);
  EXPECT_EQ(Count(xml, "<error "), 1u);  // the crash
  EXPECT_EQ(Count(xml, "<skipped "), 1u);
  EXPECT_NE(xml.find("classname=\"go.tcp.subject_to_harness.channel\" name=\"scenario_1\""),
            std::string::npos);
}

TEST(Junit, SurvivesHostileText) {
  EXPECT_TRUE(WellFormed(RenderJunit(SampleRun(HostileText()))));
  EXPECT_TRUE(WellFormed(RenderJunit(SampleRun(std::string(1 << 18, '<')))));
}

TEST(Junit, NamesAreUnique) {
  report::Run run = SampleRun();
  const std::vector<v1::Cell> again = run.cells;
  run.cells.insert(run.cells.end(), again.begin(), again.end());
  const std::string xml = RenderJunit(run);
  std::set<std::string> names;
  for (size_t at = xml.find("<testcase "); at != xml.npos; at = xml.find("<testcase ", at + 1)) {
    EXPECT_TRUE(names.insert(xml.substr(at, xml.find(" time=", at) - at)).second);
  }
  EXPECT_EQ(names.size(), 40u);
}

TEST(Junit, AnIncompleteRunIsAnError) {
  report::Run run = SampleRun();
  run.footer.reset();
  EXPECT_NE(RenderJunit(run).find("run_is_complete"), std::string::npos);
}

}  // namespace
}  // namespace counterpart::report
