// Stable conduits without a network: one end's numbers, and what a conduit does from link to link.

private func data(_ seq: UInt32, ack: UInt32? = nil, _ item: [UInt8] = [7]) -> Wire.StableFrame.Kind
{
  .data(Wire.StableData(seq: seq, ack: ack, item: item))
}

private func ack(_ number: UInt32) -> Wire.StableFrame.Kind {
  .ack(Wire.StableAck(ack: number))
}

/// A frame in short: "seq/ack", or "ack" alone.
private func short(_ frame: Wire.StableFrame) -> String {
  switch frame.kind {
  case .data(let data)?: "\(data.seq)/" + (data.ack.map { "\($0)" } ?? "-")
  case .ack(let ack)?: "\(ack.ack)"
  case nil: "?"
  }
}

@RuntimeActor let stableCoreTests: [Test] = [
  (
    "frames are numbered one by one, and past the last number there is",
    {
      var core = StableCore(first: .max - 1, theirFirst: 0)
      expectEqual(core.first, .max - 1)
      expectEqual(
        [short(core.send([1])), short(core.send([2])), short(core.send([3]))],
        ["4294967294/-", "4294967295/-", "0/-"])
      expectEqual(try core.receive(ack(.max)), nil)
      expectEqual(core.replay().map(short), ["0/-"])
      expectEqual(try core.receive(ack(0)), nil)
      expectEqual(core.replay().count, 0)
    }
  ),
  (
    "what was received already is ignored, past the wrap as well",
    {
      var core = StableCore(first: 0, theirFirst: .max)
      expectEqual(core.lastReceived, nil)
      expectEqual(try core.receive(data(.max, [1])), [1])
      expectEqual(core.lastReceived, .max)
      expectEqual(try core.receive(data(0, [2])), [2])
      for known: UInt32 in [.max, 0] { expectEqual(try core.receive(data(known)), nil) }
      expectEqual(core.lastReceived, 0)
      expectEqual(short(core.send([])), "0/0")
    }
  ),
  (
    "a gap is refused, and so is a number from before the first",
    {
      var core = StableCore(first: 0, theirFirst: 5)
      for wrong: UInt32 in [6, 4] {
        do throws(Violation) {
          _ = try core.receive(data(wrong))
          Check.fail("\(wrong) was taken")
        } catch {
          expectEqual(error.rule, "stable.seq")
          expectEqual(error.code, .unexpectedMessage)
        }
      }
      expectEqual(try core.receive(data(5)), [7])
    }
  ),
  (
    "an ack trims what is sent again, and may be told twice",
    {
      var core = StableCore(first: 10, theirFirst: 0)
      for item in 0..<4 { _ = core.send([UInt8(item)]) }
      expectEqual(try core.receive(ack(11)), nil)
      expectEqual(core.replay().map(short), ["12/-", "13/-"])
      for told: UInt32 in [10, 11] { expectEqual(try core.receive(ack(told)), nil) }
      expectEqual(try core.receive(data(0, ack: 12)), [7])
      expectEqual(core.replay().map(short), ["13/0"])
      expectEqual(short(core.send([])), "14/0")
    }
  ),
  (
    "an ack of what was never sent is refused",
    {
      var core = StableCore(first: 10, theirFirst: 0)
      for unsent: UInt32 in [10, 9] {
        expect(isRefused(&core) { core throws(Violation) in _ = try core.receive(ack(unsent)) })
      }
      _ = core.send([])
      expect(isRefused(&core) { core throws(Violation) in _ = try core.receive(data(0, ack: 11)) })
      expectEqual(try core.receive(ack(10)), nil)
    }
  ),
  (
    "a last_received trims, and none at all may follow no ack only",
    {
      var core = StableCore(first: .max, theirFirst: 0)
      for _ in 0..<3 { _ = core.send([]) }
      try core.resume(theirLastReceived: nil)
      expectEqual(core.replay().map(short), ["4294967295/-", "0/-", "1/-"])
      try core.resume(theirLastReceived: 0)
      expectEqual(core.replay().map(short), ["1/-"])
      try core.resume(theirLastReceived: 0)
      expect(isRefused(&core) { core throws(Violation) in try core.resume(theirLastReceived: nil) })
    }
  ),
  (
    "a last_received below an earlier ack, or of what was never sent, is refused",
    {
      var core = StableCore(first: 0, theirFirst: 0)
      for _ in 0..<3 { _ = core.send([]) }
      expectEqual(try core.receive(ack(1)), nil)
      for wrong: UInt32 in [0, 3] {
        expect(
          isRefused(&core) { core throws(Violation) in try core.resume(theirLastReceived: wrong) })
      }
    }
  ),
  (
    "an ack is due when no frame of ours has carried one for long",
    {
      var core = StableCore(first: 0, theirFirst: 0)
      let most = UInt32(StableCore.framesPerAck)
      expect(most <= 256)
      for number in 0..<most - 1 { _ = try core.receive(data(number)) }
      expect(core.dueAck() == nil)
      _ = try core.receive(data(most - 1))
      expectEqual(core.dueAck().map(short), "\(most - 1)")
      expect(core.dueAck() == nil)
      for number in most..<2 * most - 1 { _ = try core.receive(data(number)) }
      _ = core.send([])
      _ = try core.receive(data(2 * most - 1))
      expect(core.dueAck() == nil)
    }
  ),
]

private func isRefused(
  _ core: inout StableCore, _ body: (inout StableCore) throws(Violation) -> Void
) -> Bool {
  do throws(Violation) {
    try body(&core)
    return false
  } catch { return error.rule == "stable.seq" }
}

