// The tables, against spec/machines, row by row.

struct MachineVector: Sendable {
  let name: String
  let initial: String
  let final: [String]
  let rows: [String]
}

@RuntimeActor
private func compare<Table: StateTable>(_: Table.Type) {
  guard let vector = Vectors.machines.first(where: { $0.name == Table.name.rawValue }) else {
    return Check.fail("\(Table.name) is not in the spec")
  }
  expectEqual(Table.initial.rawValue, vector.initial)
  expectEqual(Set(Table.final.map(\.rawValue)), Set(vector.final))
  var rows: Set<String> = []
  for state in Table.State.allCases {
    for event in Table.Event.allCases {
      if let target = Table.target(state, event) {
        rows.insert("\(state.rawValue) \(event.rawValue) \(target.rawValue)")
      }
    }
  }
  expectEqual(rows.symmetricDifference(vector.rows), [])
}

@RuntimeActor let machineTests: [Test] = [
  (
    "every table is that of the spec",
    {
      compare(DriverTable.self)
      compare(ReceiverTable.self)
      compare(SenderTable.self)
      compare(OperationTable.self)
      compare(CommandTable.self)
      expectEqual(Vectors.machines.count, MachineName.allCases.count)
    }
  ),
  (
    "an event without a row is journalled as invalid, and moves nothing",
    {
      let bench = JournalBench()
      var machine = StateMachine<DriverTable>(0, bench.record)
      expect(!machine.step(.resumed))
      expect(machine.state == .connecting)
      expectEqual(bench.invalid, ["resumed"])
    }
  ),
]

/// A journal of one scope.
@RuntimeActor
final class JournalBench {
  let journal = Journal()
  let record: Recorder

  init() { record = Recorder(journal, scope: "s") }

  var bodies: [JournalBody] { journal.read(scope: "s", after: 0).events.map(\.body) }

  var invalid: [String] {
    bodies.compactMap { body in
      if case .transition(_, _, _, let event, _, true) = body { event } else { nil }
    }
  }

  /// Kinds of the messages that were written, or would have been had there been a link.
  var sent: [String] {
    bodies.compactMap { body in
      switch body {
      case .frame(true, _, let kind, _): kind
      case .discard(let kind, "session.resume.discard", _, _): kind
      default: nil
      }
    }
  }

  /// What was dropped by rule, by count.
  func discarded(_ rule: String) -> UInt32 {
    bodies.reduce(0) { sum, body in
      if case .discard(_, rule, _, let count) = body { sum + count } else { sum }
    }
  }
}
