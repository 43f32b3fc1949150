// One link bound to a session, for one generation; it owns all that ends with the link: the
// sequencer, and a lane for every open connection.  r[strict.rebind.generation]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "runtime/conduit.h"
#include "runtime/lane.h"

namespace subject {

// Of a mutant only: writes every value to stderr.
void LogMetadata(const google::protobuf::RepeatedPtrField<wire::MetadataEntry>& entries);

class Attachment : public LinkUser {
 public:
  Attachment(Session* session, std::shared_ptr<Conduit> link, uint32_t peer_max_payload);
  ~Attachment() override;

  // The one way out. Journals, then writes; false if the generation is over or the payload is
  // above the counterpart's limit.  r[strict.outbound.sequencer]
  bool Commit(wire::Message message);
  bool Fits(const wire::Message& message, size_t added = 0) const;  // bytes added later
  const Recorder& record() const { return record_; }

  void OnPayload(const std::string& payload) override;
  void OnOversize() override;
  void OnViolation(const Violation& violation) override;
  void OnLost() override;

  // Nothing is committed from now on.  r[session.resume.discard]
  void Seal() { sealed_ = true; }

  // The connection is open from now on; or never again.
  Lane& AddLane(Connection* connection);
  std::shared_ptr<Lane> TakeLane(uint64_t connection);
  Lane* FindLane(uint64_t connection);
  Lane& root() { return *lanes_.at(0); }
  const std::map<uint64_t, std::shared_ptr<Lane>>& lanes() const { return lanes_; }

  const std::shared_ptr<Conduit> link;

 private:
  MaybeViolation Apply(const wire::Message& message);

  Session* session_;
  Recorder record_;
  uint32_t peer_max_payload_;
  std::map<uint64_t, std::shared_ptr<Lane>> lanes_;
  bool sealed_ = false;
};

}  // namespace subject
