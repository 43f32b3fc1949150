#include "runtime/journal.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "runtime/mutation.h"

namespace subject {
namespace {

constexpr size_t kEventsPerScope = 1 << 18;
constexpr size_t kRetiredScopes = 16;

// A value that was not asked for matches anything; an event without the part asked for has none.
bool Matches(const control::Await& want, const control::JournalEvent& event) {
  const auto fits = [](const auto& wanted, const auto& is) {
    return wanted == is || !(wanted > 0);
  };
  const auto says = [](const auto& wanted, const auto& is) {
    return wanted.empty() || wanted == is;
  };
  const bool started = event.handler().event() == control::HANDLER_EVENT_STARTED;
  return says(want.session_id(), event.session_id()) &&
         says(want.to_state(), event.transition().to_state()) &&
         fits(want.machine(), event.transition().machine()) &&
         fits(want.key(), event.transition().key()) &&
         fits(want.operation_id(), event.handler().operation_id()) &&
         (!want.handler_started() || started) &&
         (!want.handler_ended() || (event.has_handler() && !started));
}

}  // namespace

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  if (getrandom(bytes.data(), size, 0) != static_cast<ssize_t>(size)) std::abort();
  return bytes;
}

std::string NewEpoch() {
  return Mutated("same_epoch_after_restart") ? std::string(16, 'e') : RandomBytes(16);
}

void Journal::Append(const std::string& scope, control::JournalEvent event) {
  event.set_seq(++seq_);
  Scope& events = scopes_[scope];
  if (events.events.size() == kEventsPerScope) {
    events.events.pop_front();
    ++events.gap;
  }
  events.events.push_back(event);
  std::vector<std::function<void()>> ready;
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    if (it->scope == scope && Matches(it->wanted, event) && --it->missing == 0) {
      ready.push_back(std::move(it->done));
      it = watchers_.erase(it);
    } else {
      ++it;
    }
  }
  for (const auto& done : ready) done();
}

void Journal::Watch(const std::string& scope, const control::Await& wanted,
                    std::function<void()> done) {
  uint32_t missing = std::max(wanted.count(), 1u);
  for (const auto& event : scopes_[scope].events) {
    if (missing > 0 && Matches(wanted, event)) --missing;
  }
  if (missing == 0) return done();
  watchers_.push_back({scope, missing, wanted, std::move(done)});
}

control::JournalResponse Journal::Read(const std::string& scope, uint64_t after_seq) const {
  control::JournalResponse response;
  response.set_epoch(epoch_);
  const auto found = scopes_.find(scope);
  if (found == scopes_.end()) return response;
  response.set_gap(found->second.gap);
  for (const control::JournalEvent& event : found->second.events) {
    if (event.seq() > after_seq) *response.add_events() = event;
  }
  return response;
}

void Journal::Retire(const std::string& scope) {
  watchers_.remove_if([&](const Watcher& watcher) { return watcher.scope == scope; });
  retired_.push_back(scope);
  if (retired_.size() <= kRetiredScopes) return;
  scopes_.erase(retired_.front());
  retired_.pop_front();
}

control::JournalEvent Recorder::Event() const {
  control::JournalEvent event;
  event.set_session_id(session_id);
  event.set_generation(generation);
  return event;
}

void Recorder::Transition(control::Machine machine, uint64_t key, std::string_view from,
                          std::string_view event, std::string_view to, bool invalid) const {
  control::JournalEvent said = Event();
  auto* transition = said.mutable_transition();
  transition->set_machine(machine);
  transition->set_key(key);
  transition->set_from_state(std::string(from));
  transition->set_event(std::string(event));
  transition->set_to_state(std::string(to));
  transition->set_invalid(invalid);
  transition->set_connection_id(connection_id);
  journal->Append(scope, std::move(said));
}

void Recorder::Frame(bool sent, uint64_t connection_id, std::string_view kind, uint64_t id) const {
  control::JournalEvent said = Event();
  auto* frame = said.mutable_frame();
  frame->set_sent(sent);
  frame->set_connection_id(connection_id);
  frame->set_kind(std::string(kind));
  frame->set_id(id);
  journal->Append(scope, std::move(said));
}

void Recorder::Handler(control::HandlerEvent event, uint64_t operation_id, uint64_t request_id,
                       uint32_t execution) const {
  control::JournalEvent said = Event();
  auto* handler = said.mutable_handler();
  handler->set_event(event);
  handler->set_operation_id(operation_id);
  handler->set_request_id(request_id);
  handler->set_execution(execution);
  journal->Append(scope, std::move(said));
}

void Recorder::Discard(std::string_view what, std::string_view rule, uint64_t key,
                       uint32_t count) const {
  if (Mutated("discards_without_a_word")) return;
  control::JournalEvent said = Event();
  auto* discard = said.mutable_discard();
  discard->set_what(std::string(what));
  discard->set_rule(std::string(rule));
  discard->set_key(key);
  discard->set_count(count);
  journal->Append(scope, std::move(said));
}

void Recorder::PlannedDelay(std::string_view what, uint64_t delay_ms) const {
  control::JournalEvent said = Event();
  said.mutable_planned_delay()->set_what(std::string(what));
  said.mutable_planned_delay()->set_delay_ms(delay_ms);
  journal->Append(scope, std::move(said));
}

}  // namespace subject
