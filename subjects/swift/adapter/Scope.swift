// Each command of the control plane as what the runtime does for it.

/// One scope: a domain of the runtime, with its calls by handle and its gates.
@RuntimeActor
final class Scope {
  typealias Outcome = ControlPlane.Outcome
  typealias Kind = ControlPlane.ExecuteRequest.Command

  static let capabilities = [
    "bare", "resume", "root_calls", "channels", "cancel", "operations", "keepalive", "schemas",
    "control_lifecycle", "initiator", "acceptor",
  ]

  let domain: Domain
  private let runtime: Runtime
  private let name: String
  private let testbed = TestbedHandler()
  private var calls: [String: Call] = [:]

  init(_ runtime: Runtime, _ name: String) {
    self.runtime = runtime
    self.name = name
    domain = Domain(runtime, scope: name) { [testbed] in try await testbed.serve($0) }
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
      let outcome: Outcome
      do {
        outcome = Outcome(kind: try await act() ?? .done(.init()))
      } catch let ended as SessionEnded {
        outcome = Self.failed(
          ended.isProtocolError ? .protocolError : .sessionEnded, ended.text, ended.rule)
      } catch let gaveUp as GaveUp {
        outcome = Self.failed(.connectGaveUp, gaveUp.text)
      } catch let refused as Refused {
        let reason: ControlPlane.FailureReason =
          switch refused.by {
          case .reject: .rejected
          case .sorry: .sorry
          case .protocolError: .protocolError
          }
        outcome = Self.failed(reason, refused.text, refused.name)
      }
      if case .failed? = outcome.kind { return (false, outcome) }
      return (true, outcome)
    }
  }

  private func action(
    _ command: Kind?
  ) throws -> @RuntimeActor () async throws -> Outcome.Kind? {
    let domain = domain
    switch command {
    case .listen(let c)?:
      let settings = try settings(c.maxConcurrentRequests, c.maxPayload)
      return {
        .listening(.init(port: UInt32(try domain.listen(settings, isResumable: c.resumable))))
      }
    case .connect(let c)?:
      let settings = try settings(c.maxConcurrentRequests, c.maxPayload)
      let dialling = Dialling(
        host: c.host, port: UInt16(truncatingIfNeeded: c.port),
        parity: c.oddParity ? .odd : .even, resumes: c.resume,
        replaces: c.sessionLost == .fresh, maxAttempts: c.maxAttempts,
        backoffInitial: UInt64(c.backoffInitialMs), backoffMost: UInt64(c.backoffMaxMs))
      return { .connected(.init(sessionId: try await domain.connect(settings, dialling).sessionId)) }
    case .call(let c)?:
      let session = try session(c.sessionId)
      guard c.connectionId == 0, !c.handle.isEmpty, calls[c.handle] == nil else {
        throw invalid("another connection, or a handle that is not new")
      }
      let metadata = c.metadata.map {
        Wire.MetadataEntry(key: $0.key, value: $0.value, flags: $0.flags)
      }
      let call = Call(c.method, runtime.catalogue.methods[c.method], c.arguments, metadata)
      calls[c.handle] = call
      return {
        session.caller.start(call)
        return .call(Self.said(call, try await call.result()))
      }
    case .channelSend(let c)?:
      let end = try end(c.end, SendingEnd.self)
      return {
        var said = ControlPlane.SendOutcome(status: .open)
        do {
          for index in 0..<UInt64(c.count) {
            try await end().send(Testbed.Number(value: c.first &+ index).encoded)
            said.accepted += 1
          }
        } catch let failure as EndFailure { said.status = Self.said(failure.status) }
        return .sent(said)
      }
    case .channelReceive(let c)?:
      let end = try end(c.end, ReceivingEnd.self)
      return {
        var said = ControlPlane.ReceiveOutcome(status: .open)
        do {
          while c.count == 0 || said.values.count < c.count {
            said.values.append(try Testbed.Number(decoding: try await end().take()).value)
          }
        } catch let failure as EndFailure { said.status = Self.said(failure.status) }
        return .received(said)
      }
    case .channelClose(let c)?:
      let end = try end(c.end, SendingEnd.self)
      return { try await end().close(); return nil }
    case .channelReset(let c)?:
      let end = try end(c.end, ReceivingEnd.self)
      return { try await end().reset(); return nil }
    case .cancel(let c)?:
      let call = try call(c.handle)
      return { call.cancel(); return nil }
    case .release(let c)?:
      let gate = testbed.gate(c.gate)
      return { gate.fulfil(()); return nil }
    case .awaitEvent(let c)?:
      let pattern = JournalPattern(
        sessionId: c.sessionId, machine: MachineName(c.machine), key: c.key, toState: c.toState,
        handlerStarted: c.handlerStarted, handlerEnded: c.handlerEnded, operation: c.operationId)
      return { [runtime, name] in
        try await runtime.journal.watch(scope: name, count: max(1, c.count), pattern)
        return nil
      }
    case .ping(let c)?:
      let session = try session(c.sessionId)
      return { try await session.ping(); return nil }
    case .closeSession(let c)?:
      let session = try session(c.sessionId)
      return { session.goodbye(); return nil }
    case .expireSession(let c)?:
      let session = try session(c.sessionId)
      return { session.end("expired"); return nil }
    case .stopListening?: return { domain.stopListening(); return nil }
    case .probe(let c)?:
      if Self.capabilities.contains(c.capability) { return { nil } }
      throw NotAccepted(reason: .unsupported, text: "no capability \(c.capability)")
    case nil: throw NotAccepted(reason: .unsupported, text: "no command this subject knows")
    }
  }

  private func invalid(_ text: String) -> NotAccepted { NotAccepted(reason: .invalid, text: text) }

  private func settings(_ requests: UInt32, _ announced: UInt32) throws -> Settings {
    guard let maxPayload = ProtocolConstants.maxPayload(announced: announced) else {
      throw invalid("max_payload \(announced)")
    }
    return Settings(maxConcurrentRequests: requests, maxPayload: maxPayload)
  }

  private func session(_ id: [UInt8]) throws -> Session {
    guard let session = domain.session(id) else { throw invalid("no such session") }
    return session
  }

  private func call(_ handle: String) throws -> Call {
    guard let call = calls[handle] else { throw invalid("no call \(handle)") }
    return call
  }

  /// What finds the end, once its attempt was made.
  private func end<End: ChannelEnd>(
    _ end: ControlPlane.ChannelEnd?, _: End.Type
  ) throws -> @RuntimeActor () async throws -> End {
    let end = end ?? .init()
    let call = try call(end.handle)
    let channel = call.method?.channels.first { $0.fieldNumber == end.fieldNumber }
    guard let channel, channel.isToCallee == (End.self == SendingEnd.self) else {
      throw invalid("no such end")
    }
    var found: End?
    return {
      if let found { return found }
      let ends = try await call.channels(ofAttempt: end.attempt)
      guard let made = ends?[end.fieldNumber] as? End else {
        throw SessionEnded(text: "the call was resolved without this attempt")
      }
      found = made
      return made
    }
  }
}

extension Scope {
  private static func said(_ call: Call, _ result: CallResult) -> ControlPlane.CallOutcome {
    let metadata = result.metadata.map {
      ControlPlane.Metadata(key: $0.key, value: $0.value, flags: $0.flags)
    }
    return ControlPlane.CallOutcome(
      status: .init(name: "CALL_STATUS_\(result.status.name)") ?? .unspecified,
      value: result.value, text: result.text, attempts: call.attempts, operationId: call.operation,
      metadata: metadata)
  }

  private static func said(_ status: EndStatus) -> ControlPlane.EndStatus {
    .init(name: "END_STATUS_\(status.rawValue.uppercased())") ?? .unspecified
  }
}

extension MachineName {
  init?(_ machine: ControlPlane.Machine) {
    self.init(rawValue: machine.name.dropFirst("MACHINE_".count).lowercased())
  }
}

extension CallStatus {
  /// The case's name as the control plane writes it.
  fileprivate var name: String {
    String("\(self)".flatMap { $0.isUppercase ? ["_", $0] : [$0] }).uppercased()
  }
}
