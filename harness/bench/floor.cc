// The floor that runs are measured against: a bare loop that connects and makes round trips of
// small messages, as often as a run does, against an echo in another process.
//
//   counterpart_floor CONNECTS:TRIPS...     loops per second, each loop all of these one after the
//                                           other, times how many they are; the best of five
//
// Both processes share a CPU: one that has to be woken for every trip makes a floor that hangs on
// how idle the machine is. Connections end by reset, so that they keep no port taken.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

constexpr int kBytes = 64;
constexpr int kConnects = 3000;  // of a round
constexpr int kRounds = 5;

struct Shape {
  int connects = 0, trips = 0;
};

bool Exactly(int fd, char* bytes, bool writing) {
  for (int done = 0; done < kBytes;) {
    const ssize_t n = writing ? write(fd, bytes + done, static_cast<size_t>(kBytes - done))
                              : read(fd, bytes + done, static_cast<size_t>(kBytes - done));
    if (n <= 0) return false;
    done += static_cast<int>(n);
  }
  return true;
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

[[noreturn]] void Echo(int listener) {
  char bytes[kBytes];
  while (true) {
    const int link = accept(listener, nullptr, nullptr);
    if (link < 0) _exit(1);
    NoDelay(link);
    while (Exactly(link, bytes, false) && Exactly(link, bytes, true)) {
    }
    close(link);
  }
}

// One loop: the trips are spread over the connections, the first ones take what is left over.
bool Loop(const sockaddr_in& address, const Shape& shape) {
  char bytes[kBytes] = {};
  for (int i = 0; i < shape.connects; ++i) {
    const int link = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(link, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return false;
    }
    NoDelay(link);
    const int trips = shape.trips / shape.connects + (i < shape.trips % shape.connects ? 1 : 0);
    for (int trip = 0; trip < trips; ++trip) {
      if (!Exactly(link, bytes, true) || !Exactly(link, bytes, false)) return false;
    }
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(link, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(link);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Shape> shapes;
  int connects = 0;
  for (int i = 1; i < argc; ++i) {
    Shape& shape = shapes.emplace_back();
    if (std::sscanf(argv[i], "%d:%d", &shape.connects, &shape.trips) != 2 || shape.connects < 1 ||
        shape.trips < 0) {
      std::fprintf(stderr, "floor: '%s' is no CONNECTS:TRIPS\n", argv[i]);
      return 2;
    }
    connects += shape.connects;
  }
  if (shapes.empty()) {
    std::fprintf(stderr, "usage: counterpart_floor CONNECTS:TRIPS...\n");
    return 2;
  }
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("floor");
    return 1;
  }
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  sched_setaffinity(0, sizeof here, &here);
  const pid_t echo = fork();
  if (echo == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Echo(listener);
  }
  const int loops = std::max(1, kConnects / connects);
  double best = 0;
  bool done = true;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < loops && done; ++i) {
      for (const Shape& shape : shapes) done = done && Loop(address, shape);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, loops * static_cast<double>(shapes.size()) / took.count());
  }
  kill(echo, SIGKILL);
  waitpid(echo, nullptr, 0);
  if (!done) {
    std::perror("floor");
    return 1;
  }
  std::printf("%.0f\n", best);
}
