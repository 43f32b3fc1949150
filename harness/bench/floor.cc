// The floor that runs are measured against: a bare loop that connects and makes three round trips
// of small messages, against an echo in another process. Prints loops per second.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kBytes = 64;
constexpr int kRoundTrips = 3;

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

}  // namespace

int main(int argc, char** argv) {
  const int loops = argc > 1 ? std::atoi(argv[1]) : 5000;
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
  const pid_t echo = fork();
  if (echo == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Echo(listener);
  }
  char bytes[kBytes] = {};
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < loops; ++i) {
    const int link = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(link, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
    NoDelay(link);
    for (int trip = 0; trip < kRoundTrips; ++trip) {
      if (!Exactly(link, bytes, true) || !Exactly(link, bytes, false)) return 1;
    }
    close(link);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  kill(echo, SIGKILL);
  waitpid(echo, nullptr, 0);
  std::printf("%.0f\n", loops / took.count());
}
