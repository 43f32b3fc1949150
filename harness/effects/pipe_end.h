// The writing end of a pipe, closed so that it shows.
#ifndef COUNTERPART_EFFECTS_PIPE_END_H_
#define COUNTERPART_EFFECTS_PIPE_END_H_

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {

// Back once whoever reads the pipe sees its end. To close is not enough: while another thread
// starts a process, the child has every descriptor of ours until it runs its own program. Gives up
// after 10 seconds, which nothing takes.
void CloseWritingEnd(UniqueFd* end);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_PIPE_END_H_
