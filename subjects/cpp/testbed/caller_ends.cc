#include "testbed/caller_ends.h"

#include <algorithm>
#include <utility>

#include "counterpart/testbed/v1/testbed.pb.h"

namespace subject {
namespace {

using control::Outcome;
using counterpart::testbed::v1::Number;
using Finish = CommandLog::Finish;
using Work = CommandLog::Work;

template <typename From, typename To>
void CopyMetadata(const From& from, To add) {
  for (const auto& entry : from) {
    auto& to = *add();
    to.set_key(entry.key());
    to.set_value(entry.value());
    to.set_flags(entry.flags());
  }
}

Outcome ToOutcome(const Call& call) {
  Outcome outcome;
  control::CallOutcome& out = *outcome.mutable_call();
  out.set_status(call.result.status);
  out.set_value(call.result.value);
  out.set_text(call.result.text);
  out.set_attempts(call.attempts);
  out.set_operation_id(call.operation_id);
  CopyMetadata(call.result.metadata, [&out] { return out.add_metadata(); });
  return outcome;
}

control::EndStatus ToStatus(EndStatus status) {
  return static_cast<control::EndStatus>(static_cast<int>(status) + 1);
}

// Sends items one by one, as credit comes.
struct Sending : std::enable_shared_from_this<Sending> {
  std::shared_ptr<SendingEnd> end;
  control::ChannelSend command;
  Finish finish;
  uint32_t accepted = 0;

  void Advance() {
    while (accepted < command.count()) {
      Number number;
      number.set_value(command.first() + accepted);
      const Sent sent = end->Send(number.SerializeAsString());
      if (sent == Sent::kNotNow) {
        return end->OnChange([self = shared_from_this()] { self->Advance(); });
      }
      if (sent != Sent::kAccepted) break;
      ++accepted;
    }
    Outcome outcome;
    outcome.mutable_sent()->set_accepted(accepted);
    outcome.mutable_sent()->set_status(accepted == command.count() ? control::END_STATUS_OPEN
                                                                   : ToStatus(end->status()));
    finish(outcome);
  }
};

// Takes items one by one, as they come.
struct Receiving : std::enable_shared_from_this<Receiving> {
  std::shared_ptr<ReceivingEnd> end;
  uint32_t count = 0;  // 0: until the end
  Finish finish;
  Outcome outcome;

  void Advance() {
    auto& received = *outcome.mutable_received();
    received.set_status(control::END_STATUS_OPEN);
    while (count == 0 || static_cast<uint32_t>(received.values_size()) < count) {
      std::string item;
      if (end->Take(item)) {
        Number number;
        number.ParseFromString(item);
        received.add_values(number.value());
        continue;
      }
      if (end->status() == EndStatus::kOpen) {
        return end->OnItemOrEnd([self = shared_from_this()] { self->Advance(); });
      }
      received.set_status(ToStatus(end->status()));
      break;
    }
    finish(outcome);
  }
};

// Gives `use` the ends of an attempt once it exists, or nothing if it never will.
void WithEnds(const std::shared_ptr<Call>& call, size_t attempt,
              std::function<void(const Ends*)> use) {
  if (attempt <= call->sets.size()) return use(&call->sets[attempt - 1]);
  if (call->resolved) return use(nullptr);
  call->waiting.push_back([call, attempt, use = std::move(use)] { WithEnds(call, attempt, use); });
}

}  // namespace

Work CallerEnds::Make(const std::shared_ptr<Session>& session, const control::Call& command) {
  Connection* connection = session ? session->connections().Find(command.connection_id()) : nullptr;
  if (!connection || command.handle().empty() || calls_.contains(command.handle())) return nullptr;
  auto call = calls_[command.handle()] = std::make_shared<Call>();
  call->method_name = command.method();
  call->arguments = command.arguments();
  CopyMetadata(command.metadata(), [&call] { return &call->metadata.emplace_back(); });
  return [session, connection, call](Finish finish) {
    call->done = [finish](const Call& resolved) { finish(ToOutcome(resolved)); };
    connection->caller().Start(call);
  };
}

Work CallerEnds::Perform(const control::ExecuteRequest& command) {
  if (command.has_cancel()) return Cancel(command.cancel());
  if (command.has_channel_send()) return Send(command.channel_send());
  if (command.has_channel_receive()) return Receive(command.channel_receive());
  if (command.has_channel_close()) return Close(command.channel_close());
  if (command.has_channel_reset()) return Reset(command.channel_reset());
  return nullptr;
}

Work CallerEnds::Cancel(const control::Cancel& command) {
  const auto found = calls_.find(command.handle());
  if (found == calls_.end()) return nullptr;
  return [call = found->second](Finish finish) {
    if (call->cancel) call->cancel();
    finish(Done());
  };
}

Work CallerEnds::Send(const control::ChannelSend& command) {
  return AtEnd(command.end(), true, [command](const End& end, Finish finish) {
    auto sending = std::make_shared<Sending>();
    sending->end = end.sending;
    sending->command = command;
    sending->finish = std::move(finish);
    sending->Advance();
  });
}

Work CallerEnds::Receive(const control::ChannelReceive& command) {
  return AtEnd(command.end(), false, [count = command.count()](const End& end, Finish finish) {
    auto receiving = std::make_shared<Receiving>();
    receiving->end = end.receiving;
    receiving->count = count;
    receiving->finish = std::move(finish);
    receiving->Advance();
  });
}

Work CallerEnds::Close(const control::ChannelClose& command) {
  return AtEnd(command.end(), true, [](const End& end, Finish finish) {
    end.sending->Close();
    finish(Done());
  });
}

Work CallerEnds::Reset(const control::ChannelReset& command) {
  return AtEnd(command.end(), false, [](const End& end, Finish finish) {
    end.receiving->Reset();
    finish(Done());
  });
}

Work CallerEnds::AtEnd(const control::ChannelEnd& name, bool sending, Use use) {
  const auto found = calls_.find(name.handle());
  if (found == calls_.end()) return nullptr;
  const std::shared_ptr<Call> call = found->second;
  const auto method = methods_.find(call->method_name);
  if (method == methods_.end() ||
      std::ranges::none_of(method->second.channels, [&](const ChannelArgument& argument) {
        return argument.field_number == name.field_number() && argument.to_callee == sending;
      })) {
    return nullptr;
  }
  const size_t attempt =
      name.attempt() != 0 ? name.attempt() : std::max<size_t>(call->sets.size(), 1);
  return [call, attempt, field = name.field_number(), use = std::move(use)](Finish finish) {
    WithEnds(call, attempt, [field, use, finish](const Ends* ends) {
      if (ends != nullptr) return use(ends->at(field), finish);
      finish(Failed(control::FAILURE_REASON_SESSION_ENDED,
                    "the call was resolved without this attempt"));
    });
  };
}

}  // namespace subject
