// What survives a link, and what must not: keys, executions, the outbox, the command log.

@RuntimeActor
private func makeRuntime() throws -> Runtime {
  let catalogue = Catalogue(types: DeclaredTypes.types, methods: Testbed.methods)
  return Runtime(catalogue, executions: try Executions(path: ""))
}

@RuntimeActor
private func makeSession(_ runtime: Runtime) -> Session {
  let settings = Settings(maxConcurrentRequests: 4, maxPayload: 1 << 20)
  return Session(runtime, Recorder(runtime.journal, scope: "s"), settings) { _ in Testbed.Number() }
}

/// Was a right issued? It is not used.
private func isIssued(_ right: consuming BindRight?) -> Bool {
  switch consume right {
  case .some: true
  case .none: false
  }
}

@RuntimeActor let resumeTests: [Test] = [
  (
    "one successor for every Hello with a key, until it is bound",
    {
      let runtime = try makeRuntime()
      let session = makeSession(runtime)
      let keys = AcceptorKeys(runtime.sessionKeys, session, isResumable: true)
      let first = keys.present([])
      expectEqual(keys.present([]), first)
      expect(isIssued(keys.claim([])))
      let second = keys.present(first)
      expect(second != first && keys.present(first) == second)
      expect(runtime.sessionKeys.holders[first] === session)
      expect(isIssued(keys.claim(first)))
      expect(runtime.sessionKeys.holders[first] == nil)
      expect(runtime.sessionKeys.holders[second] === session)
    }
  ),
  (
    "of two handshakes with one key, one binds",
    {
      let runtime = try makeRuntime()
      let session = makeSession(runtime)
      let keys = AcceptorKeys(runtime.sessionKeys, session, isResumable: true)
      let first = keys.present([])
      expect(isIssued(keys.claim([])))
      _ = keys.present(first)
      _ = keys.present(first)
      expect(isIssued(keys.claim(first)))
      expect(!isIssued(keys.claim(first)))
    }
  ),
  (
    "presenting the successor retires the key",
    {
      let runtime = try makeRuntime()
      let session = makeSession(runtime)
      let keys = AcceptorKeys(runtime.sessionKeys, session, isResumable: true)
      let first = keys.present([])
      expect(isIssued(keys.claim([])))
      let second = keys.present(first)
      let third = keys.present(second)
      expect(third != second)
      expect(runtime.sessionKeys.holders[first] == nil)
      expect(!isIssued(keys.claim(first)))
      expect(isIssued(keys.claim(second)))
    }
  ),
  (
    "a session without a key is bound once, one that is over never",
    {
      let runtime = try makeRuntime()
      let session = makeSession(runtime)
      let keys = AcceptorKeys(runtime.sessionKeys, session, isResumable: false)
      expectEqual(keys.present([]), [])
      expect(isIssued(keys.claim([])))
      expect(!isIssued(keys.claim([])))
      let dropped = AcceptorKeys(runtime.sessionKeys, session, isResumable: true)
      let key = dropped.present([])
      dropped.drop()
      expect(runtime.sessionKeys.holders[key] == nil)
      expect(!isIssued(dropped.claim([])))
    }
  ),
  (
    "ids grow, with one parity",
    {
      var ids = NewestIds()
      expectEqual(ids.next(.odd), 1)
      expectEqual(ids.next(.even), 2)
      try ids.see(5, .odd, .badRequestId)
      expectEqual(ids.next(.odd), 7)
      for wrong: UInt64 in [0, 5, 3, 6] {
        let found = violation { () throws(Violation) in try ids.see(wrong, .odd, .badRequestId) }
        expectEqual(found?.code, .badRequestId)
      }
    }
  ),
  (
    "backoff doubles up to its cap",
    {
      var dialling = Dialling(
        host: "", port: 0, parity: .odd, resumes: false, replaces: false, maxAttempts: 9,
        backoffInitial: 100, backoffMost: 350)
      expectEqual((1...5).map { dialling.delay(beforeAttempt: $0) }, [0, 100, 200, 350, 350])
      dialling.backoffMost = 0
      expectEqual(dialling.delay(beforeAttempt: 5), 800)
      dialling.backoffInitial = 0
      expectEqual(dialling.delay(beforeAttempt: 5), 0)
    }
  ),
]

@RuntimeActor let operationTests: [Test] = [
  (
    "an execution can be ended once",
    {
      let runtime = try makeRuntime()
      guard let method = runtime.catalogue.methods["counterpart.testbed.v1.Testbed/Echo"] else {
        return Check.fail("no such method")
      }
      let record = Recorder(runtime.journal, scope: "s")
      let operation = Operation(Wire.Request(operationId: 3), method, record)
      let first = operation.makeExecution(request: 1, generation: 1, ends: [:])
      expect(!first.isOver)
      guard let fence = first.claim() else { return Check.fail("no right") }
      expect(fence.operation === operation)
      _ = consume fence
      expect(first.isOver)
      // Its generation is over: whatever the handler does now finds no way to the record.
      switch first.claim() {
      case .some: Check.fail("ended twice")
      case .none: break
      }
      let second = operation.makeExecution(request: 2, generation: 2, ends: [:])
      expectEqual(second.number, 2)
      expect(!second.isOver && first.isOver)
      operation.forget()
      expect(second.isOver)
    }
  )
]

