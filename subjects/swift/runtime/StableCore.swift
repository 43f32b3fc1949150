// One end of a stable conduit: numbers, acks, and what may have to be sent again. Pure.
//
// `send` numbers an item and keeps it until it is acknowledged; `receive` returns what a frame brings
// that is new. Numbers are compared by serial-number arithmetic; a gap, an ack of what was never sent
// and a `last_received` below an earlier ack are violations (r[stable.seq]). It cannot be copied: a
// number that two frames bear would be lost for one of them.

struct StableCore: ~Copyable {
  static let framesPerAck = 128  // at least every 256

  /// What our hello announces.
  let first: UInt32
  private var next: UInt32
  private var due: UInt32
  private var kept: [[UInt8]] = []  // items, up to the number before `next`
  private var acknowledged = 0  // frames, in all
  private var received = 0
  private var untold = 0  // received since the last ack

  /// The numbers that the two hellos announced.
  init(first: UInt32, theirFirst: UInt32) {
    self.first = first
    next = first
    due = theirFirst
  }

  /// The newest number received, nil as long as there is none.
  var lastReceived: UInt32? { received > 0 ? due &- 1 : nil }

  /// Numbers an item, and keeps it.  r[stable.seq.monotonic], r[stable.ack.trim]
  mutating func send(_ item: [UInt8]) -> Wire.StableFrame {
    kept.append(item)
    next &+= 1
    return frame(next &- 1, item)
  }

  /// The item of a frame, if that is new.
  mutating func receive(_ frame: Wire.StableFrame.Kind) throws(Violation) -> [UInt8]? {
    switch frame {
    case .ack(let frame):
      try acknowledge(frame.ack)
      return nil
    case .data(let data):
      if let ack = data.ack { try acknowledge(ack) }
      let distance = Self.distance(from: due, to: data.seq)
      if distance < 0 && -distance <= received { return nil }  // r[stable.seq.monotonic]
      guard distance == 0 else { throw Self.broken("frame \(data.seq) where \(due) was due") }
      due &+= 1
      received += 1
      untold += 1
      return data.item
    }
  }

  /// An ack of its own, where no frame of ours has carried one for too long.
  mutating func dueAck() -> Wire.StableFrame? {
    guard let lastReceived, untold >= Self.framesPerAck else { return nil }
    untold = 0
    return Wire.StableFrame(kind: .ack(Wire.StableAck(ack: lastReceived)))
  }

  /// What the counterpart's hello on a new link says it has received.
  mutating func resume(theirLastReceived: UInt32?) throws(Violation) {
    if let theirLastReceived {
      if acknowledged > 0 && Self.distance(from: oldest &- 1, to: theirLastReceived) < 0 {
        throw Self.broken("last_received \(theirLastReceived), below an earlier ack")
      }
      try acknowledge(theirLastReceived)
    } else if acknowledged > 0 {
      throw Self.broken("no last_received, after an ack")
    }
  }

  /// What comes first on a new link, in order and with the old numbers.
  /// r[stable.replay-buffer.order]
  mutating func replay() -> [Wire.StableFrame] {
    var number = oldest
    var frames: [Wire.StableFrame] = []
    for item in kept {
      frames.append(frame(number, item))
      number &+= 1
    }
    return frames
  }

  /// The number of the oldest frame that is kept; `next` if there is none.
  private var oldest: UInt32 { next &- UInt32(truncatingIfNeeded: kept.count) }

  private mutating func frame(_ number: UInt32, _ item: [UInt8]) -> Wire.StableFrame {
    untold = 0
    return Wire.StableFrame(
      kind: .data(Wire.StableData(seq: number, ack: lastReceived, item: item)))
  }

  private mutating func acknowledge(_ number: UInt32) throws(Violation) {
    let covered = Self.distance(from: oldest, to: number) + 1
    if covered <= 0 && -covered < acknowledged { return }  // told before
    guard covered > 0 && covered <= kept.count else {
      throw Self.broken("an ack of \(number), which was never sent")
    }
    kept.removeFirst(covered)
    acknowledged += covered
  }

  /// How far `number` is ahead; negative if it is behind.
  private static func distance(from start: UInt32, to number: UInt32) -> Int {
    Int(Int32(bitPattern: number &- start))
  }

  private static func broken(_ text: String) -> Violation {
    Violation(.unexpectedMessage, "stable.seq", text)
  }
}
