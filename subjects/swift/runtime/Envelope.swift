// Envelopes: decoding one phase's payload strictly, and the constants of the protocol.
//
// r[wire.envelope]: every payload is one envelope whose members have numbers of their own; one with
// no known member, an empty one, or one of another phase is `Malformed`.

enum ProtocolConstants {
  static let magic: UInt32 = 0x5452_5043
  static let version: UInt32 = 1
  static let defaultMaxPayload = 16 << 20
  static let leastMaxPayload = 64 << 10
  static let handshakeMaxPayload = 64 << 10  // prologue and handshakes  r[link.limit.announce]
  static let sessionIdBytes = 16
  static let leastKeyBytes = 16
  static let textBytes = 1024  // of what is told about an error

  /// What an announced max_payload means in bytes; nil if it is out of range.
  static func maxPayload(announced: UInt32) -> Int? {
    if announced == 0 { return defaultMaxPayload }
    return Int(announced) >= leastMaxPayload ? Int(announced) : nil
  }
}

/// The counterpart broke `rule`; ends the session.  r[session.protocol-error]
struct Violation: Error {
  let code: Wire.ProtocolErrorCode
  let rule: String
  let text: String

  init(_ code: Wire.ProtocolErrorCode, _ rule: String, _ text: String) {
    self.code = code
    self.rule = rule
    self.text = text
  }
}

/// A message whose payload is one of several members.
protocol Envelope: ProtobufMessage {
  associatedtype Member
  var member: Member? { get }
}

extension Envelope {
  /// The member in a payload of this phase.
  static func open(_ payload: [UInt8]) throws(Malformed) -> Member {
    guard let member = try Self(decoding: payload).member else {
      throw Malformed(text: "no known member of \(Self.self)")
    }
    return member
  }
}

extension Wire.Prologue: Envelope {
  var member: Kind? { kind }
}

extension Wire.StableHandshake: Envelope {
  var member: Kind? { kind }
}

extension Wire.StableFrame: Envelope {
  var member: Kind? { kind }
}

extension Wire.Handshake: Envelope {
  var member: Kind? { kind }
}

extension Wire.Message.Payload {
  /// The request id, channel id or nonce the message is about; 0 if there is none.
  var subject: UInt64 {
    switch self {
    case .ping(let body): body.nonce
    case .pong(let body): body.nonce
    case .request(let body): body.requestId
    case .response(let body): body.requestId
    case .cancelRequest(let body): body.requestId
    case .channelItem(let body): body.channelId
    case .closeChannel(let body): body.channelId
    case .resetChannel(let body): body.channelId
    case .grantCredit(let body): body.channelId
    default: 0
    }
  }
}

extension String {
  /// At most as much as an error text may hold.
  var short: String { String(prefix(ProtocolConstants.textBytes / 4)) }
}
