// One link bound to a session, for one generation; it owns all that ends with the link: the
// sequencer, what was announced, attempts in flight, channel ends.  r[strict.rebind.generation]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "runtime/channel.h"
#include "runtime/link.h"
#include "runtime/schemas.h"

namespace subject {

class Session;
struct Call;
struct Operation;

class Attachment : public LinkUser, public ChannelHost {
 public:
  Attachment(Session* session, std::shared_ptr<Link> link, uint32_t peer_max_payload);
  ~Attachment() override;

  // The one way out. Journals, then writes; false if the generation is over or the payload is
  // above the counterpart's limit.  r[strict.outbound.sequencer]
  bool Commit(wire::Message message) override;
  bool Fits(const wire::Message& message) const override;
  void Announce(const Method& method, wire::BindingRole role, uint32_t field = 0) override;
  const Recorder& record() const override { return record_; }
  Loop& loop() override;
  bool Congested() const override;

  void OnPayload(const std::string& payload) override;
  void OnOversize() override;
  void OnLost() override;

  // Nothing is committed from now on.  r[session.resume.discard]
  void Seal() { sealed_ = true; }
  void DetachEnds();

  End MakeEnd(const Method& method, const ChannelArgument& argument, uint64_t id, bool sending);

  const std::shared_ptr<Link> link;
  Tracker tracker;
  std::map<uint64_t, std::shared_ptr<Call>> outgoing;
  std::map<uint64_t, std::shared_ptr<Operation>> incoming;
  std::map<uint64_t, End> ends;
  std::set<uint64_t> nameless;  // channels of methods unknown here

 private:
  MaybeViolation Apply(const wire::Message& message);
  MaybeViolation ApplyToChannel(const wire::Message& message, uint64_t id);

  Session* session_;
  Recorder record_;
  uint32_t peer_max_payload_;
  Announcer announcer_;
  bool sealed_ = false;
};

}  // namespace subject
