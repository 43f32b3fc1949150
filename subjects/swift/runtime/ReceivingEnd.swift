// The end of a channel that receives. It walks `ReceiverTable`.
//
// Its queue is bounded by the credit it granted: a sender over that breaks a rule, so nothing is ever
// dropped for want of room (r[rpc.channel.no-silent-drop]).

@RuntimeActor
final class ReceivingEnd: ChannelEnd {
  let id: UInt64
  private var machine: StateMachine<ReceiverTable>
  private let outbox: Outbox
  private let record: Recorder
  private let initial: UInt32
  private var outstanding: UInt32  // granted, not yet used by the sender
  private var taken: UInt32 = 0  // taken by the application, not yet granted again
  private var items: [[UInt8]] = []
  private var sawClose = false
  private var isAborted = false
  private var check: (@RuntimeActor () throws(Violation) -> Void)?
  private let turnstile = Turnstile()  // items go to those who asked first
  private let changed = Signal()

  /// `check` runs on the first item: its schema must be known.
  init(
    _ id: UInt64, credit: UInt32, _ outbox: Outbox, _ record: Recorder,
    check: (@RuntimeActor () throws(Violation) -> Void)? = nil
  ) {
    self.id = id
    self.initial = credit
    self.outstanding = credit
    self.outbox = outbox
    self.record = record
    self.check = check
    machine = StateMachine(id, record)
  }

  var state: ReceiverTable.State { machine.state }
  var hasEnded: Bool { machine.isFinal }

  var status: EndStatus {
    switch machine.state {
    case .reserved, .reservedClosing, .open, .closing: .open
    case .closed: isAborted ? .aborted : .closed
    case .reset: .reset
    case .defunct: .defunct
    }
  }

  // MARK: The application

  /// The next item. Throws EndFailure at the end of the stream and after.
  func take() async throws -> [UInt8] {
    try await turnstile.pass {
      while true {
        if let item = self.takeNow() { return item }
        if self.hasEnded { throw EndFailure(status: self.status) }
        if self.machine.state == .open && self.outstanding == 0 {
          // Somebody waits, and nobody may send.  r[rpc.flow-control.credit.replenish]
          self.grant(1)
        }
        try await self.changed.wait()
      }
    }
  }

  private func takeNow() -> [UInt8]? {
    guard !items.isEmpty else { return nil }
    let item = items.removeFirst()
    hasBeenUsed = true
    taken += 1
    replenish()
    settleClosing()
    return item
  }

  /// What came before is kept for whoever takes the end.  r[rpc.channel.binding]
  func bind() {
    step(.bind)
    settleClosing()
  }

  /// Wants no more. Tells the sender unless that has closed already; nothing if ended.
  func reset() { reset(rule: "rpc.channel.reset") }

  func abandon() { reset(rule: "rpc.channel.abandon") }

  private func reset(rule: String) {
    guard machine.allows(.reset) else { return }
    let isOwed = machine.state == .reserved || machine.state == .open
    dropItems(rule: rule)
    step(.reset)
    if isOwed { outbox.commit(.resetChannel(Wire.ResetChannel(channelId: id))) }
  }

  // MARK: The generation and the wire

  /// What was received stays deliverable.  r[rpc.channel.detach.buffered]
  func detach() {
    check = nil
    guard machine.allows(.detach) else { return }
    if machine.state == .reserved || machine.state == .reservedClosing {
      dropItems(rule: "rpc.channel.detach.buffered")
    }
    step(.detach)
  }

  /// After detach: nobody is left to deliver to.
  func forsake() {
    dropItems(rule: "retry.channel.detach")
    if machine.allows(.reset) { step(.reset) }
  }

  func receivedItem(_ item: [UInt8]) throws(Violation) {
    if Mutation.deliversAfterClose.isActive && sawClose { return items.append(item) }
    let isLate = machine.allows(.lateItem) && !sawClose
    guard isLate || machine.allows(.item) else { throw refuse(.item) }
    try check?()
    check = nil
    if outstanding == 0 {  // r[rpc.flow-control.credit.exceeded]
      throw Violation(
        .creditExceeded, "rpc.flow-control.credit.exceeded", "channel \(id): no credit left")
    }
    outstanding -= 1
    if isLate {
      step(.lateItem)
      record.discard("channel_item", "rpc.channel.reset", key: id)
    } else {
      if !isLostByMutation { items.append(item) }
      step(.item)
      replenish()
    }
  }

  func receivedClose(aborted: Bool) throws(Violation) {
    if machine.allows(.lateClose) && !sawClose {
      sawClose = true
      step(.lateClose)
      record.discard("close_channel", "rpc.channel.reset", key: id)
      return
    }
    guard machine.allows(.close) else { throw refuse(.close) }
    sawClose = true
    isAborted = aborted
    if Mutation.closeLosesTail.isActive { items.removeAll() }
    step(.close)
    settleClosing()
  }

  func receivedCredit(_: UInt32) throws(Violation) { throw wrongWay("credit") }
  func receivedReset() throws(Violation) { throw wrongWay("a reset") }

  /// r[rpc.channel.close]: end of stream only after the last item.
  private func settleClosing() {
    if machine.state == .closing && items.isEmpty { step(.deliveredAll) }
  }

  /// Grants again what was taken, once half of the credit is used.
  private func replenish() {
    if machine.state == .open, taken > 0, UInt64(outstanding) * 2 <= UInt64(initial) {
      grant(taken)
    }
  }

  private func grant(_ credit: UInt32) {
    taken -= min(taken, credit)
    outstanding += credit
    step(.credit)
    outbox.commit(.grantCredit(Wire.GrantCredit(channelId: id, credit: credit)))
  }

  private var hasBeenUsed = false  // only for the mutants below

  private var isLostByMutation: Bool {
    Mutation.dropsItemWhenQueueIsFull.isActive && items.count * 2 > Int(initial)
      || Mutation.dropsItemWhenReceiverIsGone.isActive && hasBeenUsed && changed.isUnattended
      || Mutation.losesEarlyItems.isActive && !hasBeenUsed && changed.isUnattended
  }

  private func dropItems(rule: String) {
    guard !items.isEmpty else { return }
    record.discard("channel_item", rule, key: id, count: items.count)
    items.removeAll()
  }

  private func step(_ event: ReceiverTable.Event) {
    machine.step(event)
    changed.notify()
  }

  /// Journals an event that has no row: the counterpart was wrong.  r[rpc.channel.data-after-close]
  private func refuse(_ event: ReceiverTable.Event) -> Violation {
    machine.step(event)
    return Violation(
      .channelState, "rpc.channel.data-after-close",
      "channel \(id): \(event.rawValue) while \(machine.state.rawValue)")
  }
}
