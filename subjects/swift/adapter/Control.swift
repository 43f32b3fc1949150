// The service `Subject`: each request as what the runtime knows about it.

@RuntimeActor
final class Control {
  typealias Plane = ControlPlane

  private let runtime: Runtime
  private let mutant: String
  private let log: CommandLog<Plane.Outcome>
  private var scopes: [String: Scope] = [:]
  private var accepted: UInt64 = 0
  private var answered: UInt64 = 0

  init(_ runtime: Runtime, mutant: String) {
    self.runtime = runtime
    self.mutant = mutant
    log = CommandLog(runtime.journal)
  }

  func answer(_ request: Plane.ControlRequest) async throws -> Plane.ControlReply {
    let epoch = runtime.journal.epoch
    let kind: Plane.ControlReply.Kind?
    switch request.kind {
    case .describe?:
      kind = .describe(
        .init(
          name: "swift", version: "1", language: "swift", capabilities: Scope.capabilities,
          epoch: epoch, mutant: mutant))
    case .execute(let body)?: kind = .execute(try await execute(body))
    case .status(let body)?:
      let (state, outcome) = log.status(body.commandId, highestSend: body.highestSend)
      let known = state == .tombstoned ? .notAccepted : state
      let said = known.map { enumeration("COMMAND_STATE_", $0) } ?? Plane.CommandState.evicted
      kind = .status(.init(epoch: epoch, watermark: log.watermark, state: said, outcome: outcome))
    case .journal(let body)?:
      let (events, gap) = runtime.journal.read(scope: body.scope, after: body.afterSeq)
      kind = .journal(.init(epoch: epoch, events: events.map(Plane.JournalEvent.init), gap: gap))
    case .settle?: kind = .settle(await settle())
    case .reset(let body)?: kind = .reset(reset(body.scope))
    case nil: kind = nil
    }
    return Plane.ControlReply(id: request.id, kind: kind)
  }

  /// Ends everything without a word, before the process ends.
  func close() { for scope in scopes.values { scope.domain.drop() } }

  private func execute(_ request: Plane.ExecuteRequest) async throws -> Plane.ExecuteResponse {
    accepted += 1
    defer { answered += 1 }
    var said = request
    said.send = 0  // no part of what the command says
    do {
      let outcome = try await log.execute(
        request.commandId, send: request.send, scope: request.scope, payload: said.encoded,
        hold: HoldPoint.allCases.first { enumeration("HOLD_AT_", $0) == request.holdAt }
      ) { try scope(request.scope).prepare(request) }
      return .init(kind: .outcome(outcome))
    } catch let refusal as NotAccepted {
      let reason = enumeration("REFUSAL_REASON_", refusal.reason, Plane.RefusalReason.self)
      return .init(kind: .refusal(.init(reason: reason, text: refusal.text)))
    }
  }

  /// r[control.settle]
  private func settle() async -> Plane.SettleResponse {
    let loop = EventLoop.shared
    await loop.yield()
    return .init(
      accepted: accepted, answered: answered, journalSeq: runtime.journal.seq,
      runnable: UInt32(loop.runnable),
      timers: loop.pendingTimers.map { .init(name: $0.name, dueMs: $0.due) })
  }

  /// r[control.reset]
  private func reset(_ name: String) -> Plane.ResetResponse {
    let scope = scopes.removeValue(forKey: name)
    let counts = scope?.domain.counts ?? Counts()
    log.drop(scope: name, Scope.failed(.dropped, "its scope was reset"))
    scope?.domain.drop()
    runtime.journal.retire(scope: name)
    return .init(
      listeners: UInt32(counts.listeners), links: UInt32(counts.links),
      sessions: UInt32(counts.sessions), calls: UInt32(counts.calls),
      handlers: UInt32(counts.handlers), channels: UInt32(counts.channels))
  }

  private func scope(_ name: String) -> Scope {
    let scope = scopes[name] ?? Scope(runtime, name)
    scopes[name] = scope
    return scope
  }
}
