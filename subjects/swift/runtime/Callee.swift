// The callee: what each attempt gets, and the runs of handlers.
//
// The record of the operation alone decides (r[retry.resume.reattempt], r[retry.duplicate]); its table
// is `OperationTable`. See Operation.swift for why a fenced execution changes nothing more.

/// An attempt that was read and is owed a Response.
enum IncomingAttempt {
  case undecided
  case attached(Operation)
}

/// A runtime error instead of an outcome.
private struct Refusal: Error {
  let code: Wire.RuntimeErrorCode
  let text: String
}

@RuntimeActor
final class Callee {
  private static let mostHandlers = 1024  // those of lost attachments included

  private unowned let session: Session
  private let runtime: Runtime
  private let record: Recorder
  private let handler: Handler
  private var operations: [UInt64: Operation] = [:]
  private var expiredBelow: UInt64 = 0

  /// Handlers that have not ended.
  private(set) var running = 0

  init(_ session: Session, _ runtime: Runtime, _ record: Recorder, _ handler: @escaping Handler) {
    self.session = session
    self.runtime = runtime
    self.record = record
    self.handler = handler
  }

  // MARK: Messages

  /// Admits, attaches, replays or refuses one attempt.
  func received(_ request: Wire.Request, on attachment: Attachment) throws(Violation) {
    try session.requestIds.see(request.requestId, session.peerParity, .badRequestId)
    if request.operationId == 0 {
      throw Violation(.malformed, "retry.op-id.scope", "operation_id 0")
    }
    let limit = session.settings.maxConcurrentRequests
    if attachment.incoming.count >= Int(limit) {
      throw Violation(
        .requestLimitExceeded, "rpc.flow-control.max-concurrent-requests.inbound",
        "more than \(limit) requests in flight")
    }
    for (one, next) in zip(request.channels, request.channels.dropFirst())
    where next.fieldNumber <= one.fieldNumber {
      throw Violation(
        .malformed, "retry.op-id.payload-binding", "channels not ascending by field number")
    }
    for reference in request.channels {
      try session.channelIds.see(reference.channelId, session.peerParity, .badChannelId)
    }
    expire(below: request.settledBelow)
    // r[rpc.flow-control.max-concurrent-requests.counting]: from here until its Response
    attachment.incoming[request.requestId] = .undecided
    // Before the method is looked for: r[schema.exchange.required] holds for any.
    let bound = try attachment.tracker.bound(request.method, .arguments)
    guard let method = runtime.catalogue.methods[request.method] else {  // r[rpc.unknown-method]
      for _ in request.channels { attachment.forgetEnd() }
      refuse(
        request.requestId, Refusal(code: .unknownMethod, text: "no method \(request.method)"),
        on: attachment)
      return
    }
    guard request.channels.map(\.fieldNumber) == method.channels.map(\.fieldNumber).sorted() else {
      throw Violation(
        .malformed, "rpc.channel.allocation",
        "not one channel for each channel field of \(method.name)")
    }
    let ends = makeEnds(request, method, attachment)
    do {
      try decide(request, method, bound, ends, attachment)
    } catch {
      abandon(ends)  // r[rpc.channel.abandon]
      refuse(request.requestId, error, on: attachment)
    }
  }

  /// r[rpc.cancel.response]
  func cancel(_ requestId: UInt64, on attachment: Attachment) throws(Violation) {
    guard case .attached(let operation)? = attachment.incoming[requestId] else {
      if attachment.isOlder(requestId) {
        throw Violation(
          .badRequestId, "session.resume.discard", "a cancel of request \(requestId)")
      }
      attachment.record.discard("cancel_request", "rpc.cancel", key: requestId)
      return
    }
    operation.attempts.remove(requestId)
    if operation.attempts.isEmpty { release(operation) }  // r[retry.cancel.volatile]
    refuse(requestId, Refusal(code: .cancelled, text: "cancelled"), on: attachment)
  }

