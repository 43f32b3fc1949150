// One connection on one attachment: what was announced there, attempts in flight, channel ends. It
// ends with whichever of the two ends first.  r[schema.tracking.connection],
// r[strict.rebind.generation]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "runtime/channel.h"
#include "runtime/schemas.h"

namespace subject {

class Attachment;
class Connection;
class Session;
struct Call;
struct Operation;

class Lane : public ChannelHost {
 public:
  Lane(Attachment* attachment, Session* session, Connection* connection);

  // The one way out for what the connection has to say; false once it has said its last, or if the
  // payload is above the counterpart's limit.
  bool Commit(wire::Message message) override;
  bool Fits(const wire::Message& message) const override;
  void Announce(const Method& method, wire::BindingRole role, uint32_t field = 0) override;
  const Recorder& record() const override { return record_; }
  Loop& loop() override;
  bool Congested() const override;

  // A message about a call, a channel or a type.
  MaybeViolation Apply(const wire::Message& message);

  // Nothing is committed from now on.  r[connection.close]
  void Seal() { sealed_ = true; }
  void DetachEnds();

  // Of a mutant only: what was announced on an older attachment.
  void TakeAnnouncements(const Lane& older) { announcer_ = older.announcer_; }

  End MakeEnd(const Method& method, const ChannelArgument& argument, uint64_t id, bool sending);
  Connection& connection() { return *connection_; }

  Tracker tracker;
  std::map<uint64_t, std::shared_ptr<Call>> outgoing;
  std::map<uint64_t, std::shared_ptr<Operation>> incoming;
  std::map<uint64_t, End> ends;
  std::set<uint64_t> nameless;  // channels of methods unknown here
  bool hushed = false;          // of a mutant only

 private:
  MaybeViolation ApplyToChannel(const wire::Message& message, uint64_t id);

  Attachment* attachment_;
  Session* session_;
  Connection* connection_;
  Recorder record_;
  Announcer announcer_;
  bool sealed_ = false;
};

}  // namespace subject
