// The journal as the messages that the spec has for it.

/// The value of an enum of the spec that has the name of our case, after `prefix`.
func enumeration<Value: OpenEnum>(
  _ prefix: String, _ ours: some Any, _: Value.Type = Value.self
) -> Value {
  let words: [Character] = "\(ours)".flatMap { $0.isUppercase ? ["_", $0] : [$0] }
  return Value(name: prefix + String(words).uppercased()) ?? Value(rawValue: 0)
}

extension ControlPlane.JournalEvent {
  init(_ event: JournalEvent) {
    self.init(seq: event.seq, sessionId: event.sessionId, generation: event.generation)
    switch event.body {
    case .transition(let machine, let key, let from, let event, let to, let isInvalid):
      let machine = enumeration("MACHINE_", machine, ControlPlane.Machine.self)
      kind = .transition(
        .init(
          machine: machine, key: key, fromState: from, event: event, toState: to,
          invalid: isInvalid))
    case .frame(let isSent, let connection, let what, let id):
      kind = .frame(.init(sent: isSent, connectionId: connection, kind: what, id: id))
    case .handler(let event, let operation, let request, let execution):
      let event = enumeration("HANDLER_EVENT_", event, ControlPlane.HandlerEvent.self)
      kind = .handler(
        .init(event: event, operationId: operation, requestId: request, execution: execution))
    case .discard(let what, let rule, let key, let count):
      kind = .discard(.init(what: what, rule: rule, key: key, count: count))
    case .plannedDelay(let what, let delay):
      kind = .plannedDelay(.init(what: what, delayMs: delay))
    }
  }
}
