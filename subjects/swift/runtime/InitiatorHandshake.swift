// The handshake of the side that dialled.

/// Why one dial led to no session.
enum DialFailure: Error {
  case unreachable(String)  // worth another dial
  case refused(Refused)
}

@RuntimeActor
final class InitiatorHandshake: ConduitUser {
  /// What the link is dialled for.
  enum Purpose {
    case session
    /// A session over a new stable conduit, which `keep` is told of.
    case stableSession(keep: @RuntimeActor (StableConduit) -> Void)
    /// A conduit that has lost its link.
    case carryingOn(StableConduit)
  }

  private enum Step {
    case prologue
    case serverHello(maxPayload: Int)
    case helloYourself(maxPayload: Int)
    case over

    var stage: HandshakeStage {
      switch self {
      case .prologue: .prologue
      case .serverHello: .conduit
      case .helloYourself, .over: .session
      }
    }
  }

  private let session: Session
  private let parity: Parity
  private let purpose: Purpose
  private let conduits: ConduitSet
  private var step = Step.prologue

  /// Fulfilled once: bound or carried on, or why not.
  let done = Promise<Result<Void, DialFailure>>()

  /// `conduits` owns the conduit that this makes, if it does.
  init(_ session: Session, parity: Parity, for purpose: Purpose, _ conduits: ConduitSet) {
    self.session = session
    self.parity = parity
    self.purpose = purpose
    self.conduits = conduits
  }

  /// Speaks first.
  func begin(_ link: any Conduit) {
    if session.ending != nil {
      link.close()
      done.fulfil(.failure(.unreachable("the session is over")))
      return
    }
    session.handshakes.insert(link)  // whatever ends the session closes it
    let isBare = if case .session = purpose { true } else { false }
    let hello = Wire.TransportHello(
      magic: ProtocolConstants.magic, version: ProtocolConstants.version,
      conduit: isBare ? .bare : .stable, maxPayload: UInt32(session.settings.maxPayload))
    link.send(Wire.Prologue(kind: .hello(hello)).encoded)
  }

  func payload(_ payload: [UInt8], of conduit: any Conduit) {
    let stage = step.stage
    do {
      switch step {
      case .prologue: try prologue(payload, conduit)
      case .serverHello(let maxPayload): try serverHello(payload, conduit, maxPayload)
      case .helloYourself(let maxPayload): try helloYourself(payload, conduit, maxPayload)
      case .over: break
      }
    } catch let refusal as HandshakeRefusal {
      refuse(conduit, refusal)
    } catch let error as Malformed {
      refuse(conduit, .malformed(error.text, at: stage))
    } catch {
      fatalError("an error nobody throws: \(error)")
    }
  }

  func oversize(_ error: Oversize, of conduit: any Conduit) {
    refuse(conduit, .malformed(error.text, at: step.stage))
  }

  func violated(_ violation: Violation, of conduit: any Conduit) {
    refuse(conduit, .malformed(violation.text, at: step.stage))
  }

  func lost(_ conduit: any Conduit, _ reason: String) { fail(conduit, .unreachable(reason)) }

  private func refuse(_ conduit: any Conduit, _ refusal: HandshakeRefusal) {
    if case .stableReject = refusal {
      conduit.close()  // that is the server's to say; the client has no word for it
    } else {
      conduit.send(refusal.payload)
      conduit.finish()
    }
    let refused = Refused(by: .protocolError, name: "session.handshake", text: refusal.text)
    fail(conduit, .refused(refused))
  }

  private func fail(_ conduit: any Conduit, _ failure: DialFailure) {
    step = .over
    session.handshakes.remove(conduit)
    done.fulfil(.failure(failure))
  }

  // MARK: The steps

  private func prologue(_ payload: [UInt8], _ link: any Conduit) throws {
    switch try Wire.Prologue.open(payload) {
    case .reject(let reject):
      link.finish()
      fail(link, .refused(Refused(by: .rejected, name: reject.reason.name, text: reject.text)))
    case .accept(let accept):
      guard let maxPayload = ProtocolConstants.maxPayload(announced: accept.maxPayload) else {
        throw Malformed(text: "max_payload \(accept.maxPayload)")
      }
      switch purpose {
      case .session: sayHello(over: link, maxPayload)
      case .stableSession: sayClientHello(over: link, nil, maxPayload)
      case .carryingOn(let conduit): sayClientHello(over: link, conduit, maxPayload)
      }
    case .hello: throw Malformed(text: "an accept or a reject belongs here")
    }
  }

