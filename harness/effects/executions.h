// The file that every handler execution of a subject appends a line to. Pure.
#ifndef COUNTERPART_EFFECTS_EXECUTIONS_H_
#define COUNTERPART_EFFECTS_EXECUTIONS_H_

#include <string>
#include <string_view>

namespace counterpart::effects {

// The lines of `file` whose first word is one of the space-separated `sessions`, in order, as
// they are.
std::string ExecutionsOf(std::string_view file, std::string_view sessions);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_EXECUTIONS_H_
