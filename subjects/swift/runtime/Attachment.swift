// An attachment: one conduit bound to a session, for one generation.
//
// It owns everything that ends with the conduit: the outbox, the schema trackers, both request tables,
// the channel ends and the pings. It is held by the session's `connected` phase and by nothing else,
// so when that phase is over there is no way left to any of it. Messages are applied as they are
// read, in order, so a Pong is committed after everything that arrived before its Ping was admitted,
// refused or applied (r[session.keepalive.fence]).

@RuntimeActor
final class Attachment: ConduitUser {
  private static let endedEndsKept = 4096  // ended ends whose state is still known exactly
  private static let mostBurntConnections = 1 << 16

  unowned let session: Session
  let conduit: any Conduit
  let record: Recorder
  let outbox: Outbox
  let announcer: Announcer
  let tracker: Tracker
  var outgoing: [UInt64: Call] = [:]  // attempts in flight
  var incoming: [UInt64: IncomingAttempt] = [:]  // attempts that wait for their Response
  private(set) var ends: [UInt64: any ChannelEnd] = [:]
  private let firstChannels: ChannelIds
  private let olderRequests: NewestIds
  private var hasForgottenEnds = false
  private var pings: [UInt64: Promise<Bool>] = [:]

  init(_ session: Session, _ conduit: any Conduit, maxPayload: Int) {
    self.session = session
    self.conduit = conduit
    let record = session.record.fixed()
    self.record = record
    outbox = Outbox(conduit, record, maxPayload: maxPayload)
    announcer = Announcer(session.runtime.catalogue)
    tracker = Tracker(session.runtime.catalogue)
    firstChannels = session.channelIds
    olderRequests = session.requestIds
    conduit.limit(session.settings.maxPayload)
    conduit.discarded = { count in
      record.discard("input bytes", "session.protocol-error.delivery", count: count)
    }
    conduit.hand(to: self)
  }

  /// Whether a request of the counterpart is of an older generation.
  func isOlder(_ requestId: UInt64) -> Bool {
    requestId != 0 && requestId <= olderRequests.newest(like: requestId)
  }

  // MARK: The conduit

  func payload(_ payload: [UInt8], of conduit: any Conduit) {
    do {
      let message = try Wire.Message(decoding: payload)
      guard let body = message.payload else { throw Malformed(text: "no known member of Message") }
      record(
        .frame(
          isSent: false, connection: message.connectionId, kind: body.fieldName, id: body.subject))
      try apply(body, on: message.connectionId)
    } catch let violation as Violation {
      session.violated(violation)
    } catch let error as Malformed {
      session.violated(Violation(.malformed, "wire.envelope", error.text))
    } catch {
      fatalError("an error nobody throws: \(error)")
    }
  }

  func oversize(_ error: Oversize, of conduit: any Conduit) {
    session.violated(Violation(.payloadTooLarge, "link.limit", error.text))
  }

  func violated(_ violation: Violation, of conduit: any Conduit) { session.violated(violation) }

  func lost(_ conduit: any Conduit, _ reason: String) { session.lost(self) }

  // MARK: Messages

  private func apply(_ body: Wire.Message.Payload, on connection: UInt64) throws(Violation) {
    guard connection == 0 else { return try applyElsewhere(body, on: connection) }
    switch body {
    case .protocolError(let body): session.toldOfViolation(body)  // never answered
    case .ping(let body): outbox.commit(.pong(Wire.Pong(nonce: body.nonce)))
    case .pong(let body):
      guard let asked = pings.removeValue(forKey: body.nonce) else {
        throw Violation(.unexpectedMessage, "session.keepalive", "a Pong to no Ping")
      }
      asked.fulfil(true)
    case .goodbye: session.toldGoodbye()
    case .schema(let body): try tracker.learn(body)
    case .request(let body): try session.callee.received(body, on: self)
    case .response(let body): try session.caller.received(body, on: self)
    case .cancelRequest(let body): try session.callee.cancel(body.requestId, on: self)
    case .channelItem(let body):
      try end(body.channelId, "channel_item")?.receivedItem(body.item)
    case .closeChannel(let body):
      try end(body.channelId, "close_channel")?.receivedClose(aborted: body.aborted)
    case .resetChannel(let body): try end(body.channelId, "reset_channel")?.receivedReset()
    case .grantCredit(let body):
      try end(body.channelId, "grant_credit")?.receivedCredit(body.credit)
    case .openConnection, .acceptConnection, .rejectConnection, .closeConnection:
      let rule = if case .closeConnection = body { "connection.root" } else { "connection.open" }
      throw Violation(.badConnection, rule, "\(body.fieldName) on connection 0")
    }
  }

