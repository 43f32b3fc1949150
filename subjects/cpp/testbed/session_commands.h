// The testbed's application as one that pings, and that opens and closes virtual connections.
#pragma once

#include "runtime/command_log.h"
#include "runtime/domain.h"

namespace subject {

// What carries out a Ping, OpenConnection or CloseConnection. Null: it names no session or
// connection that there is.
CommandLog::Work SessionCommand(const Domain& domain, const control::ExecuteRequest& command);

}  // namespace subject
