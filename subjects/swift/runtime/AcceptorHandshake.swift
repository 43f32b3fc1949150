// The handshake of the side that was dialled.

@RuntimeActor
final class AcceptorHandshake: ConduitUser {
  private enum Step {
    case prologue
    case clientHello(maxPayload: Int)
    case hello(maxPayload: Int, isStable: Bool)
    case letsGo(Session, Peer, openedWith: [UInt8])

    var stage: HandshakeStage {
      switch self {
      case .prologue: .prologue
      case .clientHello: .conduit
      case .hello, .letsGo: .session
      }
    }
  }

  private let domain: Domain
  private let settings: Settings
  private let isResumable: Bool
  private var step = Step.prologue

  init(_ domain: Domain, _ settings: Settings, isResumable: Bool) {
    self.domain = domain
    self.settings = settings
    self.isResumable = isResumable
  }

  func payload(_ payload: [UInt8], of conduit: any Conduit) {
    let stage = step.stage
    do {
      switch step {
      case .prologue: try prologue(payload, conduit)
      case .clientHello(let maxPayload): try clientHello(payload, conduit, maxPayload)
      case .hello(let maxPayload, let isStable):
        try hello(payload, conduit, maxPayload, isStable: isStable)
      case .letsGo(let session, let peer, let key):
        try letsGo(payload, conduit, session, peer, key)
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

  func lost(_ conduit: any Conduit, _ reason: String) { failed(conduit, reason) }

  private func refuse(_ conduit: any Conduit, _ refusal: HandshakeRefusal) {
    conduit.send(refusal.payload)
    conduit.finish()
    failed(conduit, refusal.text)
  }

  /// A session that can be resumed is still awaited, any other that was never bound is over.
  private func failed(_ conduit: any Conduit, _ text: String) {
    guard case .letsGo(let session, _, _) = step else { return }
    session.handshakes.remove(conduit)
    if !session.isEstablished && session.resumes == nil { session.end(text) }
  }

  // MARK: The steps

  private func prologue(_ payload: [UInt8], _ link: any Conduit) throws {
    guard case .hello(let hello) = try Wire.Prologue.open(payload) else {
      throw Malformed(text: "a TransportHello belongs here")
    }
    // r[transport.prologue.no-fallback]
    if hello.magic != ProtocolConstants.magic {
      throw HandshakeRefusal.reject(.badMagic, "another magic number")
    }
    if hello.version != ProtocolConstants.version {
      throw HandshakeRefusal.reject(.unsupportedVersion, "version \(hello.version)")
    }
    if hello.conduit != .bare && hello.conduit != .stable {
      throw HandshakeRefusal.reject(.unsupportedConduit, hello.conduit.name)
    }
    guard let maxPayload = ProtocolConstants.maxPayload(announced: hello.maxPayload) else {
      throw Malformed(text: "max_payload \(hello.maxPayload)")
    }
    let accept = Wire.TransportAccept(maxPayload: UInt32(settings.maxPayload))
    link.send(Wire.Prologue(kind: .accept(accept)).encoded)
    step =
      hello.conduit == .stable
      ? .clientHello(maxPayload: maxPayload)
      : .hello(maxPayload: maxPayload, isStable: false)
  }

  /// A new conduit, or one that goes on over this link.  r[stable.resume-key]
  private func clientHello(_ payload: [UInt8], _ link: any Conduit, _ maxPayload: Int) throws {
    guard case .clientHello(let hello) = try Wire.StableHandshake.open(payload) else {
      throw Malformed(text: "a ClientHello belongs here")
    }
    let conduit =
      hello.resumeKey.isEmpty
      ? makeConduit(theirFirst: hello.firstSeq, maxPayload: maxPayload)
      : try carryOn(hello, maxPayload)
    let reply = Wire.ServerHello(
      resumeKey: conduit.acceptorKeys?.present(hello.resumeKey) ?? [],
      lastReceived: conduit.lastReceived, firstSeq: conduit.firstSeq)
    link.send(Wire.StableHandshake(kind: .serverHello(reply)).encoded)
    conduit.carry(over: link, openedWith: hello.resumeKey)
  }

  private func makeConduit(theirFirst: UInt32, maxPayload: Int) -> StableConduit {
    let conduit = domain.makeConduit(
      first: settings.firstSeq, theirFirst: theirFirst, self, maxPayload: maxPayload)
    if isResumable {
      conduit.acceptorKeys = AcceptorKeys(domain.runtime.conduitKeys, conduit, isResumable: true)
      conduit.whenLost = {}  // the initiator dials; here it is awaited
    }
    step = .hello(maxPayload: maxPayload, isStable: true)
    return conduit
  }

  private func carryOn(_ hello: Wire.ClientHello, _ maxPayload: Int) throws -> StableConduit {
    guard let conduit = domain.runtime.conduitKeys.holders[hello.resumeKey] else {
      throw HandshakeRefusal.stableReject("unknown resume key")
    }
    if maxPayload < conduit.maxPayload {  // r[link.limit.announce]
      throw HandshakeRefusal.stableReject("takes smaller payloads than before")
    }
    conduit.dropLink()  // what was received is settled before it is told
    do throws(Violation) {
      try conduit.resume(theirLastReceived: hello.lastReceived)
    } catch {
      throw HandshakeRefusal.stableReject(error.text)
    }
    return conduit
  }

  private func hello(
    _ payload: [UInt8], _ conduit: any Conduit, _ maxPayload: Int, isStable: Bool
  ) throws {
    guard case .hello(let hello) = try Wire.Handshake.open(payload) else {
      throw Malformed(text: "a Hello belongs here")
    }
    guard let parity = Parity(hello.parity) else { throw Malformed(text: "a Hello without parity") }
    let runtime = domain.runtime
    try HandshakeRefusal.check(schema: hello.protocolSchema, runtime)
    let peer = Peer(
      parity: parity, maxConcurrentRequests: hello.settings?.maxConcurrentRequests ?? 0,
      maxPayload: maxPayload)
    let session =
      hello.resumeKey.isEmpty
      ? makeSession(isStable: isStable) : try find(hello.resumeKey, peer, isStable: isStable)
    session.expect(peer)
    session.handshakes.insert(conduit)
    step = .letsGo(session, peer, openedWith: hello.resumeKey)
    let reply = Wire.HelloYourself(
      settings: Wire.Settings(maxConcurrentRequests: session.settings.maxConcurrentRequests),
      protocolSchema: runtime.protocolSchema,
      resumeKey: session.acceptorKeys?.present(hello.resumeKey) ?? [],
      sessionId: session.sessionId)
    conduit.send(Wire.Handshake(kind: .helloYourself(reply)).encoded)
  }

  private func find(_ key: [UInt8], _ peer: Peer, isStable: Bool) throws -> Session {
    // r[session.resume.unknown]
    guard !isStable, let session = domain.runtime.sessionKeys.holders[key] else {
      throw HandshakeRefusal.sorry(.unknownSession, "unknown resume key")
    }
    if let before = session.peer, !peer.continues(before) {
      throw HandshakeRefusal.sorry(.settingsChanged, "parity or settings differ")
    }
    return session
  }

  private func makeSession(isStable: Bool) -> Session {
    // r[session.attachment.generation]: a stable session has no key, its conduit goes on
    let isResumable = isResumable && !isStable
    let session = domain.makeSession(settings)
    session.record.sessionId = Random.bytes(ProtocolConstants.sessionIdBytes)
    session.acceptorKeys = AcceptorKeys(
      domain.runtime.sessionKeys, session, isResumable: isResumable)
    if isResumable { session.resumes = {} }  // the initiator dials; here it is awaited
    return session
  }

  private func letsGo(
    _ payload: [UInt8], _ conduit: any Conduit, _ session: Session, _ peer: Peer, _ key: [UInt8]
  ) throws {
    switch try Wire.Handshake.open(payload) {
    case .letsGo:
      guard let right = session.acceptorKeys?.claim(key) else {
        session.handshakes.remove(conduit)
        conduit.close()  // r[session.resume.bind]: its key is retired, or its session over
        return
      }
      session.bind(conduit, peer, right)
    case .sorry:
      conduit.close()
      failed(conduit, "the initiator declined")
    default: throw Malformed(text: "a LetsGo belongs here")
    }
  }
}
