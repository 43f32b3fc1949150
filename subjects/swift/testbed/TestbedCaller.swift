// The calling side of the testbed: calls by handle, and what can be done with their channel ends.

/// A channel end of a call; its attempt may still have to be made.
@RuntimeActor
final class CallerEnd<End: ChannelEnd> {
  private let call: Call
  private let fieldNumber: UInt32
  private let attempt: UInt32

  fileprivate init(_ call: Call, _ fieldNumber: UInt32, _ attempt: UInt32) {
    self.call = call
    self.fieldNumber = fieldNumber
    self.attempt = attempt
  }

  /// Waits for the attempt. Throws SessionEnded if it never comes.
  func find() async throws -> End {
    let ends = try await call.channels(ofAttempt: attempt)
    guard let end = ends?[fieldNumber] as? End else {
      throw SessionEnded(text: "the call was resolved without this attempt")
    }
    return end
  }
}

extension CallerEnd<SendingEnd> {
  /// Sends the numbers `first`, `first` + 1, …; how many were accepted, and how the end looks then.
  func send(first: UInt64, count: UInt32) async throws -> (accepted: UInt32, status: EndStatus) {
    let end = try await find()
    var accepted: UInt32 = 0
    do {
      while accepted < count {
        try await end.send(Testbed.Number(value: first &+ UInt64(accepted)).encoded)
        accepted += 1
      }
    } catch let failure as EndFailure { return (accepted, failure.status) }
    return (accepted, .open)
  }
}

extension CallerEnd<ReceivingEnd> {
  /// Takes up to `count` numbers, 0 for all; what they are, and how the end looks then.
  func receive(count: UInt32) async throws -> (values: [UInt64], status: EndStatus) {
    let end = try await find()
    var values: [UInt64] = []
    do {
      while count == 0 || values.count < count {
        values.append(try Testbed.Number(decoding: try await end.take()).value)
      }
    } catch let failure as EndFailure { return (values, failure.status) }
    return (values, .open)
  }
}

@RuntimeActor
final class TestbedCaller {
  private var calls: [String: Call] = [:]

  /// A call that is not made yet; nil if the handle is not new.
  func make(
    _ handle: String, _ methodName: String, _ method: Method?, _ arguments: [UInt8],
    _ metadata: [Wire.MetadataEntry]
  ) -> Call? {
    guard !handle.isEmpty, calls[handle] == nil else { return nil }
    let call = Call(methodName, method, arguments, metadata)
    calls[handle] = call
    return call
  }

  func call(_ handle: String) -> Call? { calls[handle] }

  /// An end of a call's channel; nil if its method has no such channel, or this is its other end.
  func end<End: ChannelEnd>(
    _ handle: String, _ fieldNumber: UInt32, attempt: UInt32, _: End.Type
  ) -> CallerEnd<End>? {
    guard let call = calls[handle],
      let channel = call.method?.channels.first(where: { $0.fieldNumber == fieldNumber }),
      channel.isToCallee == (End.self == SendingEnd.self)
    else { return nil }
    return CallerEnd(call, fieldNumber, attempt)
  }
}
