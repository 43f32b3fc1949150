// Random legal traffic: a walk through what the model says may happen next (walk_model.h), cuts
// included, and then a drain in which everything open is ended and each side must have what the
// rules owe it. The same monitors judge it as any other scenario, and what a cut leaves possible is
// judged as the aftermath of any planned cut (aftermath.h).
#include "harness/scenarios/random_walk.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "harness/scenarios/aftermath.h"
#include "harness/scenarios/moments.h"
#include "harness/scenarios/vocabulary.h"
#include "harness/scenarios/walk_model.h"

namespace counterpart::scenarios {
namespace {

using control::v1::CallOutcome;
using control::v1::Outcome;
using peer::Channel;
using peer::How;
using peer::Incoming;
using peer::Session;
using peer::SessionOptions;
using walk::Act;
using walk::Action;
using walk::Errand;
using walk::Model;
using wire::v1::Response;

constexpr uint64_t kFewestSteps = 6, kMoreSteps = 30;
// Just enough for what the model holds open, so that nobody may count what a cut has ended.
constexpr uint32_t kLimit = 6;
constexpr uint64_t kFirstCommand = 1;  // Listen or Connect: completed before the walk begins
constexpr char kDelivered[] = "rpc.channel.no-silent-drop";

// A command to the subject's application on one of its channel ends.
struct AppCommand {
  uint32_t question = 0;
  uint32_t field = 0;
  bool sends = false;
  uint64_t first = 0;
  uint32_t count = 0;
};

// What the driver holds of one call of the model.
struct Track {
  Errand errand;
  bool disturbed = false;                           // a cut has left it open
  std::map<uint32_t, std::vector<uint64_t>> taken;  // of the newest attempt, by field
  std::map<uint32_t, uint64_t> next_value;          // that the harness sends, by field
  std::set<uint32_t> aborted;                       // fields of this attempt
  std::set<uint32_t> reset;
  std::set<uint32_t> ended_by_app;  // by command
  // The harness calls.
  peer::Call* call = nullptr;
  std::optional<LeftOpen> left_open;
  bool given_up = false;  // over for its caller: the rules let it ask no more
  // The subject calls.
  uint32_t question = 0;
  Incoming* incoming = nullptr;  // of the newest attempt
  uint64_t next_item = 1;        // that the application sends
  std::vector<AppCommand> commands;
  size_t commands_before = 0;  // of earlier attempts
  // How many attempts there were is for certain: none was lost on its way.
  bool counted = true;
  uint32_t attempts = 0;
};

struct Walk {
  Peer& peer;
  Session& session;
  Model model;
  std::vector<Track> tracks = {};
  std::set<uint32_t> open_at_a_cut = {};  // questions
  SeenBefore seen = {};                   // at the last cut that left each of them open
  std::vector<uint32_t> questions = {};   // whose answers nothing else waits for
  std::set<std::string> noted = {};       // moments
};

bool Answered(const Peer& peer, uint32_t question) {
  return peer.question(question).answered || peer.question(question).lost;
}

const CallOutcome& OutcomeOf(const Peer& peer, const Track& track) {
  return peer.question(track.question).reply.execute().outcome().call();
}

// The harness's ends of a call, by field; null while there is no attempt.
const std::map<uint32_t, Channel*>* EndsOf(const Track& track) {
  if (track.call != nullptr) return &track.call->channels;
  return track.incoming == nullptr ? nullptr : &track.incoming->channels;
}

Channel* EndOf(const Track& track, uint32_t field) {
  const auto* ends = EndsOf(track);
  if (ends == nullptr) return nullptr;
  const auto found = ends->find(field);
  return found == ends->end() ? nullptr : found->second;
}

// A new attempt has channels of its own.
void StartAttempt(Track& track) {
  track.taken.clear();
  track.next_value.clear();
  track.aborted.clear();
  track.reset.clear();
  // A command that could not name its attempt may have met this one instead of the one before.
  if (track.counted) track.ended_by_app.clear();
  track.commands_before = track.commands.size();
  // Credit is a choice of the walk.
  for (const auto& [field, channel] : *EndsOf(track)) channel->set_auto_grant(false);
}

void NoteMoments(Walk& walk) {
  for (const std::string& moment : walk.model.moments()) {
    if (walk.noted.insert(moment).second) walk.peer.machine().Note(kMomentEdge, moment);
  }
}

// ---------------------------------------------------------------- at rest

uint64_t Available(const Track& track, uint32_t field, const Channel& channel) {
  if (track.reset.contains(field)) return 0;
  const auto taken = track.taken.find(field);
  return channel.received() - (taken == track.taken.end() ? 0 : taken->second.size());
}

bool EndsEnded(const Track& track) {
  const auto* ends = EndsOf(track);
  return ends == nullptr || std::all_of(ends->begin(), ends->end(),
                                        [](const auto& end) { return end.second->ended(); });
}

// The attempt of the subject on this attachment, if it has been read.
Incoming* FindAttempt(const Session& session, const Track& track) {
  Incoming* found = nullptr;
  const std::string arguments = track.errand.Arguments();
  for (const auto& incoming : session.incoming()) {
    if (incoming->generation == session.generation &&
        incoming->request.method() == track.errand.method->name &&
        incoming->request.arguments() == arguments) {
      found = incoming.get();
    }
  }
  return found;
}

void SeeChannels(Walk& walk, size_t index) {
  const Track& track = walk.tracks[index];
  if (EndsOf(track) == nullptr) return;
  for (const auto& [field, channel] : *EndsOf(track)) {
    walk::SeenChannel seen;
    seen.field = field;
    seen.credit = channel->credit();
    seen.available = channel->harness_sends() ? 0 : Available(track, field, *channel);
    seen.closed = channel->closed_by_subject();
    seen.reset = channel->reset_by_subject();
    for (const AppCommand& command : track.commands) {
      seen.commands += command.field == field && !Answered(walk.peer, command.question);
    }
    walk.model.SeeChannel(index, seen);
  }
}

// co_await: no end of the application has ended that nobody has ended.
Task<> RequireEndsHeld(Walk& walk, const Track& track) {
  if (track.incoming == nullptr) co_return;
  for (const auto& [field, channel] : track.incoming->channels) {
    const bool ended = channel->closed_by_subject() || channel->reset_by_subject();
    std::string wanted = track.errand.name + ": its application holds the end of field " +
                         std::to_string(field) + " until it ends it";
    co_await walk.peer.Require(
        !ended || track.ended_by_app.contains(field),
        track.incoming->cancelled ? "rpc.cancel.channels" : "rpc.channel.lifecycle",
        std::move(wanted));
  }
}

// co_await: the model is told what the harness has seen of its calls.
Task<> See(Walk& walk) {
  for (size_t i = 0; i < walk.tracks.size(); ++i) {
    Track& track = walk.tracks[i];
    if (walk.peer.harness_calls()) {
      const bool answered = track.given_up || track.call->response.has_value();
      walk.model.SeeCall(i, track.call->generation == walk.session.generation, answered,
                         track.given_up || (answered && EndsEnded(track)));
      SeeChannels(walk, i);
      continue;
    }
    const bool resolved = Answered(walk.peer, track.question);
    Incoming* attempt = FindAttempt(walk.session, track);
    if (attempt != nullptr && attempt != track.incoming) {
      const bool again = track.incoming != nullptr;
      co_await walk.peer.Require(!again || !track.incoming->cancelled, "retry.resume.reattempt",
                                 "a call that was cancelled is not attempted again");
      co_await walk.peer.Require(
          !again || track.incoming->request.operation_id() == attempt->request.operation_id(),
          "retry.op-id.per-intention", "all attempts of one call have one operation id");
      track.incoming = attempt;
      ++track.attempts;
      StartAttempt(track);
      if (again) walk.model.SeeAttempt(i);
    }
    // At rest every call has been attempted, or is over.
    co_await walk.peer.Require(resolved || attempt != nullptr,
                               walk.session.generation > 1 ? "retry.resume.reattempt" : "",
                               "every unresolved call is attempted on each attachment");
    const bool answered = attempt != nullptr && attempt->response.has_value();
    const bool over = resolved && (attempt == nullptr || (answered && EndsEnded(track)));
    walk.model.SeeCall(i, attempt != nullptr, answered, over);
    if (attempt != nullptr) SeeChannels(walk, i);
    co_await RequireEndsHeld(walk, track);
  }
}

Task<> Rest(Walk& walk) {
  if (walk.session.attached()) co_await walk.session.Fence();
  co_await walk.peer.Settle();
  if (walk.session.attached()) co_await See(walk);
}

// ---------------------------------------------------------------- calls

void StartCall(Walk& walk, const Errand& errand) {
  Track& track = walk.tracks.emplace_back();
  track.errand = errand;
  if (walk.peer.harness_calls()) {
    if (!errand.gate) walk.peer.Release(errand.name);
    track.call = walk.session.StartCallRaw(*errand.method, errand.Arguments(), 0);
    StartAttempt(track);
    return;
  }
  track.question = walk.peer.StartCallBySubject(walk.session, errand.method->name,
                                                errand.Arguments(), errand.name);
  if (walk.session.attached()) return;
  // The subject need not have heard of the cut: its first attempt may go the way of the old link.
  track.disturbed = true;
  track.counted = false;
  walk.open_at_a_cut.insert(track.question);
}

void Abandon(Track& track) {  // r[rpc.channel.abandon]
  for (auto& [field, channel] : track.incoming->channels) {
    if (channel->ended()) continue;
    if (channel->harness_sends()) {
      channel->Close(/*aborted=*/true);
      track.aborted.insert(field);
    } else {
      channel->Reset();
      track.reset.insert(field);
    }
  }
}

// Whether the harness has answered this operation on an older attachment: then it has a record.
bool HasRecord(const Session& session, const Incoming& incoming) {
  return std::any_of(session.incoming().begin(), session.incoming().end(), [&](const auto& other) {
    return other.get() != &incoming && other->response &&
           other->request.operation_id() == incoming.request.operation_id();
  });
}

// co_await: the harness answers, as its handler and its record have it.
Task<> Answer(Walk& walk, Track& track, bool error) {
  Incoming& incoming = *track.incoming;
  if (incoming.response) co_return;
  if (incoming.cancelled) {  // r[rpc.cancel.response]: a cancel that was read before the return
    Abandon(track);
    walk.session.RespondRuntimeError(incoming, wire::v1::RUNTIME_ERROR_CODE_CANCELLED);
  } else if (HasRecord(walk.session, incoming)) {
    co_await Serve(walk.peer, walk.session, incoming);
  } else if (error) {
    Abandon(track);
    testbed::v1::TestbedError failure;
    failure.set_code(7);
    failure.set_text(track.errand.name);
    walk.session.RespondUserError(incoming, failure);
  } else if (track.errand.streams()) {
    // What its handler holds stays open: it goes on from elsewhere.  r[rpc.channel.abandon]
    walk.session.RespondOk(incoming, testbed::v1::GenerateResponse());
  } else {
    walk.session.RespondOk(incoming, EchoReply(track.errand.name));
  }
}

void Cancel(Walk& walk, Track& track) {
  if (!walk.peer.harness_calls()) {
    walk.peer.CancelCallBySubject(track.errand.name);
  } else if (!track.call->response && walk.session.attached()) {
    walk.session.Cancel(*track.call);
  }
}

// ---------------------------------------------------------------- channels

// co_await: one thing done to a channel by the harness. What has happened to it since the model was
// last told may leave nothing to do.
Task<> DoToChannel(Track& track, Channel& channel, const Action& action) {
  switch (action.act) {
    case Act::kSend:
      for (uint32_t i = 0; i < action.amount; ++i) {
        if (channel.ended() || channel.credit() == 0) co_return;
        channel.SendNow(++track.next_value[action.field]);
      }
      break;
    case Act::kTake: {
      const uint64_t most = Available(track, action.field, channel);
      const auto count = static_cast<uint32_t>(std::min<uint64_t>(most, action.amount));
      std::vector<uint64_t> values = co_await channel.Receive(count);
      auto& taken = track.taken[action.field];
      taken.insert(taken.end(), values.begin(), values.end());
      break;
    }
    case Act::kGrant:
      if (!channel.ended()) channel.Grant(action.amount);
      break;
    case Act::kClose:
      if (!channel.ended()) channel.Close();
      break;
    case Act::kAbort:
      if (channel.ended()) break;
      channel.Close(/*aborted=*/true);
      track.aborted.insert(action.field);
      break;
    default:  // kReset
      if (channel.ended()) break;
      channel.Reset();
      track.reset.insert(action.field);
      break;
  }
}

// The attempt whose channels a command is for; 0, the newest, where nobody can count them.
uint32_t AttemptOf(const Track& track) { return track.counted ? track.attempts : 0; }

void CommandEnd(Walk& walk, Track& track, const Action& action) {
  AppCommand& command = track.commands.emplace_back();
  command.field = action.field;
  const std::string& handle = track.errand.name;
  const uint32_t attempt = AttemptOf(track);
  control::v1::ExecuteRequest request;
  switch (action.act) {
    case Act::kAppSend:
      command.sends = true;
      command.first = track.next_item;
      command.count = action.amount;
      track.next_item += action.amount;
      request = SendItems(handle, action.field, command.first, command.count, attempt);
      break;
    case Act::kAppTake:
      request = ReceiveItems(handle, action.field, action.amount, attempt);
      break;
    case Act::kAppClose:
      track.ended_by_app.insert(action.field);
      request = CloseEnd(handle, action.field, attempt);
      break;
    default:  // kAppReset
      track.reset.insert(action.field);
      track.ended_by_app.insert(action.field);
      request = ResetEnd(handle, action.field, attempt);
      break;
  }
  command.question = walk.peer.Start(std::move(request));
}

// ---------------------------------------------------------------- cuts

void Cut(Walk& walk, How how) {
  for (Track& track : walk.tracks) {
    if (walk.peer.harness_calls()) {
      track.disturbed |= !track.given_up && !track.call->response;
      continue;
    }
    if (Answered(walk.peer, track.question)) continue;
    track.disturbed = true;
    walk.open_at_a_cut.insert(track.question);
    const Incoming* attempt = FindAttempt(walk.session, track);
    track.counted &= attempt != nullptr && attempt == track.incoming;
  }
  if (!walk.peer.harness_calls()) {
    for (auto& [operation, seen] : SeenSoFar(walk.peer)) walk.seen[operation] = seen;
  }
  walk.peer.Close(*walk.session.link, how);
}

// co_await: the session on a new link; the harness asks again for what is open, as a caller does.
Task<> Resume(Walk& walk) {
  std::map<uint64_t, uint32_t> ran;
  if (walk.peer.harness_calls()) {
    co_await walk.peer.Settle();
    ran = co_await ExecutionsSoFar(walk.peer, walk.session);
  }
  co_await walk.peer.Resume(walk.session);
  if (!walk.peer.harness_calls()) co_return;
  for (size_t i = 0; i < walk.tracks.size(); ++i) {
    Track& track = walk.tracks[i];
    if (track.given_up || track.call->response) continue;
    // r[retry.channel.detach]: of what may have run and must not run again it reports
    // Indeterminate.
    const bool lost = track.errand.streams() && !track.errand.method->idem;
    if (lost || track.call->cancelled) {
      track.given_up = true;
      walk.model.SeeCall(i, false, true, true);
      continue;
    }
    track.left_open = Reopen(walk.peer, walk.session, *track.call, ran[track.call->operation_id]);
    track.call = track.left_open->call;
    StartAttempt(track);
    walk.model.SeeAttempt(i);
  }
}

// ---------------------------------------------------------------- one step

void AskStatus(Walk& walk) {
  control::v1::ControlRequest request;
  request.mutable_status()->set_command_id(kFirstCommand);
  request.mutable_status()->set_highest_send(1);
  walk.questions.push_back(walk.peer.Ask(std::move(request)));
}

void PingByApplication(Walk& walk) {
  control::v1::ExecuteRequest command;
  command.mutable_ping()->set_session_id(walk.session.id);
  walk.questions.push_back(walk.peer.Start(std::move(command)));
}

Task<> Perform(Walk& walk, const Action& action) {
  Track* track = action.call < walk.tracks.size() ? &walk.tracks[action.call] : nullptr;
  switch (action.act) {
    case Act::kCall:
      StartCall(walk, walk.model.calls().back().errand);
      break;
    case Act::kRelease:
      walk.peer.Release(track->errand.name);
      break;
    case Act::kAnswer:
    case Act::kAnswerErr:
      co_await Answer(walk, *track, action.act == Act::kAnswerErr);
      break;
    case Act::kCancel:
      Cancel(walk, *track);
      break;
    case Act::kAppSend:
    case Act::kAppTake:
    case Act::kAppClose:
    case Act::kAppReset:
      CommandEnd(walk, *track, action);
      break;
    case Act::kPing:
      walk.session.SendPing();
      break;
    case Act::kAppPing:
      PingByApplication(walk);
      break;
    case Act::kStatus:
      AskStatus(walk);
      break;
    case Act::kRest:
      co_await Rest(walk);
      break;
    case Act::kCutFin:
    case Act::kCutRst:
      Cut(walk, action.act == Act::kCutFin ? How::kFin : How::kRst);
      break;
    case Act::kResume:
      co_await Resume(walk);
      break;
    default:
      if (Channel* channel = EndOf(*track, action.field)) {
        co_await DoToChannel(*track, *channel, action);
      }
      break;
  }
}

Task<> Step(Walk& walk) {
  const Model::Chooser choose = [&walk](uint64_t n, const char* what) {
    return walk.peer.machine().Choose(n, what);
  };
  const Action action = walk.model.Draw(choose);
  Errand errand;
  if (action.act == Act::kCall) errand = walk.model.DrawErrand(choose);
  std::string text = action.Text();
  if (action.act == Act::kCall) text += " " + errand.method->name + " as " + errand.name;
  walk.peer.machine().Note("walk", text);
  walk.model.Apply(action, &errand);
  NoteMoments(walk);
  co_await Perform(walk, action);
}

// ---------------------------------------------------------------- the drain, the harness calls

// co_await: a stream of numbers is what was due, or a beginning of it where it was given up.
Task<> RequireStream(Peer& peer, const Track& track, const std::vector<uint64_t>& items,
                     const std::vector<uint64_t>& due, bool whole) {
  const bool begins =
      items.size() <= due.size() && std::equal(items.begin(), items.end(), due.begin());
  std::string wanted = track.errand.name + " brings " +
                       (whole ? "all " : "none but the first of ") + std::to_string(due.size()) +
                       " items, in order, not " + std::to_string(items.size());
  co_await peer.Require(begins && (!whole || items.size() == due.size()), kDelivered,
                        std::move(wanted));
}

// co_await: of a call that no cut has touched, what its handler must have made of it.
Task<> JudgeValue(Walk& walk, Track& track, const Response& response,
                  const std::vector<uint64_t>& items) {
  const Errand& errand = track.errand;
  const bool cancelled = track.call->cancelled &&
                         response.runtime_error().code() == wire::v1::RUNTIME_ERROR_CODE_CANCELLED;
  std::string wanted = errand.name + " is answered with what its handler returns";
  co_await walk.peer.Require(cancelled || IsItsValue(walk.peer, *track.call, response),
                             "rpc.response.one-per-request", std::move(wanted));
  std::vector<uint64_t> written;
  const Channel* output = nullptr;
  for (const auto& [field, channel] : track.call->channels) {
    if (channel->harness_sends()) {
      written = channel->written();
    } else {
      output = channel;
    }
  }
  if (errand.consume != 0 && written.size() > errand.consume) written.resize(errand.consume);
  if (errand.reset_input) written.clear();
  if (output != nullptr) {
    std::vector<uint64_t> due = errand.Stream();
    if (!written.empty() || track.call->channels.size() == 2) {
      due.clear();
      for (const uint64_t value : written) due.push_back(2 * value);
    }
    const bool reset = std::any_of(track.reset.begin(), track.reset.end(),
                                   [&](uint32_t field) { return EndOf(track, field) == output; });
    const bool whole = !reset && !cancelled && !track.call->cancelled && !errand.panic;
    co_await RequireStream(walk.peer, track, items, due, whole);
    if (whole) {
      co_await walk.peer.Require(output->closed_by_subject(), "rpc.channel.close",
                                 "a handler that has returned has closed its stream");
    }
  } else if (response.has_ok() && errand.streams()) {
    testbed::v1::SumResponse reply;
    uint64_t sum = 0;
    for (const uint64_t value : written) sum += value;
    const bool held = reply.ParseFromString(response.ok()) && reply.sum() == sum &&
                      reply.count() == written.size();
    std::string all = errand.name + " adds up the " + std::to_string(written.size()) +
                      " items that were sent before the close";
    co_await walk.peer.Require(held, "rpc.channel.close", std::move(all));
  }
}

// co_await: one call is brought to its end and judged.
Task<> DrainCall(Walk& walk, Track& track) {
  if (track.given_up) co_return;
  std::vector<uint64_t> items;
  for (const auto& [field, channel] : track.call->channels) {
    if (!channel->harness_sends()) items = track.taken[field];
  }
  if (track.left_open && !track.call->cancelled) {
    co_await SettleLeftOpen(walk.peer, walk.session, *track.left_open);
    std::optional<std::vector<uint64_t>>& rest = track.left_open->items;
    if (rest) rest->insert(rest->begin(), items.begin(), items.end());
    if (!track.reset.empty()) rest.reset();
    co_return;
  }
  std::vector<uint64_t> rest = co_await PlayOut(*track.call);
  items.insert(items.end(), rest.begin(), rest.end());
  Response response = co_await walk.session.ResponseTo(*track.call);
  if (track.left_open) co_return;  // and cancelled
  if (!track.disturbed) co_await JudgeValue(walk, track, response, items);
}

Task<> DrainAsCaller(Walk& walk) {
  for (const Track& track : walk.tracks) {
    if (track.errand.gate) walk.peer.Release(track.errand.name);
  }
  for (Track& track : walk.tracks) co_await DrainCall(walk, track);
  co_await walk.session.Fence();
  co_await walk.peer.Settle();
  std::map<uint64_t, uint32_t> ran = co_await ExecutionsSoFar(walk.peer, walk.session);
  for (const Track& track : walk.tracks) {
    const uint32_t times = ran[track.call->operation_id];
    if (track.left_open && !track.call->cancelled && !track.given_up) {
      co_await JudgeLeftOpen(walk.peer, *track.left_open, ran);
    } else if (!track.left_open) {
      const bool surely = !track.disturbed && !track.call->cancelled;
      std::string wanted =
          track.errand.name + " is executed once, not " + std::to_string(times) + " times";
      co_await walk.peer.Require(times == 1 || (times == 0 && !surely),
                                 "retry.layers.no-silent-retry", std::move(wanted));
    }
  }
  co_await RequireAlive(walk.peer, walk.session, "rpc.error.scope");
}

// ---------------------------------------------------------------- the drain, the subject calls

// co_await: whatever has arrived at the harness is taken.
Task<> TakeRest(Track& track) {
  for (const auto& [field, channel] : track.incoming->channels) {
    if (channel->harness_sends()) continue;
    Action take;
    take.act = Act::kTake;
    take.field = field;
    take.amount = UINT32_MAX;
    co_await DoToChannel(track, *channel, take);
  }
}

// co_await: everything that is open at the harness is answered and ended; whether there was any.
Task<bool> EndAll(Walk& walk) {
  bool any = false;
  for (Track& track : walk.tracks) {
    Incoming* attempt = FindAttempt(walk.session, track);
    if (attempt == nullptr || attempt != track.incoming) continue;
    co_await TakeRest(track);
    if (!EndsEnded(track)) {
      any = true;
      for (auto& [field, channel] : attempt->channels) {
        if (channel->ended()) continue;
        if (channel->harness_sends()) {
          channel->Close();
        } else {
          channel->Reset();
          track.reset.insert(field);
        }
      }
    }
    if (!attempt->response) {
      any = true;
      co_await Answer(walk, track, false);
    }
  }
  co_return any;
}

// co_await: the items of the application's sends are what the harness was given on this attempt.
Task<> JudgeSends(Walk& walk, Track& track) {
  std::map<uint32_t, std::vector<uint64_t>> accepted;
  for (size_t i = 0; i < track.commands.size(); ++i) {
    const AppCommand& command = track.commands[i];
    Outcome outcome =
        co_await walk.peer.OutcomeOf(command.question, "the application's command to end");
    if (!command.sends) continue;
    const auto& sent = outcome.sent();
    const bool all = sent.accepted() == command.count;
    std::string wanted = "a send of " + std::to_string(command.count) + " items of " +
                         track.errand.name + " ends when all are accepted, or its channel has " +
                         "ended; it accepted " + std::to_string(sent.accepted()) + " and saw " +
                         peer::ShortName(sent.status());
    co_await walk.peer.Require(outcome.has_sent() && sent.accepted() <= command.count &&
                                   all == (sent.status() == control::v1::END_STATUS_OPEN),
                               "rpc.flow-control.credit.zero-blocks", std::move(wanted));
    if (i < track.commands_before) continue;
    for (uint32_t item = 0; item < sent.accepted(); ++item) {
      accepted[command.field].push_back(command.first + item);
    }
  }
  const bool live =
      track.incoming != nullptr && track.incoming->generation == walk.session.generation;
  if (!live) co_return;
  for (auto& [field, values] : accepted) {
    // What was in flight when the harness reset is gone.
    const std::vector<uint64_t>& taken = track.taken[field];
    const bool begins =
        taken.size() <= values.size() && std::equal(taken.begin(), taken.end(), values.begin());
    const bool whole = !track.reset.contains(field);
    std::string wanted = track.errand.name + ": the " + std::to_string(values.size()) +
                         " items that were accepted arrive in order; " +
                         std::to_string(taken.size()) + " did";
    co_await walk.peer.Require(begins && (!whole || taken.size() == values.size()), kDelivered,
                               std::move(wanted));
  }
}

// co_await: the application is told what the harness answered, of a call that no cut has touched.
Task<> JudgeOutcome(Walk& walk, const Track& track, bool cancelled) {
  const CallOutcome outcome = OutcomeOf(walk.peer, track);
  const auto status = outcome.status();
  if (cancelled && status == control::v1::CALL_STATUS_CANCELLED) co_return;
  const Response* response =
      track.incoming != nullptr && track.incoming->response ? &*track.incoming->response : nullptr;
  const bool ok = response != nullptr && response->has_ok() &&
                  status == control::v1::CALL_STATUS_OK && outcome.value() == response->ok();
  const bool error = response != nullptr && response->has_user_error() &&
                     status == control::v1::CALL_STATUS_USER_ERROR &&
                     outcome.value() == response->user_error();
  std::string wanted = "the application is told of " + track.errand.name +
                       " what was answered, not " + peer::ShortName(status);
  co_await walk.peer.Require(ok || error, "rpc.response.one-per-request", std::move(wanted));
}

Task<> DrainAsCallee(Walk& walk) {
  bool any = true;
  while (any) {
    co_await Rest(walk);
    any = co_await EndAll(walk);
  }
  co_await Rest(walk);
  walk.session.TakeRequests();
  co_await walk.peer.Require(CallsResolved(walk.peer), "session.outlives-conduit",
                             "every call comes to an end once it is answered");
  co_await JudgeOperations(walk.peer);
  co_await JudgeCalls(walk.peer, walk.open_at_a_cut, walk.seen);
  for (const Track& track : walk.tracks) {
    if (track.disturbed) continue;
    const auto& calls = walk.peer.subject_calls();
    const bool cancelled = std::any_of(calls.begin(), calls.end(), [&](const auto& call) {
      return call.question == track.question && call.cancelled;
    });
    co_await JudgeOutcome(walk, track, cancelled);
  }
  co_await JudgeStreams(walk.peer);
  co_await LetGo(walk.peer);
  for (Track& track : walk.tracks) co_await JudgeSends(walk, track);
  co_await walk.session.Fence();
  co_await RequireCallWorks(walk.peer, walk.session, "rpc.error.scope");
}

// ---------------------------------------------------------------- the scenario

Task<> RandomWalk(Peer& peer) {
  SessionOptions options;
  options.harness_limit = options.subject_limit = kLimit;
  Session* session = co_await peer.Establish(options);
  Walk walk{.peer = peer, .session = *session, .model = Model(peer.harness_calls())};
  const uint64_t steps = kFewestSteps + peer.machine().Choose(kMoreSteps + 1, "further steps");
  for (uint64_t i = 0; i < steps; ++i) co_await Step(walk);
  peer.machine().Note("walk", "the drain");
  if (!session->attached()) co_await Resume(walk);
  co_await Rest(walk);
  if (peer.harness_calls()) {
    co_await DrainAsCaller(walk);
  } else {
    co_await DrainAsCallee(walk);
  }
  for (const uint32_t question : walk.questions) {
    co_await peer.Answered(question, "a ping, or a status, to be answered");
    const auto& reply = peer.question(question).reply;
    if (!reply.has_status()) continue;
    // Runs that share its process may have given it hundreds since
    // (r[control.lifecycle.retention]).
    const auto state = reply.status().state();
    co_await peer.Require(state == control::v1::COMMAND_STATE_COMPLETED ||
                              state == control::v1::COMMAND_STATE_EVICTED,
                          "control.lifecycle.status-lane", "a command that has completed stays so");
  }
}

}  // namespace

std::vector<Scenario> WalkScenarios() {
  return {
      {kRandomWalk,
       "model",
       "Whatever legal traffic and whatever cuts: every call ends as it may, and nothing is lost.",
       {Direction::kHarnessToSubject, Direction::kSubjectToHarness},
       {"session.keepalive", "rpc.error.scope"},
       {"session.keepalive", "rpc.error.scope"},
       {"root_calls", "channels", "resume", "operations", "keepalive", "cancel"},
       &RandomWalk},
  };
}

}  // namespace counterpart::scenarios
