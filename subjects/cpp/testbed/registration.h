// A service that is offered by command.  r[retry.channel.persist-forbidden]
#pragma once

#include <string>

#include "runtime/command_log.h"
#include "runtime/session.h"

namespace subject {

// What registers the methods of a service of the testbed, by its full name, or tells of the one
// that is not to be registered. Null: there is no such service.
CommandLog::Work Registration(Runtime& runtime, const std::string& service);

}  // namespace subject
