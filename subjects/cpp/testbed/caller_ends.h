// The testbed's application as a caller: its calls by handle, and the numbers it sends and takes at
// the ends of their channels.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "runtime/command_log.h"
#include "runtime/session.h"

namespace subject {

class CallerEnds {
 public:
  explicit CallerEnds(const Methods& methods) : methods_(methods) {}

  // What carries a command out. Null: it names no session, call or end that there is, or a handle
  // that is taken. An end of an attempt still to come is waited for.
  CommandLog::Work Make(const std::shared_ptr<Session>& session, const control::Call& command);
  // Cancel, or one of the channel commands; null for any other.
  CommandLog::Work Perform(const control::ExecuteRequest& command);

 private:
  CommandLog::Work Cancel(const control::Cancel& command);
  CommandLog::Work Send(const control::ChannelSend& command);
  CommandLog::Work Receive(const control::ChannelReceive& command);
  CommandLog::Work Close(const control::ChannelClose& command);
  CommandLog::Work Reset(const control::ChannelReset& command);
  using Use = std::function<void(const End&, CommandLog::Finish)>;
  CommandLog::Work AtEnd(const control::ChannelEnd& name, bool sending, Use use);

  const Methods& methods_;
  std::map<std::string, std::shared_ptr<Call>> calls_;
};

}  // namespace subject