  // MARK: The session

  /// A generation is over.  r[retry.channel.detach], r[retry.detach.keep]
  func detached(_ attempts: [UInt64: IncomingAttempt]) {
    for case .attached(let operation) in attempts.values {
      if !Mutation.completesOnOldGeneration.isActive { operation.attempts.removeAll() }
    }
    for operation in live where !operation.method.channels.isEmpty {
      operation.machine.step(mayRunAgain(operation.method) ? .release : .lose)
      fence(operation)
    }
    for operation in operations.values {
      for case let end as ReceivingEnd in (operation.execution?.ends ?? [:]).values {
        end.forsake()  // its handler is over: nobody takes what was received
      }
    }
  }

  /// The session is over: no handler may change anything more.
  func ended() {
    for operation in live {
      operation.machine.step(.lose)
      fence(operation)
    }
    for operation in operations.values { operation.forget() }
    operations.removeAll()
  }

  private var live: [Operation] {
    operations.values.filter { $0.machine.state == .live }.sorted { $0.id < $1.id }
  }

  // MARK: The decision

  private func decide(
    _ request: Wire.Request, _ method: Method, _ bound: Bound, _ ends: ChannelSet,
    _ attachment: Attachment
  ) throws(Refusal) {
    if let mismatch = mismatch(method, bound, attachment) {  // r[schema.errors]
      throw Refusal(code: .schemaMismatch, text: mismatch)
    }
    if request.operationId < expiredBelow {  // r[retry.gc.settled-below]
      throw Refusal(code: .operationExpired, text: "settled below \(expiredBelow)")
    }
    guard let operation = operations[request.operationId] else {
      try admit(request, method, ends, attachment)
      return
    }
    guard operation.method.name == method.name, operation.arguments == request.arguments else {
      throw Refusal(  // r[retry.op-id.scope]
        code: .operationConflict, text: "known with another method or other bytes")
    }
    switch operation.machine.state {
    case .live:  // r[retry.duplicate.live.attach]
      operation.machine.step(.attach)
      abandon(ends)
      attach(request.requestId, to: operation, on: attachment)
    case .sealed:  // r[retry.duplicate.sealed]
      operation.machine.step(.replay)
      abandon(ends)  // r[retry.channel.sealed-result]
      respond(request.requestId, operation, on: attachment)
    case .released where mayRunAgain(method), .indeterminate where mayRunAgain(method):
      // r[retry.duplicate.released.idem], r[retry.duplicate.indeterminate.idem]
      try run(operation, .rerun, request, ends, attachment)
    case .absent, .released, .indeterminate:
      // r[retry.duplicate.released.non-idem], r[retry.duplicate.indeterminate.non-idem]
      operation.machine.step(.refuse)
      throw Refusal(code: .indeterminate, text: "the operation may have run")
    }
  }

  private func mayRunAgain(_ method: Method) -> Bool {
    method.isIdem || Mutation.rerunsNonIdemWithChannels.isActive && !method.channels.isEmpty
  }

  private func mismatch(_ method: Method, _ bound: Bound, _ attachment: Attachment) -> String? {
    let ofItems = method.channels.lazy.filter(\.isToCallee)
      .compactMap { attachment.tracker.itemMismatch(method, $0) }
    return bound.mismatch ?? ofItems.first
  }

  private func admit(
    _ request: Wire.Request, _ method: Method, _ ends: ChannelSet, _ attachment: Attachment
  ) throws(Refusal) {
    let operation = Operation(request, method, record)
    try run(operation, .admit, request, ends, attachment)
    operations[operation.id] = operation
  }

