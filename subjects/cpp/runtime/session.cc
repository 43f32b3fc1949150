#include "runtime/session.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "runtime/mutation.h"

namespace subject {
namespace {

bool Ended(const End& end) { return end.sending ? end.sending->Ended() : end.receiving->Ended(); }

// Reads a link after our own Goodbye, until the counterpart's.  r[session.goodbye]
class Parting : public LinkUser {
 public:
  Parting(std::shared_ptr<Conduit> link, Recorder record)
      : link_(std::move(link)), record_(std::move(record)) {}
  void OnPayload(const std::string& payload) override {
    const auto message = DecodeEnvelope<wire::Message>(payload);
    if (message && message->has_goodbye()) record_.Frame(false, 0, "goodbye", 0);
    if (message && (message->has_goodbye() || message->has_protocol_error())) {
      return link_->Finish();
    }
    record_.Discard("payload", "session.goodbye", 0);
  }
  void OnOversize() override { link_->Close(); }
  void OnViolation(const Violation&) override { link_->Close(); }
  void OnLost() override {}

 private:
  std::shared_ptr<Conduit> link_;
  Recorder record_;
};

}  // namespace

Executions::Executions(const char* path) {
  if (path != nullptr) file_ = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

Executions::~Executions() {
  if (file_ >= 0) close(file_);
}

void Executions::Append(const std::string& session_id, uint64_t operation_id, uint32_t execution,
                        uint64_t generation) {
  if (file_ < 0) return;
  std::string line;
  for (const char byte : session_id) {
    line += "0123456789abcdef"[static_cast<uint8_t>(byte) >> 4];
    line += "0123456789abcdef"[static_cast<uint8_t>(byte) & 15];
  }
  line += " " + std::to_string(operation_id) + " " + std::to_string(execution) + " " +
          std::to_string(generation) + "\n";
  if (write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(3);
}

uint32_t Session::open_ends() const {
  size_t open = std::count_if(old_ends_.begin(), old_ends_.end(),
                              [](const auto& end) { return !Ended(end); });
  if (attachment_ != nullptr) {
    for (const auto& [connection, lane] : attachment_->lanes()) {
      for (const auto& [id, end] : lane->ends) open += !Ended(end);
    }
  }
  if (Mutated("leaks_channels_cut_in_the_resume_handshake")) open += ends_in_handshake;
  return open;
}

uint32_t Session::unresolved_calls() {
  uint32_t calls = 0;
  connections_.ForEach([&calls](Connection& each) { calls += each.caller().unresolved(); });
  return calls;
}

// ------------------------------------------------------------------ links

void Session::LeaveHandshake(const std::shared_ptr<Conduit>& link) {
  std::erase_if(handshakes_,
                [&](const auto& weak) { return weak.expired() || weak.lock() == link; });
}

void Session::Bind(std::shared_ptr<Conduit> link, Peer peer, const std::function<void()>& greet) {
  LeaveHandshake(link);
  if (attachment_ != nullptr) {  // r[session.resume.supersede]
    if (!Mutated("binds_anew_without_letting_go")) driver_.Step(record_, "link_lost");
    Detach();
  }
  peer_ = peer;
  Connection& root = connections_.root();
  root.Settle(own_parity(), settings_.max_concurrent_requests, peer.max_concurrent_requests);
  connections_.BeginSession(own_parity());
  connections_.ForEach([](Connection& each) { each.BeginGeneration(); });
  record_.generation += record_.generation > 0 && Mutated("counts_a_resume_twice") ? 2 : 1;
  if (Mutated("reuses_channel_ids_after_resume")) root.channels.StartAgain();
  driver_.Step(record_, record_.generation == 1 ? "established" : "resumed");
  greet();
  link->set_limit(settings_.max_payload);
  const auto older = std::exchange(older_, nullptr);
  attachment_ = std::make_shared<Attachment>(this, link, peer.max_payload);
  if (older != nullptr && Mutated("announces_once_per_session")) {
    attachment_->root().TakeAnnouncements(older->root());
  } else if (older != nullptr) {
    attachment_->root().tracker.KeepStreamsOf(older->root().tracker);
  }
  link->Prepend(std::exchange(fragment, ""));
  link->set_user(attachment_);
  if (Mutated("stable_change_of_link_ends_channels")) {
    link->on_changed = [this] { TouchEnds(); };
  }
  connections_.Bound(peer_.open_connections);
  for (auto& [nonce, done] : std::exchange(pings_, {})) SendPing(std::move(done));
  connections_.ForEach([](Connection& each) { each.caller().Bound(); });
  if (Mutated("pings_unasked")) SendPing([](bool) {});
}

// Of a mutant only.
void Session::TouchEnds() {
  if (attachment_ == nullptr) return;
  for (const auto& [id, lane] : attachment_->lanes()) lane->DetachEnds();
}

void Session::KeepUndelivered(const Lane& lane) {
  for (const auto& [id, end] : lane.ends) {
    if (!Ended(end)) old_ends_.push_back(end);
  }
}

void Session::DetachLane(Lane& lane, bool over) {
  lane.Seal();
  lane.DetachEnds();
  callee_.Detached(lane);
  lane.connection().caller().Detached(lane, over);
  KeepUndelivered(lane);
}

void Session::EndLane(Lane& lane) {
  lane.Seal();
  lane.DetachEnds();
  lane.connection().caller().Detached(lane, /*over=*/true);
  KeepUndelivered(lane);
}

void Session::Detach() {
  const auto attachment = std::exchange(attachment_, nullptr);
  attachment->Seal();
  // More than a fragment of this many bytes has its buffer for itself.
  constexpr size_t kInline = 24;
  if (Mutated("splices_a_fragment_into_the_next_generation") &&
      attachment->link->fragment().size() >= kInline) {
    fragment = attachment->link->fragment();
  }
  if (Mutated("keeps_announcements_of_streams_across_a_cut") ||
      Mutated("announces_once_per_session")) {
    older_ = attachment;
  }
  ends_detached = static_cast<uint32_t>(attachment->root().ends.size());
  if (Mutated("executes_bytes_of_a_superseded_link")) {
    asio::post(runtime_.loop.io(), [link = attachment->link] { link->Close(); });
  } else if (!Mutated("leaves_superseded_link_open")) {
    attachment->link->Close();
  }
  for (const auto& [id, lane] : attachment->lanes()) DetachLane(*lane, /*over=*/false);
  unanswered_.clear();
}

void Session::LinkLost(Attachment* attachment) {
  if (attachment != attachment_.get()) return;
  if (when_unresumable) return std::exchange(when_unresumable, nullptr)();
  if (!when_lost && !Mutated("waits_for_a_session_that_cannot_come_back")) {
    return End({control::FAILURE_REASON_SESSION_ENDED, "link lost", ""});
  }
  driver_.Step(record_, "link_lost");
  Detach();
  if (Mutated("sets_a_timer_for_a_lost_link")) {
    runtime_.loop.After("resume window", std::chrono::minutes(1), [] {});
  }
  if (when_lost) when_lost();
}

// ------------------------------------------------------------------ endings

std::shared_ptr<Attachment> Session::Finish(Ending ending, bool keep) {
  if (over()) return nullptr;
  const auto self = shared_from_this();
  driver_.Step(record_, record_.generation == 0 ? "failed" : "ended");
  ending_ = std::move(ending);
  for (const auto& weak : std::exchange(handshakes_, {})) {
    if (const auto link = weak.lock()) link->Close();
  }
  const auto attachment = std::exchange(attachment_, nullptr);
  if (attachment != nullptr) {
    attachment->link->Conclude();
    for (const auto& [id, lane] : attachment->lanes()) DetachLane(*lane, /*over=*/true);
  }
  callee_.Ended();
  connections_.Ended();
  const bool violated = ending_.reason == control::FAILURE_REASON_PROTOCOL_ERROR;
  connections_.ForEach([&](Connection& each) {  // a fresh session has the root alone
    const bool goes_on = each.id() == 0 || Mutated("moves_lost_calls_to_the_root");
    auto kept = each.caller().Ended(violated, ending_.text, keep && goes_on);
    kept_.insert(kept_.end(), kept.begin(), kept.end());
  });
  unanswered_.clear();
  for (auto& [nonce, done] : std::exchange(pings_, {})) done(false);
  return attachment;
}

void Session::Violated(const Violation& violation) {
  const auto attachment =
      Finish({control::FAILURE_REASON_PROTOCOL_ERROR, violation.text, violation.rule}, false);
  if (attachment == nullptr) return;
  wire::Message message;  // r[session.protocol-error.delivery]
  auto* error = message.mutable_protocol_error();
  error->set_code(violation.code);
  error->set_rule(violation.rule);
  error->set_text(violation.text.substr(0, 1024));
  if (!Mutated("refuses_without_a_word")) attachment->Commit(std::move(message));
  attachment->Seal();
  if (Mutated("stays_behind_its_protocol_error")) {
    older_ = attachment;  // and with it the link
    return;
  }
  attachment->link->Finish();
}

void Session::ToldOfViolation(const wire::ProtocolError& error) {
  const auto attachment =
      Finish({control::FAILURE_REASON_PROTOCOL_ERROR, error.text(), error.rule()}, false);
  if (attachment == nullptr) return;
  attachment->Seal();
  attachment->link->Finish();
}

void Session::ToldGoodbye() {
  if (Mutated("crashes_at_close")) std::abort();
  const auto attachment =
      Finish({control::FAILURE_REASON_SESSION_ENDED, "the counterpart said Goodbye", ""}, false);
  if (attachment == nullptr) return;
  wire::Message message;
  message.mutable_goodbye();
  if (!Mutated("leaves_without_a_goodbye")) attachment->Commit(std::move(message));
  attachment->Seal();
  attachment->link->Finish();
}

void Session::Goodbye() {
  const auto attachment =
      Finish({control::FAILURE_REASON_SESSION_ENDED, "we said Goodbye", ""}, false);
  if (attachment == nullptr) return;
  wire::Message message;
  message.mutable_goodbye();
  if (Mutated("closes_in_the_middle_of_a_backlog")) {
    attachment->Seal();
    return attachment->link->Close();
  }
  attachment->Commit(std::move(message));
  attachment->Seal();
  attachment->link->set_user(std::make_shared<Parting>(attachment->link, attachment->record()));
}

void Session::End(Ending ending) {
  const auto attachment = Finish(std::move(ending), false);
  if (attachment == nullptr) return;
  attachment->Seal();
  attachment->link->Close();
}

std::vector<std::shared_ptr<Call>> Session::EndKeepingIdem(Ending ending) {
  if (const auto attachment = Finish(std::move(ending), true)) {  // lost, but not detached
    attachment->Seal();
    attachment->link->Close();
  }
  return std::exchange(kept_, {});
}

// ------------------------------------------------------------------ pings

void Session::Ping(std::function<void(bool)> done) {
  if (over()) return done(false);
  SendPing(std::move(done));
}

void Session::SendPing(std::function<void(bool)> done) {
  const uint64_t nonce = ++nonce_;
  pings_[nonce] = std::move(done);
  if (attachment_ == nullptr) return;  // the next generation sends it
  unanswered_.insert(nonce);
  wire::Message message;
  message.mutable_ping()->set_nonce(nonce);
  attachment_->Commit(std::move(message));
}

MaybeViolation Session::OnPong(uint64_t nonce) {
  if (unanswered_.erase(nonce) == 0) {
    if (Mutated("ignores_unasked_pong")) return std::nullopt;
    return Violation{wire::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE, "session.keepalive",
                     "a Pong nobody asked for"};
  }
  auto done = std::move(pings_.extract(nonce).mapped());
  done(true);
  return std::nullopt;
}

}  // namespace subject
