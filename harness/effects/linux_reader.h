// The kernel of this machine, read through /proc and sock_diag.
#ifndef COUNTERPART_EFFECTS_LINUX_READER_H_
#define COUNTERPART_EFFECTS_LINUX_READER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "harness/effects/kernel_reader.h"

namespace counterpart::effects {

// The subject is the process tree below `root`, and those children of the harness itself whose
// environment has `mark` ("NAME=value"): what a wrapper left behind is re-parented to the harness
// (a subreaper). Files of a thread are opened once and kept.
std::unique_ptr<KernelReader> MakeLinuxReader(pid_t root, std::string mark);

// What /proc/<pid>/fdinfo/<fd> of a timerfd says.
TimerFd ParseTimerFd(const std::string& fdinfo);

}  // namespace counterpart::effects

#endif  // COUNTERPART_EFFECTS_LINUX_READER_H_
