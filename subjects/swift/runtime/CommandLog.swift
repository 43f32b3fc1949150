// The log of commands: what was accepted, how far it came, and what came of it.
//
// r[control.lifecycle]: a command is journalled as accepted before anything runs, its outcome is
// recorded before it is told, and a known id runs nothing again: it gets the recorded outcome. A
// Status of an unknown id tombstones its sends up to an ordinal (r[control.lifecycle.send-ordinal]);
// a higher one may still be accepted. Only finished commands are evicted, in the order of their ids;
// the watermark is the highest evicted id (r[control.lifecycle.retention]).

/// Nothing was run.
struct NotAccepted: Error {
  enum Reason { case unsupported, tombstoned, conflict, evicted, invalid }
  let reason: Reason
  let text: String
}

/// Where a command stops until it is dropped.  r[control.hold]
enum HoldPoint: CaseIterable, Sendable { case accepted, started, effect, recorded }

/// What runs a command. `Outcome` is opaque here.
typealias Run<Outcome> = @RuntimeActor () async throws -> (hasSucceeded: Bool, outcome: Outcome)

/// One accepted command.
@RuntimeActor
final class Command<Outcome: Sendable> {
  let scope: String
  let payload: [UInt8]
  private var machine: StateMachine<CommandTable>
  let recorded = Promise<Outcome>()
  let replied = Promise<Outcome>()  // the answer to the first send
  private var task: Task<Void, Never>?

  fileprivate init(
    _ id: UInt64, scope: String, payload: [UInt8], _ record: Recorder, wasTombstoned: Bool
  ) {
    self.scope = scope
    self.payload = payload
    machine = StateMachine(id, record, at: wasTombstoned ? .tombstoned : .notAccepted)
    machine.step(.accept)
  }

  var state: CommandTable.State { machine.state }

  /// Runs it, as a task of its own: who asked may go away.
  fileprivate func start(_ run: @escaping Run<Outcome>, hold: HoldPoint?) {
    task = Task { @RuntimeActor in
      do {
        try await self.stop(at: .accepted, hold)
        self.machine.step(.start)
        try await self.stop(at: .started, hold)
        let (hasSucceeded, outcome) = try await run()
        try await self.stop(at: .effect, hold)
        self.record(hasSucceeded, outcome)
        try await self.stop(at: .recorded, hold)
        self.replied.fulfil(outcome)
      } catch {}  // dropped: that has recorded an outcome
    }
  }

  private func stop(at point: HoldPoint, _ hold: HoldPoint?) async throws {
    if hold == point { try await Signal().wait() }
    try Task.checkCancellation()
  }

  private func record(_ hasSucceeded: Bool, _ outcome: Outcome) {
    machine.step(hasSucceeded ? .complete : .fail)
    recorded.fulfil(outcome)
  }

  /// Its scope is over: whatever it waits for, it waits no longer.
  fileprivate func drop(_ outcome: Outcome) {
    task?.cancel()
    if recorded.value == nil {
      if machine.state == .accepted { machine.step(.start) }
      record(false, outcome)
    }
    replied.fulfil(recorded.value ?? outcome)
  }
}

/// Every command of one process that is not evicted.
@RuntimeActor
final class CommandLog<Outcome: Sendable> {
  private static var kept: Int { 1024 }
  private static var mostTombstones: Int { 1 << 16 }

  private(set) var watermark: UInt64 = 0
  private let journal: Journal
  private var commands: [UInt64: Command<Outcome>] = [:]
  private var ids: [UInt64] = []  // of `commands`, ascending
  private var tombstones: [UInt64: UInt32] = [:]  // id → highest refused send
  private var tombstoned: [UInt64] = []  // oldest first

  init(_ journal: Journal) { self.journal = journal }

  /// Accepts and runs, or attaches to, one command. Throws NotAccepted. `payload` identifies what it
  /// says; `prepare` checks it, may throw NotAccepted itself, and returns what runs it.
  func execute(
    _ id: UInt64, send: UInt32, scope: String, payload: [UInt8], hold: HoldPoint?,
    prepare: @RuntimeActor () throws -> Run<Outcome>
  ) async throws -> Outcome {
    if let known = commands[id] {  // r[control.lifecycle.attach]
      guard known.payload == payload else {
        throw NotAccepted(reason: .conflict, text: "command \(id) is known as another one")
      }
      return try await known.recorded.get()
    }
    if id == 0 || send == 0 {
      throw NotAccepted(reason: .invalid, text: "command_id and send start at 1")
    }
    if id <= watermark { throw NotAccepted(reason: .evicted, text: "not above \(watermark)") }
    if let refused = tombstones[id], send <= refused {
      throw NotAccepted(reason: .tombstoned, text: "sends up to \(refused) were proven unknown")
    }
    let run = try prepare()
    journal.revive(scope: scope)
    let wasTombstoned = tombstones.removeValue(forKey: id) != nil
    let command = Command<Outcome>(
      id, scope: scope, payload: payload, Recorder(journal, scope: scope),
      wasTombstoned: wasTombstoned)
    commands[id] = command
    ids.insert(id, at: ids.firstIndex { $0 > id } ?? ids.endIndex)
    evict()
    command.start(run, hold: hold)
    return try await command.replied.get()
  }

  /// The state of a command, nil if it is evicted, and the recorded outcome.
  func status(_ id: UInt64, highestSend: UInt32) -> (state: CommandTable.State?, outcome: Outcome?)
  {
    if let command = commands[id] { return (command.state, command.recorded.value) }
    if id <= watermark { return (nil, nil) }
    let refused = tombstones[id] ?? 0
    if highestSend > refused {
      if refused == 0 {
        var machine = StateMachine<CommandTable>(id, Recorder(journal, scope: ""))
        machine.step(.tombstone)
        tombstoned.append(id)
      }
      tombstones[id] = highestSend
      if tombstoned.count > Self.mostTombstones { tombstones[tombstoned.removeFirst()] = nil }
    }
    return (.notAccepted, nil)
  }

  /// A scope is over.
  func drop(scope: String, _ outcome: Outcome) {
    for id in ids { commands[id].map { if $0.scope == scope { $0.drop(outcome) } } }
  }

  private func evict() {
    while ids.count > Self.kept, commands[ids[0]]?.replied.value != nil {
      watermark = ids.removeFirst()
      commands[watermark] = nil
    }
  }
}
