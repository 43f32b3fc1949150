// The side that dials: establishing a session, resuming it, replacing a lost one.
//
// Refused, timed-out and broken dials are repeated up to `maxAttempts` per establishment, with capped
// exponential backoff; Sorry, reject and protocol errors never are
// (r[session.initial-connect-waiting], r[session.initial-connect-waiting.never-retry]). Over a stable
// conduit it is that which is given new links; its session is told only when there is none to be had.

/// Where to, how often, and what to do when the session cannot be resumed.
struct Dialling: Sendable {
  var host: String
  var port: UInt16
  var parity: Parity
  var resumes: Bool  // dial again after link loss
  var replaces: Bool  // a session that cannot be resumed  r[retry.session-lost.policy]
  var maxAttempts: UInt32
  var backoffInitial: UInt64  // milliseconds
  var backoffMost: UInt64  // milliseconds, 0 = no cap
  var isStable = false  // over a stable conduit, which is then what is resumed

  /// How long to wait before this dial (they count from 1), in milliseconds.
  /// r[session.initial-connect-waiting.backoff]
  func delay(beforeAttempt attempt: UInt32) -> UInt64 {
    guard attempt > 1, backoffInitial > 0 else { return 0 }
    let (doubled, overflows) = backoffInitial.multipliedReportingOverflow(
      by: 1 << UInt64(min(attempt - 2, 32)))
    let delay = overflows ? UInt64.max : doubled
    return backoffMost == 0 ? delay : min(delay, backoffMost)
  }
}

/// The dials ran out.
struct GaveUp: Ending {
  let text: String
  let rule = ""
  let reason = ControlPlane.FailureReason.connectGaveUp
}

@RuntimeActor
final class Initiator {
  private unowned let domain: Domain
  private let settings: Settings
  private let dialling: Dialling
  private var redialling: Task<Void, Never>?  // for a session
  private var carrying: Task<Void, Never>?  // for a stable conduit

  init(_ domain: Domain, _ settings: Settings, _ dialling: Dialling) {
    self.domain = domain
    self.settings = settings
    self.dialling = dialling
  }

  /// Establishes a session. Throws Refused or GaveUp.
  func connect() async throws -> Session {
    let session = makeSession()
    do {
      try await establish(session, purpose(session))
    } catch {
      session.end("no session: \(error)".short)
      throw error
    }
    return session
  }

  /// Dials no more.
  func stop() {
    redialling?.cancel()
    redialling = nil
    carrying?.cancel()
    carrying = nil
  }

  private func makeSession() -> Session {
    let session = domain.makeSession(settings)
    if dialling.resumes && !dialling.isStable {
      session.resumes = { [weak self, weak session] in
        guard let self, let session else { return }
        self.redialling = Task { @RuntimeActor in await self.resume(session) }
      }
    }
    session.whenEnded = { [weak self] in self?.stop() }
    return session
  }

  private func resume(_ session: Session) async {
    do {
      if session.initiatorKey.value.isEmpty {
        let name = Wire.SorryReason.unknownSession.name
        throw Refused(by: .sorry, name: name, text: "no resume key")
      }
      try await establish(session, purpose(session))
    } catch let refused as Refused {
      if refused.name != Wire.SorryReason.unknownSession.name {
        session.end(refused.text, rule: refused.by == .protocolError ? refused.name : "")
      } else if dialling.replaces {
        await replace(session, refused)
      } else {
        session.end("the session was lost")  // r[retry.session-lost]
      }
    } catch let gaveUp as GaveUp {
      session.end(gaveUp.text)
    } catch {}  // cancelled: the session has ended, or its owner is gone
  }

  /// Gets the conduit another link whenever it has lost one.
  private func keep(_ conduit: StableConduit, of session: Session) {
    guard dialling.resumes, !conduit.resumeKey.isEmpty else { return }
    conduit.whenLost = { [weak self, weak session, weak conduit] in
      guard let self, let session, let conduit else { return }
      self.carrying = Task { @RuntimeActor in await self.carryOn(conduit, of: session) }
    }
  }

  private func carryOn(_ conduit: StableConduit, of session: Session) async {
    do {
      try await establish(session, .carryingOn(conduit))
    } catch let ending as any Ending {
      let refused = ending as? Refused
      if let refused, refused.by == .rejected, session.isEstablished, dialling.replaces {
        (redialling, carrying) = (carrying, nil)  // a new conduit may need carrying meanwhile
        await replace(session, refused)  // r[stable.reconnect.failure]
      } else if session.isEstablished {
        let rule = refused?.by == .protocolError ? ending.rule : ""
        session.end("the session was lost: \(ending.text)".short, rule: rule)
      }
      conduit.giveUp(ending.text)
    } catch {}  // cancelled: the session has ended, or its owner is gone
  }

  /// Idem calls move, under new operation ids.  r[retry.session-lost.policy]
  private func replace(_ lost: Session, _ reason: Refused) async {
    let session = makeSession()
    let leaving = lost.caller.emigrate()
    lost.whenEnded = {}
    lost.end("the session was lost: \(reason.text)".short)
    for call in leaving { session.caller.start(call) }
    do {
      try await establish(session, purpose(session))
    } catch {
      session.end("no session: \(error)".short)
    }
  }

  private func purpose(_ session: Session) -> InitiatorHandshake.Purpose {
    guard dialling.isStable else { return .session }
    return .stableSession { [weak self, weak session] conduit in
      if let self, let session { self.keep(conduit, of: session) }
    }
  }

  /// Dials until the session is bound, or its conduit goes on. Throws Refused or GaveUp.
  private func establish(
    _ session: Session, _ purpose: InitiatorHandshake.Purpose
  ) async throws {
    let most = max(1, dialling.maxAttempts)
    for attempt in 1...most {
      if attempt > 1 {
        let delay = dialling.delay(beforeAttempt: attempt)
        session.record(.plannedDelay(what: "redial", milliseconds: delay))
        try await EventLoop.shared.sleep(delay, "redial")
      }
      switch try await dial(session, purpose) {
      case .success: return
      case .failure(.refused(let refused)): throw refused
      case .failure(.unreachable): continue
      }
    }
    throw GaveUp(text: "\(most) dials, none led to a session")
  }

  private func dial(
    _ session: Session, _ purpose: InitiatorHandshake.Purpose
  ) async throws -> Result<Void, DialFailure> {
    let handshake = InitiatorHandshake(
      session, parity: dialling.parity, for: purpose, domain.conduits)
    let link: Link
    do {
      let descriptor = try await reach()
      link = Link(
        descriptor, handshake, domain.links, limit: ProtocolConstants.handshakeMaxPayload)
    } catch let error as SystemError {
      return .failure(.unreachable(error.text))
    }
    handshake.begin(link)
    do {
      return try await handshake.done.get()
    } catch {
      if handshake.done.value == nil { link.close() }  // else it has found its use, or its end
      throw error
    }
  }

  /// A TCP connection.
  private func reach() async throws -> Descriptor {
    let descriptor = try System.connect(host: dialling.host, port: dialling.port)
    let number = descriptor.number
    let ready = Promise<Void>()
    let watch = EventLoop.shared.watch(number, input: false, output: true) { _ in ready.fulfil(()) }
    defer { EventLoop.shared.forget(watch) }
    try await ready.get()
    if let error = System.connectFailure(number) { throw error }
    return descriptor
  }
}
