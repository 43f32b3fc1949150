// The handshake of the side that dialled.

/// Why one dial led to no session.
enum DialFailure: Error {
  case unreachable(String)  // worth another dial
  case refused(Refused)
}

@RuntimeActor
final class InitiatorHandshake: LinkUser {
  private enum Step {
    case prologue
    case helloYourself(maxPayload: Int)
    case over
  }

  private let session: Session
  private let parity: Parity
  private var step = Step.prologue

  /// Fulfilled once: bound, or why not.
  let done = Promise<Result<Void, DialFailure>>()

  init(_ session: Session, parity: Parity) {
    self.session = session
    self.parity = parity
  }

  /// Speaks first.
  func begin(_ link: Link) {
    if session.ending != nil {
      link.close()
      done.fulfil(.failure(.unreachable("the session is over")))
      return
    }
    session.handshakes.insert(link)  // whatever ends the session closes it
    let hello = Wire.TransportHello(
      magic: ProtocolConstants.magic, version: ProtocolConstants.version, conduit: .bare,
      maxPayload: UInt32(session.settings.maxPayload))
    link.send(Wire.Prologue(kind: .hello(hello)).encoded)
  }

  func payload(_ payload: [UInt8], of link: Link) {
    var isInPrologue = false
    do {
      switch step {
      case .prologue:
        isInPrologue = true
        try prologue(payload, link)
      case .helloYourself(let maxPayload): try helloYourself(payload, link, maxPayload)
      case .over: break
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

  func lost(_ link: Link, _ reason: String) { fail(link, .unreachable(reason)) }

  private func refuse(_ link: Link, _ refusal: HandshakeRefusal) {
    link.send(refusal.payload)
    link.finish()
    let refused = Refused(by: .protocolError, name: "session.handshake", text: refusal.text)
    fail(link, .refused(refused))
  }

  private func fail(_ link: Link, _ failure: DialFailure) {
    step = .over
    session.handshakes.remove(link)
    done.fulfil(.failure(failure))
  }

  private func prologue(_ payload: [UInt8], _ link: Link) throws {
    switch try Wire.Prologue.open(payload) {
    case .reject(let reject):
      link.finish()
      fail(link, .refused(Refused(by: .rejected, name: reject.reason.name, text: reject.text)))
    case .accept(let accept):
      guard let maxPayload = ProtocolConstants.maxPayload(announced: accept.maxPayload) else {
        throw Malformed(text: "max_payload \(accept.maxPayload)")
      }
      let settings = Wire.Settings(maxConcurrentRequests: session.settings.maxConcurrentRequests)
      let hello = Wire.Hello(
        parity: parity.onWire, settings: settings,
        protocolSchema: session.runtime.protocolSchema, resumeKey: session.initiatorKey.value)
      step = .helloYourself(maxPayload: maxPayload)
      link.send(Wire.Handshake(kind: .hello(hello)).encoded)
    case .hello: throw Malformed(text: "an accept or a reject belongs here")
    }
  }

  private func helloYourself(_ payload: [UInt8], _ link: Link, _ maxPayload: Int) throws {
    let reply: Wire.HelloYourself
    switch try Wire.Handshake.open(payload) {
    case .sorry(let sorry):
      link.finish()
      fail(link, .refused(Refused(by: .sorry, name: sorry.reason.name, text: sorry.detail)))
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
    session.bind(link, peer, right) {
      link.send(Wire.Handshake(kind: .letsGo(Wire.LetsGo())).encoded)
    }
    done.fulfil(.success(()))
  }

  private func check(_ reply: Wire.HelloYourself, _ peer: Peer) throws {
    if reply.sessionId.count != ProtocolConstants.sessionIdBytes {
      throw Malformed(text: "session_id is not 16 bytes")
    }
    if !reply.resumeKey.isEmpty && reply.resumeKey.count < ProtocolConstants.leastKeyBytes {
      throw Malformed(text: "resume_key is shorter than 16 bytes")
    }
    guard session.isEstablished else { return }
    if reply.sessionId != session.sessionId {
      throw Malformed(text: "another session_id on resume")
    }
    if let before = session.peer, !peer.continues(before) {
      throw HandshakeRefusal.sorry(.settingsChanged, "settings differ")
    }
  }
}
