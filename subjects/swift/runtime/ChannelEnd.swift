// What both ends of a channel share.
//
// A channel is a one-way, ordered, credit-controlled stream of items. An end belongs to one
// generation: it writes through the outbox of that generation, which dies with it, so nothing can
// carry an end over to another one (r[strict.rebind.generation]). What the wire brings enters through
// `received…`, which throw Violation; what an application does throws EndFailure.

/// How an end looks to an application.
enum EndStatus: String, Sendable { case open, closed, aborted, reset, defunct }

/// The end can do no more.
struct EndFailure: Error {
  let status: EndStatus
}

/// The item is larger than the counterpart accepts; the channel is unharmed.
struct ItemTooLarge: Error {}

@RuntimeActor
protocol ChannelEnd: AnyObject, Sendable {
  var id: UInt64 { get }
  var status: EndStatus { get }
  /// Is nothing open here any more?
  var hasEnded: Bool { get }

  /// Somebody took the end.
  func bind()
  /// Nobody will use the end: say so to the counterpart.  r[rpc.channel.abandon]
  func abandon()
  /// The generation is over.
  func detach()

  func receivedItem(_ item: [UInt8]) throws(Violation)
  func receivedClose(aborted: Bool) throws(Violation)
  func receivedReset() throws(Violation)
  func receivedCredit(_ credit: UInt32) throws(Violation)
}

extension ChannelEnd {
  /// What only the other end may get.  r[rpc.channel.ends]
  func wrongWay(_ what: String) -> Violation {
    Violation(.channelState, "rpc.channel.ends", "channel \(id): \(what) from the wrong side")
  }
}
