// A stable conduit: to whoever uses it, one link; in truth one link after the other.
//
// `carry` goes on over a fresh link and replays first what may have been lost; the user is told
// nothing of it (r[stable.untouched]). At the loss of its link `whenLost` sees to the next one; where
// there is no `whenLost`, that loss is the conduit's own. What a frame breaks is told to the user
// through `violated`, who says it over the conduit like anything else; what a hello breaks is told
// too, but ends the conduit at once, since there is no link to say it over.

@RuntimeActor
final class StableConduit {
  private static let mostOverhead = 32  // bytes of a StableData around its item

  /// What the counterpart accepts on every link.
  let maxPayload: Int
  /// The dialling side's key, as last read.
  var resumeKey: [UInt8] = []
  /// The accepting side's keys; nil if it hands out none.
  var acceptorKeys: AcceptorKeys<StableConduit>?
  /// Sees to another link.
  var whenLost: (@RuntimeActor () -> Void)?
  var discarded: @RuntimeActor (Int) -> Void = { _ in }

  private var core: StableCore
  private var user: (any ConduitUser)?
  private let owner: ConduitSet
  private var link: (any Conduit)?
  private var keyInUse: [UInt8]?  // what this link was opened with, until its first frame
  private var limit = ProtocolConstants.handshakeMaxPayload + mostOverhead
  private(set) var isOpen = true
  private let moved = Signal()  // carried on, or over

  /// The first numbers are those that the two hellos announced.
  init(
    first: UInt32, theirFirst: UInt32, _ user: any ConduitUser, _ owner: ConduitSet, maxPayload: Int
  ) {
    core = StableCore(first: first, theirFirst: theirFirst)
    self.user = user
    self.owner = owner
    self.maxPayload = maxPayload
    owner.insert(self)
  }

  // MARK: What hellos say

  var firstSeq: UInt32 { core.first }
  var lastReceived: UInt32? { core.lastReceived }

  /// The counterpart's hello on a new link says this. What it breaks ends the session of either side,
  /// and the conduit.  r[stable.seq]
  func resume(theirLastReceived: UInt32?) throws(Violation) {
    do {
      try core.resume(theirLastReceived: theirLastReceived)
    } catch {
      user?.violated(error, of: self)
      close()
      throw error
    }
  }

  // MARK: Links

  /// Goes on over this link, which was opened with `key`.
  /// r[stable.reconnect.client-replay], r[stable.reconnect.server-replay]
  func carry(over link: any Conduit, openedWith key: [UInt8] = []) {
    dropLink()
    self.link = link
    keyInUse = key
    link.limit(limit)
    link.discarded = { count in self.discarded(count) }  // also once this has finished
    link.hand(to: self)
    for frame in core.replay() { link.send(frame.encoded) }
    moved.notify()
  }

  /// Reads nothing more of the link of now: what was received is settled, and can be told.
  func dropLink() {
    let last = link
    link = nil
    last?.close()
  }

  /// Nobody sees to another link: that is its end.
  func giveUp(_ reason: String) {
    let user = user
    close()
    user?.lost(self, reason)
  }

  private func end() {
    isOpen = false
    user = nil
    whenLost = nil
    acceptorKeys?.drop()
    owner.remove(self)
    moved.notify()
  }
}

extension StableConduit: Conduit {
  var overhead: Int { Self.mostOverhead }

  /// Without a link everything waits: what is sent then would have to be kept.
  var isCongested: Bool { isOpen && (link?.isCongested ?? true) }

  func relieved() async throws {
    while isCongested {
      if let link { try await link.relieved() } else { try await moved.wait() }
    }
  }

  func hand(to user: any ConduitUser) { self.user = user }

  func limit(_ maximum: Int) {
    limit = maximum
    link?.limit(maximum)
  }

  func send(_ payload: [UInt8]) {
    guard isOpen else { return }
    let frame = core.send(payload)
    link?.send(frame.encoded)
  }

  /// The side that dials would get it a link, and does so no more. The side that is dialled still
  /// delivers what it has to a counterpart that is on its way.
  func conclude() {
    whenLost = nil
    if link == nil && acceptorKeys == nil { close() }
  }

  func finish() {
    let last = link
    link = nil
    end()
    last?.finish()
  }

  func close() {
    dropLink()
    end()
  }
}

extension StableConduit: ConduitUser {
  /// One frame.
  func payload(_ payload: [UInt8], of link: any Conduit) {
    guard let user else { return }
    if let key = keyInUse {  // r[stable.resume-key]: the first frame retires it
      keyInUse = nil
      _ = acceptorKeys?.claim(key)
    }
    do {
      let item = try core.receive(try Wire.StableFrame.open(payload))
      if let ack = core.dueAck() { link.send(ack.encoded) }
      if let item { user.payload(item, of: self) }
    } catch let violation as Violation {
      user.violated(violation, of: self)
    } catch let error as Malformed {
      user.violated(Violation(.malformed, "wire.envelope", error.text), of: self)
    } catch {
      fatalError("an error nobody throws: \(error)")
    }
  }

  func oversize(_ error: Oversize, of link: any Conduit) { user?.oversize(error, of: self) }

  /// A link has no rules of its own.
  func violated(_ violation: Violation, of link: any Conduit) {}

  func lost(_ link: any Conduit, _ reason: String) {
    guard link === self.link else { return }
    self.link = nil
    if let whenLost { whenLost() } else { giveUp(reason) }
  }
}
