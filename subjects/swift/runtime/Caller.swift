// The caller: calls, their attempts, and what a cut makes of them.
//
// A call has at most one attempt in flight. Calls wait in the order of their operations for an
// attachment and for a slot under the counterpart's limit
// (r[rpc.flow-control.max-concurrent-requests.outbound]). After each bind every unresolved call is
// attempted once more, with the same bytes (r[retry.resume.reattempt]), except those with channels
// and without idem, which a cut ends (r[retry.channel.recovery.non-idem]).

@RuntimeActor
final class Caller {
  private unowned let session: Session
  private var nextOperation: UInt64 = 1
  private var unresolved: [UInt64: Call] = [:]
  private var waiting: [Call] = []  // by operation
  private var ending: CallResult?

  init(_ session: Session) { self.session = session }

  /// How many calls the application waits for.
  var unresolvedCount: Int { unresolved.count }

  // MARK: The application

  /// Makes a call; it waits while the session is detached.
  func start(_ call: Call) {
    if call.isResolved { return }
    if call.method == nil {
      call.resolve(CallResult(status: .unknownMethod, text: "this program has no such method"))
    } else if let ending {
      call.resolve(ending)
    } else {
      call.belong(to: self, as: nextOperation)  // r[retry.op-id.per-intention]
      nextOperation += 1
      unresolved[call.operation] = call
      queue(call)
      pump()
    }
  }

  /// The application is told at once, whatever comes later.  r[rpc.cancel]
  func cancel(_ call: Call) {
    if call.isResolved { return }
    settle(call, CallResult(status: .cancelled))
    guard let attachment = session.attachment else { return }
    for (id, attempted) in attachment.outgoing where attempted === call {
      attachment.outbox.commit(.cancelRequest(Wire.CancelRequest(requestId: id)))
    }
  }

  // MARK: The session

  /// A new generation is bound.
  func bound() {
    if Mutation.sideSendOvertakesBacklog.isActive, let newest = waiting.popLast() {
      waiting.insert(newest, at: 0)
    }
    pump()
  }

  /// A generation is over: decides for each of its attempts.
  func detached(_ attempts: [UInt64: Call]) {
    if Mutation.operationIdsRestart.isActive { nextOperation = 1 }
    for call in attempts.values.sorted(by: { $0.operation < $1.operation }) where !call.isResolved {
      if let method = call.method, !method.channels.isEmpty, !method.isIdem {
        settle(call, CallResult(status: .indeterminate, text: "link lost"))
      } else {
        queue(call)
      }
    }
  }

  /// The session is over for every call.  r[rpc.error.ambiguous]
  func ended(_ text: String, isProtocolError: Bool) {
    let ending = CallResult(status: isProtocolError ? .protocolError : .sessionShutdown, text: text)
    self.ending = ending
    for call in unresolved.values.sorted(by: { $0.operation < $1.operation }) {
      if isProtocolError || call.isIdem || call.attempts == 0 {
        settle(call, ending)
      } else {
        settle(call, CallResult(status: .indeterminate, text: text))
      }
    }
  }

  /// Gives up the idem calls, to be made again elsewhere.  r[retry.session-lost.policy]
  func emigrate() -> [Call] {
    let leaving = unresolved.values.filter(\.isIdem).sorted { $0.operation < $1.operation }
    for call in leaving { unresolved[call.operation] = nil }
    waiting.removeAll(where: \.isIdem)
    return leaving
  }

  /// The one response of an attempt.  r[rpc.response.one-per-request]
  func received(_ response: Wire.Response, on attachment: Attachment) throws(Violation) {
    guard let call = attachment.outgoing[response.requestId] else {
      throw Violation(
        .badRequestId, "rpc.response.one-per-request",
        "a Response to \(response.requestId), which is not in flight")
    }
    let result = try judge(response, to: call, on: attachment)
    attachment.outgoing[response.requestId] = nil
    if call.isResolved {
      attachment.record.discard("response", "rpc.cancel", key: response.requestId)
    } else {
      settle(call, result)
    }
    pump()
  }

  // MARK: Inside

