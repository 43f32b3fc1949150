// The harness's own walk through the machines of the spec, read from the frames of both sides. It
// judges nothing: an exploration tells which steps of which side it has reached.
//
// What the wire does not show is taken at its earliest: an end is bound when its side first uses
// it, and what was received is delivered at once. Frames that a table has no row for are passed
// over: they break a rule on purpose.
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/judge/judge.h"
#include "harness/judge/machine_table.h"
#include "harness/peer/testbed.h"

namespace counterpart::judge {
namespace {

using wire::v1::Message;

class Walker {
 public:
  Walker() = default;
  explicit Walker(const char* machine)
      : table_(&AllMachines().at(machine)), state_(table_->initial) {}

  void Step(const std::string& event, Judge& judge) {
    const auto row = table_->next.find({state_, event});
    if (row == table_->next.end()) return;
    judge.Reached(TransitionText("harness", *table_, state_, event, row->second));
    state_ = row->second;
  }
  bool Is(const char* state) const { return state_ == state; }

 private:
  const MachineTable* table_ = nullptr;
  std::string state_;
};

// An end of a channel that the harness has.
struct ChannelEnd {
  uint32_t link = 0;
  bool sending = false;
  Walker machine;
};

// What the harness records of an operation that the subject minted.
struct Record {
  uint32_t link = 0;  // of its newest attempt
  bool idem = false, channels = false;
  Walker machine{"operation"};
};

class HarnessWalk : public Monitor {
 public:
  void OnFrame(const ObservedFrame& frame, LinkContext& link, Judge& judge) override {
    if (frame.cut_short) return;
    if (frame.handshake != nullptr) OnHandshake(*frame.handshake, link, judge);
    if (frame.message != nullptr) OnMessage(frame, *frame.message, link, judge);
  }

  void OnLinkEnd(LinkContext& link, peer::LinkEnd, uint64_t, uint64_t, Judge& judge) override {
    for (auto& [key, end] : ends_) {
      if (end.link == link.link) end.machine.Step("detach", judge);
    }
    for (auto& [key, record] : records_) {
      if (record.link != link.link || !record.channels) continue;
      record.machine.Step(record.idem ? "release" : "lose", judge);
    }
    const auto bound = drivers_.find(link.session_id);
    if (bound == drivers_.end() || bound->second.first != link.link) {
      if (link.session_id.empty()) Walker("driver").Step("failed", judge);
      return;
    }
    if (bound->second.second.Is("Connected")) bound->second.second.Step("link_lost", judge);
  }

 private:
  using Key = std::pair<std::string, uint64_t>;                      // session; operation
  using OnConnection = std::tuple<std::string, uint64_t, uint64_t>;  // the same; channel or request

  void OnHandshake(const wire::v1::Handshake& handshake, LinkContext& link, Judge& judge) {
    if (!handshake.has_lets_go() || link.session_id.empty()) return;
    auto [driver, fresh] = drivers_.try_emplace(link.session_id, 0, Walker("driver"));
    driver->second.first = link.link;
    if (!fresh && driver->second.second.Is("Connected")) {
      driver->second.second.Step("link_lost", judge);  // superseded
    }
    driver->second.second.Step(fresh ? "established" : "resumed", judge);
  }

