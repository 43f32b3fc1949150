// Request and channel ids.  r[rpc.id.monotone]

enum Parity: Sendable {
  case odd
  case even

  var other: Parity { self == .odd ? .even : .odd }
  var onWire: Wire.Parity { self == .odd ? .odd : .even }

  init?(_ announced: Wire.Parity) {
    switch announced {
    case .odd: self = .odd
    case .even: self = .even
    default: return nil
    }
  }

  func includes(_ id: UInt64) -> Bool { (id % 2 == 1) == (self == .odd) }
}

/// The newest id of each parity, for the whole life of a session, across generations.
struct NewestIds {
  private var odd: UInt64 = 0
  private var even: UInt64 = 0

  /// The newest id with the parity of `id`; 0 if there is none.
  func newest(like id: UInt64) -> UInt64 { id % 2 == 1 ? odd : even }

  /// The next id of ours.
  func next(_ parity: Parity) -> UInt64 {
    switch parity {
    case .odd: odd == 0 ? 1 : odd + 2
    case .even: even + 2
    }
  }

  /// Ours, or one of the counterpart's that was accepted, is used for good.
  mutating func burn(_ id: UInt64) {
    if id % 2 == 1 { odd = id } else { even = id }
  }

  /// The counterpart used `id`.
  mutating func see(
    _ id: UInt64, _ parity: Parity, _ code: Wire.ProtocolErrorCode
  ) throws(Violation) {
    guard id != 0, parity.includes(id), id > newest(like: id) else {
      throw Violation(
        code, "rpc.id.monotone",
        "id \(id), where \(next(parity)) or a later \(parity) one belongs")
    }
    burn(id)
  }
}

typealias ChannelIds = NewestIds
