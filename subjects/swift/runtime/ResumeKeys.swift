// Resume keys, and the right to bind the next generation.  r[session.resume.key-rotation]
//
// A generation is bound by spending a `BindRight`. Only the keys issue one, for a handshake that was
// opened with the current key, and it cannot be copied: of any number of handshakes that race, each
// generation is bound by one.

/// The right to bind one generation of one session.
struct BindRight: ~Copyable {
  fileprivate init() {}
}

/// The acceptor's keys of one session, or of one stable conduit, where ClientHello, ServerHello and
/// the first frame stand for Hello, HelloYourself and LetsGo (r[stable.resume-key]). At most two are
/// valid: the current one and its successor, minted once, at the first presentation. What is new
/// starts with the empty key as current: what its first HelloYourself hands out is the successor.
@RuntimeActor
final class AcceptorKeys<Resumed: AnyObject> {
  private static var keyBytes: Int { 32 }

  private let registry: KeyRegistry<Resumed>
  private unowned let resumed: Resumed
  private let isResumable: Bool
  private var current: [UInt8] = []
  private var successor: [UInt8]?
  private var isOver = false

  init(_ registry: KeyRegistry<Resumed>, _ resumed: Resumed, isResumable: Bool) {
    self.registry = registry
    self.resumed = resumed
    self.isResumable = isResumable
  }

  /// A Hello brought a registered key (empty: a new session). What HelloYourself is to hand out.
  func present(_ key: [UInt8]) -> [UInt8] {
    if !key.isEmpty && key == successor { advance() }
    if let successor { return successor }
    let minted = isResumable ? Random.bytes(Self.keyBytes) : []
    successor = minted
    if isResumable { registry.holders[minted] = resumed }
    return minted
  }

  /// LetsGo came on a link opened with `key`; nil if that key was retired meanwhile.
  /// r[session.resume.bind]
  func claim(_ key: [UInt8]) -> BindRight? {
    guard !isOver, key == current, successor != nil else { return nil }
    advance()
    // Without a key to resume with, the first bind is the last.
    isOver = !isResumable
    return BindRight()
  }

  /// What they resume is over.
  func drop() {
    isOver = true
    registry.holders[current] = nil
    if let successor { registry.holders[successor] = nil }
  }

  private func advance() {
    registry.holders[current] = nil
    current = successor ?? []
    successor = nil
  }
}

/// What a valid key resumes.
@RuntimeActor
final class KeyRegistry<Resumed: AnyObject> {
  fileprivate(set) var holders: [[UInt8]: Resumed] = [:]
}

/// The initiator's key of one session.
@RuntimeActor
struct InitiatorKey: ~Copyable {
  /// Empty: there is none.
  private(set) var value: [UInt8] = []

  /// HelloYourself was read: its key is ours from now on, and the generation may be bound.
  mutating func adopt(_ key: [UInt8]) -> BindRight {
    value = key
    return BindRight()
  }
}