  void OnMessage(const ObservedFrame& frame, const Message& message, LinkContext& link,
                 Judge& judge) {
    const bool ours = frame.from == Side::kHarness;
    const uint64_t on = message.connection_id();
    switch (message.payload_case()) {
      case Message::kGoodbye:
      case Message::kProtocolError:
        if (const auto driver = drivers_.find(link.session_id); driver != drivers_.end()) {
          driver->second.second.Step("ended", judge);
        }
        break;
      case Message::kRequest:
        OnRequest(message.request(), on, ours, link, judge);
        break;
      case Message::kResponse:
        if (ours) OnResponse(message.response(), on, link, judge);
        break;
      case Message::kCloseConnection:
        for (auto& [key, end] : ends_) {
          if (end.link == link.link && std::get<1>(key) == on) end.machine.Step("detach", judge);
        }
        break;
      case Message::kChannelItem:
        if (ChannelEnd* end = Find(link, on, message.channel_item().channel_id())) {
          if (ours) end->machine.Step("bind", judge);
          end->machine.Step(end->machine.Is("Reset") ? "late_item" : "item", judge);
        }
        break;
      case Message::kGrantCredit:
        if (ChannelEnd* end = Find(link, on, message.grant_credit().channel_id())) {
          if (ours) end->machine.Step("bind", judge);
          end->machine.Step(end->machine.Is("Closed") ? "late_credit" : "credit", judge);
        }
        break;
      case Message::kCloseChannel:
        if (ChannelEnd* end = Find(link, on, message.close_channel().channel_id())) {
          const bool aborted = message.close_channel().aborted();
          if (ours && !aborted) end->machine.Step("bind", judge);
          end->machine.Step(ours && aborted            ? "abort"
                            : end->machine.Is("Reset") ? "late_close"
                                                       : "close",
                            judge);
          end->machine.Step("delivered_all", judge);
        }
        break;
      case Message::kResetChannel:
        if (ChannelEnd* end = Find(link, on, message.reset_channel().channel_id())) {
          end->machine.Step(end->machine.Is("Closed") && !ours ? "late_reset" : "reset", judge);
        }
        break;
      default:
        break;
    }
  }

  void OnRequest(const wire::v1::Request& request, uint64_t on, bool ours, LinkContext& link,
                 Judge& judge) {
    const peer::Method* method = peer::FindMethod(request.method());
    if (method == nullptr) return;
    for (const auto& ref : request.channels()) {
      const peer::ChannelArgument* argument = method->Channel(ref.field_number());
      if (argument == nullptr) continue;
      ChannelEnd& end = ends_[OnConnection(link.session_id, on, ref.channel_id())];
      end.link = link.link;
      end.sending = argument->to_callee == ours;
      end.machine = Walker(end.sending ? "channel_sender" : "channel_receiver");
      if (ours) end.machine.Step("bind", judge);
    }
    if (ours) return;
    const std::string& origin = request.origin_session();
    const Key key(origin.empty() ? link.session_id : origin, request.operation_id());
    Record& record = records_[key];
    record.link = link.link;
    record.idem = method->idem;
    record.channels = !method->channels.empty();
    requests_[OnConnection(link.session_id, on, request.request_id())] = key;
    Walker& machine = record.machine;
    const bool over = machine.Is("Released") || machine.Is("Indeterminate");
    machine.Step(machine.Is("Absent")   ? "admit"
                 : machine.Is("Live")   ? "attach"
                 : machine.Is("Sealed") ? "replay"
                 : over && method->idem ? "rerun"
                                        : "refuse",
                 judge);
  }

  void OnResponse(const wire::v1::Response& response, uint64_t on, LinkContext& link,
                  Judge& judge) {
    const auto request = requests_.find(OnConnection(link.session_id, on, response.request_id()));
    if (request == requests_.end()) return;
    Walker& machine = records_.at(request->second).machine;
    if (!response.has_runtime_error()) return machine.Step("seal", judge);
    const auto code = response.runtime_error().code();
    if (code == wire::v1::RUNTIME_ERROR_CODE_CANCELLED) machine.Step("release", judge);
    if (code == wire::v1::RUNTIME_ERROR_CODE_INDETERMINATE) machine.Step("lose", judge);
  }

  ChannelEnd* Find(const LinkContext& link, uint64_t on, uint64_t id) {
    const auto found = ends_.find(OnConnection(link.session_id, on, id));
    return found == ends_.end() || found->second.link != link.link ? nullptr : &found->second;
  }

  std::map<std::string, std::pair<uint32_t, Walker>> drivers_;  // by session: its link and phase
  std::map<OnConnection, ChannelEnd> ends_;
  std::map<Key, Record> records_;
  std::map<OnConnection, Key> requests_;  // to the operation
};

}  // namespace

std::unique_ptr<Monitor> NewHarnessWalk() { return std::make_unique<HarnessWalk>(); }

}  // namespace counterpart::judge
