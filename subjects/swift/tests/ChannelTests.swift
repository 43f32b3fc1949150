// Channel ends without a network: credit, races, ends. Their outbox has no link: what they commit is
// journalled as discarded, which shows it.

@RuntimeActor
private struct Bench {
  let journal = JournalBench()
  let outbox: Outbox

  init() { outbox = Outbox(nil, journal.record, maxPayload: 1 << 20) }

  func sender(_ credit: UInt32) -> SendingEnd {
    let end = SendingEnd(9, credit: credit, outbox, journal.record)
    end.bind()
    return end
  }

  func receiver(_ credit: UInt32) -> ReceivingEnd {
    ReceivingEnd(9, credit: credit, outbox, journal.record)
  }
}

@RuntimeActor
private func status(_ body: @RuntimeActor () async throws -> Void) async -> EndStatus? {
  do {
    try await body()
    return nil
  } catch { return (error as? EndFailure)?.status }
}

@RuntimeActor let channelTests: [Test] = [
  (
    "items before the bind are kept, in order, and then the stream ends",
    {
      let end = Bench().receiver(2)
      try end.receivedItem([1])
      try end.receivedItem([2])
      try end.receivedClose(aborted: false)
      expect(end.state == .reservedClosing)
      end.bind()
      expectEqual(try await end.take(), [1])
      expectEqual(try await end.take(), [2])
      expectEqual(await status { _ = try await end.take() }, .closed)
      expect(end.state == .closed)
    }
  ),
  (
    "an aborted stream is never end of stream",
    {
      let end = Bench().receiver(2)
      end.bind()
      try end.receivedItem([1])
      try end.receivedClose(aborted: true)
      expectEqual(try await end.take(), [1])
      expectEqual(await status { _ = try await end.take() }, .aborted)
    }
  ),
  (
    "an item over the credit granted is a violation",
    {
      let end = Bench().receiver(1)
      end.bind()
      try end.receivedItem([1])
      expectEqual(
        violation { () throws(Violation) in try end.receivedItem([2]) }?.code, .creditExceeded)
    }
  ),
  (
    "an item after the close is a violation, and journalled as invalid",
    {
      let bench = Bench()
      let end = bench.receiver(4)
      end.bind()
      try end.receivedClose(aborted: false)
      let found = violation { () throws(Violation) in try end.receivedItem([1]) }
      expectEqual(found?.rule, "rpc.channel.data-after-close")
      expectEqual(bench.journal.invalid, ["item"])
      expect(end.state == .closed)
    }
  ),
  (
    "credit comes back for what was taken, at half",
    {
      let bench = Bench()
      let end = bench.receiver(4)
      end.bind()
      for value in 1...4 { try end.receivedItem([UInt8(value)]) }
      expectEqual(bench.journal.sent, [])
      _ = try await end.take()
      expectEqual(bench.journal.sent, ["grant_credit"])
    }
  ),
  (
    "who waits on an empty channel without credit is granted one",
    {
      let bench = Bench()
      let end = bench.receiver(0)
      end.bind()
      let taking = Task { @RuntimeActor in try await end.take() }
      await turn()
      expectEqual(bench.journal.sent, ["grant_credit"])
      try end.receivedItem([7])
      expectEqual(try await taking.value, [7])
    }
  ),
  (
    "after a reset only a race is ignored, and counted",
    {
      let bench = Bench()
      let end = bench.receiver(2)
      end.bind()
      end.reset()
      expectEqual(bench.journal.sent, ["reset_channel"])
      try end.receivedItem([1])
      try end.receivedItem([2])
      expectEqual(
        violation { () throws(Violation) in try end.receivedItem([3]) }?.code, .creditExceeded)
      try end.receivedClose(aborted: false)
      expectEqual(
        violation { () throws(Violation) in try end.receivedClose(aborted: false) }?.code,
        .channelState)
      expectEqual(bench.journal.discarded("rpc.channel.reset"), 3)
    }
  ),
  (
    "what was received before a detach stays deliverable, then fails",
    {
      let end = Bench().receiver(2)
      end.bind()
      try end.receivedItem([1])
      end.detach()
      expectEqual(try await end.take(), [1])
      expectEqual(await status { _ = try await end.take() }, .defunct)
    }
  ),
  (
    "a sender without credit waits, and goes on with a grant",
    {
      let bench = Bench()
      let end = bench.sender(1)
      try await end.send([1])
      let sending = Task { @RuntimeActor in try await end.send([2]) }
      await turn()
      expectEqual(bench.journal.sent, ["channel_item"])
      try end.receivedCredit(1)
      try await sending.value
      expectEqual(bench.journal.sent, ["channel_item", "channel_item"])
    }
  ),
  (
    "a reset fails the send that waits, and nothing more is sent",
    {
      let bench = Bench()
      let end = bench.sender(0)
      let sending = Task { @RuntimeActor in await status { try await end.send([1]) } }
      await turn()
      try end.receivedReset()
      expectEqual(await sending.value, .reset)
      end.close()
      expectEqual(bench.journal.sent, [])
    }
  ),
  (
    "a close that crosses a reset is a race, anything else is not",
    {
      let bench = Bench()
      let end = bench.sender(1)
      end.close()
      try end.receivedReset()
      try end.receivedCredit(1)
      expectEqual(bench.journal.discarded("rpc.channel.ends"), 2)
      expectEqual(
        violation { () throws(Violation) in try end.receivedItem([1]) }?.code, .channelState)
    }
  ),
  (
    "credit that overflows is a violation",
    {
      let end = Bench().sender(1)
      expectEqual(
        violation { () throws(Violation) in try end.receivedCredit(.max) }?.code, .creditOverflow)
    }
  ),
  (
    "sends leave in the order they were asked for",
    {
      let bench = Bench()
      let end = bench.sender(0)
      let order = Box<[Int]>([])
      for value in 0..<3 {
        Task { @RuntimeActor in
          try await end.send([UInt8(value)])
          order.value.append(value)
        }
      }
      await turn()
      try end.receivedCredit(3)
      await turn()
      expectEqual(order.value, [0, 1, 2])
    }
  ),
]
