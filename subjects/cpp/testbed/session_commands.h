// The testbed's application as one that has sessions: makes them, pings, opens and closes virtual
// connections, and ends them.
#pragma once

#include "runtime/command_log.h"
#include "runtime/domain.h"

namespace subject {

// What carries out a Listen, StopListening, Connect, Ping, OpenConnection, CloseConnection,
// CloseSession or ExpireSession. Null: it asks for what is not allowed, or names no session or
// connection that there is.
CommandLog::Work SessionCommand(Domain& domain, const control::ExecuteRequest& command);

}  // namespace subject
