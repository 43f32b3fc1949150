#include "harness/judge/judge.h"

#include <utility>

namespace counterpart::judge {

using machine::Finding;
using machine::Level;

const char* Name(Side side) { return side == Side::kHarness ? "harness" : "subject"; }

Judge::Judge() : Judge("", "") {}

Judge::Judge(std::string id, std::string called) : id_(std::move(id)), called_(std::move(called)) {
  // The handshake monitor fills the link context the others read: it comes first.
  monitors_.push_back(NewHandshakeMonitor());
  monitors_.push_back(NewPayloadMonitor());
  monitors_.push_back(NewStableMonitor());
  monitors_.push_back(NewMessageMonitor());
  monitors_.push_back(NewConnectionMonitor());
  monitors_.push_back(NewRequestMonitor());
  monitors_.push_back(NewChannelMonitor());
  monitors_.push_back(NewSchemaMonitor());
  monitors_.push_back(NewJournalMonitor());
  monitors_.push_back(NewHarnessWalk());
  monitors_.push_back(NewExecutionMonitor());
}

Judge::~Judge() = default;

void Judge::Violation(const std::string& rule, Side who, std::string text,
                      const ObservedFrame* frame) {
  if (who == Side::kHarness && frame != nullptr && !frame->deliberate.empty()) return;
  if (who == Side::kHarness && !id_.empty()) return;
  Finding finding;
  finding.level = who == Side::kSubject ? Level::kFail : Level::kError;
  finding.rule = rule;
  finding.text = (called_.empty() ? std::string("the ") + Name(who) : called_) + " " + text;
  finding.entry = frame == nullptr ? 0 : frame->entry;
  finding.place = "monitor";
  finding.blame = id_;
  report_(std::move(finding));
}

bool Judge::Odd(const LinkContext& link, Side side, uint64_t connection) {
  const Connection* on = connections(link.session_id).Find(connection);
  return on == nullptr ? link.odd(side) : on->Odd(side);
}

uint32_t Judge::Limit(const LinkContext& link, Side side, uint64_t connection) {
  const Connection* on = connections(link.session_id).Find(connection);
  return on == nullptr ? link.limit[Index(side)] : on->limit[Index(side)];
}

void Judge::OnFrame(const ObservedFrame& frame) {
  LinkContext& link = links_[frame.link];
  link.link = frame.link;
  link.harness_dialled = frame.harness_dialled;
  if (!frame.deliberate.empty()) link.deliberate = any_deliberate_ = true;
  if (frame.cut_short) return;  // the subject never got it: it counts as nothing said
  const bool carried = frame.stable_handshake != nullptr || frame.stable_frame != nullptr;
  link.carrier |= carried;
  for (const auto& monitor : monitors_) {
    if (!carried || monitor->OfCarriers()) monitor->OnFrame(frame, link, *this);
  }
}

void Judge::OnLinkEnd(uint32_t id, peer::LinkEnd end, uint64_t partial, uint64_t entry) {
  LinkContext& link = links_[id];
  link.ended = true;
  if (link.carrier) return;
  for (const auto& monitor : monitors_) monitor->OnLinkEnd(link, end, partial, entry, *this);
}

void Judge::OnEnd(const ObservedEnd& end) {
  for (const auto& monitor : monitors_) monitor->OnEnd(end, *this);
}

void Judge::Conclude(const std::vector<std::string>& rules_promised) {
  Promised(rules_promised, judged());
  Pass();
}

}  // namespace counterpart::judge
