// What a frame with a wrong bit is to its reader: the bytes decide, or leave it open.
#include "harness/peer/corruption.h"

#include <gtest/gtest.h>

#include "counterpart/wire/v1/wire.pb.h"
#include "harness/wire/framing.h"

namespace counterpart::peer {
namespace {

constexpr uint32_t kLimit = wire::kDefaultMaxPayload;
constexpr uint32_t kFirstOfBody = 4 * 8 + 1;

std::string FramedPing(uint64_t nonce) {
  wire::v1::Message message;
  message.mutable_ping()->set_nonce(nonce);
  return wire::Frame(message.SerializeAsString());
}

Corruption Of(uint32_t bit) {
  return ReadCorrupted(FlipBit(FramedPing(7), bit), Phase::kMessages, kLimit);
}

TEST(FlipBit, TurnsOneBitOverAndBack) {
  const std::string frame = FramedPing(7);
  for (uint32_t bit = 1; bit <= 8 * frame.size(); ++bit) {
    const std::string wrong = FlipBit(frame, bit);
    int different = 0;
    for (size_t i = 0; i < frame.size(); ++i) {
      different += __builtin_popcount(static_cast<unsigned char>(frame[i] ^ wrong[i]));
    }
    EXPECT_EQ(different, 1) << bit;
    EXPECT_EQ(FlipBit(wrong, bit), frame);
  }
  EXPECT_EQ(FlipBit(frame, 1)[0], static_cast<char>(frame[0] ^ 1));
  EXPECT_EQ(FlipBit(frame, 8 * frame.size() + 1), frame);
}

TEST(ReadCorrupted, ALengthOverTheLimitIsRefused) {
  for (uint32_t bit = 25; bit <= 32; ++bit) {
    EXPECT_EQ(Of(bit).reads, Reads::kRefused) << bit;
    EXPECT_TRUE(Of(bit).oversize) << bit;
  }
}

TEST(ReadCorrupted, ALengthWithinItIsAwaited) {
  for (uint32_t bit = 9; bit <= 24; ++bit) EXPECT_EQ(Of(bit).reads, Reads::kAwaited) << bit;
}

TEST(ReadCorrupted, ATypeOfFieldThatThereIsNotIsRefused) {
  const Corruption corruption = Of(kFirstOfBody + 2);
  EXPECT_EQ(corruption.reads, Reads::kRefused);
  EXPECT_FALSE(corruption.oversize);
}

TEST(ReadCorrupted, AnotherValueReadsAsAnotherPayload) {
  const std::string frame = FramedPing(7);
  const Corruption corruption =
      ReadCorrupted(FlipBit(frame, 8 * frame.size() - 7), Phase::kMessages, kLimit);
  EXPECT_EQ(corruption.reads, Reads::kAsOther);
  ASSERT_EQ(corruption.payloads.size(), 1u);
  wire::v1::Message message;
  ASSERT_TRUE(message.ParseFromString(corruption.payloads[0]));
  EXPECT_EQ(message.ping().nonce(), 6u);
}

TEST(ReadCorrupted, WhatIsOfAnotherPhaseIsRefused) {
  EXPECT_EQ(ReadCorrupted(FramedPing(7), Phase::kHandshake, kLimit).reads, Reads::kRefused);
  EXPECT_EQ(ReadCorrupted(wire::Frame(""), Phase::kMessages, kLimit).reads, Reads::kRefused);
}

}  // namespace
}  // namespace counterpart::peer
