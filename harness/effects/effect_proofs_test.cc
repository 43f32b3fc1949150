// What counts as shown of an effect, and what does not yet.
#include "harness/effects/effect_proofs.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>

namespace counterpart::effects {
namespace {

TcpEnd End(uint8_t state) {
  TcpEnd end;
  end.state = state;
  end.counted = true;
  return end;
}

TEST(ProofOfCut, IsWhatTheOtherEndShows) {
  EXPECT_EQ(ProofOfCut({.subject = End(TCP_ESTABLISHED)}), "");
  EXPECT_EQ(ProofOfCut({.subject = End(TCP_CLOSE_WAIT)}), "the subject's socket is in CLOSE_WAIT");
  EXPECT_EQ(ProofOfCut({.subject = std::nullopt}), "the subject's socket is gone");
}

TEST(ProofOfCut, OfWhatCannotBeSeenSaysWhy) {
  EXPECT_EQ(ProofOfCut({.connected = false, .subject = End(TCP_ESTABLISHED)}),
            "no connection was made yet");
  EXPECT_EQ(ProofOfCut({.far_ends_shown = false, .subject = End(TCP_ESTABLISHED)}),
            "this kernel does not show the other end");
  // What has these addresses now is another connection, and says nothing of the one that was cut.
  EXPECT_EQ(ProofOfCut({.addresses_reused = true, .subject = End(TCP_ESTABLISHED)}),
            "its addresses are those of another connection by now");
}

TEST(ProofOfSplit, IsThatThePartWasReadAndNothingElse) {
  SplitSeen seen{.written = 40, .unsent = 3, .subject = End(TCP_ESTABLISHED)};
  EXPECT_EQ(ProofOfSplit(seen), "") << "not all of it has arrived";
  seen.subject->received = 40;
  seen.subject->unread = 1;
  EXPECT_EQ(ProofOfSplit(seen), "") << "it has not been read";
  seen.subject->unread = 0;
  EXPECT_EQ(ProofOfSplit(seen),
            "the subject had read all 40 bytes before the rest, of 3 bytes, was written");
  seen.subject->counted = false;
  EXPECT_EQ(ProofOfSplit(seen), "") << "the kernel does not count any more";
  seen.subject.reset();
  EXPECT_EQ(ProofOfSplit(seen), "");
}

TEST(ProofOfSplit, OfNothingWrittenIsNothing) {
  EXPECT_EQ(ProofOfSplit({.written = 0, .subject = End(TCP_ESTABLISHED)}), "");
}

TEST(ProofOfSplit, WhereNothingFollowsAnEndIsAsGood) {
  SplitSeen seen{.nothing_follows = true, .written = 40, .subject = End(TCP_ESTABLISHED)};
  seen.subject->received = 40;
  EXPECT_EQ(ProofOfSplit(seen), "the subject has read all 40 bytes");
  seen.end_read = true;
  EXPECT_EQ(ProofOfSplit(seen), "the subject has ended the connection");
  EXPECT_EQ(ProofOfSplit({.open = false, .nothing_follows = true}),
            "the subject has ended the connection");
  EXPECT_EQ(ProofOfSplit({.open = false}), "") << "the rest was never written";
}

TEST(ProofOfMerge, IsOneSegmentForBoth) {
  EXPECT_EQ(ProofOfMerge(true, 1), "two frames left in one segment");
  EXPECT_EQ(ProofOfMerge(true, 2), "");
  EXPECT_EQ(ProofOfMerge(true, std::nullopt), "");
  EXPECT_EQ(ProofOfMerge(false, 1), "");
}

TEST(ShownOfStopReading, TellsWhetherTheWindowHasClosed) {
  EXPECT_EQ(ShownOfStopReading(0, End(TCP_ESTABLISHED)).took_effect, 0u);
  EXPECT_EQ(ShownOfStopReading(7, End(TCP_ESTABLISHED)).took_effect, 1u);
  TcpEnd closed = End(TCP_ESTABLISHED);
  closed.held_back = 9;
  EXPECT_EQ(ShownOfStopReading(7, closed).took_effect, 2u);
  EXPECT_EQ(ShownOfStopReading(7, closed).text,
            "7 bytes of the subject wait unread, 9 more are held back, and its window is 0");
  EXPECT_EQ(ShownOfStopReading(7, std::nullopt).text, "7 bytes of the subject wait unread");
}

TEST(ShownOfStop, IsEveryThread) {
  EXPECT_EQ(ShownOfStop(std::nullopt, 5).took_effect, 0u);
  EXPECT_EQ(ShownOfStop(3, 5).took_effect, 1u);
  EXPECT_EQ(ShownOfStop(3, 5).text, "3 threads in state T, and 5 bytes that wait for them");
}

}  // namespace
}  // namespace counterpart::effects