  /// Runs the handler on this attempt's channels, and no other attempt's.
  /// r[retry.channel.volatile.rebinding.fresh]
  private func run(
    _ operation: Operation, _ event: OperationTable.Event, _ request: Wire.Request,
    _ ends: ChannelSet, _ attachment: Attachment
  ) throws(Refusal) {
    if running >= Self.mostHandlers {
      throw Refusal(code: .resourceExhausted, text: "too many handlers are running")
    }
    let count = operation.method.channels.count
    guard ends.count == count, request.channels.count == count else {
      throw Refusal(code: .invalidPayload, text: "channels do not match the arguments")
    }
    let arguments: any ProtobufMessage
    do {
      arguments = try operation.method.requestType.init(decoding: operation.arguments)
    } catch {  // r[rpc.invalid-payload]
      throw Refusal(code: .invalidPayload, text: "undecodable arguments")
    }
    operation.machine.step(event)
    attach(request.requestId, to: operation, on: attachment)
    let old = Mutation.rerunBindsOldEnds.isActive ? operation.execution?.ends : nil
    let execution = operation.makeExecution(
      request: request.requestId, generation: session.generation, ends: old ?? ends)
    let given = request.metadata
    let invocation = Invocation(
      method: operation.method, request: arguments, metadata: given,
      sessionId: record.sessionId, generation: execution.generation, operation: operation.id,
      execution: execution.number, ends: execution.ends,
      call: { [weak session] method, arguments in
        guard let session else { return }
        try await Self.callInTurn(session, method, arguments, given)
      },
      reply: ReplyMetadata())
    running += 1
    execution.task = Task { @RuntimeActor in
      await self.perform(invocation, execution)
      self.running -= 1
    }
  }

  private static let noPropagate: UInt32 = 1 << 1  // a flag of metadata

  private static func callInTurn(
    _ session: Session, _ method: String, _ arguments: [UInt8], _ given: [Wire.MetadataEntry]
  ) async throws {
    let passedOn = given.filter { $0.flags & noPropagate == 0 }
    let call = Call(method, session.runtime.catalogue.methods[method], arguments, passedOn)
    session.caller.start(call)
    _ = try await call.result()
  }

  private func attach(_ requestId: UInt64, to operation: Operation, on attachment: Attachment) {
    attachment.incoming[requestId] = .attached(operation)
    operation.attempts.insert(requestId)
  }

  /// r[retry.gc.settled-below]: operations below the bound are never attempted again.
  private func expire(below bound: UInt64) {
    guard bound > expiredBelow else { return }
    expiredBelow = bound
    for operation in operations.values where operation.id < bound {
      // An attempt that is still owed its Response goes with the next bound.
      guard operation.attempts.isEmpty else { continue }
      release(operation)
      operation.forget()
      operations[operation.id] = nil
    }
  }

  // MARK: Executions

  private func perform(_ invocation: Invocation, _ execution: Execution) async {
    if execution.isOver { return }
    execution.hasStarted = true
    journal(.started, execution)
    runtime.executions.append(
      session: invocation.sessionId, operation: execution.operation, attempt: execution.number,
      generation: execution.generation)
    for end in execution.ends.values where !end.hasEnded { end.bind() }
    let outcome: SealedOutcome?
    do {
      outcome = .ok(try await handler(invocation).encoded)
    } catch let error as UserError {
      outcome = .userError(error.value.encoded)
    } catch {
      outcome = nil  // whatever else a handler throws is its crash
    }
    guard let right = execution.claim() else {
      if Mutation.oldFinalizerClosesNewChannel.isActive {
        abandon(operations[execution.operation]?.execution?.ends ?? [:])
      }
      if outcome != nil {
        record.discard("outcome", "strict.rebind.generation", key: execution.operation)
      }
      return
    }
    finish(right, outcome, invocation.reply.entries)
  }

