#include "harness/effects/kernel_witness.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "harness/effects/process_table.h"

namespace counterpart::effects {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

// Tier 3 only: timers are not read. Nothing is said before the horizon has passed since the last
// activity; timers due within it have fired by then, and the snapshot shows that their
// consequences are over.
class SnapshotWitness final : public KernelWitness {
 public:
  SnapshotWitness(pid_t root, std::string token)
      : root_(root), mark_("COUNTERPART_TOKEN=" + std::move(token)) {
    if (const auto stat = ReadStat(root)) born_ = stat->start_time;
  }

  void OnActivity() override { last_activity_ = busy_since_ = Clock::now(); }

  KernelView Look(const std::vector<LinkAccount>& links, microseconds horizon) override {
    KernelView view;
    const auto now = Clock::now();
    const auto quiet_at = last_activity_ + horizon;
    if (now < quiet_at) {
      view.retry_after = std::chrono::duration_cast<microseconds>(quiet_at - now);
      return view;
    }
    if (!Blocked(links)) {
      if (now - busy_since_ > std::chrono::seconds(60)) {
        view.state = KernelView::State::kUnjudgeable;
        view.evidence = "busy for 60 s without anything to show for it";
      }
      return view;
    }
    busy_since_ = now;
    view.state = KernelView::State::kQuiescent;
    view.tier = 3;
    view.evidence = std::to_string(threads_) + " threads asleep after " +
                    std::to_string(horizon.count()) + " us";
    return view;
  }

 private:
  // "pid/tid" to its schedstat.
  using Threads = std::map<std::string, std::string>;

  bool Blocked(const std::vector<LinkAccount>& links) {
    const Threads before = Collect(false);
    for (const LinkAccount& link : links) {
      if (!Delivered(link)) return false;
    }
    const Threads after = Collect(true);
    threads_ = after.size();
    return !after.empty() && before == after;
  }

  static bool Delivered(const LinkAccount& link) {
    int unsent = 0, unread = 0;
    if (ioctl(link.fd, SIOCOUTQ, &unsent) != 0 || ioctl(link.fd, SIOCINQ, &unread) != 0) {
      return false;
    }
    return unsent == 0 && (!link.reading || unread == 0);
  }

  Threads Collect(bool with_state) const {
    Threads threads;
    for (const pid_t pid : AllProcesses()) {
      const auto stat = ReadStat(pid);
      // Older than the subject: cannot be of it.
      if (!stat || stat->start_time < born_ || stat->zombie()) continue;
      if (pid != root_ && !HasEnvironment(pid, mark_)) continue;
      std::error_code failed;
      const std::string folder = "/proc/" + std::to_string(pid) + "/task";
      for (std::filesystem::directory_iterator task(folder, failed), end; !failed && task != end;
           task.increment(failed)) {
        const std::string path = task->path();
        if (with_state) {
          std::string line;
          std::ifstream in(path + "/stat");
          std::getline(in, line);
          const size_t name_end = line.rfind(')');
          if (name_end == line.npos || line.compare(name_end, 4, ") S ") != 0) return {};
        }
        std::ifstream in(path + "/schedstat");
        std::getline(in, threads[path]);
      }
    }
    return threads;
  }

  const pid_t root_;
  const std::string mark_;
  uint64_t born_ = 0;
  size_t threads_ = 0;
  Clock::time_point last_activity_ = Clock::now(), busy_since_ = Clock::now();
};

}  // namespace

std::unique_ptr<KernelWitness> MakeKernelWitness(pid_t root, const std::string& token) {
  return std::make_unique<SnapshotWitness>(root, token);
}

}  // namespace counterpart::effects
