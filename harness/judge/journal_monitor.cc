// The subject's journal: each machine walks its table, phases come in order, and journal and wire
// explain each other. What a subject claims is believed only as far as that.
#include <map>
#include <set>
#include <tuple>

#include "harness/judge/judge.h"
#include "harness/judge/machine_table.h"
#include "harness/peer/reading.h"

namespace counterpart::judge {
namespace {

using control::v1::JournalEvent;
using control::v1::Transition;

uint64_t IdOf(const wire::v1::Message& message) {
  using wire::v1::Message;
  switch (message.payload_case()) {
    case Message::kPing:
      return message.ping().nonce();
    case Message::kPong:
      return message.pong().nonce();
    case Message::kRequest:
      return message.request().request_id();
    case Message::kResponse:
      return message.response().request_id();
    case Message::kCancelRequest:
      return message.cancel_request().request_id();
    case Message::kChannelItem:
      return message.channel_item().channel_id();
    case Message::kCloseChannel:
      return message.close_channel().channel_id();
    case Message::kResetChannel:
      return message.reset_channel().channel_id();
    case Message::kGrantCredit:
      return message.grant_credit().channel_id();
    default:
      return 0;
  }
}

class JournalMonitor : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge&) override {
    if (frame.message == nullptr || link.generation == 0) return;
    Counts& counts = wire_[FrameKey{link.session_id, link.generation, peer::KindOf(*frame.message),
                                    IdOf(*frame.message)}];
    ++(frame.from == Side::kSubject ? counts.subject_sent : counts.harness_sent);
  }

  void OnEnd(const ObservedEnd& end, Judge& judge) override {
    if (!end.journal_read || end.subject_killed) return;
    if (end.journal_gap > 0) {
      judge.Violation("control.journal.write-ahead", Side::kSubject,
                      "lost " + std::to_string(end.journal_gap) + " events of its journal",
                      nullptr);
    }
    uint64_t last_seq = 0;
    for (const JournalEvent& event : end.journal) {
      if (event.seq() <= last_seq) {
        judge.Violation("control.journal.write-ahead", Side::kSubject,
                        "has a journal that is not in one total order", nullptr);
        return;
      }
      last_seq = event.seq();
      if (event.has_transition()) OnTransition(event, judge);
      if (event.has_frame()) {
        Counts& counts =
            journal_[FrameKey{event.session_id(), static_cast<uint32_t>(event.generation()),
                              event.frame().kind(), event.frame().id()}];
        ++(event.frame().sent() ? counts.subject_sent : counts.harness_sent);
      }
    }
    CrossCheck(judge);
  }

 private:
  using FrameKey = std::tuple<std::string, uint32_t, std::string, uint64_t>;
  struct Counts {
    uint32_t subject_sent = 0, harness_sent = 0;
  };

  void OnTransition(const JournalEvent& event, Judge& judge) {
    const Transition& transition = event.transition();
    const MachineTable* table = FindMachine(transition.machine());
    if (table == nullptr) return;
    const std::string name = table->name + " " + std::to_string(transition.key());
    const std::string step = name + ": " + transition.from_state() + " --" + transition.event() +
                             "--> " + transition.to_state();
    if (transition.invalid()) {
      // Reported, as it must be; wrong unless the harness provoked it.
      if (!judge.any_deliberate()) {
        judge.Violation(table->rule, Side::kSubject,
                        "reports an invalid transition that no illegal traffic explains: " + step,
                        nullptr);
      }
      return;
    }
    const auto row = table->next.find({transition.from_state(), transition.event()});
    if (row == table->next.end() || row->second != transition.to_state()) {
      judge.Violation(table->rule, Side::kSubject,
                      "reports a transition that the table does not have: " + step, nullptr);
      return;
    }
    // Channel ids and operation ids are unique per session and minting side; a command's are not
    // of a session. Channels of the two parities cannot collide, operations of the subject's own
    // minting are not journalled by it.
    const bool of_session = transition.machine() != control::v1::MACHINE_COMMAND;
    auto [state, fresh] = states_.try_emplace(
        {transition.machine(), of_session ? event.session_id() : "", transition.key()},
        table->initial);
    // A Connect's driver phases begin before there is a session id: the first event of a driver
    // may find it in any state it was in then.
    const bool driver = transition.machine() == control::v1::MACHINE_DRIVER;
    if (state->second != transition.from_state() && !(driver && fresh)) {
      judge.Violation(
          table->rule, Side::kSubject,
          "reports a transition from a state it was not in (" + state->second + "): " + step,
          nullptr);
      return;
    }
    state->second = transition.to_state();
    judge.Held(table->rule);
  }

  // r[control.journal.cross-check]: what was seen on the wire was journalled, and what was
  // journalled as received had been sent.
  void CrossCheck(Judge& judge) {
    for (const auto& [key, seen] : wire_) {
      const Counts& told = journal_[key];
      if (seen.subject_sent > told.subject_sent) {
        judge.Violation("control.journal.cross-check", Side::kSubject,
                        "sent " + std::get<2>(key) + " " + std::to_string(std::get<3>(key)) +
                            " that its journal does not have",
                        nullptr);
        return;
      }
      judge.Held("control.journal.cross-check");
    }
    for (const auto& [key, told] : journal_) {
      if (told.harness_sent > wire_[key].harness_sent) {
        judge.Violation("control.journal.cross-check", Side::kSubject,
                        "journalled " + std::get<2>(key) + " " + std::to_string(std::get<3>(key)) +
                            " that was never sent to it",
                        nullptr);
        return;
      }
    }
  }

  std::map<FrameKey, Counts> wire_, journal_;
  std::map<std::tuple<control::v1::Machine, std::string, uint64_t>, std::string> states_;
};

}  // namespace

std::unique_ptr<Monitor> NewJournalMonitor() { return std::make_unique<JournalMonitor>(); }

}  // namespace counterpart::judge
