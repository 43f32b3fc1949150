// What was announced on one connection of an attachment, by us (Announcer) and to us (Tracker).
// r[schema.tracking.connection], r[schema.tracking.attachment]: both are born empty with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/service.h"
#include "runtime/wire.h"

namespace subject {

using BindingKey = std::tuple<std::string, wire::BindingRole, uint32_t>;

class Announcer {
 public:
  // What must still be said before data of this role is sent; empty if nothing.
  // r[schema.tracking.sender]
  wire::Schema Missing(const Method& method, wire::BindingRole role, uint32_t field = 0);

 private:
  void AddTypes(const google::protobuf::Descriptor* type, wire::Schema& said);

  std::set<uint64_t> types_;
  std::set<BindingKey> bindings_;
};

class Tracker {
 public:
  explicit Tracker(const Methods& methods) : methods_(methods) {}

  MaybeViolation Learn(const wire::Schema& schema);
  // Mutants only: what an older attachment was told of methods that take a stream.
  void KeepStreamsOf(const Tracker& older);

  // Was the binding announced?  r[schema.exchange.required]
  bool Bound(const std::string& method, wire::BindingRole role, uint32_t field = 0) const {
    return bindings_.contains({method, role, field});
  }
  // With RESPONSE: and does it name a user error type?
  bool BoundError(const std::string& method) const;

  // Why data of this role cannot be read; empty if it can.  r[schema.errors.early]
  std::string Mismatch(const std::string& method, wire::BindingRole role, uint32_t field = 0) const;

 private:
  struct Bound_ {
    wire::Binding binding;
    std::string mismatch;
  };

  bool InCycle(uint64_t type_id) const;
  std::string Judge(const wire::Binding& binding) const;
  std::string Compare(uint64_t theirs, const google::protobuf::Descriptor* ours,
                      std::set<uint64_t>& seen) const;

  const Methods& methods_;
  std::map<uint64_t, wire::TypeSchema> types_;
  std::map<BindingKey, Bound_> bindings_;
};

}  // namespace subject
