// What one owner has in a runtime: listeners, sessions, links; counted and dropped together.

/// What all domains of a process share.
@RuntimeActor
final class Runtime {
  let journal = Journal()
  let sessionKeys = KeyRegistry<Session>()
  let conduitKeys = KeyRegistry<StableConduit>()
  let catalogue: Catalogue
  let executions: Executions
  let protocolSchema: UInt64

  init(_ catalogue: Catalogue, executions: Executions) {
    self.catalogue = catalogue
    self.executions = executions
    protocolSchema = catalogue.id("counterpart.wire.v1.Message")
  }
}

/// What a domain holds.
struct Counts: Sendable {
  var listeners = 0
  var links = 0
  var sessions = 0
  var calls = 0
  var handlers = 0
  var channels = 0
}

@RuntimeActor
final class Domain {
  private static let mostAwaited = 1024  // accepted, LetsGo not seen; the oldest goes first

  let runtime: Runtime
  let links = ConduitSet()
  let conduits = ConduitSet()  // the stable ones
  private let scope: String
  private let handler: Handler
  private var listeners: [Listener] = []
  private var sessions: [Session] = []
  private var awaited: [Session] = []
  private var awaitedConduits: [StableConduit] = []  // accepted, nothing received
  private var initiators: [Initiator] = []

  /// `scope` names it in the journal; `handler` serves the calls it receives.
  init(_ runtime: Runtime, scope: String, handler: @escaping Handler) {
    self.runtime = runtime
    self.scope = scope
    self.handler = handler
  }

  /// Accepts sessions there; returns the port.
  func listen(
    _ host: String, _ port: UInt16, _ settings: Settings, isResumable: Bool
  ) throws(SystemError) -> UInt32 {
    let listener = try Listener(host, port) { [weak self] (descriptor: consuming Descriptor) in
      guard let self else { return }
      let handshake = AcceptorHandshake(self, settings, isResumable: isResumable)
      let limit = ProtocolConstants.handshakeMaxPayload
      _ = Link(descriptor, handshake, self.links, limit: limit)
    }
    listeners.append(listener)
    return UInt32(listener.port)
  }

  /// Accepts no more; sessions live on.
  func stopListening() {
    for listener in listeners { listener.close() }
    listeners.removeAll()
  }

  /// Establishes a session. Throws Refused or GaveUp.
  func connect(_ settings: Settings, _ dialling: Dialling) async throws -> Session {
    let initiator = Initiator(self, settings, dialling)
    initiators.append(initiator)
    return try await initiator.connect()
  }

  /// A session of this domain, not bound to any link yet.
  func makeSession(_ settings: Settings) -> Session {
    let session = Session(runtime, Recorder(runtime.journal, scope: scope), settings, handler)
    sessions.append(session)
    awaited.append(session)
    if awaited.count > Self.mostAwaited {
      let oldest = awaited.removeFirst()
      if !oldest.isEstablished { oldest.end("too many sessions are awaited") }
    }
    return session
  }

  /// A conduit that was accepted here, not carried by any link yet.
  func makeConduit(
    first: UInt32, theirFirst: UInt32, _ user: any ConduitUser, maxPayload: Int
  ) -> StableConduit {
    let conduit = StableConduit(
      first: first, theirFirst: theirFirst, user, conduits, maxPayload: maxPayload)
    awaitedConduits.append(conduit)
    if awaitedConduits.count > Self.mostAwaited {
      let oldest = awaitedConduits.removeFirst()
      if oldest.lastReceived == nil { oldest.close() }
    }
    return conduit
  }

  /// A session that was bound once, also after its end.
  func session(_ id: [UInt8]) -> Session? {
    sessions.last { $0.isEstablished && $0.sessionId == id }
  }

  /// What is open right now.
  var counts: Counts {
    var counts = Counts(listeners: listeners.count, links: links.count)
    for session in sessions {
      if session.isEstablished && session.ending == nil { counts.sessions += 1 }
      counts.calls += session.caller.unresolvedCount
      counts.handlers += session.callee.running
      counts.channels += session.openEnds
    }
    return counts
  }

  /// Ends everything without a word.
  func drop() {
    stopListening()
    for initiator in initiators { initiator.stop() }
    for session in sessions { session.end("dropped") }
    conduits.closeAll()
    links.closeAll()
    sessions.removeAll()
    awaited.removeAll()
    awaitedConduits.removeAll()
    initiators.removeAll()
  }
}

/// Accepts TCP connections.
@RuntimeActor
final class Listener {
  let port: UInt16
  private var descriptor: Descriptor?
  private var watch: Watch?

  init(
    _ host: String, _ port: UInt16,
    _ accepted: @escaping @RuntimeActor (consuming Descriptor) -> Void
  ) throws(SystemError) {
    let descriptor = try System.listen(host, port)
    self.port = try System.port(descriptor.number)
    let number = descriptor.number
    self.descriptor = consume descriptor
    watch = EventLoop.shared.watch(number, input: true, output: false) { _ in
      while let connection = System.accept(number) { accepted(connection) }
    }
  }

  /// Accepts no more.
  func close() {
    if let watch { EventLoop.shared.forget(watch) }
    watch = nil
    descriptor = nil
  }
}
