// Descriptors and timers of the runtime. One turn waits for what is ready, calls whoever watches it,
// and asks for the next turn at the back of the actor's queue: jobs and events take turns, and the
// thread sleeps only when there are no jobs. A timer is named, so that what the runtime still waits
// for can be told (r[control.time]).

/// A descriptor that is watched; `ready` is called with what it is ready for.
@RuntimeActor
final class Watch {
  var interest: Interest
  fileprivate var ready: @RuntimeActor (Interest) -> Void

  fileprivate init(_ interest: Interest, _ ready: @escaping @RuntimeActor (Interest) -> Void) {
    self.interest = interest
    self.ready = ready
  }
}

/// A timer that has not fired.
@RuntimeActor
final class Timer {
  let name: String
  let due: UInt64
  fileprivate var action: (@RuntimeActor () -> Void)?

  fileprivate init(_ name: String, due: UInt64, _ action: @escaping @RuntimeActor () -> Void) {
    self.name = name
    self.due = due
    self.action = action
  }

  /// Never fire.
  func cancel() { EventLoop.shared.cancel(self) }
}

@RuntimeActor
final class EventLoop {
  static let shared = EventLoop()

  private var watches: [Int32: Watch] = [:]
  private var timers: [Timer] = []  // by due time

  /// Calls `ready` whenever the descriptor is ready for what `interest` asks.
  func watch(
    _ number: Int32, input: Bool, output: Bool,
    _ ready: @escaping @RuntimeActor (Interest) -> Void
  ) -> Watch {
    let watch = Watch(Interest(number: number, input: input, output: output), ready)
    watches[number] = watch
    return watch
  }

  /// Before the descriptor is closed.
  func forget(_ watch: Watch) {
    watch.ready = { _ in }
    if watches[watch.interest.number] === watch { watches[watch.interest.number] = nil }
  }

  /// Runs `action` once, `milliseconds` from now.
  func after(
    _ milliseconds: UInt64, _ name: String, _ action: @escaping @RuntimeActor () -> Void
  ) -> Timer {
    let timer = Timer(name, due: System.milliseconds + milliseconds, action)
    timers.insert(timer, at: timers.firstIndex { $0.due > timer.due } ?? timers.endIndex)
    return timer
  }

  /// Waits; fails if the task is cancelled. Zero waits for nothing and makes no timer.
  func sleep(_ milliseconds: UInt64, _ name: String) async throws {
    guard milliseconds > 0 else { return }
    let over = Signal()
    let timer = after(milliseconds, name) { over.notify() }
    defer { timer.cancel() }
    try await over.wait()
  }

  /// (name, milliseconds from now) of every timer that waits.
  var pendingTimers: [(name: String, due: UInt64)] {
    let now = System.milliseconds
    return timers.map { ($0.name, $0.due > now ? $0.due - now : 0) }
  }

  /// Jobs that wait behind the one that asks, the loop's own turn aside.
  var runnable: Int { max(0, RuntimeActor.executor.waiting - 1) }

  /// Lets everything that is queued run first.
  func yield() async {
    await withCheckedContinuation { continuation in soon { continuation.resume() } }
  }

  /// Runs `action` at the back of the queue.
  func soon(_ action: @escaping @RuntimeActor () -> Void) {
    Task { @RuntimeActor in action() }
  }

  fileprivate func cancel(_ timer: Timer) {
    guard timer.action != nil else { return }
    timer.action = nil
    timers.removeAll { $0 === timer }
  }

  /// Turns for ever.
  func start() { soon { self.turn() } }

  private func turn() {
    let executor = RuntimeActor.executor
    let interests = [executor.wakeUp] + watches.values.map(\.interest)
    let ready = System.poll(interests, timeout: executor.fallAsleep() ? untilNextTimer : 0)
    executor.wokeUp()
    fireTimers()
    // A descriptor closed in this turn may have been opened anew: who watched it must be the same.
    let called = ready.compactMap { interest in watches[interest.number].map { ($0, interest) } }
    for (watch, interest) in called where watches[interest.number] === watch {
      watch.ready(interest)
    }
    soon { self.turn() }
  }

  private var untilNextTimer: Int? {
    guard let first = timers.first else { return nil }
    let now = System.milliseconds
    return first.due > now ? Int(first.due - now) : 0
  }

  private func fireTimers() {
    let now = System.milliseconds
    while let first = timers.first, first.due <= now {
      timers.removeFirst()
      let action = first.action
      first.action = nil
      action?()
    }
  }
}
