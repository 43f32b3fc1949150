// A stable conduit between two subjects, as numbers: what is new to the reader and to whom it is
// passed on, who has to send again, and which claims cannot be.
#include "harness/peer/stable_passage.h"

#include <gtest/gtest.h>

namespace counterpart::peer {
namespace {

constexpr uint32_t kOfClient = 0xfffffffe;  // wraps at its third frame
constexpr uint32_t kOfServer = 7;

wire::v1::StableFrame Data(uint32_t number, std::optional<uint32_t> ack = std::nullopt) {
  wire::v1::StableFrame frame;
  frame.mutable_data()->set_seq(number);
  if (ack) frame.mutable_data()->set_ack(*ack);
  return frame;
}

wire::v1::StableFrame Ack(uint32_t number) {
  wire::v1::StableFrame frame;
  frame.mutable_ack()->set_ack(number);
  return frame;
}

class StablePassageTest : public testing::Test {
 protected:
  void SetUp() override {
    EXPECT_EQ(passage_.OnHello(Seat::kClient, kOfClient, std::nullopt), "");
    EXPECT_EQ(passage_.OnHello(Seat::kServer, kOfServer, std::nullopt), "");
  }

  // Another link, over which each says what it has received.
  void Reconnect(std::optional<uint32_t> client, std::optional<uint32_t> server) {
    EXPECT_EQ(passage_.OnHello(Seat::kClient, kOfClient, client), "");
    EXPECT_EQ(passage_.OwesReplay(), std::nullopt) << "the server has not answered yet";
    EXPECT_EQ(passage_.OnHello(Seat::kServer, kOfServer, server), "");
  }

  bool Read(Seat from, uint32_t number, bool on_newest_link = true) {
    const auto read = passage_.OnRead(from, Data(number), on_newest_link);
    EXPECT_EQ(read.wrong, "");
    return read.is_new;
  }
  bool ReadAndPass(Seat from, uint32_t number) {
    const bool is_new = Read(from, number);
    EXPECT_EQ(passage_.OnPassed(from, Data(number)), is_new);
    return is_new;
  }

  StablePassage passage_;
};

TEST_F(StablePassageTest, AnItemIsNewOnce) {
  EXPECT_TRUE(ReadAndPass(Seat::kClient, 0xfffffffe));
  EXPECT_TRUE(ReadAndPass(Seat::kClient, 0xffffffff));
  EXPECT_TRUE(ReadAndPass(Seat::kClient, 0));
  EXPECT_TRUE(ReadAndPass(Seat::kServer, 7));
  EXPECT_FALSE(ReadAndPass(Seat::kClient, 0));
  EXPECT_FALSE(passage_.OnRead(Seat::kServer, Ack(0), true).is_new);
  EXPECT_FALSE(passage_.OnPassed(Seat::kServer, Ack(0)));
  EXPECT_EQ(passage_.OwesReplay(), std::nullopt);
}

TEST_F(StablePassageTest, WhatWasReadAndNotPassedOnIsNewToTheOther) {
  EXPECT_TRUE(ReadAndPass(Seat::kServer, 7));
  EXPECT_TRUE(Read(Seat::kServer, 8));
  Reconnect(7, std::nullopt);
  EXPECT_EQ(passage_.OwesReplay(), Seat::kServer);
  EXPECT_FALSE(Read(Seat::kServer, 8));
  EXPECT_TRUE(passage_.OnPassed(Seat::kServer, Data(8)));
  EXPECT_EQ(passage_.OwesReplay(), std::nullopt);
  EXPECT_TRUE(ReadAndPass(Seat::kServer, 9));
}

// Passed on, and lost on the way: it is for both to send again, and nothing of it is new.
TEST_F(StablePassageTest, BothSendAgainWhatTheOtherSaysItHasNot) {
  for (const uint32_t number : {0xfffffffeu, 0xffffffffu}) ReadAndPass(Seat::kClient, number);
  for (const uint32_t number : {7u, 8u}) ReadAndPass(Seat::kServer, number);
  Reconnect(std::nullopt, 0xfffffffe);
  EXPECT_EQ(passage_.OwesReplay(), Seat::kClient);
  EXPECT_FALSE(ReadAndPass(Seat::kClient, 0xffffffff));
  EXPECT_EQ(passage_.OwesReplay(), Seat::kServer);
  for (const uint32_t number : {7u, 8u}) {
    EXPECT_FALSE(Read(Seat::kServer, number, /*on_newest_link=*/false)) << "of the link before";
  }
  EXPECT_EQ(passage_.OwesReplay(), Seat::kServer);
  EXPECT_FALSE(ReadAndPass(Seat::kServer, 7));
  EXPECT_FALSE(ReadAndPass(Seat::kServer, 8));
  EXPECT_EQ(passage_.OwesReplay(), std::nullopt);
}

// r[stable.seq]
TEST_F(StablePassageTest, AnAckOfWhatWasNotPassedOnCannotBe) {
  Read(Seat::kServer, 7);
  EXPECT_EQ(passage_.OnRead(Seat::kClient, Ack(7), true).wrong,
            "acknowledges 7, which was never sent to it");
  EXPECT_NE(passage_.OnRead(Seat::kClient, Data(kOfClient, 7), true).wrong, "");
  passage_.OnPassed(Seat::kServer, Data(7));
  EXPECT_EQ(passage_.OnRead(Seat::kClient, Ack(7), true).wrong, "");
  EXPECT_NE(passage_.OnRead(Seat::kClient, Ack(6), true).wrong, "") << "before the first";
}

// r[stable.seq]
TEST_F(StablePassageTest, AHelloClaimsWhatCanBe) {
  for (const uint32_t number : {7u, 8u, 9u}) ReadAndPass(Seat::kServer, number);
  EXPECT_EQ(passage_.OnRead(Seat::kClient, Ack(8), true).wrong, "");
  StablePassage after = passage_;
  EXPECT_EQ(after.OnHello(Seat::kClient, kOfClient, 8), "");
  after = passage_;
  EXPECT_EQ(after.OnHello(Seat::kClient, kOfClient, 7),
            "claims to have last received 7, which is below an earlier ack");
  after = passage_;
  EXPECT_EQ(after.OnHello(Seat::kClient, kOfClient, 10),
            "claims to have received 10, which was never sent to it");
  after = passage_;
  EXPECT_EQ(after.OnHello(Seat::kClient, kOfClient, std::nullopt),
            "has received nothing by its hello, after an ack");
  // An older ack that was still on its way is no claim that it forgot the newer one.
  EXPECT_EQ(passage_.OnRead(Seat::kClient, Ack(7), false).wrong, "");
}

TEST(StablePassage, AConduitThatCarriedNothingMayBeBegunAnew) {
  StablePassage passage;
  for (const uint32_t first : {5u, 50u}) {
    EXPECT_EQ(passage.OnHello(Seat::kClient, first, std::nullopt), "");
    EXPECT_EQ(passage.OnHello(Seat::kServer, first + 1, std::nullopt), "");
  }
  EXPECT_TRUE(passage.OnRead(Seat::kServer, Data(51), true).is_new);
  EXPECT_TRUE(passage.OnRead(Seat::kClient, Data(50), true).is_new);
  EXPECT_EQ(passage.OwesReplay(), std::nullopt);
}

TEST(StablePassage, WhoBeginsAConduitHasReceivedNothingOverIt) {
  StablePassage passage;
  EXPECT_NE(passage.OnHello(Seat::kClient, 0, 3), "");
}

}  // namespace
}  // namespace counterpart::peer
