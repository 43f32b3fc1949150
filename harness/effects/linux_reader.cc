#include "harness/effects/linux_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "harness/effects/process_table.h"
#include "harness/effects/tcp_diag.h"
#include "harness/effects/unique_fd.h"

namespace counterpart::effects {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string ReadFd(int fd) {
  char buffer[1024];
  const ssize_t got = pread(fd, buffer, sizeof buffer, 0);
  return got <= 0 ? std::string() : std::string(buffer, static_cast<size_t>(got));
}

UniqueFd Open(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// Why the last one was not opened: it may be there, and hold anything.
bool OutOfFiles() { return errno == EMFILE || errno == ENFILE; }

std::string ReadFile(const std::string& path) {
  const UniqueFd fd = Open(path);
  return fd ? ReadFd(fd.get()) : std::string();
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

Folder OpenFolder(const std::string& path) { return Folder(opendir(path.c_str())); }

// Its entries that are numbers, ascending, as they are now. None if whose folder it is has ended.
std::vector<pid_t> NumbersIn(const Folder& folder) {
  std::vector<pid_t> numbers;
  rewinddir(folder.get());
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    numbers.push_back(static_cast<pid_t>(std::atoi(entry->d_name)));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

void AddNumbers(const std::string& text, std::vector<pid_t>* numbers) {
  for (const char* at = text.c_str(); *at != 0;) {
    char* end = nullptr;
    const long number = std::strtol(at, &end, 10);
    if (end == at) break;
    numbers->push_back(static_cast<pid_t>(number));
    at = end;
  }
}

// Threads and children of processes, read again and again: the files are kept open. Every thread
// has a list of children of its own.
class Tasks {
 public:
  struct Seen {
    std::vector<pid_t> threads, children;
  };
  // Nothing: this program may open no more files, so that some cannot be known.
  std::optional<Seen> Of(pid_t pid) {
    Seen seen;
    const std::string path = "/proc/" + std::to_string(pid) + "/task/";
    Process& process = processes_[pid];
    if (process.tasks) seen.threads = NumbersIn(process.tasks);
    // The folder of a process that has ended stays empty, though its id may live on.
    if (seen.threads.empty()) {
      process.tasks = OpenFolder(path);
      if (!process.tasks && OutOfFiles()) return std::nullopt;
      if (process.tasks) seen.threads = NumbersIn(process.tasks);
    }
    std::erase_if(process.threads, [&seen](const auto& thread) {
      return !std::binary_search(seen.threads.begin(), seen.threads.end(), thread.first);
    });
    for (const pid_t tid : seen.threads) {
      Files& files = process.threads[tid];
      std::string text = ReadFd(files.children.get());
      // Of a thread that has ended the list is as empty as that of one without children, though
      // its id may live on: only its counters tell.
      if (ReadFd(files.schedstat.get()).empty()) {
        const std::string own = path + std::to_string(tid);
        files.children = Open(own + "/children");
        if (!files.children && OutOfFiles()) return std::nullopt;
        files.schedstat = Open(own + "/schedstat");
        text = ReadFd(files.children.get());
      }
      AddNumbers(text, &seen.children);
    }
    return seen;
  }

  // Forgets the others.
  void KeepOnly(const std::map<pid_t, std::vector<pid_t>>& pids) {
    std::erase_if(processes_,
                  [&pids](const auto& process) { return !pids.contains(process.first); });
  }

 private:
  struct Files {
    UniqueFd children, schedstat;
  };
  struct Process {
    Folder tasks;
    std::map<pid_t, Files> threads;
  };
  std::map<pid_t, Process> processes_;
};

// Of this program. It has the threads of all its worlds, and each world asks: one set of files
// serves them all.
std::optional<std::vector<pid_t>> OwnChildren() {
  static std::mutex mutex;
  static auto* const tasks = new Tasks;
  const std::lock_guard lock(mutex);
  std::optional<Tasks::Seen> seen = tasks->Of(getpid());
  if (!seen) return std::nullopt;
  return std::move(seen->children);
}

// "key: value" of an fdinfo file, from behind the colon; null if there is no such key.
const char* Field(const std::string& text, const char* key) {
  const size_t at = text.find(key);
  return at == text.npos ? nullptr : text.c_str() + at + std::string_view(key).size();
}

// The files, as /proc/locks names them, on which a process waits for a lock:
//   7: -> FLOCK  ADVISORY  WRITE 4711 fe:00:10175627 0 EOF
std::vector<std::string> FilesWaitedFor(pid_t pid) {
  std::vector<std::string> files;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    char kind[16], strictness[16], access[16], file[64];
    long waiter = 0;
    const size_t arrow = line.find("->");
    if (arrow == line.npos || std::sscanf(line.c_str() + arrow + 2, " %15s %15s %15s %ld %63s",
                                          kind, strictness, access, &waiter, file) != 5) {
      continue;
    }
    if (waiter == pid) files.emplace_back(file);
  }
  return files;
}

// Whether one of its descriptors holds a lock on one of these files.
bool HoldsLock(pid_t pid, const std::vector<std::string>& files) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fdinfo";
  const Folder folder = OpenFolder(path);
  if (!folder) return false;
  for (const pid_t fd : NumbersIn(folder)) {
    const std::string about = ReadFile(path + "/" + std::to_string(fd));
    for (size_t at = about.find("lock:"); at != about.npos; at = about.find("lock:", at + 1)) {
      const std::string line = about.substr(at, about.find('\n', at) - at);
      if (std::any_of(files.begin(), files.end(), [&line](const std::string& file) {
            return line.find(" " + file + " ") != line.npos;
          })) {
        return true;
      }
    }
  }
  return false;
}

class LinuxReader final : public KernelReader {
 public:
  LinuxReader(pid_t root, std::string mark) : root_(root), mark_(std::move(mark)) {}

  uint64_t NowNs() override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
  }

  bool ListThreads(std::vector<ThreadId>* threads) override;
  std::string Counters(const ThreadId& thread) override {
    std::string counters = Read(thread, &Files::schedstat);
    // A thread that has ended does not answer through its old files, even where its id lives on.
    if (counters.empty()) threads_.erase({thread.pid, thread.tid});
    return counters;
  }
  std::string Syscall(const ThreadId& thread) override { return Read(thread, &Files::syscall); }
  char State(const ThreadId& thread) override {
    const std::string stat = Read(thread, &Files::stat);
    const size_t name_end = stat.rfind(')');  // the name may hold anything
    return name_end == stat.npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
  }
  std::string Name(const ThreadId& thread) override {
    std::string name = Read(thread, &Files::comm);
    if (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
  }
  bool ReadMemory(pid_t pid, uint64_t address, void* to, size_t size) override {
    iovec local{to, size};
    iovec remote{reinterpret_cast<void*>(address), size};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
  }
  std::optional<uint64_t> DescriptorTimeoutNs(pid_t pid, int fd, bool sends) override;
  std::optional<LockHolder> LockHeldOutside(pid_t pid,
                                            const std::vector<ThreadId>& threads) override;
  bool ReadWakeSources(const std::vector<ThreadId>& threads, WakeSources* sources) override;
  std::optional<TcpEnd> OwnEnd(int fd) override { return tcp_.OwnEnd(fd); }
  std::optional<TcpEnd> SubjectEnd(const TcpPath& path) override { return tcp_.FarEnd(path); }
  bool InputWaits(const std::vector<int>& fds) override {
    std::vector<pollfd> wait;
    for (const int fd : fds) wait.push_back({fd, POLLIN, 0});
    return poll(wait.data(), wait.size(), 0) > 0;
  }

 private:
  struct Files {
    uint64_t incarnation = 0;
    UniqueFd schedstat, syscall, stat, comm;
  };

  std::string Read(const ThreadId& thread, UniqueFd Files::*file) const {
    const auto files = threads_.find({thread.pid, thread.tid});
    if (files == threads_.end() || files->second.incarnation != thread.incarnation) return {};
    return ReadFd((files->second.*file).get());
  }
  bool Ours(pid_t orphan) {
    const auto [known, fresh] = orphans_.try_emplace(orphan, false);
    if (fresh) known->second = HasEnvironment(orphan, mark_);
    return known->second;
  }
  // Their threads, by process. Nothing: some cannot be known.
  std::optional<std::map<pid_t, std::vector<pid_t>>> ListProcesses();

  const pid_t root_;
  const std::string mark_;
  std::map<std::pair<pid_t, pid_t>, Files> threads_;  // by process and thread id
  std::map<pid_t, bool> orphans_;                     // looked up once
  Tasks tasks_;
  uint64_t incarnations_ = 0;
  TcpDiag tcp_;
};

std::optional<std::map<pid_t, std::vector<pid_t>>> LinuxReader::ListProcesses() {
  std::vector<pid_t> found = {root_};
  const auto own = OwnChildren();
  if (!own) return std::nullopt;
  for (const pid_t child : *own) {
    if (child != root_ && Ours(child)) found.push_back(child);
  }
  std::map<pid_t, std::vector<pid_t>> processes;
  for (size_t i = 0; i < found.size(); ++i) {
    auto seen = tasks_.Of(found[i]);
    if (!seen) return std::nullopt;
    found.insert(found.end(), seen->children.begin(), seen->children.end());
    processes[found[i]] = std::move(seen->threads);
  }
  tasks_.KeepOnly(processes);
  return processes;
}

bool LinuxReader::ListThreads(std::vector<ThreadId>* threads) {
  const auto processes = ListProcesses();
  if (!processes) return false;
  std::vector<std::pair<pid_t, pid_t>> ids;
  for (const auto& [pid, tids] : *processes) {
    for (const pid_t tid : tids) ids.emplace_back(pid, tid);
  }
  std::erase_if(threads_, [&ids](const auto& thread) {
    return !std::binary_search(ids.begin(), ids.end(), thread.first);
  });
  threads->clear();
  for (const auto& id : ids) {
    const auto [entry, fresh] = threads_.try_emplace(id);
    if (fresh) {
      const std::string folder =
          "/proc/" + std::to_string(id.first) + "/task/" + std::to_string(id.second) + "/";
      Files& files = entry->second;
      files = {++incarnations_, Open(folder + "schedstat"), Open(folder + "syscall"),
               Open(folder + "stat"), Open(folder + "comm")};
      // Missing rights are for the reader to find; a missing thread has just gone.
      if (!files.stat) {
        threads_.erase(entry);
        return false;
      }
    }
    threads->push_back({id.first, id.second, entry->second.incarnation});
  }
  return true;
}

std::optional<uint64_t> LinuxReader::DescriptorTimeoutNs(pid_t pid, int fd, bool sends) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return std::nullopt;
  const UniqueFd copy(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
  if (!copy) return std::nullopt;
  timeval timeout{};
  socklen_t size = sizeof timeout;
  if (getsockopt(copy.get(), SOL_SOCKET, sends ? SO_SNDTIMEO : SO_RCVTIMEO, &timeout, &size) != 0) {
    if (errno == ENOTSOCK) return 0;
    return std::nullopt;
  }
  return static_cast<uint64_t>(timeout.tv_sec) * kSecond +
         static_cast<uint64_t>(timeout.tv_usec) * 1000;
}

std::optional<LockHolder> LinuxReader::LockHeldOutside(pid_t pid,
                                                       const std::vector<ThreadId>& threads) {
  const std::vector<std::string> files = FilesWaitedFor(pid);
  if (files.empty()) return LockHolder{};  // hidden, in a namespace of processes
  // By descriptor: whoever took the lock may have ended, and left it to those who have the file.
  for (const pid_t other : AllProcesses()) {
    const bool of_subject = std::any_of(threads.begin(), threads.end(),
                                        [other](const ThreadId& id) { return id.pid == other; });
    if (of_subject || other == pid || !HoldsLock(other, files)) continue;
    LockHolder holder{.pid = other, .name = {}, .progress = {}};
    holder.name = ReadFile("/proc/" + std::to_string(other) + "/comm");
    if (!holder.name.empty() && holder.name.back() == '\n') holder.name.pop_back();
    std::vector<pid_t> tree = {other};
    Tasks tasks;
    for (size_t i = 0; i < tree.size(); ++i) {
      const auto seen = tasks.Of(tree[i]);
      if (!seen) continue;
      tree.insert(tree.end(), seen->children.begin(), seen->children.end());
      const std::string path = "/proc/" + std::to_string(tree[i]) + "/task/";
      for (const pid_t tid : seen->threads) {
        holder.progress += ReadFile(path + std::to_string(tid) + "/schedstat");
      }
    }
    return holder;
  }
  return std::nullopt;
}

bool LinuxReader::ReadWakeSources(const std::vector<ThreadId>& threads, WakeSources* sources) {
  pid_t last = -1;
  for (const ThreadId& thread : threads) {
    if (thread.pid == std::exchange(last, thread.pid)) continue;
    const std::string process = "/proc/" + std::to_string(thread.pid) + "/";
    std::vector<pid_t> fds;
    const Folder folder = OpenFolder(process + "fd");
    if (folder) {
      fds = NumbersIn(folder);
    } else {
      if (OutOfFiles()) return false;
      const char state = State(thread);
      if (state == '?') return false;
      if (state != 'Z' && state != 'X') {
        sources->unknown =
            "the descriptors of process " + std::to_string(thread.pid) + ", which cannot be read";
      }
    }
    for (const pid_t fd : fds) {
      char target[64];
      const ssize_t size =
          readlinkat(dirfd(folder.get()), std::to_string(fd).c_str(), target, sizeof target);
      const std::string_view kind(target, size < 0 ? 0 : static_cast<size_t>(size));
      if (kind == "anon_inode:[io_uring]") {
        sources->unknown = "io_uring of process " + std::to_string(thread.pid);
      } else if (kind == "anon_inode:[timerfd]") {
        const UniqueFd about = Open(process + "fdinfo/" + std::to_string(fd));
        if (!about && OutOfFiles()) return false;
        TimerFd timer = ParseTimerFd(ReadFd(about.get()));
        timer.pid = thread.pid;
        timer.fd = fd;
        sources->timer_fds.push_back(timer);
      }
    }
    const UniqueFd timers = Open(process + "timers");
    if (!timers && OutOfFiles()) return false;
    if (!ReadFd(timers.get()).empty()) {
      sources->unknown = "a POSIX timer of process " + std::to_string(thread.pid);
    }
  }
  return true;
}

}  // namespace

TimerFd ParseTimerFd(const std::string& fdinfo) {
  TimerFd timer;
  unsigned long long seconds = 0, nanoseconds = 0, ticks = 0;
  const char* value = Field(fdinfo, "it_value:");
  if (value != nullptr && std::sscanf(value, " (%llu, %llu)", &seconds, &nanoseconds) == 2) {
    timer.remaining_ns = seconds * kSecond + nanoseconds;
  }
  const char* count = Field(fdinfo, "ticks:");
  if (count != nullptr && std::sscanf(count, " %llu", &ticks) == 1) timer.expirations = ticks;
  return timer;
}

std::unique_ptr<KernelReader> MakeLinuxReader(pid_t root, std::string mark) {
  return std::make_unique<LinuxReader>(root, std::move(mark));
}

}  // namespace counterpart::effects
