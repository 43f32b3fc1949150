// The subject's journal: each machine walks its table, phases come in order, and journal and wire
// explain each other. What a subject claims is believed only as far as that.
#include <algorithm>
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
    if (frame.message == nullptr || link.session_id.empty()) return;
    Remember(frame, link.session_id);
    links_[link.session_id].insert(link.link);
    Counts& counts = wire_[link.link][FrameKey{
        peer::KindOf(*frame.message), frame.message->connection_id(), IdOf(*frame.message)}];
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
    Order order;
    for (const JournalEvent& event : end.journal) {
      if (event.seq() <= last_seq) {
        judge.Violation("control.journal.write-ahead", Side::kSubject,
                        "has a journal that is not in one total order", nullptr);
        return;
      }
      last_seq = event.seq();
      if (event.has_transition()) OnTransition(event, judge);
      if (event.has_frame() || event.has_transition() || event.has_discard()) {
        Follow(event, order, judge);
      }
      if (event.session_id().empty() && !event.has_frame()) continue;  // of no session
      Told& told = told_[event.session_id()];
      const auto generation = static_cast<uint32_t>(event.generation());
      // r[session.resume.fence]: once a newer attachment is bound, nothing of an older one is read.
      if (event.has_frame() && !event.frame().sent()) {
        if (generation < told.generations) {
          judge.Violation("session.resume.fence", Side::kSubject,
                          "took in " + event.frame().kind() + " " +
                              std::to_string(event.frame().id()) + " of generation " +
                              std::to_string(generation) + " after generation " +
                              std::to_string(told.generations) + " was bound",
                          nullptr);
          return;
        }
        if (generation > 1) judge.Held("session.resume.fence");
      }
      told.generations = std::max(told.generations, generation);
      if (event.has_frame()) {
        Counts& counts = told.frames[generation][FrameKey{
            event.frame().kind(), event.frame().connection_id(), event.frame().id()}];
        ++(event.frame().sent() ? counts.subject_sent : counts.harness_sent);
      }
    }
    if (order.steps) {  // else it tells of frames only
      JudgeInvalid(order, judge);
      JudgeDiscards(order, judge);
    }
    CrossCheck(judge);
  }

 private:
  // Session; connection, 0 for what is the session's; request, operation or channel.
  using OfSession = std::tuple<std::string, uint64_t, uint64_t>;

  // What the journal has told so far, in its order.
  struct Order {
    bool steps = false;             // of any machine but the command's
    std::set<OfSession> told;       // operations, of which it has anything
    std::set<OfSession> sealed;     // operations
    std::set<OfSession> invalid;    // channels, an end of which was told of what it has no row for
    std::set<OfSession> cancelled;  // requests of the subject
    std::set<OfSession> reset;      // channels, by the subject
    // Received where nobody wants it any more, and what was said to be discarded. A Discard names
    // no connection: those of a session are counted together.
    std::map<OfSession, uint32_t> late_responses, late_items, responses_lost, items_lost;
  };

  // What of the wire the journal is held against.
  void Remember(const ObservedFrame& frame, const std::string& session) {
    const wire::v1::Message& message = *frame.message;
    if (frame.from == Side::kHarness && message.has_request()) {
      // Of an id that was used again, on purpose, the first counts.
      const wire::v1::Request& request = message.request();
      const std::string& origin = request.origin_session();
      operations_.try_emplace(
          {session, message.connection_id(), request.request_id()},
          OfSession(origin.empty() ? session : origin, 0, request.operation_id()));
    }
    if (frame.from == Side::kSubject && message.has_response() &&
        !message.response().has_runtime_error()) {
      values_.insert({session, message.connection_id(), message.response().request_id()});
    }
    if (frame.deliberate == "rpc.channel.data-after-close" && message.has_channel_item()) {
      after_close_.insert({session, message.connection_id(), message.channel_item().channel_id()});
    }
  }

  void Follow(const JournalEvent& event, Order& order, Judge& judge) {
    const std::string& session = event.session_id();
    if (event.has_transition()) {
      const Transition& transition = event.transition();
      const OfSession key = {session, transition.connection_id(), transition.key()};
      const bool operation = transition.machine() == control::v1::MACHINE_OPERATION;
      const OfSession of_session = {session, 0, transition.key()};
      order.steps |= transition.machine() != control::v1::MACHINE_COMMAND;
      if (operation) order.told.insert(of_session);
      if (operation && transition.to_state() == "Sealed") order.sealed.insert(of_session);
      if (transition.invalid()) order.invalid.insert(key);
      return;
    }
    if (event.has_discard()) {
      const OfSession key = {session, 0, event.discard().key()};
      if (event.discard().what() == "response") order.responses_lost[key] += 1;
      if (event.discard().what() == "channel_item") {
        order.items_lost[key] += event.discard().count();
      }
      return;
    }
    const control::v1::Frame& frame = event.frame();
    const OfSession key = {session, frame.connection_id(), frame.id()};
    const OfSession of_any = {session, 0, frame.id()};
    if (frame.sent()) {
      if (frame.kind() == "cancel_request") order.cancelled.insert(key);
      if (frame.kind() == "reset_channel") order.reset.insert(key);
      if (frame.kind() == "response") OnValueSent(key, order, judge);
    } else {
      if (frame.kind() == "response" && order.cancelled.contains(key)) {
        ++order.late_responses[of_any];
      }
      if (frame.kind() == "channel_item" && order.reset.contains(key)) {
        ++order.late_items[of_any];
      }
    }
  }

  // r[control.journal.write-ahead]: the seal comes before the Response that reveals it.
  void OnValueSent(const OfSession& request, const Order& order, Judge& judge) {
    const auto operation = operations_.find(request);
    if (operation == operations_.end() || !values_.contains(request)) return;
    const OfSession& told = operation->second;
    if (!order.told.contains(told)) return;
    if (order.sealed.contains(told)) {
      judge.Held("control.journal.write-ahead");
    } else {
      judge.Violation("control.journal.write-ahead", Side::kSubject,
                      "journals the outcome of operation " + std::to_string(std::get<2>(told)) +
                          " after the Response that tells it",
                      nullptr);
    }
  }

  // r[strict.channel.fsm]: what an end has no row for is reported as that.
  void JudgeInvalid(const Order& order, Judge& judge) {
    for (const OfSession& channel : after_close_) {
      if (!Read("channel_item", channel)) continue;
      if (order.invalid.contains(channel)) {
        judge.Held("strict.channel.fsm");
      } else {
        judge.Violation("strict.channel.fsm", Side::kSubject,
                        "swallows an item after the close of channel " +
                            std::to_string(std::get<2>(channel)) +
                            ", which its table has no row for",
                        nullptr);
      }
    }
  }

  // Whether the journal says that the subject took such a frame in.
  bool Read(const std::string& kind, const OfSession& of) const {
    const auto told = told_.find(std::get<0>(of));
    if (told == told_.end()) return false;
    return std::any_of(
        told->second.frames.begin(), told->second.frames.end(), [&](const auto& generation) {
          return Of(&generation.second, {kind, std::get<1>(of), std::get<2>(of)}).harness_sent > 0;
        });
  }

  // r[strict.delivery.explicit]
  void JudgeDiscards(Order& order, Judge& judge) {
    const auto judge_one = [&judge](const char* what, auto& late, auto& lost) {
      for (const auto& [key, count] : late) {
        if (lost[key] >= count) {
          judge.Held("strict.delivery.explicit");
          continue;
        }
        judge.Violation("strict.delivery.explicit", Side::kSubject,
                        "dropped " + std::to_string(count - lost[key]) + " " + what + " of " +
                            std::to_string(std::get<2>(key)) + " without a Discard in its journal",
                        nullptr);
      }
    };
    judge_one("responses", order.late_responses, order.responses_lost);
    judge_one("items", order.late_items, order.items_lost);
  }

  // Kind; connection; request, channel or nonce.
  using FrameKey = std::tuple<std::string, uint64_t, uint64_t>;
  struct Counts {
    uint32_t subject_sent = 0, harness_sent = 0;
  };
  using Frames = std::map<FrameKey, Counts>;
  // What the journal says of one session.
  struct Told {
    uint32_t generations = 0;
    std::map<uint32_t, Frames> frames;  // by generation
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
    auto [state, fresh] =
        states_.try_emplace({transition.machine(), of_session ? event.session_id() : "",
                             transition.connection_id(), transition.key()},
                            table->initial);
    // Steps that belong to no scope are not in this journal, and so what comes first here need not
    // be a machine's first: a Connect's driver phases begin before there is a session id, and a
    // Status tombstones an id that no command has yet.  r[control.scope]
    const bool driver = transition.machine() == control::v1::MACHINE_DRIVER;
    const bool revived = !of_session && transition.from_state() == "Tombstoned";
    if (state->second != transition.from_state() && !(fresh && (driver || revived))) {
      judge.Violation(
          table->rule, Side::kSubject,
          "reports a transition from a state it was not in (" + state->second + "): " + step,
          nullptr);
      return;
    }
    state->second = transition.to_state();
    judge.Reached(TransitionText("subject", *table, transition.from_state(), transition.event(),
                                 transition.to_state()));
    judge.Held(table->rule);
  }

  // r[control.journal.cross-check], by session. What the journal calls generation g is some link
  // that the subject may have bound; it is enough that one reading explains everything.
  void CrossCheck(Judge& judge) {
    for (const auto& [session, links] : links_) told_[session];
    for (const auto& [session, told] : told_) {
      const Generations& generations = judge.generations(session);
      if (generations.possible() == 0 && told.frames.empty()) continue;  // never on the wire
      std::string wrong;
      for (const Generations::Reading& reading : generations.Readings(told.generations)) {
        wrong = Difference(session, told, reading);
        if (wrong.empty()) break;
      }
      if (told.generations < generations.proven() || told.generations > generations.possible()) {
        judge.Violation("session.attachment.generation", Side::kSubject,
                        "counts " + std::to_string(told.generations) +
                            " generations of a session that has at least " +
                            std::to_string(generations.proven()) + " and at most " +
                            std::to_string(generations.possible()),
                        nullptr);
        return;
      }
      if (!wrong.empty()) {
        judge.Violation("control.journal.cross-check", Side::kSubject, wrong, nullptr);
        return;
      }
      judge.Held("session.attachment.generation");
      judge.Held("control.journal.cross-check");
    }
  }

  // What was seen on the wire and not journalled, or journalled as received and never sent; "" if
  // there is nothing.
  std::string Difference(const std::string& session, const Told& told,
                         const Generations::Reading& reading) const {
    std::map<uint32_t, const Frames*> told_of;  // by link
    for (const auto& [generation, link] : reading) {
      const auto found = told.frames.find(generation);
      if (found != told.frames.end()) told_of[link] = &found->second;
    }
    const auto links = links_.find(session);
    if (links != links_.end()) {
      for (const uint32_t link : links->second) {
        const auto found = told_of.find(link);
        for (const auto& [key, seen] : wire_.at(link)) {
          if (seen.subject_sent >
              Of(found == told_of.end() ? nullptr : found->second, key).subject_sent) {
            return "sent " + Text(key) + " that its journal does not have";
          }
        }
      }
    }
    for (const auto& [generation, frames] : told.frames) {
      const auto link = reading.find(generation);
      const auto seen = link == reading.end() ? wire_.end() : wire_.find(link->second);
      for (const auto& [key, claimed] : frames) {
        if (claimed.harness_sent >
            Of(seen == wire_.end() ? nullptr : &seen->second, key).harness_sent) {
          return "journalled " + Text(key) + " that was never sent to it";
        }
      }
    }
    return "";
  }

  static Counts Of(const Frames* frames, const FrameKey& key) {
    if (frames == nullptr) return {};
    const auto found = frames->find(key);
    return found == frames->end() ? Counts{} : found->second;
  }
  static std::string Text(const FrameKey& key) {
    const auto& [kind, connection, id] = key;
    return kind + " " + std::to_string(id) +
           (connection == 0 ? "" : " on connection " + std::to_string(connection));
  }

  std::map<uint32_t, Frames> wire_;                  // by link
  std::map<std::string, std::set<uint32_t>> links_;  // by session
  std::map<std::string, Told> told_;                 // by session
  // By machine, session, connection (of channels) and key.
  std::map<std::tuple<control::v1::Machine, std::string, uint64_t, uint64_t>, std::string> states_;
  std::map<OfSession, OfSession> operations_;  // by request of the harness
  std::set<OfSession> values_;                 // requests that the subject answered with an outcome
  std::set<OfSession> after_close_;            // channels that the harness went on with on purpose
};

}  // namespace

std::unique_ptr<Monitor> NewJournalMonitor() { return std::make_unique<JournalMonitor>(); }

}  // namespace counterpart::judge
