// A call: what an application made, one operation.

/// What the caller's application is told.  r[rpc.error.retryable]
enum CallStatus: Sendable {
  case ok, userError, cancelled, indeterminate, sessionShutdown, protocolError
  case unknownMethod, invalidPayload, operationConflict, operationExpired
  case resourceExhausted, payloadTooLarge, schemaMismatch, otherRuntimeError

  init(_ code: Wire.RuntimeErrorCode) {
    switch code {
    case .unknownMethod: self = .unknownMethod
    case .invalidPayload: self = .invalidPayload
    case .cancelled: self = .cancelled
    case .indeterminate: self = .indeterminate
    case .operationConflict: self = .operationConflict
    case .operationExpired: self = .operationExpired
    case .resourceExhausted: self = .resourceExhausted
    case .payloadTooLarge: self = .payloadTooLarge
    case .schemaMismatch: self = .schemaMismatch
    default: self = .otherRuntimeError
    }
  }
}

/// How a call ended. `value` is what was received with ok and userError.
struct CallResult: Sendable {
  var status: CallStatus
  var value: [UInt8] = []
  var text = ""
  var metadata: [Wire.MetadataEntry] = []
}

typealias ChannelSet = [UInt32: any ChannelEnd]

@RuntimeActor
final class Call {
  let methodName: String
  let method: Method?
  let arguments: [UInt8]  // sent as they are, with every attempt  r[retry.op-id.payload-binding]
  let metadata: [Wire.MetadataEntry]
  private(set) var operation: UInt64 = 0
  private(set) var attempts: UInt32 = 0  // handed to a link
  private var channelSets: [ChannelSet] = []  // of attempt 1, 2, …
  private weak var owner: Caller?
  private let promise = Promise<CallResult>()
  private let progress = Signal()

  init(
    _ methodName: String, _ method: Method?, _ arguments: [UInt8],
    _ metadata: [Wire.MetadataEntry] = []
  ) {
    self.methodName = methodName
    self.method = method
    self.arguments = arguments
    self.metadata = metadata
  }

  var isIdem: Bool { method?.isIdem ?? false }
  var isResolved: Bool { promise.value != nil }

  /// Waits for the end of the call.
  func result() async throws -> CallResult { try await promise.get() }

  /// The ends of an attempt (0: the newest, or the first to come); nil if it never comes.
  func channels(ofAttempt attempt: UInt32) async throws -> ChannelSet? {
    let wanted = attempt == 0 ? max(1, channelSets.count) : Int(attempt)
    while channelSets.count < wanted {
      if isResolved { return nil }
      try await progress.wait()
    }
    return channelSets[wanted - 1]
  }

  /// The application wants no answer any more.  r[rpc.cancel]
  func cancel() {
    if let owner { owner.cancel(self) } else { resolve(CallResult(status: .cancelled)) }
  }

  /// Somebody makes the call, as this operation.
  func belong(to owner: Caller, as operation: UInt64) {
    self.owner = owner
    self.operation = operation
  }

  /// An attempt was handed to a link; each has channels of its own.
  func attempted(with channels: ChannelSet) {
    attempts += 1
    if !channels.isEmpty { channelSets.append(channels) }
    progress.notify()
  }

  /// Tells the application, once.
  func resolve(_ result: CallResult) {
    guard !isResolved else { return }
    promise.fulfil(result)
    progress.notify()
  }
}