@RuntimeActor let outboxTests: [Test] = [
  (
    "a sealed outbox reaches no link",
    {
      let bench = JournalBench()
      let outbox = Outbox(nil, bench.record, maxPayload: 100)
      outbox.seal()
      outbox.commit(.pong(Wire.Pong(nonce: 1)))
      expectEqual(bench.discarded("session.resume.discard"), 1)
    }
  ),
  (
    "what the counterpart does not accept is not encoded",
    {
      let outbox = Outbox(nil, JournalBench().record, maxPayload: 100)
      let item = Wire.Message.Payload.channelItem(
        Wire.ChannelItem(channelId: 1, item: Array(repeating: 0, count: 200)))
      switch outbox.encode(item) {
      case .some: Check.fail("it was")
      case .none: break
      }
    }
  ),
  (
    "a phase changes only along the table",
    {
      let bench = JournalBench()
      var driver = Driver(bench.record)
      expect(!driver.move(.resumed, to: .resuming))
      expect(driver.move(.failed, to: .disconnected(SessionEnded(text: "over"))))
      expect(!driver.move(.established, to: .connecting))
      expectEqual(bench.invalid, ["resumed", "established"])
    }
  ),
]

@RuntimeActor let commandLogTests: [Test] = [
  (
    "a known command runs nothing again",
    {
      let log = CommandLog<Int>(Journal())
      let runs = Box(0)
      @RuntimeActor func send(_ payload: [UInt8] = [1]) async throws -> Int {
        try await log.execute(1, send: 1, scope: "s", payload: payload, hold: nil) {
          {
            runs.value += 1
            return (true, 7)
          }
        }
      }
      expectEqual(try await send(), 7)
      expectEqual(try await send(), 7)
      expectEqual(runs.value, 1)
      do {
        _ = try await send([2])
        Check.fail("another payload was taken")
      } catch let refusal as NotAccepted { expect(refusal.reason == .conflict) }
    }
  ),
  (
    "a status of an unknown id refuses its sends from then on",
    {
      let log = CommandLog<Int>(Journal())
      expect(log.status(1, highestSend: 2).state == .notAccepted)
      do {
        _ = try await log.execute(1, send: 2, scope: "s", payload: [], hold: nil) { { (true, 1) } }
        Check.fail("it was taken")
      } catch let refusal as NotAccepted { expect(refusal.reason == .tombstoned) }
      let outcome = try await log.execute(1, send: 3, scope: "s", payload: [], hold: nil) {
        { (true, 1) }
      }
      expectEqual(outcome, 1)
      expect(log.status(1, highestSend: 0).state == .completed)
    }
  ),
  (
    "a held command stops where it was told, and is dropped with its scope",
    {
      let log = CommandLog<Int>(Journal())
      let runs = Box(0)
      let asked = Task { @RuntimeActor in
        try await log.execute(1, send: 1, scope: "s", payload: [], hold: .started) {
          {
            runs.value += 1
            return (true, 1)
          }
        }
      }
      await turn()
      expect(log.status(1, highestSend: 0).state == .started)
      log.drop(scope: "s", -1)
      expectEqual(try await asked.value, -1)
      await turn()
      expectEqual(runs.value, 0)
      expect(log.status(1, highestSend: 0).state == .failed)
    }
  ),
  (
    "only finished commands are evicted, oldest first",
    {
      let log = CommandLog<Int>(Journal())
      for id in 1...1030 as ClosedRange<UInt64> {
        _ = try await log.execute(id, send: 1, scope: "s", payload: [], hold: nil) { { (true, 1) } }
      }
      expectEqual(log.watermark, 6)
      expect(log.status(6, highestSend: 0).state == nil)
      expect(log.status(7, highestSend: 0).state == .completed)
    }
  ),
]

@RuntimeActor let waitingTests: [Test] = [
  (
    "a wait ends with its task",
    {
      let signal = Signal()
      let waiting = Task { @RuntimeActor in try await signal.wait() }
      await turn()
      waiting.cancel()
      do {
        try await waiting.value
        Check.fail("it was notified")
      } catch { expect(error is CancellationError) }
    }
  ),
  (
    "a turnstile lets through who is left when one in the queue gives up",
    {
      let (turnstile, gate) = (Turnstile(), Promise<Void>())
      let passed = Box<[Int]>([])
      var tasks: [Task<Void, any Error>] = []
      for number in 0..<3 {
        tasks.append(
          Task { @RuntimeActor in
            try await turnstile.pass {
              if number == 0 { try await gate.get() }
              passed.value.append(number)
            }
          })
      }
      await turn()
      tasks[1].cancel()
      await turn()
      gate.fulfil(())
      await turn()
      expectEqual(passed.value, [0, 2])
    }
  ),
  (
    "a watch sees what was journalled before it",
    {
      let bench = JournalBench()
      bench.record.discard("x", "link.limit")
      let (journal, seen) = (bench.journal, Promise<Void>())
      Task { @RuntimeActor in
        try await journal.watch(scope: "s", count: 2, JournalPattern())
        seen.fulfil(())
      }
      await turn()
      expect(seen.value == nil)
      bench.record.discard("y", "link.limit")
      await turn()
      expect(seen.value != nil)
    }
  ),
]
