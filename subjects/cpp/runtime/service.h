// Methods as the runtime knows them, and what it asks of an application that serves them.
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "counterpart/wire/v1/wire.pb.h"

namespace subject {

class SendingEnd;
class ReceivingEnd;

struct ChannelArgument {
  uint32_t field_number;
  bool to_callee;
  const google::protobuf::Descriptor* item;
  uint32_t initial_credit;
};

struct Method {
  std::string name;  // "package.Service/Method"
  const google::protobuf::Descriptor* request;
  const google::protobuf::Descriptor* response;
  const google::protobuf::Descriptor* error;  // null: it has no user error
  bool idem;
  bool persist;
  std::vector<ChannelArgument> channels;  // ascending by field number
};

using Methods = std::map<std::string, Method>;

// The methods of a service of the generated pool.
Methods MethodsOf(const google::protobuf::ServiceDescriptor* service);

// The name of one that must not be registered, "" if there is none.
// r[retry.channel.persist-forbidden]
std::string ForbiddenAmong(const Methods& methods);

// One attempt's channel ends, by field number; exactly one of the two is set.
struct End {
  std::shared_ptr<SendingEnd> sending;
  std::shared_ptr<ReceivingEnd> receiving;
};
using Ends = std::map<uint32_t, End>;

// How a handler ended.
struct HandlerResult {
  enum class Kind { kOk, kUserError, kPanic } kind;
  std::string value;
  std::vector<counterpart::wire::v1::MetadataEntry> metadata;  // of the Response, in order
};

// One run of a handler, owned by the runtime. Destroying it stops it for good: it must leave
// nothing behind that could act later.
class Run {
 public:
  virtual ~Run() = default;
  // Works until it can go no further; the runtime calls it once, then whenever Wake was called.
  virtual void Advance() = 0;
};

struct Invocation {
  const Method* method;
  std::string arguments;                                       // decodable as method->request
  std::vector<counterpart::wire::v1::MetadataEntry> metadata;  // as the caller sent it
  Ends ends;
  std::function<void()> wake;                 // have Advance called, from the work queue
  std::function<void(HandlerResult)> finish;  // at most once, from Advance, as its last act
  // Makes a call of the counterpart, with the metadata above that may go on; `done`, once, when it
  // is resolved.  r[rpc.metadata.no-propagate]
  std::function<void(std::string method, std::string arguments, std::function<void()> done)> call;
};

using Handler = std::function<std::unique_ptr<Run>(Invocation)>;

}  // namespace subject
