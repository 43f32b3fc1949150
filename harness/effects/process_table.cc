#include "harness/effects/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {
namespace {

constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
// Against processes whose memory we may not look at, which look like this for ever.
constexpr int kMostTurns = 10'000;

std::string ReadAll(const std::string& path) {
  std::string text;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return text;
  char buffer[4096];
  ssize_t n;
  while ((n = read(fd.get(), buffer, sizeof buffer)) > 0) text.append(buffer, size_t(n));
  return text;
}

}  // namespace

std::optional<ProcessStat> ReadStat(pid_t pid) {
  const std::string text = ReadAll("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = text.rfind(')');  // the name may hold anything, ')' too
  if (name_end == text.npos) return std::nullopt;
  ProcessStat stat;
  // After the name, counted from 3 as in proc(5): 3 state, 4 ppid, 5 pgrp, 9 flags, 22 starttime,
  // 51 env_end.
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 51 && fields >> field; ++number) {
    const uint64_t value = std::strtoull(field.c_str(), nullptr, 10);
    switch (number) {
      case 3:
        stat.state = field[0];
        break;
      case 4:
        stat.parent = static_cast<pid_t>(value);
        break;
      case 5:
        stat.group = static_cast<pid_t>(value);
        break;
      case 9:
        stat.flags = value;
        break;
      case 22:
        stat.start_time = value;
        break;
      case 51:
        stat.environment_end = value;
        break;
      default:
        break;
    }
  }
  return stat;
}

std::string ThreadStates(pid_t pid) {
  std::string states;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(tasks, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string text = ReadAll(entry->path().string() + "/stat");
    const size_t name_end = text.rfind(')');
    if (name_end != text.npos && name_end + 2 < text.size()) states.push_back(text[name_end + 2]);
  }
  return states;
}

bool HasEnvironment(pid_t pid, std::string_view entry) {
  const std::string path = "/proc/" + std::to_string(pid) + "/environ";
  std::string text = ReadAll(path);
  for (int turn = 0; text.empty() && turn < kMostTurns; ++turn) {
    const auto stat = ReadStat(pid);
    if (!stat || stat->zombie() || (stat->flags & kKernelThread) != 0) return false;
    const bool readable = stat->environment_end != 0;
    if (!readable) sched_yield();
    text = ReadAll(path);
    if (readable) break;  // empty for good
  }
  size_t at = 0;
  while ((at = text.find(entry, at)) != text.npos) {
    const bool begins = at == 0 || text[at - 1] == '\0';
    const size_t end = at + entry.size();
    if (begins && (end == text.size() || text[end] == '\0')) return true;
    at = end;
  }
  return false;
}

std::vector<pid_t> AllProcesses() {
  std::vector<pid_t> pids;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return pids;
  while (const dirent* entry = readdir(proc)) {
    const int pid = std::atoi(entry->d_name);
    if (pid > 0) pids.push_back(pid);
  }
  closedir(proc);
  return pids;
}

bool HoldsSocket(pid_t pid, uint64_t inode) {
  const std::string wanted = "socket:[" + std::to_string(inode) + "]";
  std::error_code failed;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry->path(), gone) == wanted) return true;
  }
  return false;
}

}  // namespace counterpart::effects
