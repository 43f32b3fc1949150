// A session: what survives its links.  r[session.outlives-conduit]
//
// Its phase is one value with one owner, the `Driver`. An attachment exists only inside `connected`,
// so there is no flag that could disagree with it. Binding is atomic: the older link is closed and
// its generation detached, the generation rises, and then the first message of the new link is
// handled (r[session.resume.bind]). Whatever ends a session ends it once; calls and channels fail
// before the last message is written.

/// What this side announces. Sizes in bytes, resolved.
struct Settings: Sendable {
  var maxConcurrentRequests: UInt32
  var maxPayload: Int
  var firstSeq: UInt32 = 0  // of a stable conduit
}

/// What the counterpart announced. `parity` is that of the ids it mints.
struct Peer: Sendable, Equatable {
  var parity: Parity
  var maxConcurrentRequests: UInt32
  var maxPayload: Int

  /// May a session go on with this?  r[session.resume.connections], r[link.limit.announce]
  func continues(_ before: Peer) -> Bool {
    parity == before.parity && maxConcurrentRequests == before.maxConcurrentRequests
      && maxPayload >= before.maxPayload
  }
}

/// The session is over; `rule` is that of the ProtocolError it died of, empty if of none.
struct SessionEnded: Ending {
  var text: String
  var rule = ""
  var isProtocolError: Bool { !rule.isEmpty }
  var reason: ControlPlane.FailureReason { isProtocolError ? .protocolError : .sessionEnded }
}

/// Where the session is. r[strict.driver.single-phase]
enum Phase {
  case connecting
  case connected(Attachment)
  case resuming
  case disconnected(SessionEnded)

  fileprivate var state: DriverTable.State {
    switch self {
    case .connecting: .connecting
    case .connected: .connected
    case .resuming: .resuming
    case .disconnected: .disconnected
    }
  }
}

/// Owns the phase: every change of it is a row of the driver's table, and is journalled.
@RuntimeActor
struct Driver: ~Copyable {
  private var machine: StateMachine<DriverTable>
  private(set) var phase = Phase.connecting

  init(_ record: Recorder) { machine = StateMachine(0, record) }

  /// Journals the transition, then makes it; false, and nothing moves, if there is no such row.
  mutating func move(_ event: DriverTable.Event, to phase: @autoclosure () -> Phase) -> Bool {
    guard machine.step(event) else { return false }
    self.phase = phase()
    precondition(self.phase.state == machine.state, "\(event) does not lead there")
    return true
  }
}

@RuntimeActor
final class Session {
  let runtime: Runtime
  let record: Recorder
  let settings: Settings
  private var driver: Driver
  private(set) var generation: UInt64 = 0
  private(set) var peer: Peer?
  var initiatorKey = InitiatorKey()
  var acceptorKeys: AcceptorKeys<Session>?
  let handshakes = ConduitSet()  // what would bind the next generation
  var resumes: (@RuntimeActor () -> Void)?  // told of link loss; nil: that is the end
  var whenEnded: @RuntimeActor () -> Void = {}
  var burntConnections: Set<UInt64> = []
  var requestIds = NewestIds()
  var channelIds = ChannelIds()
  private var newestNonce: UInt64 = 0
  private var oldEnds: [any ChannelEnd] = []  // of lost links, with items still to be taken
  private let moved = Signal()  // bound, or over
  private let handler: Handler
  private(set) lazy var caller = Caller(self)
  private(set) lazy var callee = Callee(self, runtime, record, handler)

  init(_ runtime: Runtime, _ record: Recorder, _ settings: Settings, _ handler: @escaping Handler) {
    self.runtime = runtime
    self.record = record
    self.settings = settings
    driver = Driver(record)
    self.handler = handler
  }

  // MARK: What it is

  /// 16 random bytes, empty until the acceptor said them.
  var sessionId: [UInt8] { record.sessionId }

  /// The attachment, while connected.
  var attachment: Attachment? {
    if case .connected(let attachment) = driver.phase { attachment } else { nil }
  }

  /// How it ended, once it has.
  var ending: SessionEnded? {
    if case .disconnected(let ending) = driver.phase { ending } else { nil }
  }

  /// Was it ever bound?
  var isEstablished: Bool { generation > 0 }

  /// Of the ids the counterpart mints, and of ours. Known once a Hello was read or is being answered.
  var peerParity: Parity { peer?.parity ?? .odd }
  var parity: Parity { peerParity.other }

  /// How many attempts the counterpart takes at once.
  var peerLimit: Int { Int(peer?.maxConcurrentRequests ?? 0) }

  /// Channel ends that are not Closed, Reset or Defunct.
  var openEnds: Int {
    let current = attachment.map { Array($0.ends.values) } ?? []
    return (current + oldEnds).count { !$0.hasEnded }
  }