  private func sayClientHello(
    over link: any Conduit, _ conduit: StableConduit?, _ maxPayload: Int
  ) {
    let hello = Wire.ClientHello(
      resumeKey: conduit?.resumeKey ?? [], lastReceived: conduit?.lastReceived,
      firstSeq: session.settings.firstSeq)
    step = .serverHello(maxPayload: maxPayload)
    link.send(Wire.StableHandshake(kind: .clientHello(hello)).encoded)
  }

  private func serverHello(_ payload: [UInt8], _ link: any Conduit, _ maxPayload: Int) throws {
    let reply: Wire.ServerHello
    switch try Wire.StableHandshake.open(payload) {
    case .reject(let reject):  // r[stable.reconnect.failure]
      link.close()
      fail(link, .refused(Refused(by: .rejected, name: "STABLE_REJECT", text: reject.text)))
      return
    case .serverHello(let body): reply = body
    case .clientHello: throw Malformed(text: "a ServerHello or a StableReject belongs here")
    }
    try check(key: reply.resumeKey)
    switch purpose {
    case .session: preconditionFailure("a bare link has no ServerHello")
    case .stableSession(let keep):
      let conduit = StableConduit(
        first: session.settings.firstSeq, theirFirst: reply.firstSeq, self, conduits,
        maxPayload: maxPayload)
      conduit.resumeKey = reply.resumeKey
      keep(conduit)
      session.handshakes.remove(link)
      session.handshakes.insert(conduit)
      conduit.carry(over: link)
      sayHello(over: conduit, maxPayload)
    case .carryingOn(let conduit): try carryOn(conduit, over: link, reply, maxPayload)
    }
  }

  private func carryOn(
    _ conduit: StableConduit, over link: any Conduit, _ reply: Wire.ServerHello, _ maxPayload: Int
  ) throws {
    if maxPayload < conduit.maxPayload {  // r[link.limit.announce]
      throw Malformed(text: "takes smaller payloads than before")
    }
    do throws(Violation) {
      try conduit.resume(theirLastReceived: reply.lastReceived)
    } catch {
      link.close()
      fail(link, .refused(Refused(by: .protocolError, name: error.rule, text: error.text)))
      return
    }
    conduit.resumeKey = reply.resumeKey  // r[stable.resume-key]: adopted on reading
    step = .over
    session.handshakes.remove(link)
    conduit.carry(over: link)
    done.fulfil(.success(()))
  }

  private func sayHello(over conduit: any Conduit, _ maxPayload: Int) {
    let settings = Wire.Settings(maxConcurrentRequests: session.settings.maxConcurrentRequests)
    let hello = Wire.Hello(
      parity: parity.onWire, settings: settings,
      protocolSchema: session.runtime.protocolSchema, resumeKey: session.initiatorKey.value)
    step = .helloYourself(maxPayload: maxPayload)
    conduit.send(Wire.Handshake(kind: .hello(hello)).encoded)
  }

  private func helloYourself(_ payload: [UInt8], _ conduit: any Conduit, _ maxPayload: Int) throws {
    let reply: Wire.HelloYourself
    switch try Wire.Handshake.open(payload) {
    case .sorry(let sorry):
      conduit.finish()
      fail(conduit, .refused(Refused(by: .sorry, name: sorry.reason.name, text: sorry.detail)))
      return
    case .helloYourself(let body): reply = body
    default: throw Malformed(text: "a HelloYourself belongs here")
    }
    try HandshakeRefusal.check(schema: reply.protocolSchema, session.runtime)
    let peer = Peer(
      parity: parity.other, maxConcurrentRequests: reply.settings?.maxConcurrentRequests ?? 0,
      maxPayload: maxPayload)
    try check(reply, peer)
    // r[session.resume.key-rotation]: adopted on reading
    let right = session.initiatorKey.adopt(reply.resumeKey)
    session.record.sessionId = reply.sessionId
    step = .over
    session.bind(conduit, peer, right) {
      conduit.send(Wire.Handshake(kind: .letsGo(Wire.LetsGo())).encoded)
    }
    done.fulfil(.success(()))
  }

  private func check(_ reply: Wire.HelloYourself, _ peer: Peer) throws {
    if reply.sessionId.count != ProtocolConstants.sessionIdBytes {
      throw Malformed(text: "session_id is not 16 bytes")
    }
    try check(key: reply.resumeKey)
    guard session.isEstablished else { return }
    if reply.sessionId != session.sessionId {
      throw Malformed(text: "another session_id on resume")
    }
    if let before = session.peer, !peer.continues(before) {
      throw HandshakeRefusal.sorry(.settingsChanged, "settings differ")
    }
  }

  private func check(key: [UInt8]) throws(Malformed) {
    if !key.isEmpty && key.count < ProtocolConstants.leastKeyBytes {
      throw Malformed(text: "resume_key is shorter than 16 bytes")
    }
  }
}
