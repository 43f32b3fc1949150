// The journal: what this runtime did, in one total order, before anybody else could see it.
//
// r[control.journal.write-ahead]: an event is appended before the frame, callback or reply that
// reveals it. Events belong to a scope; a scope keeps at most `eventsPerScope` of them, drops the
// oldest beyond that and counts them (r[control.journal.gap]).

enum JournalBody: Sendable, Equatable {
  /// One step of a machine of spec/machines. Not allowed there: `isInvalid`, and `to` is `from`.
  case transition(
    machine: MachineName, key: UInt64, from: String, event: String, to: String, isInvalid: Bool)
  /// A message committed to, or taken from, a link; `id` is its request, channel or nonce.
  case frame(isSent: Bool, connection: UInt64, kind: String, id: UInt64)
  case handler(HandlerEvent, operation: UInt64, request: UInt64, execution: UInt32)
  /// Something was dropped by rule.  r[strict.delivery.explicit]
  case discard(what: String, rule: String, key: UInt64, count: UInt32)
  case plannedDelay(what: String, milliseconds: UInt64)
}

enum MachineName: String, Sendable, CaseIterable {
  case driver
  case channelReceiver = "channel_receiver"
  case channelSender = "channel_sender"
  case operation
  case command
}

enum HandlerEvent: String, Sendable { case started, returned, panicked, cancelled }

struct JournalEvent: Sendable {
  let seq: UInt64
  let sessionId: [UInt8]  // empty: not of a session
  let generation: UInt64  // 0: of none
  let body: JournalBody
}

/// What to watch for: an event matches if it has everything that is set.
struct JournalPattern: Sendable {
  var sessionId: [UInt8] = []
  var machine: MachineName?
  var key: UInt64 = 0
  var toState = ""
  var handlerStarted = false
  var handlerEnded = false
  var operation: UInt64 = 0

  /// Invalid transitions match nothing but a pattern that asks for no machine.
  func matches(_ event: JournalEvent) -> Bool {
    if !sessionId.isEmpty && sessionId != event.sessionId { return false }
    if machine != nil || key != 0 || !toState.isEmpty {
      guard case .transition(let machine, let key, _, _, let to, false) = event.body else {
        return false
      }
      if let wanted = self.machine, wanted != machine { return false }
      if self.key != 0 && self.key != key || !toState.isEmpty && toState != to { return false }
    }
    if handlerStarted || handlerEnded || operation != 0 {
      guard case .handler(let what, let operation, _, _) = event.body else { return false }
      if self.operation != 0 && self.operation != operation { return false }
      let isWanted = what == .started ? handlerStarted : handlerEnded
      return isWanted || !(handlerStarted || handlerEnded)
    }
    return true
  }
}

@RuntimeActor
final class Journal {
  static let eventsPerScope = 1 << 18
  static let retiredScopes = 64  // dropped scopes whose journal can still be read

  private final class Scope {
    var events: [JournalEvent] = []
    var first = 0  // events before this index were dropped
    var lost: UInt64 = 0
    var lostSeq: UInt64 = 0
    var watches: [(pattern: JournalPattern, remaining: UInt32, reached: Promise<Void>)] = []
  }

  /// 16 random bytes per process start.  r[control.lifecycle.epoch]
  let epoch = Random.bytes(16)
  private(set) var seq: UInt64 = 0
  private var scopes: [String: Scope] = [:]
  private var retired: [String] = []

  /// Appends one event and wakes whoever watches for it.
  func record(_ body: JournalBody, scope name: String, session: [UInt8], generation: UInt64) {
    seq += 1
    let event = JournalEvent(seq: seq, sessionId: session, generation: generation, body: body)
    let scope = scope(name)
    if scope.events.count - scope.first >= Self.eventsPerScope {
      scope.lost += 1
      scope.lostSeq = scope.events[scope.first].seq
      scope.first += 1
      if scope.first == Self.eventsPerScope {
        scope.events.removeFirst(scope.first)
        scope.first = 0
      }
    }
    scope.events.append(event)
    offer(event, to: scope)
  }

  /// The events after `seq`, oldest first, and how many were lost before them.
  func read(scope name: String, after seq: UInt64) -> (events: [JournalEvent], gap: UInt64) {
    guard let scope = scopes[name] else { return ([], 0) }
    let kept = scope.events[scope.first...].filter { $0.seq > seq }
    return (kept, seq < scope.lostSeq ? scope.lost : 0)
  }

  /// Waits until `count` events of the scope, past ones included, match.
  func watch(scope name: String, count: UInt32, _ pattern: JournalPattern) async throws {
    let scope = scope(name)
    let past = scope.events[scope.first...].lazy.filter(pattern.matches).prefix(Int(count)).count
    guard past < Int(count) else { return }
    let reached = Promise<Void>()
    scope.watches.append((pattern, count - UInt32(past), reached))
    try await reached.get()
  }

  /// The scope is over: its events are kept until its name is used again, or for a while.
  func retire(scope name: String) {
    guard !retired.contains(name) else { return }
    retired.append(name)
    if retired.count > Self.retiredScopes { scopes[retired.removeFirst()] = nil }
  }

  /// The scope's name is used (again): it starts with an empty journal if it was over.
  func revive(scope name: String) {
    guard let place = retired.firstIndex(of: name) else { return }
    retired.remove(at: place)
    scopes[name] = nil
  }

  private func scope(_ name: String) -> Scope {
    if let known = scopes[name] { return known }
    let made = Scope()
    scopes[name] = made
    return made
  }

  private func offer(_ event: JournalEvent, to scope: Scope) {
    for index in scope.watches.indices.reversed() where scope.watches[index].pattern.matches(event)
    {
      scope.watches[index].remaining -= 1
      if scope.watches[index].remaining == 0 { scope.watches.remove(at: index).reached.fulfil(()) }
    }
  }
}

/// Stamps events with their scope, session and generation.
@RuntimeActor
final class Recorder {
  private let journal: Journal
  private let scope: String
  var sessionId: [UInt8] = []
  var generation: UInt64 = 0

  init(_ journal: Journal, scope: String) {
    self.journal = journal
    self.scope = scope
  }

  func callAsFunction(_ body: JournalBody) {
    journal.record(body, scope: scope, session: sessionId, generation: generation)
  }

  /// Something was dropped by rule: what, which, how many.
  func discard(_ what: String, _ rule: String, key: UInt64 = 0, count: Int = 1) {
    self(.discard(what: what, rule: rule, key: key, count: UInt32(clamping: count)))
  }

  /// The same session, stamped with its present generation for good.
  func fixed() -> Recorder {
    let fixed = Recorder(journal, scope: scope)
    fixed.sessionId = sessionId
    fixed.generation = generation
    return fixed
  }
}

enum Random {
  static func bytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }
}
