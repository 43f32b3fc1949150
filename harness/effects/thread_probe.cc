#include "harness/effects/thread_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "harness/effects/process_table.h"

namespace counterpart::effects {
namespace {

constexpr std::string_view kHousekeeping[] = {
    // gRPC C core
    "grpc_global_tim", "timer_manager", "event_engine", "grpcpp_sync_ser", "default-executo",
    "resolver-executo", "lifeguard", "nexting_thread",
    // JVM
    "VM Periodic Tas", "G1 ", "VM Thread", "C1 Compiler", "C2 Compiler", "Monitor Deflati",
    "Common-Cleaner", "Reference Handl", "Signal Dispatch", "Service Thread", "Notification T"};

std::string ReadFd(int fd) {
  char buffer[1024];
  const ssize_t got = pread(fd, buffer, sizeof buffer, 0);
  return got <= 0 ? std::string() : std::string(buffer, static_cast<size_t>(got));
}

std::string ReadFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.get() < 0 ? std::string() : ReadFd(fd.get());
}

std::vector<pid_t> NumbersIn(const std::string& folder) {
  std::vector<pid_t> numbers;
  DIR* directory = opendir(folder.c_str());
  if (directory == nullptr) return numbers;
  while (const dirent* entry = readdir(directory)) {
    const pid_t number = static_cast<pid_t>(std::atoi(entry->d_name));
    if (number > 0) numbers.push_back(number);
  }
  closedir(directory);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task/";
  for (const pid_t tid : NumbersIn(folder)) {
    const std::string text = ReadFile(folder + std::to_string(tid) + "/children");
    for (const char* at = text.c_str(); *at != 0;) {
      char* end = nullptr;
      const long child = std::strtol(at, &end, 10);
      if (end == at) break;
      children.push_back(static_cast<pid_t>(child));
      at = end;
    }
  }
  return children;
}

}  // namespace

bool IsHousekeeping(const std::string& comm) {
  return std::any_of(std::begin(kHousekeeping), std::end(kHousekeeping),
                     [&comm](std::string_view name) { return comm.starts_with(name); });
}

struct ThreadProbe::Thread {
  UniqueFd schedstat, syscall, stat;
  std::string comm;
  std::string first;  // schedstat of the first look
  bool housekeeping = false;
};

ThreadProbe::ThreadProbe(pid_t root, std::string mark) : root_(root), mark_(std::move(mark)) {}

ThreadProbe::~ThreadProbe() = default;

bool ThreadProbe::Ours(pid_t orphan) {
  const auto [known, fresh] = orphans_.try_emplace(orphan, false);
  if (fresh) known->second = HasEnvironment(orphan, mark_);
  return known->second;
}

std::vector<pid_t> ThreadProbe::ListProcesses() {
  std::vector<pid_t> processes = {root_};
  for (const pid_t child : ChildrenOf(getpid())) {
    if (child != root_ && Ours(child)) processes.push_back(child);
  }
  for (size_t i = 0; i < processes.size(); ++i) {
    for (const pid_t child : ChildrenOf(processes[i])) processes.push_back(child);
  }
  return processes;
}

bool ThreadProbe::List(std::vector<std::pair<pid_t, pid_t>>* ids) {
  ids->clear();
  for (const pid_t pid : ListProcesses()) {
    for (const pid_t tid : NumbersIn("/proc/" + std::to_string(pid) + "/task")) {
      ids->emplace_back(pid, tid);
    }
  }
  std::sort(ids->begin(), ids->end());
  for (auto thread = threads_.begin(); thread != threads_.end();) {
    thread = std::binary_search(ids->begin(), ids->end(), thread->first) ? std::next(thread)
                                                                         : threads_.erase(thread);
  }
  for (const auto& id : *ids) {
    if (threads_.contains(id)) continue;
    const std::string folder =
        "/proc/" + std::to_string(id.first) + "/task/" + std::to_string(id.second) + "/";
    const auto file = [&folder](const char* name) {
      return UniqueFd(open((folder + name).c_str(), O_RDONLY | O_CLOEXEC));
    };
    Thread thread{
        file("schedstat"), file("syscall"), file("stat"), ReadFile(folder + "comm"), "", false};
    if (!thread.comm.empty() && thread.comm.back() == '\n') thread.comm.pop_back();
    if (thread.schedstat.get() < 0 || thread.syscall.get() < 0 || thread.stat.get() < 0) {
      return false;
    }
    threads_.emplace(id, std::move(thread));
  }
  return true;
}

void ThreadProbe::MarkHousekeeping() {
  std::vector<std::pair<pid_t, pid_t>> ids;
  List(&ids);
  for (auto& [id, thread] : threads_) thread.housekeeping = IsHousekeeping(thread.comm);
}

ThreadsLook ThreadProbe::Look(const std::function<std::string()>& between) {
  ThreadsLook look;
  std::vector<std::pair<pid_t, pid_t>> before, after;
  if (!List(&before)) {
    look.busy = "a thread came or went";
    return look;
  }
  // The first look. Everything the verdict uses is read before the second one validates it.
  for (const auto& id : before) {
    Thread& thread = threads_.at(id);
    thread.first = ReadFd(thread.schedstat.get());
    const std::string line = ReadFd(thread.syscall.get());
    if (thread.first.empty() || line.empty()) {
      // Gone since it was listed, or reused: the next look lists anew.
      threads_.erase(id);
      look.busy = "thread " + std::to_string(id.second) + " is gone";
      return look;
    }
    ThreadLook seen;
    seen.name = thread.comm;
    seen.housekeeping = thread.housekeeping;
    seen.waits = DecodeSyscall(line, [pid = id.first](uint64_t at, void* to, size_t size) {
      iovec local{to, size};
      iovec remote{reinterpret_cast<void*>(at), size};
      return process_vm_readv(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
    });
    if (seen.waits.kind == BlockedSyscall::Kind::kRunning) {
      look.busy = "thread " + thread.comm + " runs";
      return look;
    }
    look.threads.push_back(std::move(seen));
  }
  look.busy = between();
  if (!look.busy.empty()) return look;
  if (!List(&after) || after != before) {
    look.busy = "the list of threads changed";
    return look;
  }
  // The second look: the state first (a woken thread shows R), then what it has run.
  for (const auto& id : after) {
    const Thread& thread = threads_.at(id);
    const std::string stat = ReadFd(thread.stat.get());
    const size_t name_end = stat.rfind(')');
    const char state =
        name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
    if (state != 'S') {
      look.busy = "thread " + thread.comm + " is in state " + std::string(1, state);
      return look;
    }
    if (ReadFd(thread.schedstat.get()) != thread.first) {
      look.busy = "thread " + thread.comm + " ran meanwhile";
      return look;
    }
  }
  return look;
}

}  // namespace counterpart::effects
