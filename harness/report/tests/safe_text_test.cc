#include "harness/report/safe_text.h"

#include <gtest/gtest.h>

#include "harness/report/json_text.h"

namespace counterpart::report {
namespace {

TEST(SafeText, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(SafeText("a\xff"
                     "b"),
            "a�b");
  EXPECT_EQ(SafeText("\xe2\x82"), "�");             // cut
  EXPECT_EQ(SafeText("\xc0\x80"), "��");            // overlong
  EXPECT_EQ(SafeText("\xed\xa0\x80"), "���");       // surrogate
  EXPECT_EQ(SafeText("\xf4\x90\x80\x80"), "����");  // too large
  EXPECT_EQ(SafeText("é€𝄞"), "é€𝄞");
}

TEST(SafeText, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(SafeText("abc", 3), "abc");
  EXPECT_EQ(SafeText("a€b", 3), "a… (4 bytes more)");
  EXPECT_LT(SafeText(std::string(1 << 20, 'x'), 100).size(), 140u);
}

TEST(SafeText, PrintableShowsWhatActs) {
  EXPECT_EQ(Printable("\x1b[31m\n\t\x7f"), "␛[31m\n\t␡");
  EXPECT_EQ(Printable("\xe2\x80\xae"), "�");
  EXPECT_EQ(OneLine(" a \n\n b\t"), "a b");
}

TEST(JsonText, StrictObjects) {
  EXPECT_TRUE(IsJsonObject(R"( {"a":[1,-2.5e+3,true,null,"\u00e9"],"b":{}} )"));
  for (const char* bad : {"", "[]", "{", "{a:1}", "{'a':1}", R"({"a":01})", R"({"a":1,})",
                          R"({"a":1} x)", "{\"a\":\"\n\"}", R"({"a":"\x"})"}) {
    EXPECT_FALSE(IsJsonObject(bad)) << bad;
  }
  EXPECT_FALSE(IsJsonObject("{\"a\":" + std::string(100000, '[')));
  EXPECT_EQ(JsonObjectFault(R"({"a":x})"), 5u);
  EXPECT_TRUE(IsJsonObject("{\"k\":" + JsonQuote("\x01\"\\\n\xff") + "}"));
}

}  // namespace
}  // namespace counterpart::report
