// The service `Subject`: each request as what the runtime knows about it.

@RuntimeActor
final class Control {
  typealias Outcome = ControlPlane.Outcome

  private let runtime: Runtime
  private let mutant: String
  private let log: CommandLog<Outcome>
  private var scopes: [String: Scope] = [:]
  private var accepted: UInt64 = 0
  private var answered: UInt64 = 0

  init(_ runtime: Runtime, mutant: String) {
    self.runtime = runtime
    self.mutant = mutant
    log = CommandLog(runtime.journal)
  }

  func answer(_ request: ControlPlane.ControlRequest) async throws -> ControlPlane.ControlReply {
    let kind: ControlPlane.ControlReply.Kind? =
      switch request.kind {
      case .describe?: .describe(describe())
      case .execute(let body)?: .execute(try await execute(body))
      case .status(let body)?: .status(status(body))
      case .journal(let body)?: .journal(journal(body))
      case .settle?: .settle(await settle())
      case .reset(let body)?: .reset(reset(body))
      case nil: nil
      }
    return ControlPlane.ControlReply(id: request.id, kind: kind)
  }

  /// Ends everything without a word, before the process ends.
  func close() { scopes.values.forEach { $0.domain.drop() } }

  private func describe() -> ControlPlane.DescribeResponse {
    ControlPlane.DescribeResponse(
      name: "swift", version: "1", language: "swift", capabilities: Scope.capabilities,
      epoch: runtime.journal.epoch, mutant: mutant)
  }

  private func execute(
    _ request: ControlPlane.ExecuteRequest
  ) async throws -> ControlPlane.ExecuteResponse {
    accepted += 1
    defer { answered += 1 }
    var said = request
    said.send = 0  // no part of what the command says
    do {
      let outcome = try await log.execute(
        request.commandId, send: request.send, scope: request.scope, payload: said.encoded,
        hold: Self.holds[request.holdAt]
      ) { try scope(request.scope).prepare(request) }
      return ControlPlane.ExecuteResponse(kind: .outcome(outcome))
    } catch let refusal as NotAccepted {
      let reason: ControlPlane.RefusalReason =
        switch refusal.reason {
        case .unsupported: .unsupported
        case .tombstoned: .tombstoned
        case .conflict: .conflict
        case .evicted: .evicted
        case .invalid: .invalid
        }
      return .init(kind: .refusal(.init(reason: reason, text: refusal.text)))
    }
  }

  private static let holds: [ControlPlane.HoldAt: HoldPoint] = [
    .accepted: .accepted, .started: .started, .effect: .effect, .recorded: .recorded,
  ]

  private func status(_ request: ControlPlane.StatusRequest) -> ControlPlane.StatusResponse {
    let (state, outcome) = log.status(request.commandId, highestSend: request.highestSend)
    let said: ControlPlane.CommandState =
      switch state {
      case .notAccepted?, .tombstoned?: .notAccepted
      case .accepted?: .accepted
      case .started?: .started
      case .completed?: .completed
      case .failed?: .failed
      case nil: .evicted
      }
    return ControlPlane.StatusResponse(
      epoch: runtime.journal.epoch, watermark: log.watermark, state: said, outcome: outcome)
  }

  private func journal(_ request: ControlPlane.JournalRequest) -> ControlPlane.JournalResponse {
    let (events, gap) = runtime.journal.read(scope: request.scope, after: request.afterSeq)
    return ControlPlane.JournalResponse(
      epoch: runtime.journal.epoch, events: events.map(Self.said), gap: gap)
  }

  private nonisolated static func said(_ event: JournalEvent) -> ControlPlane.JournalEvent {
    let kind: ControlPlane.JournalEvent.Kind =
      switch event.body {
      case .transition(let machine, let key, let from, let event, let to, let isInvalid):
        .transition(
          .init(
            machine: .init(name: "MACHINE_\(machine.rawValue.uppercased())") ?? .unspecified,
            key: key, fromState: from, event: event, toState: to, invalid: isInvalid))
      case .frame(let isSent, let connection, let kind, let id):
        .frame(.init(sent: isSent, connectionId: connection, kind: kind, id: id))
      case .handler(let event, let operation, let request, let execution):
        .handler(
          .init(
            event: .init(name: "HANDLER_EVENT_\(event.rawValue.uppercased())") ?? .unspecified,
            operationId: operation, requestId: request, execution: execution))
      case .discard(let what, let rule, let key, let count):
        .discard(.init(what: what, rule: rule, key: key, count: count))
      case .plannedDelay(let what, let milliseconds):
        .plannedDelay(.init(what: what, delayMs: milliseconds))
      }
    return .init(
      seq: event.seq, sessionId: event.sessionId, generation: event.generation, kind: kind)
  }

  /// r[control.settle]
  private func settle() async -> ControlPlane.SettleResponse {
    await EventLoop.shared.yield()
    let timers = EventLoop.shared.pendingTimers.map {
      ControlPlane.PendingTimer(name: $0.name, dueMs: $0.due)
    }
    return ControlPlane.SettleResponse(
      accepted: accepted, answered: answered, journalSeq: runtime.journal.seq,
      runnable: UInt32(EventLoop.shared.runnable), timers: timers)
  }

  /// r[control.reset]
  private func reset(_ request: ControlPlane.ResetRequest) -> ControlPlane.ResetResponse {
    let scope = scopes.removeValue(forKey: request.scope)
    let counts = scope?.domain.counts ?? Counts()
    log.drop(scope: request.scope, Scope.failed(.dropped, "its scope was reset"))
    scope?.domain.drop()
    runtime.journal.retire(scope: request.scope)
    return ControlPlane.ResetResponse(
      listeners: UInt32(counts.listeners), links: UInt32(counts.links),
      sessions: UInt32(counts.sessions), calls: UInt32(counts.calls),
      handlers: UInt32(counts.handlers), channels: UInt32(counts.channels))
  }

  private func scope(_ name: String) -> Scope {
    if let known = scopes[name] { return known }
    let made = Scope(runtime, name)
    scopes[name] = made
    return made
  }
}
