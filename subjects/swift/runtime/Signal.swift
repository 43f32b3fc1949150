// Waiting inside the actor: a `Signal` wakes whoever waits at that moment, a `Turnstile` lets one
// through at a time, a `Promise` holds a value that comes once. Waits end early, with
// CancellationError, when the waiting task is cancelled.

/// Wakes everybody who waits. Nobody may be waiting: what is waited for must be a state to look at.
@RuntimeActor
final class Signal {
  private var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
  private var order: [UInt64] = []
  private var newest: UInt64 = 0

  /// Waits for the next `notify`.
  func wait() async throws {
    newest += 1
    let id = newest
    let notified = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled {
          continuation.resume(returning: false)
        } else {
          waiters[id] = continuation
          order.append(id)
        }
      }
    } onCancel: {
      Task { @RuntimeActor in self.give(up: id) }
    }
    guard notified else { throw CancellationError() }
  }

  /// Does nobody wait?
  var isUnattended: Bool { waiters.isEmpty }

  /// Wakes everybody who waits now, in the order they came.
  func notify() {
    let woken = order
    order.removeAll()
    for id in woken { waiters.removeValue(forKey: id)?.resume(returning: true) }
  }

  private func give(up id: UInt64) {
    guard let continuation = waiters.removeValue(forKey: id) else { return }
    order.removeAll { $0 == id }
    continuation.resume(returning: false)
  }
}

/// Lets one task through at a time, in the order they came.
@RuntimeActor
final class Turnstile {
  private var isTaken = false
  private var queue: [Signal] = []

  /// Runs `body` when everybody who came earlier has left.
  func pass<Value: Sendable>(_ body: @RuntimeActor () async throws -> Value) async throws -> Value {
    if isTaken {
      let turn = Signal()
      queue.append(turn)
      do {
        try await turn.wait()
      } catch {
        if let place = queue.firstIndex(where: { $0 === turn }) {
          queue.remove(at: place)
        } else {
          leave()  // the turn had already come
        }
        throw error
      }
    }
    isTaken = true
    defer { leave() }
    return try await body()
  }

  private func leave() {
    if queue.isEmpty {
      isTaken = false
    } else {
      queue.removeFirst().notify()
    }
  }
}

/// A value that comes once.
@RuntimeActor
final class Promise<Value: Sendable> {
  private(set) var value: Value?
  private let came = Signal()

  /// Keeps the value, and wakes whoever waits. Only the first one counts.
  func fulfil(_ value: Value) {
    guard self.value == nil else { return }
    self.value = value
    came.notify()
  }

  /// Waits for the value.
  func get() async throws -> Value {
    while true {
      if let value { return value }
      try await came.wait()
    }
  }
}
