#include "harness/effects/process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <utility>

#include "harness/effects/process_table.h"
#include "harness/effects/tcp_diag.h"

extern char** environ;

namespace counterpart::effects {
namespace {

constexpr uint64_t kExitingFlag = 0x4;  // PF_EXITING

Error Failed(const std::string& what) {
  return Error{Error::Kind::kHarness, what + ": " + std::strerror(errno)};
}

// Far more than workers and lanes need; and less than any campaign does.
constexpr rlim_t kEnoughFiles = 1 << 16, kTooFewFiles = 256;

// How many files a subject may open: as many as this program might when it began.
rlimit FilesOfSubjects() {
  static const rlimit given = [] {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
  }();
  return given;
}

// Once per program: orphans of subjects come to us, writing to a dead subject is an error value,
// not a signal, and what each lane opens does not end at the 1,024 files that a shell allows.
void PrepareProgram() {
  static std::once_flag once;
  std::call_once(once, [] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    rlimit files = FilesOfSubjects();
    files.rlim_cur = std::max(files.rlim_cur, std::min(files.rlim_max, kEnoughFiles));
    setrlimit(RLIMIT_NOFILE, &files);
  });
}

// gRPC, for one, aborts where it gets no file.
Status EnoughFiles() {
  const rlim_t most = FilesOfSubjects().rlim_max;
  if (most >= kTooFewFiles) return {};
  return Error{Error::Kind::kHarness,
               "no more than " + std::to_string(most) + " files may be open at a time, and " +
                   std::to_string(kTooFewFiles) +
                   " are the least that a run needs: raise the hard limit (ulimit -Hn)"};
}

std::string RandomHex() {
  unsigned char bytes[16] = {};
  for (size_t have = 0; have < sizeof bytes;) {
    const ssize_t n = getrandom(bytes + have, sizeof bytes - have, 0);
    if (n > 0) have += static_cast<size_t>(n);
  }
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

// Everything the child needs, made before it exists: between vfork and exec it shares our memory
// and may do nothing but system calls.
struct Launch {
  char** argv;
  char** envp;
  const char* folder;
  int nice;
  rlimit files;
  int in, out, err, report;  // pipe ends; `report` is closed by a successful exec
  pid_t parent;
};

[[noreturn]] void RunChild(const Launch& launch) {
  const auto fail = [&launch] {
    const int error = errno;
    [[maybe_unused]] const ssize_t ignored = write(launch.report, &error, sizeof error);
    _exit(127);
  };
  if (setpgid(0, 0) != 0) fail();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (getppid() != launch.parent) _exit(127);
  struct sigaction normal = {};
  normal.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &normal, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (launch.nice != 0) setpriority(PRIO_PROCESS, 0, launch.nice);
  if (dup2(launch.in, 0) < 0 || dup2(launch.out, 1) < 0 || dup2(launch.err, 2) < 0) fail();
  if (setrlimit(RLIMIT_NOFILE, &launch.files) != 0) fail();
  if (chdir(launch.folder) != 0) fail();
  execve(launch.argv[0], launch.argv, launch.envp);
  fail();
  _exit(127);
}

// Its own frame, so that nothing of the caller lives in registers the child may spoil.
[[gnu::noinline]] pid_t Spawn(const Launch& launch) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  const pid_t pid = vfork();
  if (pid == 0) RunChild(launch);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

struct Pipe {
  UniqueFd read, write;
};

bool MakePipe(Pipe& made) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  made.read = UniqueFd(ends[0]);
  made.write = UniqueFd(ends[1]);
  // Never 0-2: the child's dup2 onto those would run over an end it still needs.
  for (UniqueFd* end : {&made.read, &made.write}) {
    if (end->get() > 2) continue;
    const int moved = fcntl(end->get(), F_DUPFD_CLOEXEC, 3);
    if (moved < 0) return false;
    *end = UniqueFd(moved);
  }
  return true;
}

void SetNonBlocking(const UniqueFd& fd) {
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

int OpenPidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// Reaps our child.
void AwaitGone(pid_t child) {
  while (waitid(P_PID, static_cast<id_t>(child), nullptr, WEXITED) != 0 && errno == EINTR) {
  }
}

void AwaitReadable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  while (poll(&wait, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::shared_ptr<Legacy>> Legacy::Make() {
  std::error_code failed;
  std::string folder = std::filesystem::temp_directory_path(failed) / "counterpart-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return Failed("no folder for the subject at " + folder);
  std::shared_ptr<Legacy> legacy(new Legacy);
  legacy->folder_ = folder;
  const UniqueFd executions(
      open(legacy->executions().c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
  if (!executions) return Failed("no executions file at " + legacy->executions());
  if (!std::filesystem::create_directory(legacy->state(), failed)) {
    return Failed("no folder at " + legacy->state());
  }
  return legacy;
}

Legacy::~Legacy() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Result<std::unique_ptr<Process>> Process::Start(const std::vector<std::string>& command, int nice,
                                                std::shared_ptr<Legacy> legacy) {
  if (command.empty()) return Error{Error::Kind::kUsage, "no command to start a subject with"};
  PrepareProgram();
  if (Status enough = EnoughFiles(); !enough) return enough.error();
  std::unique_ptr<Process> process(new Process);
  std::error_code failed;
  std::string folder = (std::filesystem::temp_directory_path(failed) / "counterpart-XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) return Failed("no folder for the subject at " + folder);
  process->folder_ = folder;
  // The subject sees an empty folder; what the harness keeps for itself lies beside it.
  const std::string work = folder + "/work";
  if (!std::filesystem::create_directory(work, failed)) return Failed("no folder at " + work);
  if (legacy == nullptr) {
    Result<std::shared_ptr<Legacy>> made = Legacy::Make();
    if (!made) return made.error();
    legacy = *made;
  }
  process->legacy_ = std::move(legacy);
  process->token_ = RandomHex();

  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("COUNTERPART_TOKEN=")) continue;
    if (text.starts_with("COUNTERPART_EXECUTIONS=")) continue;
    if (text.starts_with("COUNTERPART_STATE=")) continue;
    environment.emplace_back(*entry);
  }
  environment.push_back("COUNTERPART_TOKEN=" + process->token_);
  environment.push_back("COUNTERPART_EXECUTIONS=" + process->legacy_->executions());
  environment.push_back("COUNTERPART_STATE=" + process->legacy_->state());
  const auto pointers = [](const std::vector<std::string>& strings) {
    std::vector<char*> out;
    for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
    out.push_back(nullptr);
    return out;
  };
  std::vector<char*> argv = pointers(command);
  std::vector<char*> envp = pointers(environment);

  Pipe in, out, err, report;
  if (!MakePipe(in) || !MakePipe(out) || !MakePipe(err) || !MakePipe(report)) {
    return Failed("no pipe for the subject");
  }
  const Launch launch{.argv = argv.data(),
                      .envp = envp.data(),
                      .folder = work.c_str(),
                      .nice = nice,
                      .files = FilesOfSubjects(),
                      .in = in.read.get(),
                      .out = out.write.get(),
                      .err = err.write.get(),
                      .report = report.write.get(),
                      .parent = getpid()};
  const pid_t pid = Spawn(launch);
  if (pid < 0) return Failed("cannot fork for " + command[0]);
  process->pid_ = process->group_ = pid;
  in.read.Close();
  out.write.Close();
  err.write.Close();
  report.write.Close();
  process->pidfd_ = UniqueFd(OpenPidfd(pid));
  if (!process->pidfd_) return Failed("no pidfd of the subject");
  if (const auto stat = ReadStat(pid)) process->start_time_ = stat->start_time;
  int error = 0;
  if (read(report.read.get(), &error, sizeof error) == sizeof error) {
    return Error{Error::Kind::kSubject, "cannot start " + command[0] + ": " + std::strerror(error)};
  }
  SetNonBlocking(in.write);
  SetNonBlocking(out.read);
  SetNonBlocking(err.read);
  process->stdin_ = std::move(in.write);
  process->stdout_ = std::move(out.read);
  process->stderr_ = std::move(err.read);
  return process;
}

Process::~Process() {
  Kill();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void Process::AdoptStatus(int code, int status) {
  ended_ = true;
  exit_text_ = (code == CLD_EXITED ? "exit " : "signal ") + std::to_string(status);
}

bool Process::CheckExit() {
  if (pid_ < 0 || ended_) return true;
  siginfo_t info = {};
  // Not reaped before everything is over: its id names the group, and must not be given away.
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    // Not our child: a wrapper's successor whose parent is another of its processes.
    const auto stat = ReadStat(pid_);
    if (stat && !stat->zombie()) return false;
    ended_ = true;
    exit_text_ = "an unknown status";
    return true;
  }
  if (info.si_pid == 0) return false;
  if (info.si_code == CLD_EXITED && info.si_status == 0 && AdoptSuccessor()) return false;
  AdoptStatus(info.si_code, info.si_status);
  return true;
}

// The living processes that carry its token, oldest first.
std::vector<pid_t> Process::Kin() const {
  const std::string mark = "COUNTERPART_TOKEN=" + token_;
  std::vector<std::pair<uint64_t, pid_t>> found;
  for (const pid_t pid : AllProcesses()) {
    const auto stat = ReadStat(pid);
    if (stat && stat->start_time >= start_time_ && !stat->zombie() && HasEnvironment(pid, mark)) {
      found.emplace_back(stat->start_time, pid);
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<pid_t> pids;
  for (const auto& [start, pid] : found) pids.push_back(pid);
  return pids;
}

void Process::SetServingOn(uint16_t port) {
  serving_ = pid_;
  const uint64_t inode = port == 0 ? 0 : TcpDiag().ListeningInode(INADDR_LOOPBACK, port);
  if (inode == 0 || HoldsSocket(pid_, inode)) return;
  for (const pid_t pid : Kin()) {
    if (!HoldsSocket(pid, inode)) continue;
    serving_ = pid;
    return;
  }
}

bool Process::AdoptSuccessor() {
  for (const pid_t pid : Kin()) {
    if (pid == pid_ || (serving_ > 0 && pid != serving_)) continue;
    UniqueFd pidfd(OpenPidfd(pid));
    if (!pidfd) continue;
    pid_ = pid;
    pidfd_ = std::move(pidfd);
    return true;
  }
  return false;
}

bool Process::Ending() const {
  if (ended_ || pid_ < 0) return true;
  const auto stat = ReadStat(pid_);
  return !stat || stat->zombie() || (stat->flags & kExitingFlag) != 0;
}

bool Process::AwaitExit() {
  if (!ended_) AwaitReadable(pidfd_.get());
  return CheckExit();
}

std::optional<size_t> Process::StoppedThreads() const {
  size_t stopped = 0;
  for (const pid_t pid : AllProcesses()) {
    const auto stat = ReadStat(pid);
    if (!stat || stat->group != group_ || stat->zombie()) continue;
    const std::string states = ThreadStates(pid);
    if (states.find_first_not_of('T') != states.npos) return std::nullopt;
    stopped += states.size();
  }
  return stopped > 0 ? std::optional(stopped) : std::nullopt;
}

void Process::Stop() {
  if (killed_all_ || pid_ < 0 || ended_) return;
  killpg(group_, SIGSTOP);
  // A parent is told once the last thread has stopped. Processes that are nobody's child of ours
  // are asked after, for as long as it takes them to get there.
  siginfo_t info = {};
  waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT);
  while (!Ending() && !StoppedThreads()) sched_yield();
}

void Process::Continue() {
  if (!killed_all_ && pid_ > 0) killpg(group_, SIGCONT);
}

void Process::Kill() {
  if (killed_all_ || pid_ < 0) return;
  killed_all_ = true;
  // The group first and at once; then, as often as something is found, whatever else carries the
  // token. A process killed here can fork no more, so this ends.
  killpg(group_, SIGKILL);
  if (!ended_) {
    kill(pid_, SIGKILL);
    AwaitReadable(pidfd_.get());
    siginfo_t info = {};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) == 0) {
      AdoptStatus(info.si_code, info.si_status);
    } else {
      AdoptStatus(CLD_KILLED, SIGKILL);
    }
  }
  stdin_.Close();  // not before: a closed stdin is a subject's order to end well
  const std::string mark = "COUNTERPART_TOKEN=" + token_;
  const pid_t self = getpid();
  for (bool found = true; found;) {
    found = false;
    for (const pid_t pid : AllProcesses()) {
      if (pid == self || pid == group_) continue;
      const auto stat = ReadStat(pid);
      if (!stat || stat->start_time < start_time_) continue;
      const bool ours = stat->group == group_ || (!stat->zombie() && HasEnvironment(pid, mark));
      if (!ours) continue;
      if (stat->zombie() && stat->parent != self) continue;  // its parent, or init, reaps it
      const UniqueFd pidfd(OpenPidfd(pid));
      // The pid may have been given to another process between the look and the pidfd.
      const auto again = ReadStat(pid);
      if (!pidfd || !again || again->start_time != stat->start_time) continue;
      found = true;
      syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
      AwaitReadable(pidfd.get());
      waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | WNOHANG);
    }
  }
  AwaitGone(group_);
}

}  // namespace counterpart::effects
