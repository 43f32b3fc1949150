// Short names of what a ProtocolError may say.
#ifndef COUNTERPART_SCENARIOS_PROTOCOL_CODES_H_
#define COUNTERPART_SCENARIOS_PROTOCOL_CODES_H_

#include "counterpart/wire/v1/wire.pb.h"

namespace counterpart::scenarios {

using Code = wire::v1::ProtocolErrorCode;

inline constexpr Code kMalformed = wire::v1::PROTOCOL_ERROR_CODE_MALFORMED;
inline constexpr Code kUnexpected = wire::v1::PROTOCOL_ERROR_CODE_UNEXPECTED_MESSAGE;
inline constexpr Code kBadConnection = wire::v1::PROTOCOL_ERROR_CODE_BAD_CONNECTION;
inline constexpr Code kBadRequest = wire::v1::PROTOCOL_ERROR_CODE_BAD_REQUEST_ID;
inline constexpr Code kBadChannel = wire::v1::PROTOCOL_ERROR_CODE_BAD_CHANNEL_ID;
inline constexpr Code kChannelState = wire::v1::PROTOCOL_ERROR_CODE_CHANNEL_STATE;
inline constexpr Code kExceeded = wire::v1::PROTOCOL_ERROR_CODE_CREDIT_EXCEEDED;
inline constexpr Code kOverflow = wire::v1::PROTOCOL_ERROR_CODE_CREDIT_OVERFLOW;
inline constexpr Code kSchemaMissing = wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_MISSING;
inline constexpr Code kSchemaInvalid = wire::v1::PROTOCOL_ERROR_CODE_SCHEMA_INVALID;

}  // namespace counterpart::scenarios

#endif  // COUNTERPART_SCENARIOS_PROTOCOL_CODES_H_
