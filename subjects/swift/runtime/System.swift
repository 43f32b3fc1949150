// The calls into the operating system. The one file with pointers in it, all of them for the length
// of one call.
//
// Descriptors are owned: a `Descriptor` cannot be copied, and closes at the end of its life. Every
// socket is non-blocking and closed on exec. Errors are `errno` values.

import Glibc
import Synchronization

/// An open file description, closed when the value ends.
struct Descriptor: ~Copyable, Sendable {
  let number: Int32

  init(owning number: Int32) { self.number = number }

  deinit { close(number) }
}

/// A call that failed, and why.
struct SystemError: Error {
  let errno: Int32

  /// The error of the call that has just failed.
  static var last: SystemError { SystemError(errno: Glibc.errno) }

  var text: String { String(cString: strerror(errno)) }
}

/// What came of one read or write.
enum Transfer {
  case moved(Int)
  case wouldBlock
  case ended
  case failed(SystemError)
}

/// What to wait for on a descriptor, and then what it is ready for. A failure counts as both.
struct Interest {
  let number: Int32
  var input: Bool
  var output: Bool
}

enum System {
  /// Milliseconds of a clock that never goes back.
  static var milliseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000
  }

  /// A variable of the environment, empty if it is not set.
  static func environment(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
  }

  /// A broken pipe is an error of the write, not the end of the process.
  static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  static func exit(_ code: Int32) -> Never { Glibc.exit(code) }

  /// Ends the process without ceremony.
  static func abort() -> Never { Glibc.abort() }

  // MARK: Waiting

  /// Waits until one of `interests` is ready, at most `timeout` milliseconds (nil: for ever).
  /// Returns what is ready, in the order given.
  static func poll(_ interests: [Interest], timeout: Int?) -> [Interest] {
    var watched = interests.map { interest in
      let events = (interest.input ? POLLIN : 0) | (interest.output ? POLLOUT : 0)
      return pollfd(fd: interest.number, events: Int16(events), revents: 0)
    }
    let limit = timeout.map { Int32(clamping: $0) } ?? -1
    guard Glibc.poll(&watched, nfds_t(watched.count), limit) > 0 else { return [] }
    return watched.compactMap { one in
      let failed = Int32(one.revents) & (POLLERR | POLLHUP | POLLNVAL) != 0
      let input = Int32(one.revents) & POLLIN != 0 || failed
      let output = Int32(one.revents) & POLLOUT != 0 || failed
      return input || output ? Interest(number: one.fd, input: input, output: output) : nil
    }
  }

  /// Both ends of a pipe: what is written to the second can be read from the first.
  static func makePipe() throws(SystemError) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .last }
    makeNonBlocking(ends[0])
    makeNonBlocking(ends[1])
    return (ends[0], ends[1])
  }

  static func makeNonBlocking(_ number: Int32) {
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
  }

  // MARK: Bytes

  /// Appends what can be read now, at most `most` bytes, to `bytes`.
  static func read(_ number: Int32, into bytes: inout [UInt8], most: Int) -> Transfer {
    withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { room in
      let got = Glibc.read(number, room.baseAddress, most)
      if got > 0 { bytes.append(contentsOf: room[..<got]) }
      return transfer(got)
    }
  }

  /// Writes as much of `bytes` as goes now.
  static func write(_ number: Int32, _ bytes: ArraySlice<UInt8>) -> Transfer {
    bytes.withUnsafeBytes { transfer(Glibc.write(number, $0.baseAddress, $0.count)) }
  }

  private static func transfer(_ count: Int) -> Transfer {
    if count > 0 { return .moved(count) }
    if count == 0 { return .ended }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(.last)
  }

  /// Opens a file that every write goes to the end of.
  static func openForAppending(_ path: String) throws(SystemError) -> Descriptor {
    let number = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard number >= 0 else { throw .last }
    return Descriptor(owning: number)
  }

  // MARK: Sockets

  static func listen(_ host: String, _ port: UInt16) throws(SystemError) -> Descriptor {
    let socket = try makeSocket()
    let here = try address(host, port)
    guard with(here, { bind(socket.number, $0, $1) }) == 0 else { throw .last }
    guard Glibc.listen(socket.number, SOMAXCONN) == 0 else { throw .last }
    return socket
  }

  /// The port that a socket is bound to.
  static func port(_ number: Int32) throws(SystemError) -> UInt16 {
    var bound = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let found = withUnsafeMutablePointer(to: &bound) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &length) }
    }
    guard found == 0 else { throw .last }
    return UInt16(bigEndian: bound.sin_port)
  }

  /// The next connection somebody made, if there is one.
  static func accept(_ listener: Int32) -> Descriptor? {
    let number = Glibc.accept(listener, nil, nil)
    guard number >= 0 else { return nil }
    prepare(number)
    return Descriptor(owning: number)
  }

  /// Begins to connect; the socket is ready for output once that has succeeded or failed.
  static func connect(host: String, port: UInt16) throws(SystemError) -> Descriptor {
    let socket = try makeSocket()
    let there = try address(host == "localhost" ? "127.0.0.1" : host, port)
    let code = with(there) { Glibc.connect(socket.number, $0, $1) }
    guard code == 0 || errno == EINPROGRESS else { throw .last }
    return socket
  }

  /// What came of connecting.
  static func connectFailure(_ number: Int32) -> SystemError? {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return .last }
    return code == 0 ? nil : SystemError(errno: code)
  }

  /// Says that nothing more will be sent.
  static func endOutput(_ number: Int32) -> Bool { shutdown(number, Int32(SHUT_WR)) == 0 }

  private static func makeSocket() throws(SystemError) -> Descriptor {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard number >= 0 else { throw .last }
    prepare(number)
    return Descriptor(owning: number)
  }

  private static func prepare(_ number: Int32) {
    makeNonBlocking(number)
    var on: Int32 = 1
    setsockopt(number, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func address(_ host: String, _ port: UInt16) throws(SystemError) -> sockaddr_in {
    var made = sockaddr_in()
    made.sin_family = sa_family_t(AF_INET)
    made.sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &made.sin_addr) == 1 else {
      throw SystemError(errno: EADDRNOTAVAIL)
    }
    return made
  }

  private static func with(
    _ address: sockaddr_in, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  // The hook of the language's concurrency library for jobs that belong to no actor: called with
  // the job and with what would have been done without a hook.
  private typealias JobHook = @convention(c) (UnsafeRawPointer, UnsafeRawPointer) -> Void

  /// From now on calls `take` for every job of no actor, where a pool of threads would run it.
  /// Only the latest call counts; on a library without the hook nothing changes.
  static func redirectJobs(to take: @escaping @Sendable (UnownedJob) -> Void) {
    redirected.withLock { $0 = JobTaker(take: take) }
    guard let hook = dlsym(nil, "swift_task_enqueueGlobal_hook") else { return }
    hook.assumingMemoryBound(to: JobHook?.self).pointee = { job, _ in
      System.redirected.withLock { $0 }?.take(unsafeBitCast(job, to: UnownedJob.self))
    }
  }

  // In a value of its own: a bare function that a generic type holds is wrapped anew, and kept so, at
  // every access, until a call of it goes through as many layers as there were accesses.
  private struct JobTaker: Sendable {
    let take: @Sendable (UnownedJob) -> Void
  }

  private static let redirected = Mutex<JobTaker?>(nil)
}
