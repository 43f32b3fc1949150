#include "harness/judge/judge.h"

#include <utility>

namespace counterpart::judge {

using machine::Finding;
using machine::Level;

const char* Name(Side side) { return side == Side::kHarness ? "harness" : "subject"; }

void Verdict::Join(const Finding& finding) {
  Finding& first = reasons_[static_cast<int>(finding.level)];
  if (first.level == Level::kNone) first = finding;
  if (finding.level > level_) level_ = finding.level;
}

Judge::Judge() {
  // The handshake monitor fills the link context the others read: it comes first.
  monitors_.push_back(NewHandshakeMonitor());
  monitors_.push_back(NewPayloadMonitor());
  monitors_.push_back(NewMessageMonitor());
  monitors_.push_back(NewRequestMonitor());
  monitors_.push_back(NewChannelMonitor());
  monitors_.push_back(NewSchemaMonitor());
  monitors_.push_back(NewJournalMonitor());
  monitors_.push_back(NewExecutionMonitor());
}

Judge::~Judge() = default;

void Judge::Violation(const std::string& rule, Side who, std::string text,
                      const ObservedFrame* frame) {
  if (who == Side::kHarness && frame != nullptr && !frame->deliberate.empty()) return;
  Finding finding;
  finding.level = who == Side::kSubject ? Level::kFail : Level::kError;
  finding.rule = rule;
  finding.text = std::string("the ") + Name(who) + " " + text;
  finding.entry = frame == nullptr ? 0 : frame->entry;
  finding.place = "monitor";
  report_(std::move(finding));
}

void Judge::OnFrame(const ObservedFrame& frame) {
  LinkContext& link = links_[frame.link];
  link.link = frame.link;
  link.harness_dialled = frame.harness_dialled;
  if (!frame.deliberate.empty()) link.deliberate = any_deliberate_ = true;
  if (frame.cut_short) return;  // the subject never got it: it counts as nothing said
  for (const auto& monitor : monitors_) monitor->OnFrame(frame, link, *this);
}

void Judge::OnLinkEnd(uint32_t id, peer::LinkEnd end, uint64_t partial, uint64_t entry) {
  LinkContext& link = links_[id];
  link.ended = true;
  for (const auto& monitor : monitors_) monitor->OnLinkEnd(link, end, partial, entry, *this);
}

void Judge::OnEnd(const ObservedEnd& end) {
  for (const auto& monitor : monitors_) monitor->OnEnd(end, *this);
}

void Judge::OnFinding(const Finding& finding) {
  findings_.push_back(finding);
  verdict_.Join(finding);
}

void Judge::Conclude(const std::vector<std::string>& rules_promised) {
  if (verdict_.level() > Level::kPass) return;
  const auto error = [this](const std::string& rule, const char* text) {
    Finding finding;
    finding.level = Level::kError;
    finding.rule = rule;
    finding.text = text;
    finding.place = "nothing judged";
    OnFinding(finding);
  };
  // Before the rules that are missing: that names the whole of it.
  if (judged_.empty()) error("", "nothing was judged");
  for (const std::string& rule : rules_promised) {
    if (judged_.contains(rule)) continue;
    error(rule, "the scenario sets out to judge this rule, and its premise was never met");
  }
  if (verdict_.level() > Level::kPass) return;
  Finding pass;
  pass.level = Level::kPass;
  OnFinding(pass);
}

}  // namespace counterpart::judge
