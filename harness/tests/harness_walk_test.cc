// The harness's own steps through the machines of the spec, read off the frames of a run.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/tests/frame_script.h"

namespace counterpart::judge {
namespace {

class HarnessWalk : public testing::Test {
 protected:
  // Frames of links of one session; "cut" ends link 1.
  std::set<std::string> Reached(const std::vector<std::string>& script) {
    Judge judge;
    const auto walk = NewHarnessWalk();
    for (const std::string& line : script) {
      if (line == "cut") {
        walk->OnLinkEnd(links_[1], peer::LinkEnd::kCutByHarness, 0, 0, judge);
        continue;
      }
      EXPECT_TRUE(tests::WithFrame(line, [&](ObservedFrame& frame) {
        LinkContext& link = links_[frame.link];
        link.link = frame.link;
        link.session_id = "s";
        walk->OnFrame(frame, link, judge);
      })) << line;
    }
    return judge.reached();
  }

  static std::string Request(const std::string& method, int request, int operation) {
    const std::string channel =
        method.starts_with("Generate") ? " channels { field_number: 3 channel_id: 1 }" : "";
    return " request { request_id: " + std::to_string(request) +
           " operation_id: " + std::to_string(operation) +
           " method: 'counterpart.testbed.v1.Testbed/" + method + "'" + channel + " }";
  }

  std::map<uint32_t, LinkContext> links_;
};

TEST_F(HarnessWalk, ResumesAfterACut) {
  const auto reached =
      Reached({"H handshake lets_go {}", "cut", "2H handshake lets_go {}", "2H goodbye {}"});
  EXPECT_EQ(reached, (std::set<std::string>{
                         "harness driver: Connecting --established--> Connected",
                         "harness driver: Connected --link_lost--> Resuming",
                         "harness driver: Resuming --resumed--> Connected",
                         "harness driver: Connected --ended--> Disconnected",
                     }));
}

TEST_F(HarnessWalk, RecordsOperationsOfTheSubject) {
  const auto reached =
      Reached({"S" + Request("EchoIdem", 1, 1), "H response { request_id: 1 ok: 'x' }",
               "S" + Request("EchoIdem", 3, 1), "S" + Request("GenerateIdem", 5, 2), "cut",
               "2S" + Request("GenerateIdem", 7, 2)});
  for (const std::string step :
       {"operation: Absent --admit--> Live", "operation: Live --seal--> Sealed",
        "operation: Sealed --replay--> Sealed", "operation: Live --release--> Released",
        "operation: Released --rerun--> Live", "channel_sender: Reserved --detach--> Defunct"}) {
    EXPECT_TRUE(reached.contains("harness " + step)) << step;
  }
}

TEST_F(HarnessWalk, TakesAndEndsStreams) {
  const auto reached =
      Reached({"H" + Request("Generate", 1, 1), "S channel_item { channel_id: 1 item: '' }",
               "H grant_credit { channel_id: 1 credit: 1 }", "H reset_channel { channel_id: 1 }",
               "S channel_item { channel_id: 1 item: '' }", "S close_channel { channel_id: 1 }"});
  for (const std::string step :
       {"Reserved --bind--> Open", "Open --item--> Open", "Open --credit--> Open",
        "Open --reset--> Reset", "Reset --late_item--> Reset", "Reset --late_close--> Reset"}) {
    EXPECT_TRUE(reached.contains("harness channel_receiver: " + step)) << step;
  }
}

}  // namespace
}  // namespace counterpart::judge
