// The state machines of spec/machines as types, and the value that walks one of them.
//
// A machine journals a transition first and moves second, so whatever reveals the new state is later
// than its event (r[control.journal.write-ahead]). A pair (state, event) without a row moves nothing
// and is journalled as invalid (r[strict.channel.fsm]). A `StateMachine` cannot be copied: a state
// has one owner. `target` is the table; a unit test compares it with spec/machines, row by row.

protocol StateTable {
  associatedtype State: RawRepresentable<String>, Hashable, CaseIterable, Sendable
  associatedtype Event: RawRepresentable<String>, Hashable, CaseIterable, Sendable
  static var name: MachineName { get }
  static var initial: State { get }
  static var final: Set<State> { get }
  static func target(_ state: State, _ event: Event) -> State?
}

@RuntimeActor
struct StateMachine<Table: StateTable>: ~Copyable {
  private(set) var state: Table.State
  private let key: UInt64
  private let record: Recorder

  /// `key` names the object in the journal.
  init(_ key: UInt64, _ record: Recorder, at state: Table.State = Table.initial) {
    self.key = key
    self.record = record
    self.state = state
  }

  /// Is nothing of the object open any more?
  var isFinal: Bool { Table.final.contains(state) }

  /// Is there a row for this event now?
  func allows(_ event: Table.Event) -> Bool { Table.target(state, event) != nil }

  /// Journals the transition, then makes it; false if the table has no row for it.
  @discardableResult
  mutating func step(_ event: Table.Event) -> Bool {
    let target = Table.target(state, event)
    record(
      .transition(
        machine: Table.name, key: key, from: state.rawValue, event: event.rawValue,
        to: (target ?? state).rawValue, isInvalid: target == nil))
    guard let target else { return false }
    state = target
    return true
  }
}

/// r[strict.driver.single-phase]
enum DriverTable: StateTable {
  enum State: String, CaseIterable {
    case connecting = "Connecting"
    case connected = "Connected"
    case resuming = "Resuming"
    case disconnected = "Disconnected"
  }
  enum Event: String, CaseIterable {
    case established, failed, resumed, ended
    case linkLost = "link_lost"
  }
  static let name = MachineName.driver
  static let initial = State.connecting
  static let final: Set<State> = [.disconnected]

  static func target(_ state: State, _ event: Event) -> State? {
    switch (state, event) {
    case (.connecting, .established), (.resuming, .resumed): .connected
    case (.connected, .linkLost): .resuming
    case (.connecting, .failed), (.connected, .ended), (.resuming, .ended): .disconnected
    default: nil
    }
  }
}

/// r[rpc.channel.lifecycle]
enum ReceiverTable: StateTable {
  enum State: String, CaseIterable {
    case reserved = "Reserved"
    case reservedClosing = "ReservedClosing"
    case open = "Open"
    case closing = "Closing"
    case closed = "Closed"
    case reset = "Reset"
    case defunct = "Defunct"
  }
  enum Event: String, CaseIterable {
    case bind, item, credit, close, reset, detach, stale
    case deliveredAll = "delivered_all"
    case lateItem = "late_item"
    case lateClose = "late_close"
  }
  static let name = MachineName.channelReceiver
  static let initial = State.reserved
  static let final: Set<State> = [.closed, .reset, .defunct]

  static func target(_ state: State, _ event: Event) -> State? {
    switch (state, event) {
    case (.reserved, .item): .reserved
    case (.reserved, .bind), (.open, .item), (.open, .credit): .open
    case (.reserved, .close): .reservedClosing
    case (.reservedClosing, .bind), (.open, .close), (.closing, .detach): .closing
    case (.closing, .deliveredAll): .closed
    case (.reserved, .reset), (.reservedClosing, .reset), (.open, .reset), (.closing, .reset),
      (.reset, .lateItem), (.reset, .lateClose):
      .reset
    case (.reserved, .detach), (.reservedClosing, .detach), (.open, .detach), (.defunct, .stale):
      .defunct
    default: nil
    }
  }
}

/// r[rpc.channel.ends]
enum SenderTable: StateTable {
  enum State: String, CaseIterable {
    case reserved = "Reserved"
    case open = "Open"
    case closed = "Closed"
    case reset = "Reset"
    case defunct = "Defunct"
  }
  enum Event: String, CaseIterable {
    case bind, item, credit, close, abort, reset, detach, stale
    case lateCredit = "late_credit"
    case lateReset = "late_reset"
  }
  static let name = MachineName.channelSender
  static let initial = State.reserved
  static let final: Set<State> = [.closed, .reset, .defunct]

  static func target(_ state: State, _ event: Event) -> State? {
    switch (state, event) {
    case (.reserved, .credit): .reserved
    case (.reserved, .bind), (.open, .item), (.open, .credit): .open
    case (.reserved, .abort), (.open, .close), (.open, .abort), (.closed, .lateCredit),
      (.closed, .lateReset):
      .closed
    case (.reserved, .reset), (.open, .reset): .reset
    case (.reserved, .detach), (.open, .detach), (.defunct, .stale): .defunct
    default: nil
    }
  }
}

/// r[retry.duplicate]: the callee's record of one operation.
enum OperationTable: StateTable {
  enum State: String, CaseIterable {
    case absent = "Absent"
    case live = "Live"
    case sealed = "Sealed"
    case released = "Released"
    case indeterminate = "Indeterminate"
  }
  enum Event: String, CaseIterable {
    case admit, attach, seal, release, lose, replay, rerun, refuse
  }
  static let name = MachineName.operation
  static let initial = State.absent
  static let final: Set<State> = []

  static func target(_ state: State, _ event: Event) -> State? {
    switch (state, event) {
    case (.absent, .admit), (.live, .attach), (.released, .rerun), (.indeterminate, .rerun): .live
    case (.live, .seal), (.sealed, .replay): .sealed
    case (.live, .release), (.released, .refuse): .released
    case (.live, .lose), (.indeterminate, .refuse): .indeterminate
    default: nil
    }
  }
}

/// r[control.lifecycle.forward-only]
enum CommandTable: StateTable {
  enum State: String, CaseIterable {
    case notAccepted = "NotAccepted"
    case tombstoned = "Tombstoned"
    case accepted = "Accepted"
    case started = "Started"
    case completed = "Completed"
    case failed = "Failed"
  }
  enum Event: String, CaseIterable { case accept, tombstone, start, complete, fail }
  static let name = MachineName.command
  static let initial = State.notAccepted
  static let final: Set<State> = [.completed, .failed, .tombstoned]

  static func target(_ state: State, _ event: Event) -> State? {
    switch (state, event) {
    case (.notAccepted, .accept), (.tombstoned, .accept): .accepted
    case (.notAccepted, .tombstone): .tombstoned
    case (.accepted, .start): .started
    case (.started, .complete): .completed
    case (.started, .fail): .failed
    default: nil
    }
  }
}
