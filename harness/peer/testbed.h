// The testbed service as the harness uses it, read from the compiled descriptors.
#ifndef COUNTERPART_PEER_TESTBED_H_
#define COUNTERPART_PEER_TESTBED_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "counterpart/testbed/v1/testbed.pb.h"

namespace counterpart::peer {

struct ChannelArgument {
  uint32_t field_number = 0;
  bool to_callee = false;  // the caller sends
  uint32_t initial_credit = 0;
  const google::protobuf::Descriptor* item = nullptr;
};

struct Method {
  std::string name;  // "counterpart.testbed.v1.Testbed/Echo"
  bool idem = false;
  bool persist = false;
  const google::protobuf::Descriptor* arguments = nullptr;
  const google::protobuf::Descriptor* response = nullptr;
  const google::protobuf::Descriptor* error = nullptr;  // null: the method has none
  std::vector<ChannelArgument> channels;                // ascending by field number

  const ChannelArgument* Channel(uint32_t field_number) const;
};

// By full or short name ("Echo"); null if the testbed has no such method.
const Method* FindMethod(std::string_view name);

// A Number item, encoded; and back (0 if it does not parse, which the caller treats as found).
std::string EncodeNumber(uint64_t value);
bool DecodeNumber(const std::string& bytes, uint64_t* value);

}  // namespace counterpart::peer

#endif  // COUNTERPART_PEER_TESTBED_H_
