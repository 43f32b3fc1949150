// The end of a channel that sends. It walks `SenderTable`.

@RuntimeActor
final class SendingEnd: ChannelEnd {
  let id: UInt64
  private var machine: StateMachine<SenderTable>
  private let outbox: Outbox
  private let record: Recorder
  private var credit: UInt32
  private var isAborted = false
  private var announce: (@RuntimeActor () -> Void)?
  private let turnstile = Turnstile()  // sends go in the order they were asked for
  private let changed = Signal()

  /// `announce` runs before the first item is written.
  init(
    _ id: UInt64, credit: UInt32, _ outbox: Outbox, _ record: Recorder,
    announce: (@RuntimeActor () -> Void)? = nil
  ) {
    self.id = id
    self.credit = credit
    self.outbox = outbox
    self.record = record
    self.announce = announce
    machine = StateMachine(id, record)
  }

  var state: SenderTable.State { machine.state }
  var hasEnded: Bool { machine.isFinal }

  var status: EndStatus {
    switch machine.state {
    case .reserved, .open: .open
    case .closed: isAborted ? .aborted : .closed
    case .reset: .reset
    case .defunct: .defunct
    }
  }

  // MARK: The application

  /// Sends one item once there is credit (r[rpc.flow-control.credit.zero-blocks]) and the link is not
  /// congested. Throws EndFailure or ItemTooLarge.
  func send(_ item: [UInt8]) async throws {
    try await turnstile.pass {
      await EventLoop.shared.yield()  // much credit must not keep the loop from reading
      while self.machine.state == .open {
        if self.credit == 0 {
          try await self.changed.wait()
        } else if self.outbox.isCongested {
          try await self.outbox.relieved()
        } else {
          break
        }
      }
      guard self.machine.state == .open else { throw EndFailure(status: self.status) }
      let payload = Wire.Message.Payload.channelItem(
        Wire.ChannelItem(channelId: self.id, item: item))
      guard let message = self.outbox.encode(payload) else { throw ItemTooLarge() }
      self.announce?()
      self.announce = nil
      self.step(.item)
      self.credit -= 1  // r[rpc.flow-control.credit.spend]
      self.outbox.commit(message)
    }
  }

  /// Ends the stream; nothing if it has ended.  r[rpc.channel.close]
  func close() { end(.close) }

  func abandon() { end(.abort) }

  /// Aborting tells the receiver that the stream failed.  r[rpc.channel.aborted]
  private func end(_ event: SenderTable.Event) {
    guard machine.allows(event) else { return }
    isAborted = event == .abort
    step(event)
    outbox.commit(.closeChannel(Wire.CloseChannel(channelId: id, aborted: isAborted)))
  }

  func bind() { step(.bind) }

  // MARK: The generation and the wire

  func detach() {
    announce = nil
    if machine.allows(.detach) { step(.detach) }
  }

  func receivedCredit(_ more: UInt32) throws(Violation) {
    if machine.allows(.lateCredit) {
      step(.lateCredit)
      record.discard("grant_credit", "rpc.channel.ends", key: id)
      return
    }
    guard machine.allows(.credit) else { throw refuse(.credit) }
    let (sum, overflows) = credit.addingReportingOverflow(more)
    if overflows {  // r[rpc.flow-control.credit.overflow]
      throw Violation(
        .creditOverflow, "rpc.flow-control.credit.overflow",
        "channel \(id): \(credit) and \(more) overflow")
    }
    credit = sum
    step(.credit)
  }

  /// Stops at once.  r[rpc.channel.reset]
  func receivedReset() throws(Violation) {
    if machine.allows(.lateReset) {
      step(.lateReset)
      record.discard("reset_channel", "rpc.channel.ends", key: id)
    } else if machine.allows(.reset) {
      step(.reset)
    } else {
      throw refuse(.reset)
    }
  }

  func receivedItem(_: [UInt8]) throws(Violation) { throw wrongWay("an item") }
  func receivedClose(aborted: Bool) throws(Violation) { throw wrongWay("a close") }

  private func step(_ event: SenderTable.Event) {
    machine.step(event)
    changed.notify()
  }

  /// Journals an event that has no row: the counterpart was wrong.
  private func refuse(_ event: SenderTable.Event) -> Violation {
    machine.step(event)
    return Violation(
      .channelState, "rpc.channel.ends",
      "channel \(id): \(event.rawValue) while \(machine.state.rawValue)")
  }
}