  /// Virtual connections: none is ever accepted here.  r[connection.open.rejection]
  private func applyElsewhere(
    _ body: Wire.Message.Payload, on connection: UInt64
  ) throws(Violation) {
    let what = "\(body.fieldName) on connection \(connection)"
    switch body {
    case .protocolError, .ping, .pong, .goodbye:
      throw Violation(.badConnection, "session.message.connection-id", what)
    case .openConnection:
      guard session.peerParity.includes(connection),
        session.burntConnections.count < Self.mostBurntConnections,
        session.burntConnections.insert(connection).inserted
      else { throw Violation(.badConnection, "connection.open", what) }
      outbox.commit(
        .rejectConnection(Wire.RejectConnection(reason: "no acceptor registered")),
        connection: connection)
    default: throw Violation(.badConnection, "connection.unknown", what)
    }
  }

  // MARK: Channel ends

  /// Routes this channel's messages; ended ends are forgotten, oldest first, beyond a bound.
  func add(_ end: any ChannelEnd) {
    ends[end.id] = end
    guard ends.count > 2 * Self.endedEndsKept else { return }
    for id in ends.values.filter(\.hasEnded).map(\.id).sorted().dropLast(Self.endedEndsKept) {
      ends[id] = nil
      hasForgottenEnds = true
    }
  }

  /// An id that was allocated, and whose direction nobody here can know.
  func forgetEnd() { hasForgottenEnds = true }

  /// The end; nil, with the message counted as discarded, if it was forgotten.
  private func end(_ id: UInt64, _ kind: String) throws(Violation) -> (any ChannelEnd)? {
    if let end = ends[id] { return end }
    let isOfThisGeneration =
      firstChannels.newest(like: id) < id && id <= session.channelIds.newest(like: id)
    guard hasForgottenEnds, isOfThisGeneration else {
      // r[rpc.channel.unknown], r[session.resume.discard]
      throw Violation(
        .badChannelId, "rpc.channel.unknown", "\(kind) on channel \(id), which is not of this link")
    }
    record.discard(kind, "rpc.channel.unknown", key: id)
    return nil
  }

  // MARK: The session

  /// Returns at the Pong: true, or false if the link was lost first.
  func ping(_ nonce: UInt64) async throws -> Bool {
    let answered = Promise<Bool>()
    pings[nonce] = answered
    outbox.commit(.ping(Wire.Ping(nonce: nonce)))
    return try await answered.get()
  }

  /// The generation is over: fails what belongs to it, and returns the ends from which received items
  /// can still be taken. Writes nothing.
  func detach() -> [any ChannelEnd] {
    for end in ends.values.sorted(by: { $0.id < $1.id }) { end.detach() }
    for asked in pings.values { asked.fulfil(false) }
    pings.removeAll()
    defer { ends.removeAll() }
    return ends.values.filter { !$0.hasEnded }
  }
}

/// Reads a conduit after our own Goodbye, until the counterpart's.  r[session.goodbye]
@RuntimeActor
final class Parting: ConduitUser {
  private let record: Recorder

  init(_ record: Recorder) { self.record = record }

  func payload(_ payload: [UInt8], of conduit: any Conduit) {
    guard let message = try? Wire.Message(decoding: payload), let body = message.payload else {
      record.discard("payload", "session.goodbye")
      return
    }
    record(
      .frame(
        isSent: false, connection: message.connectionId, kind: body.fieldName, id: body.subject))
    switch body {
    case .goodbye, .protocolError: conduit.finish()
    default: record.discard(body.fieldName, "session.goodbye", key: body.subject)
    }
  }

  /// Nothing may be said any more.
  func oversize(_ error: Oversize, of conduit: any Conduit) { conduit.close() }
  func violated(_ violation: Violation, of conduit: any Conduit) { conduit.close() }

  /// As good as a Goodbye.
  func lost(_ conduit: any Conduit, _ reason: String) {}
}
