// A conduit: what carries a session's payloads, in order. A bare one is a `Link`; a `StableConduit`
// is one link after the other, and whoever uses it cannot tell.

@RuntimeActor
protocol Conduit: AnyObject {
  /// Bytes it adds to a payload, at most.
  var overhead: Int { get }
  /// Can payloads still be sent?
  var isOpen: Bool { get }
  /// Should an application wait for relief before it sends?
  var isCongested: Bool { get }
  /// Told how many bytes of input were discarded at the end.
  var discarded: @RuntimeActor (Int) -> Void { get set }

  /// Waits until the counterpart has read most of what was sent, or the conduit is gone.
  func relieved() async throws
  /// Somebody else uses it from now on.
  func hand(to user: any ConduitUser)
  /// Accept payloads up to `maximum` bytes, the overhead included, from now on.
  func limit(_ maximum: Int)
  /// Hands one payload over, after all earlier ones.
  func send(_ payload: [UInt8])
  /// Its session is over: what is on its way is delivered, and a loss is not made good any more.
  func conclude()
  /// Delivers what was sent, half-closes, discards input, closes.
  func finish()
  /// Drops it: nothing more is read from it or written to it.
  func close()
}

@RuntimeActor
protocol ConduitUser: AnyObject {
  /// One complete payload.
  func payload(_ payload: [UInt8], of conduit: any Conduit)
  /// A length over the limit; the user must finish or close the conduit.
  func oversize(_ error: Oversize, of conduit: any Conduit)
  /// The counterpart broke a rule of the conduit's own; the user must finish or close it.
  func violated(_ violation: Violation, of conduit: any Conduit)
  /// The conduit is gone. Not called for what the user closed.
  func lost(_ conduit: any Conduit, _ reason: String)
}

/// The conduits somebody owns, so that they can be counted and closed.
@RuntimeActor
final class ConduitSet {
  private var members: [ObjectIdentifier: any Conduit] = [:]

  var count: Int { members.count }

  func insert(_ conduit: any Conduit) { members[ObjectIdentifier(conduit)] = conduit }
  func remove(_ conduit: any Conduit) { members[ObjectIdentifier(conduit)] = nil }
  func closeAll() { for conduit in members.values { conduit.close() } }
}
