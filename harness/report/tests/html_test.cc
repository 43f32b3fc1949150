#include "harness/report/html.h"

#include <gtest/gtest.h>

#include "harness/report/tests/sample_run.h"

namespace counterpart::report {
namespace {

std::string DataOf(const std::string& html) {
  const std::string begin = "id=\"run-data\">";
  const size_t at = html.find(begin) + begin.size();
  return html.substr(at, html.find("</script>", at) - at);
}

TEST(Html, InlinesThePageUnchanged) {
  const std::string html = RenderHtml(SampleRunText(HostileText()));
  EXPECT_GT(page::kFiles.size(), 2u);
  for (const auto& [name, bytes] : page::kFiles) {
    if (name == "page.html") continue;
    EXPECT_NE(html.find(bytes), std::string::npos) << name;
  }
  EXPECT_EQ(html.find("<style>/*{{"), std::string::npos);
}

TEST(Html, DataIsInertAndBounded) {
  const std::string data = DataOf(RenderHtml(SampleRunText(HostileText()) + "{cut"));
  EXPECT_EQ(data.find_first_of("<>&"), std::string::npos);
  EXPECT_EQ(data.find("\xe2\x80\xa8"), std::string::npos);
  EXPECT_NE(data.find("{{data}}"), std::string::npos);  // said by the subject, not replaced
  EXPECT_NE(data.find("\"unreadable_lines\": 1"), std::string::npos);
  // 17 clean cells keep 3 of 20; flaky: 3 of 17 passed, 3 red; crash and unsupported: 5 of 20.
  EXPECT_NE(data.find("\"left_out_execs\": " + std::to_string(17 * 17 + 14 + 15 + 15)),
            std::string::npos);
}

// What a browser is given is UTF-8, whatever the file has.
TEST(Html, BadBytesAreReplaced) {
  const std::string data = DataOf(RenderHtml(SampleRunText() + "{\"exec\": {\"id\": \"\xff\"}}\n"));
  EXPECT_EQ(data.find('\xff'), std::string::npos);
  EXPECT_NE(data.find("{\"exec\": {\"id\": \"\xef\xbf\xbd\"}}"), std::string::npos);
}

TEST(Html, RunsOfUncountedCellsAreAllKept) {
  const std::string text = SampleRunText();
  const std::string data = DataOf(RenderHtml(text.substr(0, text.find("{\"cell\":"))));
  EXPECT_NE(data.find("\"left_out_execs\": 0"), std::string::npos);
}

}  // namespace
}  // namespace counterpart::report
