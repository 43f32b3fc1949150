// The calling side of the testbed: calls by handle, and numbers at the ends of their channels.

/// Each method gives what carries its command out; nil if that names no session, call or end that
/// there is, or a handle that is taken. An end of an attempt still to come is waited for; the act
/// throws SessionEnded if it never comes.
@RuntimeActor
final class TestbedCaller {
  typealias Plane = ControlPlane
  typealias Act = @RuntimeActor () async throws -> Plane.Outcome.Kind?  // nil: nothing to tell

  private let methods: [String: Method]
  private var calls: [String: Call] = [:]

  init(_ methods: [String: Method]) { self.methods = methods }

  /// Makes a call; over when it is resolved.
  func call(_ c: Plane.Call, on session: Session?) -> Act? {
    guard let session, c.connectionId == 0, !c.handle.isEmpty, calls[c.handle] == nil else {
      return nil
    }
    let metadata = c.metadata.map {
      Wire.MetadataEntry(key: $0.key, value: $0.value, flags: $0.flags)
    }
    let call = Call(c.method, methods[c.method], c.arguments, metadata)
    calls[c.handle] = call
    return {
      session.caller.start(call)
      let result = try await call.result()
      return .call(
        .init(
          status: enumeration("CALL_STATUS_", result.status), value: result.value,
          text: result.text, attempts: call.attempts, operationId: call.operation,
          metadata: result.metadata.map { .init(key: $0.key, value: $0.value, flags: $0.flags) }))
    }
  }

  /// Wants no answer any more.
  func cancel(_ c: Plane.Cancel) -> Act? {
    guard let call = calls[c.handle] else { return nil }
    return {
      call.cancel()
      return nil
    }
  }

  /// Sends numbers, each as credit comes.
  func send(_ c: Plane.ChannelSend) -> Act? {
    at(c.end) { (end: SendingEnd) in
      var sent = Plane.SendOutcome(status: .open)
      do {
        while sent.accepted < c.count {
          try await end.send(Testbed.Number(value: c.first &+ UInt64(sent.accepted)).encoded)
          sent.accepted += 1
        }
      } catch let failure as EndFailure { sent.status = enumeration("END_STATUS_", failure.status) }
      return .sent(sent)
    }
  }

  /// Takes numbers, as they come.
  func receive(_ c: Plane.ChannelReceive) -> Act? {
    at(c.end) { (end: ReceivingEnd) in
      var taken = Plane.ReceiveOutcome(status: .open)
      do {
        while c.count == 0 || taken.values.count < c.count {
          taken.values.append(try Testbed.Number(decoding: try await end.take()).value)
        }
      } catch let failure as EndFailure {
        taken.status = enumeration("END_STATUS_", failure.status)
      }
      return .received(taken)
    }
  }

  /// Says that all is sent.
  func close(_ c: Plane.ChannelClose) -> Act? {
    at(c.end) { (end: SendingEnd) in
      end.close()
      return nil
    }
  }

  /// Says that no more is wanted.
  func reset(_ c: Plane.ChannelReset) -> Act? {
    at(c.end) { (end: ReceivingEnd) in
      end.reset()
      return nil
    }
  }

  private func at<End: ChannelEnd>(
    _ name: Plane.ChannelEnd?,
    _ use: @escaping @RuntimeActor (End) async throws -> Plane.Outcome.Kind?
  ) -> Act? {
    guard let name, let call = calls[name.handle],
      let channel = call.method?.channels.first(where: { $0.fieldNumber == name.fieldNumber }),
      channel.isToCallee == (End.self == SendingEnd.self)
    else { return nil }
    return {
      let ends = try await call.channels(ofAttempt: name.attempt)
      guard let end = ends?[name.fieldNumber] as? End else {
        throw SessionEnded(text: "the call was resolved without this attempt")
      }
      return try await use(end)
    }
  }
}
