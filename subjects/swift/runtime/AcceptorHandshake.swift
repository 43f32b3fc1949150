// The handshake of the side that was dialled.

@RuntimeActor
final class AcceptorHandshake: LinkUser {
  private enum Step {
    case prologue
    case hello(maxPayload: Int)
    case letsGo(Session, Peer, openedWith: [UInt8])
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

  func payload(_ payload: [UInt8], of link: Link) {
    var isInPrologue = false
    do {
      switch step {
      case .prologue:
        isInPrologue = true
        try prologue(payload, link)
      case .hello(let maxPayload): try hello(payload, link, maxPayload)
      case .letsGo(let session, let peer, let key): try letsGo(payload, link, session, peer, key)
      }
    } catch let refusal as HandshakeRefusal {
      refuse(link, refusal)
    } catch let error as Malformed {
      refuse(link, .malformed(inPrologue: isInPrologue, error.text))
    } catch {
      fatalError("an error nobody throws: \(error)")
    }
  }

  func oversize(_ error: Oversize, of link: Link) {
    let isInPrologue = if case .prologue = step { true } else { false }
    refuse(link, .malformed(inPrologue: isInPrologue, error.text))
  }

  func lost(_ link: Link, _ reason: String) { failed(link, reason) }

  private func refuse(_ link: Link, _ refusal: HandshakeRefusal) {
    link.send(refusal.payload)
    link.finish()
    failed(link, refusal.text)
  }

  /// A session that can be resumed is still awaited, any other that was never bound is over.
  private func failed(_ link: Link, _ text: String) {
    guard case .letsGo(let session, _, _) = step else { return }
    session.handshakes.remove(link)
    if !session.isEstablished && !isResumable { session.end(text) }
  }

  private func prologue(_ payload: [UInt8], _ link: Link) throws {
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
    if hello.conduit != .bare {
      throw HandshakeRefusal.reject(.unsupportedConduit, hello.conduit.name)
    }
    guard let maxPayload = ProtocolConstants.maxPayload(announced: hello.maxPayload) else {
      throw Malformed(text: "max_payload \(hello.maxPayload)")
    }
    let accept = Wire.TransportAccept(maxPayload: UInt32(settings.maxPayload))
    link.send(Wire.Prologue(kind: .accept(accept)).encoded)
    step = .hello(maxPayload: maxPayload)
  }

  private func hello(_ payload: [UInt8], _ link: Link, _ maxPayload: Int) throws {
    guard case .hello(let hello) = try Wire.Handshake.open(payload) else {
      throw Malformed(text: "a Hello belongs here")
    }
    guard let parity = Parity(hello.parity) else { throw Malformed(text: "a Hello without parity") }
    let runtime = domain.runtime
    try HandshakeRefusal.check(schema: hello.protocolSchema, runtime)
    let peer = Peer(
      parity: parity, maxConcurrentRequests: hello.settings?.maxConcurrentRequests ?? 0,
      maxPayload: maxPayload)
    let session = hello.resumeKey.isEmpty ? makeSession() : try find(hello.resumeKey, peer)
    session.expect(peer)
    session.handshakes.insert(link)
    step = .letsGo(session, peer, openedWith: hello.resumeKey)
    let reply = Wire.HelloYourself(
      settings: Wire.Settings(maxConcurrentRequests: session.settings.maxConcurrentRequests),
      protocolSchema: runtime.protocolSchema,
      resumeKey: session.acceptorKeys?.present(hello.resumeKey) ?? [],
      sessionId: session.sessionId)
    link.send(Wire.Handshake(kind: .helloYourself(reply)).encoded)
  }

  private func find(_ key: [UInt8], _ peer: Peer) throws -> Session {
    guard let session = domain.runtime.keys.sessions[key] else {  // r[session.resume.unknown]
      throw HandshakeRefusal.sorry(.unknownSession, "unknown resume key")
    }
    if let before = session.peer, !peer.continues(before) {
      throw HandshakeRefusal.sorry(.settingsChanged, "parity or settings differ")
    }
    return session
  }

  private func makeSession() -> Session {
    let session = domain.makeSession(settings)
    session.record.sessionId = Random.bytes(ProtocolConstants.sessionIdBytes)
    session.acceptorKeys = AcceptorKeys(domain.runtime.keys, session, isResumable: isResumable)
    if isResumable { session.resumes = {} }  // the initiator dials; here it is awaited
    return session
  }

  private func letsGo(
    _ payload: [UInt8], _ link: Link, _ session: Session, _ peer: Peer, _ key: [UInt8]
  ) throws {
    switch try Wire.Handshake.open(payload) {
    case .letsGo:
      guard let right = session.acceptorKeys?.claim(key) else {
        session.handshakes.remove(link)
        link.close()  // r[session.resume.bind]: its key is retired, or its session over
        return
      }
      session.bind(link, peer, right)
    case .sorry:
      link.close()
      failed(link, "the initiator declined")
    default: throw Malformed(text: "a LetsGo belongs here")
    }
  }
}
