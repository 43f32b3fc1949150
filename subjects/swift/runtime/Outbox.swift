// The outbox of one generation: the one place that writes its messages.
// r[strict.outbound.sequencer]
//
// Committing is journalling, then handing the encoded message to the conduit, in one step: wire order
// is commit order, and nothing waits in between that something else could overtake. The outbox owns
// the generation's only way to the wire. `seal` takes the conduit away for good, so what is committed
// later, by something that outlived its generation, has no conduit to reach, old or new, and is
// journalled as a discard (r[session.resume.discard]).

/// A message that is encoded, and so known to fit. It can be committed once.
struct EncodedMessage: ~Copyable {
  fileprivate let connection: UInt64
  fileprivate let kind: String
  fileprivate let subject: UInt64
  fileprivate let bytes: [UInt8]
}

@RuntimeActor
final class Outbox {
  private let record: Recorder
  private let maxPayload: Int
  private var conduit: (any Conduit)?

  /// `maxPayload` is what the counterpart accepts, in bytes, whatever the conduit adds included.
  init(_ conduit: (any Conduit)?, _ record: Recorder, maxPayload: Int) {
    self.conduit = conduit
    self.record = record
    self.maxPayload = maxPayload - (conduit?.overhead ?? 0)
  }

  /// Should an application wait for `relieved` before it sends?
  var isCongested: Bool { conduit?.isCongested ?? false }

  /// Waits until the counterpart has read most of what was sent, or the generation is over.
  func relieved() async throws { try await conduit?.relieved() }

  /// The message, encoded; nil if the counterpart does not accept that much.
  /// r[link.limit.announce]
  func encode(_ payload: Wire.Message.Payload, connection: UInt64 = 0) -> EncodedMessage? {
    let bytes = Wire.Message(connectionId: connection, payload: payload).encoded
    guard bytes.count <= maxPayload else { return nil }
    return EncodedMessage(
      connection: connection, kind: payload.fieldName, subject: payload.subject, bytes: bytes)
  }

  /// Writes one message.
  func commit(_ message: consuming EncodedMessage) {
    guard let conduit else {
      record.discard(message.kind, "session.resume.discard", key: message.subject)
      return
    }
    record(
      .frame(
        isSent: true, connection: message.connection, kind: message.kind, id: message.subject))
    conduit.send(message.bytes)
  }

  /// Writes one message of bounded size.
  func commit(_ payload: Wire.Message.Payload, connection: UInt64 = 0) {
    let bytes = Wire.Message(connectionId: connection, payload: payload).encoded
    commit(
      EncodedMessage(
        connection: connection, kind: payload.fieldName, subject: payload.subject, bytes: bytes))
  }

  /// Nothing is written any more.
  func seal() { conduit = nil }
}
