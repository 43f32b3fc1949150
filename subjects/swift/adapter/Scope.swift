// Each command of the control plane as what the runtime does for it.

/// One scope: a domain of the runtime, and the testbed on both of its sides.
@RuntimeActor
final class Scope {
  typealias Outcome = ControlPlane.Outcome
  typealias Act = @RuntimeActor () async throws -> Outcome.Kind?

  static let capabilities = [
    "bare", "resume", "root_calls", "channels", "cancel", "operations", "keepalive", "schemas",
    "control_lifecycle", "initiator", "acceptor", "stable",
  ]

  let domain: Domain
  private let runtime: Runtime
  private let name: String
  private let handler = TestbedHandler()
  private let caller: TestbedCaller

  init(_ runtime: Runtime, _ name: String) {
    self.runtime = runtime
    self.name = name
    caller = TestbedCaller(runtime.catalogue.methods)
    domain = Domain(runtime, scope: name) { [handler] in try await handler.serve($0) }
  }

  static func failed(
    _ reason: ControlPlane.FailureReason, _ text: String, _ rule: String = ""
  ) -> Outcome {
    Outcome(kind: .failed(.init(reason: reason, text: text, sorryOrRule: rule)))
  }

  /// Checks a command; what is returned runs it. Throws NotAccepted.
  func prepare(_ request: ControlPlane.ExecuteRequest) throws -> Run<Outcome> {
    let act = try action(request.command)
    return {
      do {
        return (true, Outcome(kind: try await act() ?? .done(.init())))
      } catch let ending as any Ending {
        return (false, Self.failed(ending.reason, ending.text, ending.rule))
      } catch let error as SystemError {
        return (false, Self.failed(.unspecified, error.text))
      }
    }
  }

  private func action(_ command: ControlPlane.ExecuteRequest.Command?) throws -> Act {
    let domain = domain
    switch command {
    case .listen(let c)?:
      let settings = try settings(c.maxConcurrentRequests, c.maxPayload, c.firstSeq)
      let (host, port) = (c.host, UInt16(truncatingIfNeeded: c.port))
      return {
        let bound = try domain.listen(host, port, settings, isResumable: c.resumable)
        return .listening(.init(port: bound))
      }
    case .connect(let c)?:
      let settings = try settings(c.maxConcurrentRequests, c.maxPayload, c.firstSeq)
      let how = Dialling(
        host: c.host, port: UInt16(truncatingIfNeeded: c.port),
        parity: c.oddParity ? .odd : .even, resumes: c.resume,
        replaces: c.sessionLost == .fresh, maxAttempts: c.maxAttempts,
        backoffInitial: UInt64(c.backoffInitialMs), backoffMost: UInt64(c.backoffMaxMs),
        isStable: c.stableConduit)
      return { .connected(.init(sessionId: try await domain.connect(settings, how).sessionId)) }
    case .call(let c)?:
      return try known(caller.call(c, on: domain.session(c.sessionId)), "session, or no new call")
    case .cancel(let c)?: return try known(caller.cancel(c), "call")
    case .channelSend(let c)?: return try known(caller.send(c), "sending end")
    case .channelReceive(let c)?: return try known(caller.receive(c), "receiving end")
    case .channelClose(let c)?: return try known(caller.close(c), "sending end")
    case .channelReset(let c)?: return try known(caller.reset(c), "receiving end")
    case .release(let c)?: return done(handler.gate(c.gate)) { $0.fulfil(()) }
    case .awaitEvent(let c)?:
      let machine = MachineName(rawValue: c.machine.name.dropFirst("MACHINE_".count).lowercased())
      let pattern = JournalPattern(
        sessionId: c.sessionId, machine: machine, key: c.key, toState: c.toState,
        handlerStarted: c.handlerStarted, handlerEnded: c.handlerEnded, operation: c.operationId)
      return done(self) {
        try await $0.runtime.journal.watch(scope: $0.name, count: max(1, c.count), pattern)
      }
    case .ping(let c)?: return done(try session(c.sessionId)) { try await $0.ping() }
    case .closeSession(let c)?: return done(try session(c.sessionId)) { $0.goodbye() }
    case .expireSession(let c)?: return done(try session(c.sessionId)) { $0.end("expired") }
    case .stopListening?: return done(domain) { $0.stopListening() }
    case .probe(let c)? where Self.capabilities.contains(c.capability): return done(self) { _ in }
    case .probe?, .openConnection?, .closeConnection?, .registerService?, nil:
      throw NotAccepted(reason: .unsupported, text: "no such command or capability")
    }
  }

  private func done<Target: Sendable>(
    _ target: Target, _ act: @escaping @RuntimeActor (Target) async throws -> Void
  ) -> Act {
    { try await (act(target), nil).1 }
  }

  private func known<Value>(_ value: Value?, _ what: String) throws -> Value {
    guard let value else { throw NotAccepted(reason: .invalid, text: "this is no \(what)") }
    return value
  }

  private func settings(
    _ requests: UInt32, _ announced: UInt32, _ firstSeq: UInt32
  ) throws -> Settings {
    let most = try known(ProtocolConstants.maxPayload(announced: announced), "max_payload")
    return Settings(maxConcurrentRequests: requests, maxPayload: most, firstSeq: firstSeq)
  }

  private func session(_ id: [UInt8]) throws -> Session { try known(domain.session(id), "session") }
}