/// A link without a network: what is sent over it is to be seen.
@RuntimeActor
private final class FakeLink: Conduit {
  let overhead = 0
  let isCongested = false
  var isOpen = true
  var discarded: @RuntimeActor (Int) -> Void = { _ in }
  private(set) var sent: [String] = []
  private(set) var hasFinished = false
  private var user: (any ConduitUser)?

  func relieved() async throws {}
  func hand(to user: any ConduitUser) { self.user = user }
  func limit(_ maximum: Int) {}
  func send(_ payload: [UInt8]) {
    sent.append((try? Wire.StableFrame(decoding: payload)).map(short) ?? "?")
  }
  func conclude() {}
  func finish() { (isOpen, hasFinished, user) = (false, true, nil) }
  func close() { (isOpen, user) = (false, nil) }

  func receive(_ frame: Wire.StableFrame.Kind) {
    user?.payload(Wire.StableFrame(kind: frame).encoded, of: self)
  }

  func lose() {
    let user = user
    close()
    user?.lost(self, "cut")
  }
}

/// A conduit, and whoever uses it.
@RuntimeActor
private final class ConduitBench: ConduitUser {
  let conduits = ConduitSet()
  private(set) var told: [String] = []

  func makeConduit() -> StableConduit {
    StableConduit(first: 0, theirFirst: 0, self, conduits, maxPayload: 1 << 20)
  }

  func payload(_ payload: [UInt8], of conduit: any Conduit) { told.append(payload.hex) }
  func oversize(_ error: Oversize, of conduit: any Conduit) { told.append("oversize") }
  func violated(_ violation: Violation, of conduit: any Conduit) { told.append(violation.rule) }
  func lost(_ conduit: any Conduit, _ reason: String) { told.append("lost") }
}

@RuntimeActor let stableConduitTests: [Test] = [
  (
    "a change of link is not seen, and what was lost comes first",
    {
      let bench = ConduitBench()
      let conduit = bench.makeConduit()
      let (first, second, losses) = (FakeLink(), FakeLink(), Box(0))
      conduit.whenLost = { losses.value += 1 }
      conduit.carry(over: first)
      conduit.send([1])
      conduit.send([2])
      first.receive(data(0, ack: 0, [9]))
      first.lose()
      conduit.send([3])
      expect(conduit.isCongested)
      expectEqual(losses.value, 1)
      try conduit.resume(theirLastReceived: 0)
      conduit.carry(over: second)
      conduit.send([4])
      second.receive(data(0, [9]))
      second.receive(data(1, [8]))
      expectEqual(first.sent, ["0/-", "1/-"])
      expectEqual(second.sent, ["1/0", "2/0", "3/0"])
      expectEqual(bench.told, ["09", "08"])
      expect(!conduit.isCongested)
    }
  ),
  (
    "a link that looks alive is closed for another, and no more of it is read",
    {
      let bench = ConduitBench()
      let conduit = bench.makeConduit()
      let (first, second) = (FakeLink(), FakeLink())
      conduit.carry(over: first)
      conduit.carry(over: second)
      first.receive(data(0, [9]))
      first.lose()
      expect(!first.isOpen && second.isOpen)
      expectEqual(bench.told, [])
    }
  ),
  (
    "the first frame on a link retires the key it was opened with",
    {
      let registry = KeyRegistry<StableConduit>()
      let conduit = ConduitBench().makeConduit()
      let keys = AcceptorKeys(registry, conduit, isResumable: true)
      conduit.acceptorKeys = keys
      let first = keys.present([])
      let links = [FakeLink(), FakeLink()]
      conduit.carry(over: links[0])
      links[0].receive(data(0))
      let second = keys.present(first)
      conduit.carry(over: links[1], openedWith: first)
      expect(registry.holders[first] === conduit && registry.holders[second] === conduit)
      links[1].receive(data(1))
      expect(registry.holders[first] == nil && registry.holders[second] === conduit)
      conduit.close()
      expect(registry.holders.isEmpty)
    }
  ),
  (
    "once its session is over it ends with its link",
    {
      let bench = ConduitBench()
      let conduit = bench.makeConduit()
      let link = FakeLink()
      conduit.whenLost = { Check.fail("it was to be carried on") }
      conduit.carry(over: link)
      conduit.conclude()
      expect(conduit.isOpen)
      link.lose()
      expectEqual(bench.told, ["lost"])
      expect(!conduit.isOpen && bench.conduits.count == 0)
    }
  ),
  (
    "what a hello breaks ends it, what a frame breaks is for its user to say",
    {
      let bench = ConduitBench()
      let (said, conduit) = (bench.makeConduit(), bench.makeConduit())
      let link = FakeLink()
      said.carry(over: link)
      link.receive(data(1))
      expect(said.isOpen)
      said.finish()
      expect(link.hasFinished && !said.isOpen)
      do throws(Violation) {
        try conduit.resume(theirLastReceived: 3)
        Check.fail("it was taken")
      } catch { expect(!conduit.isOpen) }
      expectEqual(bench.told, ["stable.seq", "stable.seq"])
      expectEqual(bench.conduits.count, 0)
    }
  ),
  (
    "who waits for relief is let through by a link, and by the end",
    {
      for ends in [false, true] {
        let conduit = ConduitBench().makeConduit()
        let waiting = Task { @RuntimeActor in try await conduit.relieved() }
        await turn()
        expect(conduit.isCongested)
        if ends { conduit.close() } else { conduit.carry(over: FakeLink()) }
        try await waiting.value
      }
    }
  ),
]
