// A link: one TCP connection, as payloads in order.
//
// Whoever uses the link (`user`) gets each complete payload when it is read. A link is lost at end of
// stream, at an error and at a failed write, reported once through `user.lost`; payloads read before
// that have been handed over, none is afterwards (r[session.detach], r[link.rx.eof]). `close` is
// silent and discards what was not read or written. `finish` is the graceful end: what was committed
// is delivered, then the write side closes, input is discarded up to end of stream, a byte bound or a
// time bound, then the link closes (r[link.tx.close], r[session.protocol-error.delivery]). Reading
// pauses while the counterpart does not read.

@RuntimeActor
final class Link: Conduit {
  private static let congestedBytes = 1 << 20  // above this, applications wait before they send
  private static let relievedBytes = 1 << 18  // below this, they go on
  private static let pauseReadingBytes = 32 << 20  // above this, nothing more is read either
  private static let lingerBytes = 64 << 20
  private static let lingerMilliseconds: UInt64 = 5000
  private static let readBytes = 1 << 16

  private enum State {
    case open
    case finishing  // what was committed is still to be written
    case lingering(Timer, discarded: Int)  // the write side is closed
    case closed
  }

  private(set) var user: (any ConduitUser)?
  private let owner: ConduitSet
  private let number: Int32
  private var descriptor: Descriptor?
  private var state = State.open
  private var decoder: FrameDecoder
  private var output: [UInt8] = []
  private var written = 0
  private var hasFailed = false
  private var watch: Watch?
  private let relief = Signal()

  let overhead = 0
  var discarded: @RuntimeActor (Int) -> Void = { _ in }

  init(
    _ descriptor: consuming Descriptor, _ user: any ConduitUser, _ owner: ConduitSet, limit: Int
  ) {
    number = descriptor.number
    self.descriptor = consume descriptor
    self.user = user
    self.owner = owner
    decoder = FrameDecoder(limit: limit)
    owner.insert(self)
    watch = EventLoop.shared.watch(number, input: true, output: false) { self.ready($0) }
  }

  // MARK: What a user does

  var isOpen: Bool {
    if case .open = state { true } else { false }
  }

  var isCongested: Bool { isOpen && unwritten > Self.congestedBytes }

  func relieved() async throws {
    while isCongested { try await relief.wait() }
  }

  func hand(to user: any ConduitUser) { self.user = user }

  func limit(_ maximum: Int) { decoder.limit = maximum }

  /// Once a write has failed the loss is on its way, and nothing more is taken.
  func send(_ payload: [UInt8]) {
    guard isOpen, !hasFailed else { return }
    output.append(contentsOf: Framing.encode(payload))
    flush()
  }

  /// A link that is lost is never made good.
  func conclude() {}

  func finish() {
    guard isOpen else { return }
    state = .finishing
    user = nil
    relief.notify()
    flush()
  }

  func close() {
    if case .closed = state { return }
    if case .lingering(let timer, let count) = state {
      timer.cancel()
      if count > 0 { discarded(count) }
    }
    state = .closed
    user = nil
    discarded = { _ in }
    if let watch { EventLoop.shared.forget(watch) }
    watch = nil
    descriptor = nil
    output = []
    owner.remove(self)
    relief.notify()
  }

  // MARK: What the event loop tells

  private func ready(_ interest: Interest) {
    if interest.input { read() }
    if interest.output, watch?.interest.output == true { flush() }
  }

  private func read() {
    var bytes: [UInt8] = []
    if case .lingering(let timer, let count) = state {
      switch System.read(number, into: &bytes, most: Self.readBytes) {
      case .moved(let more):
        state = .lingering(timer, discarded: count + more)
        if count + more > Self.lingerBytes { close() }
      case .wouldBlock: break
      case .ended, .failed: close()
      }
      return
    }
    guard watch?.interest.input == true else { return }
    switch decoder.feed({ System.read(number, into: &$0, most: Self.readBytes) }) {
    case .moved: handOver()
    case .wouldBlock: break
    case .ended: lose("end of stream")
    case .failed(let error): lose(error.text)
    }
  }

  private func handOver() {
    while isOpen, !hasFailed {
      if unwritten > Self.pauseReadingBytes {
        watch?.interest.input = false
        return
      }
      do {
        guard let payload = try decoder.next() else { return }
        user?.payload(payload, of: self)
      } catch {
        user?.oversize(error, of: self)
        return
      }
    }
  }

  private var unwritten: Int { output.count - written }

  private func flush() {
    while unwritten > 0, !hasFailed, descriptor != nil {
      switch System.write(number, output[written...]) {
      case .moved(let count): written += count
      case .wouldBlock, .ended:
        watch?.interest.output = true
        compact()
        return
      case .failed(let error):
        hasFailed = true
        watch?.interest.output = false
        // Whoever is sending does not expect to lose the link in the middle of it.
        EventLoop.shared.soon { self.lose(error.text) }
        return
      }
    }
    compact()
    if case .finishing = state { halfClose() } else { watch?.interest.output = false }
  }

  private func compact() {
    if written > 0 { output.removeFirst(written) }
    written = 0
    guard unwritten <= Self.relievedBytes else { return }
    relief.notify()
    if let watch, !watch.interest.input, isOpen {
      watch.interest.input = true
      EventLoop.shared.soon { self.handOver() }
    }
  }

  private func halfClose() {
    guard System.endOutput(number) else { return close() }
    watch?.interest = Interest(number: number, input: true, output: false)
    let timer = EventLoop.shared.after(Self.lingerMilliseconds, "linger") { self.close() }
    state = .lingering(timer, discarded: decoder.buffered)
  }

  private func lose(_ reason: String) {
    let user = isOpen ? user : nil
    close()
    user?.lost(self, reason)
  }
}
