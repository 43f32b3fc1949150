#include "harness/scenarios/walk_model.h"

#include <algorithm>
#include <iterator>

#include "harness/judge/machine_table.h"

namespace counterpart::scenarios::walk {
namespace {

constexpr size_t kOpenCalls = 5;
constexpr uint32_t kItems = 6;    // at once
constexpr uint32_t kSent = 16;    // at once by the harness: all the credit there is to begin with
constexpr uint32_t kStream = 24;  // on one side of a gate: more than the initial credit

constexpr char kCutHalfClosed[] = "a cut with a channel half closed";
constexpr char kCutUntaken[] = "a cut with items that nobody has taken";
constexpr char kCutCancelled[] = "a cut with a cancelled call unanswered";
constexpr char kCutUnread[] = "a cut with frames that nobody has answered";
constexpr char kCutAtOnce[] = "a cut right after a resume";
constexpr char kCutUnderWay[] = "a cut with several calls unanswered";
constexpr char kReleasedDetached[] = "a handler that returns while detached";
constexpr char kCalledDetached[] = "a call made while detached";
constexpr char kCancelledDetached[] = "a call cancelled while detached";
constexpr char kCancelRaced[] = "a cancel that raced a response";
constexpr char kResetRaced[] = "a reset with items or credit left";
constexpr char kNoCredit[] = "a channel that has run out of credit";
constexpr char kAnsweredOpen[] = "a call answered with a channel open";
constexpr char kStreamAgain[] = "a stream attempted again";
constexpr char kByFin[] = "a cut by FIN";
constexpr char kByRst[] = "a cut by RST";

const judge::MachineTable& TableOf(bool sends) {
  return judge::AllMachines().at(sends ? "channel_sender" : "channel_receiver");
}

// Every kind of call, by how often it is to be drawn.
struct Kind {
  const char* method;
  uint32_t weight;
};
constexpr Kind kKinds[] = {{"Echo", 3}, {"EchoIdem", 3},    {"Generate", 2}, {"GenerateIdem", 2},
                           {"Sum", 2},  {"SumFromZero", 1}, {"Transform", 2}};

uint32_t UpTo(const Model::Chooser& choose, uint32_t most, const char* what) {
  return static_cast<uint32_t>(choose(most + 1, what));
}

}  // namespace

const char* Name(Act act) {
  static constexpr const char* kNames[] = {"call",
                                           "release",
                                           "answer",
                                           "answer with an error",
                                           "cancel",
                                           "send",
                                           "take",
                                           "grant",
                                           "close",
                                           "abort",
                                           "reset",
                                           "application sends",
                                           "application takes",
                                           "application closes",
                                           "application resets",
                                           "ping",
                                           "application pings",
                                           "ask status",
                                           "rest",
                                           "cut by FIN",
                                           "cut by RST",
                                           "resume"};
  return kNames[static_cast<size_t>(act)];
}

std::string Action::Text() const {
  std::string text = Name(act);
  if (act != Act::kCall && act < Act::kPing) text += " " + std::to_string(call + 1);
  if (field != 0) text += " field " + std::to_string(field);
  if (amount != 0) text += ": " + std::to_string(amount);
  return text;
}

// ---------------------------------------------------------------- what a call is asked to do

std::string Errand::Arguments() const {
  // All requests of the testbed have their program, and their numbers, in the same fields.
  testbed::v1::GenerateRequest request;
  testbed::v1::Program& program = *request.mutable_program();
  bool output = false, input = false;
  for (const peer::ChannelArgument& channel : method->channels) {
    (channel.to_callee ? input : output) = true;
  }
  const auto emit = [&](uint64_t from, uint32_t count) {
    if (count == 0) return;
    program.add_steps()->mutable_emit()->set_first(from);
    program.mutable_steps()->rbegin()->mutable_emit()->set_count(count);
  };
  if (output && !input) emit(first, before);
  if (close_output) program.add_steps()->mutable_close_output();
  if (reset_input) program.add_steps()->mutable_reset_input();
  // Also where it is open from the start: it tells the calls apart.
  program.add_steps()->mutable_wait()->set_gate(name);
  if (output && !input) emit(first + before, after);
  if (input && output) {
    program.add_steps()->mutable_forward()->set_count(consume);
  } else if (input && !reset_input) {
    program.add_steps()->mutable_consume()->set_count(consume);
  }
  if (fail) {
    program.add_steps()->mutable_fail()->set_code(7);
    program.mutable_steps()->rbegin()->mutable_fail()->set_text(name);
  }
  if (panic) program.add_steps()->mutable_panic();
  if (!method->channels.empty()) return request.SerializeAsString();
  testbed::v1::EchoRequest echo;
  echo.set_text(name);
  *echo.mutable_program() = program;
  return echo.SerializeAsString();
}

std::vector<uint64_t> Errand::Stream() const {
  std::vector<uint64_t> all;
  for (uint32_t i = 0; i < before + after; ++i) all.push_back(first + i);
  return all;
}

Errand Model::DrawErrand(const Chooser& choose) const {
  uint32_t total = 0;
  for (const Kind& kind : kKinds) total += kind.weight;
  auto at = static_cast<uint32_t>(choose(total, "kind of call"));
  size_t kind = 0;
  while (at >= kKinds[kind].weight) at -= kKinds[kind++].weight;
  Errand errand;
  errand.method = peer::FindMethod(kKinds[kind].method);
  errand.name = "call " + std::to_string(calls_.size() + 1);
  errand.first = 1000 * (calls_.size() + 1);
  bool output = false, input = false;
  for (const peer::ChannelArgument& channel : errand.method->channels) {
    (channel.to_callee ? input : output) = true;
  }
  if (!harness_calls_) return errand;  // whoever answers decides the rest as it comes
  errand.gate = choose(3, "waits at a gate if not 0") != 0;
  const uint64_t end = choose(8, "ends with an error if 0, without a word if 1");
  errand.fail = end == 0;
  errand.panic = end == 1;
  if (output && !input) {
    errand.before = UpTo(choose, kStream, "items before the gate");
    errand.close_output = choose(4, "closes early if 0") == 0;
    if (!errand.close_output) errand.after = UpTo(choose, kStream, "items after the gate");
  }
  if (input) {
    errand.reset_input = !output && choose(6, "resets its input if 0") == 0;
    if (!errand.reset_input) errand.consume = UpTo(choose, kItems, "items taken, 0: all");
  }
  return errand;
}

// ---------------------------------------------------------------- one end

EndState::EndState(bool sends) : sends_(sends), state_(TableOf(sends).initial) {}

bool EndState::Allows(std::string_view event) const {
  return TableOf(sends_).next.contains({state_, std::string(event)});
}

void EndState::Step(std::string_view event) {
  const auto row = TableOf(sends_).next.find({state_, std::string(event)});
  if (row != TableOf(sends_).next.end()) state_ = row->second;
}

bool EndState::ended() const { return TableOf(sends_).final_states.contains(state_); }

Channel* Call::Find(uint32_t field) {
  const auto found = std::find_if(channels.begin(), channels.end(),
                                  [field](const Channel& c) { return c.field == field; });
  return found == channels.end() ? nullptr : &*found;
}

namespace {

std::vector<Channel> FreshChannels(const peer::Method& method, bool harness_calls) {
  std::vector<Channel> channels;
  for (const peer::ChannelArgument& argument : method.channels) {
    Channel& channel = channels.emplace_back();
    channel.field = argument.field_number;
    channel.harness_sends = argument.to_callee == harness_calls;
    channel.own = EndState(channel.harness_sends);
    channel.app = EndState(!channel.harness_sends);
    channel.own.Step("bind");
    channel.app.Step("bind");
    if (channel.harness_sends) channel.credit = argument.initial_credit;
  }
  return channels;
}

}  // namespace

// ---------------------------------------------------------------- what is legal now

size_t Model::OpenCalls() const {
  return static_cast<size_t>(
      std::count_if(calls_.begin(), calls_.end(), [](const Call& call) { return !call.over; }));
}

std::vector<Weighted> Model::Enabled() const {
  std::vector<Weighted> all;
  // A caller that is the harness makes no call while detached: it would only wait.
  if (OpenCalls() < kOpenCalls && (attached_ || !harness_calls_)) all.push_back({{Act::kCall}, 8});
  AddCalls(all);
  all.push_back({{Act::kStatus}, 1});
  all.push_back({{Act::kRest}, attached_ ? 6u : 2u});
  if (attached_) {
    all.push_back({{Act::kPing}, 1});
    all.push_back({{Act::kAppPing}, 1});
    all.push_back({{Act::kCutFin}, 1});
    all.push_back({{Act::kCutRst}, 1});
  } else {
    all.push_back({{Act::kResume}, 8});
  }
  return all;
}

void Model::AddCalls(std::vector<Weighted>& all) const {
  for (size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    if (call.over) continue;
    if (harness_calls_ && call.errand.gate && !call.released)
      all.push_back({{Act::kRelease, i}, 3});
    // The harness says it on the wire, an application whenever it likes.
    if (!call.answered && !call.cancelled && (attached_ || !harness_calls_)) {
      all.push_back({{Act::kCancel, i}, 1});
    }
    if (!attached_ || !call.arrived) continue;
    if (!harness_calls_ && !call.answered) {
      all.push_back({{Act::kAnswer, i}, 2});
      if (!call.cancelled) all.push_back({{Act::kAnswerErr, i}, 1});
    }
    AddChannels(all, i);
  }
}

void Model::AddChannels(std::vector<Weighted>& all, size_t index) const {
  const Call& call = calls_[index];
  const auto most = [](uint64_t n, uint32_t limit) {
    return static_cast<uint32_t>(std::min<uint64_t>(n, limit));
  };
  for (const Channel& channel : call.channels) {
    const auto add = [&](Act act, uint32_t weight, uint32_t amount = 0) {
      all.push_back({{act, index, channel.field}, weight, amount});
    };
    if (channel.harness_sends) {
      if (channel.own.Allows("item") && channel.credit > 0)
        add(Act::kSend, 4, most(channel.credit, kSent));
      if (channel.own.Allows("close")) add(Act::kClose, 2);
      // A caller has no reason that its callee would have to know.
      if (channel.own.Allows("abort") && !harness_calls_) add(Act::kAbort, 1);
    } else {
      const bool live = channel.own.Allows("item");
      if (channel.available > 0) add(Act::kTake, 4, most(channel.available, kItems));
      if (live) add(Act::kGrant, 2, kItems);
      if (live) add(Act::kReset, 1);
    }
    // The ends of a caller that is the subject are its application's.
    if (harness_calls_) continue;
    if (!channel.harness_sends) {
      if (channel.commands > 0) continue;
      if (channel.app.Allows("item")) add(Act::kAppSend, 4, kItems);
      if (channel.app.Allows("close")) add(Act::kAppClose, 1);
    } else if (channel.app.Allows("item")) {
      if (channel.commands == 0) add(Act::kAppTake, 3, kItems);
      add(Act::kAppReset, 1);
    }
  }
}

Action Model::Draw(const Chooser& choose) const {
  const std::vector<Weighted> all = Enabled();
  uint64_t total = 0;
  for (const Weighted& each : all) total += each.weight;
  uint64_t at = choose(total, "act");
  size_t drawn = 0;
  while (at >= all[drawn].weight) at -= all[drawn++].weight;
  Action action = all[drawn].action;
  if (all[drawn].most > 0) {
    action.amount = 1 + static_cast<uint32_t>(choose(all[drawn].most, "amount"));
  }
  return action;
}

// ---------------------------------------------------------------- what is done

void Model::Apply(const Action& action, const Errand* errand) {
  ++since_rest_;
  Call* call = action.call < calls_.size() ? &calls_[action.call] : nullptr;
  Channel* channel = call == nullptr ? nullptr : call->Find(action.field);
  switch (action.act) {
    case Act::kCall: {
      Call& made = calls_.emplace_back();
      made.errand = *errand;
      made.channels = FreshChannels(*errand->method, harness_calls_);
      made.arrived = harness_calls_;  // its ends exist from now on
      if (!attached_) Met(kCalledDetached);
      break;
    }
    case Act::kRelease:
      call->released = true;
      if (!attached_) Met(kReleasedDetached);
      if (call->cancelled && since_rest_ > 1) Met(kCancelRaced);
      break;
    case Act::kAnswer:
    case Act::kAnswerErr:
      call->answered = true;
      for (const Channel& each : call->channels) {
        if (action.act == Act::kAnswer && !each.own.ended()) Met(kAnsweredOpen);
      }
      if (call->cancelled && since_rest_ > 1) Met(kCancelRaced);
      break;
    case Act::kCancel:
      call->cancelled = true;
      if (!attached_) Met(kCancelledDetached);
      if ((call->released || call->answered) && since_rest_ > 1) Met(kCancelRaced);
      break;
    case Act::kSend:
      channel->credit -= std::min<uint64_t>(channel->credit, action.amount);
      if (channel->credit == 0) Met(kNoCredit);
      break;
    case Act::kTake:
      channel->available -= std::min<uint64_t>(channel->available, action.amount);
      break;
    case Act::kClose:
      channel->own.Step("close");
      channel->sender_closed = true;
      break;
    case Act::kAbort:
      channel->own.Step("abort");
      channel->sender_closed = true;
      break;
    case Act::kReset:
      if (channel->available > 0) Met(kResetRaced);
      channel->own.Step("reset");
      channel->available = 0;
      break;
    case Act::kAppSend:
    case Act::kAppTake:
      ++channel->commands;
      break;
    case Act::kAppClose:
      channel->app.Step("close");
      channel->sender_closed = true;
      ++channel->commands;
      break;
    case Act::kAppReset:
      if (!channel->own.ended()) Met(kResetRaced);
      channel->app.Step("reset");
      ++channel->commands;
      break;
    case Act::kRest:
      since_rest_ = 0;
      resumed_just_now_ = false;
      break;
    case Act::kCutFin:
    case Act::kCutRst:
      Cut(action.act == Act::kCutFin);
      break;
    case Act::kResume:
      Resume();
      break;
    default:
      break;
  }
}

void Model::Cut(bool fin) {
  Met(fin ? kByFin : kByRst);
  if (resumed_just_now_ && since_rest_ == 1) Met(kCutAtOnce);
  if (since_rest_ > 1) Met(kCutUnread);
  size_t unanswered = 0;
  for (Call& call : calls_) {
    if (call.over) continue;
    unanswered += !call.answered;
    if (call.cancelled && !call.answered) Met(kCutCancelled);
    for (Channel& channel : call.channels) {
      if (channel.sender_closed && !call.answered) Met(kCutHalfClosed);
      if (channel.available > 0) Met(kCutUntaken);
      channel.own.Step("detach");
      channel.app.Step("detach");
    }
    call.arrived = false;
  }
  if (unanswered > 1) Met(kCutUnderWay);
  attached_ = false;
}

void Model::Resume() {
  attached_ = true;
  resumed_just_now_ = true;
  since_rest_ = 0;
}

// ---------------------------------------------------------------- what is seen

void Model::SeeCall(size_t index, bool arrived, bool answered, bool over) {
  Call& call = calls_[index];
  call.arrived = arrived;
  call.answered = answered;
  call.over = over;
}

void Model::SeeChannel(size_t index, const SeenChannel& seen) {
  Channel* channel = calls_[index].Find(seen.field);
  channel->credit = seen.credit;
  channel->available = seen.available;
  channel->commands = seen.commands;
  if (channel->harness_sends) {
    if (seen.reset) channel->own.Step("reset");
  } else if (seen.closed) {
    channel->own.Step("close");
    channel->sender_closed = true;
  }
}

void Model::SeeAttempt(size_t index) {
  Call& call = calls_[index];
  call.channels = FreshChannels(*call.errand.method, harness_calls_);
  call.arrived = true;
  call.again = true;
  if (!call.channels.empty()) Met(kStreamAgain);
}

std::vector<std::string> AllMoments(bool harness_calls) {
  std::vector<std::string> all = {kByFin,        kByRst,      kCutHalfClosed, kCutUntaken,
                                  kCutCancelled, kCutUnread,  kCutUnderWay,   kCutAtOnce,
                                  kCancelRaced,  kResetRaced, kNoCredit,      kStreamAgain};
  if (harness_calls) {
    all.push_back(kReleasedDetached);
  } else {
    all.insert(all.end(), {kCalledDetached, kCancelledDetached, kAnsweredOpen});
  }
  return all;
}

}  // namespace counterpart::scenarios::walk
