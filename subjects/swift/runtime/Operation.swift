// The callee's record of one operation, and the executions of its handler.
//
// An execution ends by spending its `CompletionRight`. There is one per execution, it cannot be
// copied, and it is the only way from an execution to the record: fencing an execution (it was
// cancelled, or its generation ended) takes the right away, and then whatever the handler does later
// has nothing left to change (r[strict.rebind.generation], r[retry.duplicate.indeterminate]).

/// The outcome a handler returned.  r[retry.seal.only-return]
enum SealedOutcome: Sendable {
  case ok([UInt8])
  case userError([UInt8])

  var onWire: Wire.Response.Outcome {
    switch self {
    case .ok(let value): .ok(value)
    case .userError(let value): .userError(value)
    }
  }
}

/// The right to end one execution, and with it to write its operation's record.
struct CompletionRight: ~Copyable {
  let operation: Operation
  let execution: Execution

  fileprivate init(_ operation: Operation, _ execution: Execution) {
    self.operation = operation
    self.execution = execution
  }
}

/// One run of a handler. `number` counts the operation's runs from 1.
@RuntimeActor
final class Execution {
  let number: UInt32
  let operation: UInt64
  let request: UInt64
  let generation: UInt64
  let ends: ChannelSet
  private var right: CompletionRight?
  var task: Task<Void, Never>?
  var hasStarted = false

  fileprivate init(
    number: UInt32, operation: UInt64, request: UInt64, generation: UInt64, ends: ChannelSet
  ) {
    self.number = number
    self.operation = operation
    self.request = request
    self.generation = generation
    self.ends = ends
  }

  /// Has it returned, crashed or been fenced?
  var isOver: Bool {
    switch right {
    case .some: false
    case .none: true
    }
  }

  /// Takes the right to end the execution; nil if somebody has taken it before.
  func claim() -> CompletionRight? { right.take() }

  fileprivate func entrust(_ right: consuming CompletionRight) { self.right = consume right }
}

@RuntimeActor
final class Operation {
  let id: UInt64
  let method: Method
  let arguments: [UInt8]
  let metadata: [Wire.MetadataEntry]
  var machine: StateMachine<OperationTable>
  var outcome: SealedOutcome?  // once sealed
  var reply: [Wire.MetadataEntry] = []  // the Response's metadata, once sealed
  var attempts: Set<UInt64> = []  // of the current generation, waiting for a Response
  private(set) var execution: Execution?  // the newest
  private var executions: UInt32 = 0

  init(_ request: Wire.Request, _ method: Method, _ record: Recorder) {
    id = request.operationId
    arguments = request.arguments
    metadata = request.metadata
    self.method = method
    machine = StateMachine(request.operationId, record)
  }

  /// The next run of the handler.
  func makeExecution(request: UInt64, generation: UInt64, ends: ChannelSet) -> Execution {
    executions += 1
    let made = Execution(
      number: executions, operation: id, request: request, generation: generation, ends: ends)
    made.entrust(CompletionRight(self, made))
    execution = made
    return made
  }

  /// The attempts that wait, in order; none waits afterwards.
  func takeAttempts() -> [UInt64] {
    defer { attempts.removeAll() }
    return attempts.sorted()
  }

  /// Breaks the cycle with the execution.
  func forget() {
    if let right = execution?.claim() { _ = consume right }
    execution = nil
  }
}
