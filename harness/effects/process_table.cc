#include "harness/effects/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "harness/effects/unique_fd.h"

namespace counterpart::effects {
namespace {

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
  int parent = 0, group = 0;
  unsigned long long flags = 0, start = 0;
  // After the name: state ppid pgrp session tty tpgid flags, 12 more, starttime.
  const int read =
      std::sscanf(text.c_str() + name_end + 1,
                  " %c %d %d %*d %*d %*d %llu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &stat.state, &parent, &group, &flags, &start);
  if (read != 5) return std::nullopt;
  stat.parent = parent;
  stat.group = group;
  stat.flags = flags;
  stat.start_time = start;
  return stat;
}

bool HasEnvironment(pid_t pid, std::string_view entry) {
  const std::string text = ReadAll("/proc/" + std::to_string(pid) + "/environ");
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

uint64_t ListeningInode(uint16_t port) {
  std::istringstream table(ReadAll("/proc/net/tcp"));
  std::string line;
  while (std::getline(table, line)) {
    unsigned local = 0, local_port = 0, state = 0;
    unsigned long long inode = 0;
    // sl local:port remote:port state tx:rx tr:when retransmits uid timeout inode
    const int read =
        std::sscanf(line.c_str(), "%*d: %x:%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %llu", &local,
                    &local_port, &state, &inode);
    constexpr unsigned kLoopback = 0x0100007f, kListen = 0x0a;
    if (read == 4 && local == kLoopback && local_port == port && state == kListen) return inode;
  }
  return 0;
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
