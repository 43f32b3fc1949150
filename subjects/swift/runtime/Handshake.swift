// Prologue, conduit and session handshake, what both sides share.
//
// r[transport.prologue.first-payload], r[session.handshake]: hello → accept | reject, then for a
// stable conduit ClientHello → ServerHello | StableReject, then Hello → HelloYourself | Sorry →
// LetsGo | Sorry, which a stable conduit carries. A conduit that goes on over a link has no more on it
// than the first two. Each payload has one place; anything else is answered with TransportReject,
// StableReject or Sorry(MALFORMED) and ends the link (r[transport.prologue.reject-close]). Every
// payload here is at most 64 KiB. The link changes hands at ServerHello, the conduit at LetsGo, in
// the same read.

/// How far a handshake has come.
enum HandshakeStage { case prologue, conduit, session }

/// Why a handshake is refused, and how that is said.
enum HandshakeRefusal: Error {
  case reject(Wire.TransportRejectReason, String)
  case stableReject(String)
  case sorry(Wire.SorryReason, String)

  var text: String {
    switch self {
    case .reject(_, let text), .stableReject(let text), .sorry(_, let text): text
    }
  }

  var payload: [UInt8] {
    switch self {
    case .reject(let reason, let text):
      Wire.Prologue(kind: .reject(Wire.TransportReject(reason: reason, text: text.short))).encoded
    case .stableReject(let text):
      Wire.StableHandshake(kind: .reject(Wire.StableReject(text: text.short))).encoded
    case .sorry(let reason, let text):
      Wire.Handshake(kind: .sorry(Wire.Sorry(reason: reason, detail: text.short))).encoded
    }
  }

  /// What the payload of one step should have been, said in the terms of that step.
  static func malformed(_ text: String, at stage: HandshakeStage) -> HandshakeRefusal {
    switch stage {
    case .prologue: .reject(.malformed, text)
    case .conduit: .stableReject(text)
    case .session: .sorry(.malformed, text)
    }
  }

  /// r[session.handshake.sorry]
  static func check(schema: UInt64, _ runtime: Runtime) throws(HandshakeRefusal) {
    guard schema == runtime.protocolSchema else {
      throw .sorry(.incompatibleSchema, "another protocol schema than that of this program")
    }
  }
}

/// The counterpart refused, or was refused: not worth another dial.
struct Refused: Ending {
  enum Side { case rejected, sorry, protocolError }
  let by: Side
  let name: String  // of the reason, as in the wire protocol
  let text: String
  var rule: String { name }
  var reason: ControlPlane.FailureReason { enumeration("FAILURE_REASON_", by) }
}
