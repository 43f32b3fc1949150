// Traces as people and tools read them: the scanner, the page, fields, differences.
#include <gtest/gtest.h>

#include "counterpart/control/v1/control.pb.h"
#include "counterpart/report/v1/report.pb.h"
#include "counterpart/wire/v1/wire.pb.h"
#include "harness/machine/normal_form.h"
#include "harness/report/trace_diff.h"
#include "harness/report/trace_fields.h"
#include "harness/report/trace_file.h"
#include "harness/report/trace_text.h"
#include "harness/wire/framing.h"

namespace counterpart::report {
namespace {

using machine::Entry;
using machine::EntryKind;

Entry Write(const std::string& edge, const google::protobuf::Message& message,
            const std::string& label) {
  Entry entry{.kind = EntryKind::kEffect};
  entry.effect = {.kind = effects::EffectKind::kWrite, .id = 1};
  entry.effect.bytes = wire::Frame(message.SerializeAsString());
  entry.reading = {edge, label, ""};
  return entry;
}

wire::v1::Message Request(uint64_t id, const std::string& method) {
  wire::v1::Message message;
  message.mutable_request()->set_request_id(id);
  message.mutable_request()->set_method(method);
  return message;
}

Entry Note(const std::string& edge, const std::string& label) {
  Entry entry{.kind = EntryKind::kNote};
  entry.reading = {edge, label, ""};
  return entry;
}

std::string ValueOf(const std::vector<EntryField>& fields, const std::string& path) {
  for (const EntryField& field : fields) {
    if (field.path == path) return field.value;
  }
  return "(absent)";
}

TEST(TraceFields, AFrameIsDecoded) {
  wire::v1::Message message = Request(7, "a.B/C");
  auto* metadata = message.mutable_request()->add_metadata();
  metadata->set_key("token");
  metadata->set_value("hunter2");
  metadata->set_flags(1);
  const auto fields = FieldsOf(Write("link1.out", message, "Request #7"));
  EXPECT_EQ(ValueOf(fields, "kind"), "write");
  EXPECT_EQ(ValueOf(fields, "message.request.request_id"), "7");
  EXPECT_EQ(ValueOf(fields, "message.request.method"), "\"a.B/C\"");
  EXPECT_EQ(ValueOf(fields, "message.request.metadata[0].value"), "SENSITIVE, 7 B");
}

TEST(TraceFields, APieceOfAFrameIsBytes) {
  Entry entry = Write("link1.out", Request(7, "a.B/C"), "cut");
  entry.effect.bytes.resize(6);
  EXPECT_NE(ValueOf(FieldsOf(entry), "bytes"), "(absent)");
}

TEST(TraceFields, EveryEnvelopeIsToldByItsBytes) {
  wire::v1::Prologue prologue;
  prologue.mutable_hello()->set_version(1);
  wire::v1::Handshake handshake;
  handshake.mutable_hello()->set_parity(wire::v1::PARITY_EVEN);
  EXPECT_EQ(ValueOf(FieldsOf(Write("e", prologue, "")), "prologue.hello.version"), "1");
  EXPECT_EQ(ValueOf(FieldsOf(Write("e", handshake, "")), "handshake.hello.parity"), "PARITY_EVEN");
}

TEST(TraceDiff, OneFieldOfOneFrameIsNamed) {
  const std::vector<Entry> a = {Write("link1.out", Request(1, "a.B/C"), "Request #1"),
                                Write("link1.out", Request(3, "a.B/C"), "Request #3")};
  std::vector<Entry> b = a;
  EXPECT_FALSE(CompareExactly(a, b));
  EXPECT_FALSE(CompareNormalised(a, b));
  b[1] = Write("link1.out", Request(3, "a.B/D"), "Request #3");
  for (const auto& difference : {CompareExactly(a, b), CompareNormalised(a, b)}) {
    ASSERT_TRUE(difference);
    EXPECT_EQ(difference->a_entry, 1u);
    EXPECT_EQ(difference->b_entry, 1u);
    EXPECT_EQ(difference->path, "message.request.method");
    EXPECT_EQ(difference->a, "\"a.B/C\"");
    EXPECT_EQ(difference->b, "\"a.B/D\"");
    EXPECT_FALSE(difference->wording);
  }
}

TEST(TraceDiff, TheNormalFormForgetsOrderBetweenEdgesAndRandomValues) {
  wire::v1::Handshake hello;
  hello.mutable_hello()->set_resume_key("0123456789abcdef");
  std::vector<Entry> a = {Write("link2.out", hello, "Hello key K1"), Note("cut", "x"),
                          Note("", "a finding")};
  hello.mutable_hello()->set_resume_key("fedcba9876543210");
  std::vector<Entry> b = {Note("cut", "x"), Write("link2.out", hello, "Hello key K1")};
  EXPECT_EQ(machine::NormalisedDigest(a), machine::NormalisedDigest(b));
  EXPECT_FALSE(CompareNormalised(a, b));
  EXPECT_TRUE(CompareExactly(a, b));
  b[0] = Note("cut", "y");
  EXPECT_NE(machine::NormalisedDigest(a), machine::NormalisedDigest(b));
  const auto difference = CompareNormalised(a, b);
  ASSERT_TRUE(difference);
  EXPECT_EQ(difference->a_entry, 1u);
  EXPECT_EQ(difference->b_entry, 0u);
  EXPECT_EQ(difference->edge, "cut");
}

TEST(TraceDiff, ATraceThatEndsEarlierIsNamed) {
  const std::vector<Entry> a = {Note("cut", "x"), Note("cut", "y")};
  const std::vector<Entry> b = {Note("cut", "x")};
  for (const auto& difference : {CompareExactly(a, b), CompareNormalised(a, b)}) {
    ASSERT_TRUE(difference);
    EXPECT_EQ(difference->a_entry, 1u);
    EXPECT_FALSE(difference->b_entry);
    EXPECT_EQ(difference->b, "(nothing)");
  }
}

TEST(TraceDiff, AnotherWordingIsNoOtherContent) {
  std::vector<Entry> a = {Write("link1.out", Request(1, "m"), "Request #1")}, b = a;
  b[0].reading.text = "more words";
  const auto difference = CompareExactly(a, b);
  ASSERT_TRUE(difference);
  EXPECT_TRUE(difference->wording);
  EXPECT_EQ(difference->path, "text");
}

std::vector<v1::TraceLine> Small() {
  std::vector<v1::TraceLine> trace(4);
  trace[0].mutable_header()->set_format(1);
  trace[0].mutable_header()->set_cell("lang_x_transport_tcp::direction_harness_to_subject::s");
  trace[1].mutable_entry()->set_side(v1::TRACE_SIDE_HARNESS);
  trace[1].mutable_entry()->set_kind("write");
  trace[1].mutable_entry()->set_edge("link1.out");
  trace[1].mutable_entry()->set_label("Hello odd");
  trace[2].mutable_entry()->set_index(1);
  trace[2].mutable_entry()->set_time_us(1500);
  trace[2].mutable_entry()->set_side(v1::TRACE_SIDE_SUBJECT);
  trace[2].mutable_entry()->set_kind("eof");
  trace[2].mutable_entry()->set_edge("link1.in");
  trace[3].mutable_footer()->set_entries(2);
  trace[3].mutable_footer()->set_verdict(v1::VERDICT_PASS);
  return trace;
}

TEST(TraceScanner, WrongFilesAreNamed) {
  const auto said = [](const std::vector<v1::TraceLine>& trace) {
    const auto parsed = ParseTrace(TraceText(trace), "t");
    return parsed.ok() ? std::string() : parsed.error().message;
  };
  EXPECT_EQ(said(Small()), "");
  auto trace = Small();
  trace[0].mutable_header()->set_format(2);
  EXPECT_NE(said(trace).find("t:1: a trace of format 2; this program reads up to 1"),
            std::string::npos);
  trace = Small();
  trace[0].mutable_header()->clear_cell();
  EXPECT_NE(said(trace).find("names no cell"), std::string::npos);
  trace = Small();
  trace.erase(trace.begin() + 1);
  EXPECT_NE(said(trace).find("t:2: entry 1 where entry 0 belongs"), std::string::npos);
  trace = Small();
  trace.erase(trace.begin() + 2);
  EXPECT_NE(said(trace).find("some are missing"), std::string::npos);
  EXPECT_NE(said({}).find("empty"), std::string::npos);

  trace = Small();
  trace.pop_back();
  EXPECT_EQ(said(trace), "");  // it can be looked at
  TraceScanner scanner("t");
  for (const auto& line : trace) {
    const std::string text = TraceText({line});
    ASSERT_TRUE(scanner.Take(text.substr(0, text.size() - 1)).ok());
  }
  EXPECT_NE(scanner.End(true).error().message.find("cut short: it ends after 2 entries"),
            std::string::npos);
}

TEST(TracePage, IsAlignedAndMarksFaults) {
  const auto trace = Small();
  TracePage page({});
  const std::string head = page.Header(trace[0].header());
  const std::string first = page.Entry(trace[1].entry()), second = page.Entry(trace[2].entry());
  EXPECT_EQ(first.find("->"), second.find("<-"));
  EXPECT_EQ(first.find("link1.out"), second.find("link1.in"));
  EXPECT_EQ(first.substr(0, 2), "  ");
  EXPECT_EQ(second.substr(0, 2), "! ");
  EXPECT_NE(second.find("+1.500"), std::string::npos) << second;
  EXPECT_NE(head.find("edge"), std::string::npos);
  EXPECT_EQ(head.rfind("edge") - head.rfind('\n', head.size() - 2) - 1, first.find("link1.out"));
}

TEST(TraceFilter, TakesWhatAllOfItTake) {
  const auto trace = Small();
  const v1::TraceEntry &hello = trace[1].entry(), &eof = trace[2].entry();
  TraceFilter filter;
  EXPECT_TRUE(filter.Takes(hello));
  filter.faults = true;
  EXPECT_FALSE(filter.Takes(hello));
  EXPECT_TRUE(filter.Takes(eof));
  filter = TraceFilter();
  filter.sides = {"harness"};
  EXPECT_TRUE(filter.Takes(hello));
  EXPECT_FALSE(filter.Takes(eof));
  filter = TraceFilter();
  filter.kinds = {"eof"};
  EXPECT_FALSE(filter.Takes(hello));
  filter = TraceFilter();
  filter.edge = "link*.in";
  EXPECT_FALSE(filter.Takes(hello));
  EXPECT_TRUE(filter.Takes(eof));
  filter = TraceFilter();
  filter.text = "odd";
  EXPECT_TRUE(filter.Takes(hello));
  EXPECT_FALSE(filter.Takes(eof));
  filter = TraceFilter();
  filter.first = 1;
  filter.last = 1;
  EXPECT_FALSE(filter.Takes(hello));
  EXPECT_TRUE(filter.Takes(eof));
}

}  // namespace
}  // namespace counterpart::report
