#include "harness/effects/control_delivery.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/effects/process_table.h"

namespace counterpart::effects {
namespace {

constexpr char kOurThreads[] = "/proc/self/task/";
constexpr char kOwnName[] = "counterpart_own";

std::string Line(pid_t tid, const char* file) {
  std::ifstream in(kOurThreads + std::to_string(tid) + "/" + file);
  std::string line;
  std::getline(in, line);
  return line;
}

bool Asleep(pid_t tid) {
  const std::string stat = Line(tid, "stat");
  const size_t name_end = stat.rfind(')');
  return name_end != stat.npos && name_end + 2 < stat.size() && stat[name_end + 2] == 'S';
}

// Uses of the library by threads of ours, over all worlds.
std::atomic<uint64_t> entered{0}, left{0};

// The threads of the library, each with its scheduler counters.
std::map<pid_t, std::string> ReadCounters() {
  std::map<pid_t, std::string> counters;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(kOurThreads, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const pid_t tid = std::atoi(entry->path().filename().c_str());
    if (tid == getpid() || Line(tid, "comm") == kOwnName) continue;
    counters[tid] = Line(tid, "schedstat");
  }
  return counters;
}

}  // namespace

void MarkOwnThread() { pthread_setname_np(pthread_self(), kOwnName); }

InLibrary::InLibrary() { ++entered; }
InLibrary::~InLibrary() { ++left; }

const std::vector<TcpPath>* ControlPaths::Established(size_t count) {
  const bool all = std::all_of(known_.begin(), known_.end(), [this](const TcpPath& path) {
    const std::optional<TcpEnd> own = tcp_.FarEnd(Reversed(path));
    return own && own->state == TCP_ESTABLISHED;
  });
  if (known_.size() != count || !all) {
    known_ = tcp_.ConnectionsTo(port_);
    ++searches_;
  }
  return count > 0 && known_.size() == count ? &known_ : nullptr;
}

bool ControlDelivery::Begin(ControlPaths* paths, size_t connections, OurEnds* ends) {
  // In this order: whoever is in has entered and not left.
  const uint64_t out = left;
  entered_ = entered;
  if (entered_ != out) return false;
  counters_ = ReadCounters();
  if (counters_.empty()) return false;
  const std::vector<TcpPath>* established = paths->Established(connections);
  if (established == nullptr) return false;
  ends->control = *established;
  return true;
}

bool ControlDelivery::End() const {
  // The state first: one that was woken and has not run yet shows it; one that has run shows in its
  // counters.
  for (const auto& [tid, counters] : counters_) {
    if (counters.empty() || !Asleep(tid)) return false;
  }
  return ReadCounters() == counters_ && entered == entered_;
}

}  // namespace counterpart::effects