  private func queue(_ call: Call) {
    let place = waiting.firstIndex { $0.operation > call.operation } ?? waiting.endIndex
    waiting.insert(call, at: place)
  }

  private func settle(_ call: Call, _ result: CallResult) {
    unresolved[call.operation] = nil
    waiting.removeAll { $0 === call }
    call.resolve(result)
  }

  /// r[rpc.response.shape]
  private func judge(
    _ response: Wire.Response, to call: Call, on attachment: Attachment
  ) throws(Violation) -> CallResult {
    var result = CallResult(status: .ok, metadata: response.metadata)
    switch response.outcome {
    case nil:
      throw Violation(.malformed, "rpc.response.shape", "a Response without outcome")
    case .runtimeError(let error)?:
      result.status = CallStatus(error.code)
      // r[retry.gc.settled-below]
      if result.status == .operationExpired && !call.isIdem { result.status = .indeterminate }
      result.text = error.text
      return result
    case .ok(let value)?: result.value = value
    case .userError(let value)?:
      result.status = .userError
      result.value = value
    }
    let bound = try attachment.tracker.bound(call.methodName, .response)
    if result.status == .userError && !bound.hasError {
      throw Violation(
        .schemaMissing, "schema.exchange.required",
        "\(call.methodName): a user error whose type was not announced")
    }
    let ofItems = (call.method?.channels ?? []).lazy.filter { !$0.isToCallee }
      .compactMap { channel in call.method.flatMap { attachment.tracker.itemMismatch($0, channel) }
      }
    if let mismatch = bound.mismatch ?? ofItems.first {  // r[schema.errors]
      return CallResult(status: .schemaMismatch, text: mismatch, metadata: response.metadata)
    }
    return result
  }

  private func pump() {
    let limit = session.peerLimit
    while let attachment = session.attachment, let call = waiting.first {
      if limit == 0 {
        settle(
          call, CallResult(status: .resourceExhausted, text: "the counterpart takes no requests"))
      } else if attachment.outgoing.count < limit {
        waiting.removeFirst()
        attempt(call, on: attachment)
      } else {
        return
      }
    }
  }

  /// Commits one attempt: schemas, channel ends, Request, in this order.
  private func attempt(_ call: Call, on attachment: Attachment) {
    guard let method = call.method else { return }
    var request = Wire.Request(
      requestId: session.requestIds.next(session.parity), operationId: call.operation,
      method: call.methodName, arguments: call.arguments, metadata: call.metadata,
      settledBelow: unresolved.keys.min() ?? call.operation)
    var channelIds = session.channelIds
    for channel in method.channels {  // r[rpc.channel.allocation]
      let id = channelIds.next(session.parity)
      channelIds.burn(id)
      request.channels.append(Wire.ChannelRef(fieldNumber: channel.fieldNumber, channelId: id))
    }
    guard let message = attachment.outbox.encode(.request(request)) else {
      settle(call, CallResult(status: .payloadTooLarge, text: "the request is too large"))
      return
    }
    if let schema = attachment.announcer.arguments(method) {
      attachment.outbox.commit(.schema(schema))
    }
    session.requestIds.burn(request.requestId)
    session.channelIds = channelIds
    var ends: ChannelSet = [:]
    for (channel, reference) in zip(method.channels, request.channels) {
      ends[channel.fieldNumber] = makeEnd(reference.channelId, channel, method, attachment)
    }
    attachment.outgoing[request.requestId] = call
    call.attempted(with: ends)
    attachment.outbox.commit(message)
  }

  private func makeEnd(
    _ id: UInt64, _ channel: ChannelArgument, _ method: Method, _ attachment: Attachment
  ) -> any ChannelEnd {
    let (outbox, record, tracker) = (attachment.outbox, attachment.record, attachment.tracker)
    let end: any ChannelEnd
    if channel.isToCallee {
      end = SendingEnd(id, credit: channel.initialCredit, outbox, record)
    } else {
      end = ReceivingEnd(id, credit: channel.initialCredit, outbox, record) {
        () throws(Violation) in
        _ = try tracker.bound(method.name, .channel, channel.fieldNumber)
      }
    }
    attachment.add(end)
    end.bind()
    return end
  }
}
