// The application of this subject: the testbed's one handler, which runs the `Program` inside its
// request.

/// The handler of one scope. Gates stay open once released.
@RuntimeActor
final class TestbedHandler {
  private var gates: [String: Promise<Void>] = [:]

  func gate(_ name: String) -> Promise<Void> {
    if let known = gates[name] { return known }
    let made = Promise<Void>()
    gates[name] = made
    return made
  }

  /// Runs one request; the ends of a crashed run are the runtime's to end.
  func serve(_ invocation: Invocation) async throws -> any ProtobufMessage {
    guard let request = invocation.request as? any TestbedRequest else { throw Crash() }
    let run = ProgramRun(self, invocation)
    if let asked = request as? Testbed.EchoMetadataRequest {
      if asked.passOn { try await invocation.call(invocation.method.name, []) }
      invocation.reply.entries = invocation.metadata
    }
    let steps = request.program?.steps ?? []
    do {
      for step in steps.isEmpty ? request.naturalSteps : steps { try await run.perform(step) }
    } catch let error as UserError {
      run.endAll()
      throw error
    }
    run.endAll()
    return request.response(run)
  }
}

/// The runtime's own notion of a crashed handler: it ends without returning.
private struct Crash: Error {}

/// One run of a program: its ends and what it counted.
@RuntimeActor
final class ProgramRun {
  private let handler: TestbedHandler
  private let input: ReceivingEnd?
  private let output: SendingEnd?
  private(set) var emitted: UInt32 = 0
  private(set) var taken: UInt32 = 0
  private(set) var sum: UInt64 = 0
  let entries: Int  // of metadata

  init(_ handler: TestbedHandler, _ invocation: Invocation) {
    self.handler = handler
    entries = invocation.metadata.count
    input = invocation.ends.values.lazy.compactMap { $0 as? ReceivingEnd }.first
    output = invocation.ends.values.lazy.compactMap { $0 as? SendingEnd }.first
  }

  /// Throws UserError where the program returns one.
  func perform(_ step: Testbed.Step) async throws {
    switch step.kind {
    case .emit(let emit)?:
      for index in 0..<UInt64(emit.count) {
        guard try await send(emit.first &+ index) else { return }
      }
    case .consume(let consume)?: try await take(consume.count, forwards: false)
    case .forward(let forward)?: try await take(forward.count, forwards: true)
    case .wait(let wait)?: try await handler.gate(wait.gate).get()
    case .fail(let fail)?:
      throw UserError(value: Testbed.TestbedError(code: fail.code, text: fail.text))
    case .closeOutput?: output?.close()
    case .resetInput?: input?.reset()
    case .panic?, nil: throw Crash()
    }
  }

  /// False if the receiver wants no more: the step is over.
  private func send(_ value: UInt64) async throws -> Bool {
    guard let output else { throw Crash() }
    do {
      try await output.send(Testbed.Number(value: value).encoded)
    } catch is EndFailure {
      return false
    }
    emitted += 1
    return true
  }

  /// `count` more items; 0 for all, to the end of the stream.
  private func take(_ count: UInt32, forwards: Bool) async throws {
    guard let input else { throw Crash() }
    let wanted = count == 0 ? nil : taken + count
    while taken != wanted {
      let item: [UInt8]
      do {
        item = try await input.take()
      } catch let failure as EndFailure {
        if failure.status == .closed { return }
        throw UserError(value: Testbed.TestbedError(code: 1001, text: "input failed"))
      }
      let value = try Testbed.Number(decoding: item).value
      taken += 1
      sum &+= value
      if forwards, try await !send(value &* 2) { return }
    }
  }

  /// Leaves no end open.
  func endAll() {
    output?.close()
    input?.reset()
  }
}

// MARK: What each method does by itself, and returns

@RuntimeActor
protocol TestbedRequest: ProtobufMessage {
  var program: Testbed.Program? { get }
  var naturalSteps: [Testbed.Step] { get }
  func response(_ run: ProgramRun) -> any ProtobufMessage
}

extension TestbedRequest {
  var naturalSteps: [Testbed.Step] { [] }
}

extension Testbed.EchoRequest: TestbedRequest {
  func response(_: ProgramRun) -> any ProtobufMessage {
    Testbed.EchoResponse(text: text, padding: padding)
  }
}

extension Testbed.EchoIdemRequest: TestbedRequest {
  func response(_: ProgramRun) -> any ProtobufMessage {
    Testbed.EchoIdemResponse(text: text, padding: padding)
  }
}

extension Testbed.EchoTreeRequest: TestbedRequest {
  func response(_: ProgramRun) -> any ProtobufMessage {
    Testbed.EchoTreeResponse(tree: tree, label: label)
  }
}

extension Testbed.EchoMetadataRequest: TestbedRequest {
  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.EchoMetadataResponse(entries: UInt32(run.entries))
  }
}

extension Testbed.GenerateRequest: TestbedRequest {
  var naturalSteps: [Testbed.Step] {
    [Testbed.Step(kind: .emit(Testbed.Emit(first: first, count: count)))]
  }

  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.GenerateResponse(emitted: run.emitted)
  }
}

extension Testbed.GenerateIdemRequest: TestbedRequest {
  var naturalSteps: [Testbed.Step] {
    [Testbed.Step(kind: .emit(Testbed.Emit(first: first, count: count)))]
  }

  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.GenerateIdemResponse(emitted: run.emitted)
  }
}

extension Testbed.SumRequest: TestbedRequest {
  var naturalSteps: [Testbed.Step] { [Testbed.Step(kind: .consume(Testbed.Consume()))] }

  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.SumResponse(sum: run.sum, count: run.taken)
  }
}

extension Testbed.SumFromZeroRequest: TestbedRequest {
  var naturalSteps: [Testbed.Step] { [Testbed.Step(kind: .consume(Testbed.Consume()))] }

  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.SumFromZeroResponse(sum: run.sum, count: run.taken)
  }
}

extension Testbed.TransformRequest: TestbedRequest {
  var naturalSteps: [Testbed.Step] { [Testbed.Step(kind: .forward(Testbed.Forward()))] }

  func response(_ run: ProgramRun) -> any ProtobufMessage {
    Testbed.TransformResponse(count: run.taken)
  }
}