  private func finish(
    _ right: consuming CompletionRight, _ outcome: SealedOutcome?, _ reply: [Wire.MetadataEntry]
  ) {
    let (operation, execution) = (right.operation, right.execution)
    if let outcome {
      journal(.returned, execution)
      operation.outcome = outcome
      operation.reply = reply
      operation.machine.step(.seal)
    } else {
      journal(.panicked, execution)
      operation.machine.step(.lose)
      abandon(execution.ends)
    }
    // Detached, it has no attempts: the outcome stays in the record.  r[session.resume.discard]
    guard let attachment = session.attachment else { return }
    for requestId in operation.takeAttempts() {
      if outcome == nil {
        let text = "the handler ended without returning"
        refuse(requestId, Refusal(code: .indeterminate, text: text), on: attachment)
      } else {
        respond(requestId, operation, on: attachment)
      }
    }
  }

  /// Gives a live operation up.
  private func release(_ operation: Operation) {
    guard operation.machine.allows(.release) else { return }
    operation.machine.step(.release)
    fence(operation)
    abandon(operation.execution?.ends ?? [:])
  }

  /// From here on the running handler changes nothing.
  private func fence(_ operation: Operation) {
    guard let execution = operation.execution, let right = execution.claim() else { return }
    _ = consume right
    if execution.hasStarted { journal(.cancelled, execution) }
    if !Mutation.oldFinalizerClosesNewChannel.isActive { execution.task?.cancel() }
  }

  private func journal(_ event: HandlerEvent, _ execution: Execution) {
    record(
      .handler(
        event, operation: execution.operation, request: execution.request,
        execution: execution.number))
  }

  // MARK: Answers

  /// Sends a sealed outcome; the attempt stops counting just before.  r[retry.seal.replay-exact]
  private func respond(_ requestId: UInt64, _ operation: Operation, on attachment: Attachment) {
    let response = Wire.Response(
      requestId: requestId, metadata: operation.reply, outcome: operation.outcome?.onWire)
    guard let message = attachment.outbox.encode(.response(response)) else {
      let text = "the outcome is larger than the caller accepts"  // r[link.limit.announce]
      refuse(requestId, Refusal(code: .payloadTooLarge, text: text), on: attachment)
      return
    }
    if let schema = attachment.announcer.response(operation.method) {
      attachment.outbox.commit(.schema(schema))
    }
    attachment.incoming[requestId] = nil
    attachment.outbox.commit(message)
  }

  private func refuse(_ requestId: UInt64, _ refusal: Refusal, on attachment: Attachment) {
    attachment.incoming[requestId] = nil
    let error = Wire.RuntimeError(code: refusal.code, text: refusal.text.short)
    attachment.outbox.commit(
      .response(Wire.Response(requestId: requestId, outcome: .runtimeError(error))))
  }

  /// With a wire message each, before the Response.  r[rpc.channel.abandon]
  private func abandon(_ ends: ChannelSet) {
    for end in ends.values.sorted(by: { $0.id < $1.id }) { end.abandon() }
  }

  /// Our ends of the channels named; those of no argument are only remembered.
  private func makeEnds(
    _ request: Wire.Request, _ method: Method, _ attachment: Attachment
  ) -> ChannelSet {
    var ends: ChannelSet = [:]
    for reference in request.channels {
      guard let channel = method.channels.first(where: { $0.fieldNumber == reference.fieldNumber })
      else {
        attachment.forgetEnd()
        continue
      }
      let end = makeEnd(reference.channelId, channel, method, attachment)
      attachment.add(end)
      ends[channel.fieldNumber] = end
    }
    return ends
  }

  private func makeEnd(
    _ id: UInt64, _ channel: ChannelArgument, _ method: Method, _ attachment: Attachment
  ) -> any ChannelEnd {
    let (outbox, record) = (attachment.outbox, attachment.record)
    let (tracker, announcer) = (attachment.tracker, attachment.announcer)
    if channel.isToCallee {
      return ReceivingEnd(id, credit: channel.initialCredit, outbox, record) {
        () throws(Violation) in
        _ = try tracker.bound(method.name, .channel, channel.fieldNumber)
      }
    }
    return SendingEnd(id, credit: channel.initialCredit, outbox, record) {
      if let schema = announcer.items(method, channel) { outbox.commit(.schema(schema)) }
    }
  }
}