  /// A Hello said this; a bind makes it count.
  func expect(_ peer: Peer) {
    if !isEstablished { self.peer = peer }
  }

  // MARK: Links

  /// LetsGo is about to be sent (`greet` sends it) or was just read.
  func bind(
    _ conduit: any Conduit, _ peer: Peer, _ right: consuming BindRight,
    greet: @RuntimeActor () -> Void = {}
  ) {
    _ = consume right
    handshakes.remove(conduit)
    if let old = attachment {  // r[session.resume.supersede]
      guard driver.move(.linkLost, to: .resuming) else { return }
      if !Mutation.twoResumesInterleave.isActive { detach(old) }
    }
    self.peer = peer
    generation += 1
    record.generation = generation
    let isBound = driver.move(
      generation == 1 ? .established : .resumed,
      to: .connected(Attachment(self, conduit, maxPayload: peer.maxPayload)))
    guard isBound else { return conduit.close() }
    greet()
    moved.notify()
    caller.bound()
  }

  /// r[session.detach]; only the initiator dials again (r[session.keepalive.loss]).
  func lost(_ attachment: Attachment) {
    guard attachment === self.attachment else { return }
    guard let resumes else {
      end("link lost, and the session cannot be resumed")
      return
    }
    guard driver.move(.linkLost, to: .resuming) else { return }
    detach(attachment)
    resumes()
  }

  /// Ends a generation. Nothing of it can be reached from here on.
  private func detach(_ attachment: Attachment) {
    attachment.conduit.close()
    attachment.outbox.seal()
    detachUsers(attachment)
  }

  private func detachUsers(_ attachment: Attachment) {
    let (incoming, outgoing) = (attachment.incoming, attachment.outgoing)
    attachment.incoming.removeAll()
    attachment.outgoing.removeAll()
    let buffered = attachment.detach()
    callee.detached(incoming)
    if ending == nil { caller.detached(outgoing) }
    oldEnds = (oldEnds + buffered).filter { !$0.hasEnded }
  }

  // MARK: Ends

  /// The counterpart broke a rule.  r[session.protocol-error.delivery]
  func violated(_ violation: Violation) {
    let error = Wire.ProtocolError(
      code: violation.code, rule: violation.rule, text: violation.text.short)
    let ending = SessionEnded(text: violation.text, rule: violation.rule)
    guard let attachment = end(.ended, ending) else { return }
    attachment.outbox.commit(.protocolError(error))
    part(attachment)
  }

  /// The counterpart says that we broke one; no answer.
  func toldOfViolation(_ error: Wire.ProtocolError) {
    let rule = error.rule.isEmpty ? "unnamed" : error.rule
    let ending = SessionEnded(text: "protocol error: \(error.text)".short, rule: rule)
    guard let attachment = end(.ended, ending) else { return }
    part(attachment)
  }

  /// Answers, and is gone.  r[session.goodbye]
  func toldGoodbye() {
    guard let attachment = end(.ended, SessionEnded(text: "the counterpart said Goodbye")) else {
      return
    }
    attachment.outbox.commit(.goodbye(Wire.Goodbye()))
    part(attachment)
  }

  /// Ends the session in good order.
  func goodbye() {
    let event: DriverTable.Event = isEstablished ? .ended : .failed
    guard let attachment = end(event, SessionEnded(text: "we said Goodbye")) else { return }
    attachment.outbox.commit(.goodbye(Wire.Goodbye()))
    attachment.outbox.seal()
    attachment.conduit.hand(to: Parting(attachment.record))
  }

  /// Drops it without a word.
  func end(_ text: String, rule: String = "") {
    let event: DriverTable.Event = isEstablished ? .ended : .failed
    guard let attachment = end(event, SessionEnded(text: text, rule: rule)) else { return }
    attachment.outbox.seal()
    attachment.conduit.close()
  }

  private func part(_ attachment: Attachment) {
    attachment.outbox.seal()
    attachment.conduit.finish()
  }

  /// All but the last message, which the attachment returned can still carry.
  private func end(_ event: DriverTable.Event, _ ending: SessionEnded) -> Attachment? {
    if self.ending != nil { return nil }
    let last = attachment
    guard driver.move(event, to: .disconnected(ending)) else { return nil }
    acceptorKeys?.drop()
    handshakes.closeAll()
    if let last {
      last.conduit.conclude()
      detachUsers(last)
    }
    callee.ended()
    caller.ended(ending.text, isProtocolError: ending.isProtocolError)
    resumes = nil
    moved.notify()
    whenEnded()
    whenEnded = {}
    return last
  }

  // MARK: Pings

  /// Returns at a Pong, on whatever attachment. Throws SessionEnded.
  func ping() async throws {
    while true {
      if let ending { throw ending }
      guard let attachment else {
        try await moved.wait()
        continue
      }
      newestNonce += 1
      if try await attachment.ping(newestNonce) { return }
    }
  }
}
